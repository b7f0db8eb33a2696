"""Which samples make up which batch: each once, in an order that only (seed, epoch) decides."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumkeras.data_pipelines import DataError, Split
from plumkeras.data_pipelines.batches.order import (
    MAX_LENGTHS,
    BatchStream,
    epoch_batches,
    length_step,
    padded_length,
    padding_share,
)

sizes = st.lists(st.integers(0, 60), min_size=1, max_size=120)
common = settings(max_examples=60, deadline=None)


def make_split(lengths, frames=60, labels=True):
    lengths = np.asarray(lengths)
    count = len(lengths)
    features = np.zeros((count, frames, 2), "float32")
    features[np.arange(frames) < lengths[:, None]] = 1
    features *= np.arange(1, count + 1)[:, None, None]
    audio = np.arange(count, dtype="float32").reshape(-1, 1, 1)
    return Split(
        [str(i) for i in range(count)],
        {"text": features, "audio": audio},
        {"text": lengths, "audio": np.ones(count, int)},
        np.arange(count).astype("float32") if labels else None,
    )


@common
@given(sizes, st.integers(1, 40), st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_each_sample_exactly_once_and_partial_last(lengths, batch_size, seed, epoch, aware):
    batches = epoch_batches(lengths, batch_size, seed, epoch, length_aware=aware)
    assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
    assert [len(batch) for batch in batches[:-1]] == [batch_size] * (len(batches) - 1)
    assert len(batches[-1]) == (len(lengths) - 1) % batch_size + 1
    full = epoch_batches(lengths, batch_size, seed, epoch, length_aware=aware, drop_remainder=True)
    kept = len(lengths) // batch_size
    assert [b.tolist() for b in full] == [b.tolist() for b in batches[:kept]]


@common
@given(sizes, st.integers(1, 40), st.integers(0, 99), st.integers(0, 99))
def test_order_is_a_pure_function(lengths, batch_size, seed, epoch):
    np.random.seed(epoch)
    first = epoch_batches(lengths, batch_size, seed, epoch)
    np.random.seed(epoch + 1)
    again = epoch_batches(lengths, batch_size, seed, epoch)
    assert [b.tolist() for b in first] == [b.tolist() for b in again]


def test_order_differs_by_epoch_and_by_seed():
    lengths = np.arange(64)
    orders = {tuple(np.concatenate(epoch_batches(lengths, 8, seed, epoch))) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@pytest.mark.parametrize(("samples", "batch_size"), [(512, 4), (203, 7)])
def test_windows_are_sorted(samples, batch_size):
    """Within a window the batches, put in order, don't overlap in length."""
    lengths = np.random.default_rng(0).integers(1, 60, samples)
    window = 8
    batches = epoch_batches(lengths, batch_size, 3, 1, window=window)
    full = samples // batch_size * batch_size
    permutation = np.random.default_rng([3, 1]).permutation(samples)
    member = {}
    for start in range(0, full, window * batch_size):
        for sample in permutation[start : min(start + window * batch_size, full)]:
            member[sample] = start
    groups = {}
    for batch in batches[: full // batch_size]:
        assert len({member[sample] for sample in batch}) == 1
        groups.setdefault(member[batch[0]], []).append(lengths[batch])
    for group in groups.values():
        group.sort(key=lambda values: (values.min(), values.max()))
        for left, right in itertools.pairwise(group):
            assert left.max() <= right.min()
    # They don't come in order of length: the batches were shuffled.
    means = [lengths[batch].mean() for batch in batches[:window]]
    assert means != sorted(means)


def test_the_remainder_is_no_matter_of_length():
    """Dropping it would otherwise drop the longest samples, epoch after epoch."""
    lengths = np.arange(100)
    dropped = [
        np.setdiff1d(lengths, np.concatenate(epoch_batches(lengths, 32, 0, e, drop_remainder=True))) for e in range(200)
    ]
    assert abs(np.mean(dropped) - 49.5) < 5


@common
@given(st.integers(0, 500), st.integers(1, 500), st.integers(1, 64))
def test_padded_length(longest, maximum, multiple):
    longest = min(longest, maximum)
    padded = padded_length(longest, maximum, multiple)
    assert max(longest, 1) <= padded <= maximum
    assert padded % multiple == 0 or padded in (maximum, 1)
    assert padded - longest < multiple or padded == 1
    step = length_step(maximum, multiple)
    values = {padded_length(n, maximum, step) for n in range(1, maximum + 1)}
    assert len(values) <= MAX_LENGTHS and step % multiple == 0


@common
@given(sizes, st.integers(1, 40), st.booleans())
def test_batches_hold_every_valid_frame(lengths, batch_size, training):
    split = make_split(lengths)
    seen = []
    for inputs, labels in BatchStream(split, batch_size, training):
        assert set(inputs) == {"text", "text_length", "audio", "audio_length"}
        rows = labels.astype(int)
        seen.extend(rows.tolist())
        np.testing.assert_array_equal(inputs["text_length"], split.lengths["text"][rows])
        frames = inputs["text"].shape[1]
        assert frames == padded_length(split.lengths["text"][rows].max(), 60)
        np.testing.assert_array_equal(inputs["text"], split.features["text"][rows, :frames])
        assert inputs["text"].any(axis=2).sum() == split.lengths["text"][rows].sum()
        np.testing.assert_array_equal(inputs["audio"][:, 0, 0], labels)
    if training:
        assert sorted(seen) == list(range(len(lengths)))
    else:
        assert seen == list(range(len(lengths)))


def test_sorting_reduces_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 1000)
    split = make_split(lengths)
    aware, unaware = (padding_share(split, 32, length_aware=aware, modalities=["text"]) for aware in (True, False))
    assert aware < 0.6 * unaware
    by_hand = valid = 0
    for inputs, _ in BatchStream(split, 32, True, modalities=["text"]):
        by_hand += inputs["text"].shape[0] * inputs["text"].shape[1]
        valid += inputs["text_length"].sum()
    assert aware == pytest.approx(1 - valid / by_hand)


def test_epochs_go_on_and_a_look_is_not_one():
    split = make_split(np.arange(50))

    def orders(stream, count):
        return [[y.tolist() for _, y in stream] for _ in range(count)]

    stream = BatchStream(split, 8, True, seed=5)
    next(iter(stream))
    three = orders(stream, 3)
    assert three[0] != three[1] != three[2]
    assert orders(BatchStream(split, 8, True, seed=5, initial_epoch=1), 2) == three[1:]
    assert stream.epoch == 3 and len(stream) == 7
    fixed = orders(BatchStream(split, 8), 2)
    assert fixed[0] == fixed[1]


def test_without_labels_and_remainder():
    split = make_split(np.arange(10), labels=False)
    (inputs,) = next(iter(BatchStream(split, 4)))
    assert inputs["text"].shape[0] == 4
    assert [len(b[0]["text"]) for b in BatchStream(split, 4, True, drop_remainder=True)] == [4, 4]
    # Evaluation keeps every sample.
    assert [len(b[0]["text"]) for b in BatchStream(split, 4, drop_remainder=True)] == [4, 4, 2]


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"batch_size": 0}, ValueError, "`batch_size` must be an integer >= 1. Received: batch_s"),
        ({"batch_size": 2.5}, ValueError, "batch_size=2.5"),
        ({"seed": -1}, ValueError, "seed=-1"),
        ({"initial_epoch": "a"}, ValueError, "initial_epoch='a'"),
        ({"window": 0}, ValueError, "window=0"),
        ({"length_multiple": 0}, ValueError, "length_multiple=0"),
        ({"modalities": ["vision"]}, DataError, "no modality 'vision'; it has text, audio"),
        ({"modalities": []}, ValueError, "modalities"),
        ({"batch_size": 64, "training": True, "drop_remainder": True}, ValueError, "batch_size=64"),
    ],
)
def test_bad_arguments(options, error, said):
    with pytest.raises(error) as caught:
        BatchStream(make_split(np.arange(10)), **options)
    assert said in str(caught.value)
