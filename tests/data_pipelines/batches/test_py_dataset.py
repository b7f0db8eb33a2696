"""`make_sequence` gives the batches of `make_dataset`, in the order of the epoch that Keras is in."""

import numpy as np

from plumkeras.data_pipelines import Split, make_sequence
from plumkeras.data_pipelines.batches.order import BatchStream


def make_split(count=11):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 9, count)
    return Split(np.arange(count).astype(str), {"text": random.normal(size=(count, 8, 3))}, {"text": lengths}, lengths)


def assert_epoch(sequence, stream, epoch):
    expected = [stream.batch(indices) for indices in stream.order(epoch)]
    assert len(sequence) == len(expected)
    for (inputs, labels), (wanted, wanted_labels) in zip(sequence, expected, strict=True):
        np.testing.assert_array_equal(labels, wanted_labels)
        for name, values in wanted.items():
            np.testing.assert_array_equal(inputs[name], values)


def test_each_epoch_has_its_own_order_from_the_first_one_on():
    options = {"batch_size": 4, "training": True, "seed": 3}
    sequence = make_sequence(make_split(), initial_epoch=2, **options)
    stream = BatchStream(make_split(), **options)
    # Keras looks at a first batch, and says that an epoch has ended, before there was any.
    sequence[0]
    sequence.on_epoch_end()
    for epoch in (2, 3, 4):
        assert_epoch(sequence, stream, epoch)
        sequence.on_epoch_end()
    assert sequence.stream.epoch == 5


def test_evaluation_keeps_file_order():
    sequence = make_sequence(make_split(), batch_size=4)
    for _ in range(2):
        assert np.concatenate([labels for _, labels in sequence]).tolist() == make_split().labels.tolist()
        sequence.on_epoch_end()
