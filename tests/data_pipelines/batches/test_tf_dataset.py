"""`make_dataset` carries over what `BatchStream` yields."""

import doctest
import gc
import os
import subprocess
import sys
import weakref

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Split, make_dataset
from plumkeras.data_pipelines.batches import tf_dataset
from plumkeras.data_pipelines.batches.order import BatchStream

tf = pytest.importorskip("tensorflow")


def make_split(count=70, labels="float32"):
    random = np.random.default_rng(0)
    lengths = random.integers(0, 31, count)
    features = random.normal(size=(count, 30, 3)).astype("float32")
    features[np.arange(30) >= lengths[:, None]] = 0
    return Split(
        [str(i) for i in range(count)],
        {"text": features, "vision": random.normal(size=(count, 1, 2))},
        {"text": lengths, "vision": np.ones(count)},
        None if labels is None else np.arange(count).astype(labels),
    )


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("labels", ["float32", "int32", None])
def test_same_batches_as_the_stream(training, labels):
    split = make_split(labels=labels)
    dataset = make_dataset(split, 8, training=training, seed=4, initial_epoch=2)
    stream = BatchStream(split, 8, training, seed=4, initial_epoch=2)
    assert int(dataset.cardinality()) == len(stream) == 9
    inputs_spec = dataset.element_spec[0]
    assert inputs_spec["text"].shape.as_list() == [None, None, 3]
    assert inputs_spec["vision_length"].dtype == tf.int32
    if labels:
        assert dataset.element_spec[1].dtype == tf.as_dtype(labels)
    for _ in range(2):  # the second iteration is the next epoch
        for found, wanted in zip(dataset, stream, strict=True):
            tf.nest.map_structure(np.testing.assert_array_equal, found, wanted)


def test_batches_say_which_samples_they_hold():
    """In training's order, which is another one each epoch; labels are the samples' numbers."""
    split = make_split()
    dataset = make_dataset(split, 8, training=True, seed=4, with_index=True)
    assert dataset.element_spec[0]["sample_index"] == tf.TensorSpec((None,), tf.int32)
    for stream in (dataset, BatchStream(split, 8, True, seed=4, with_index=True)):
        seen = [(np.asarray(inputs["sample_index"]), np.asarray(labels)) for inputs, labels in stream]
        for index, labels in seen:
            np.testing.assert_array_equal(index, labels)
        assert sorted(np.concatenate([index for index, _ in seen])) == list(range(70))
    assert "sample_index" not in make_dataset(split, 8).element_spec[0]


@pytest.mark.parametrize("count", [16, 24, 70])
def test_a_look_at_the_first_batch_is_not_an_epoch(count):
    dataset = make_dataset(make_split(count), 8, training=True)
    first = next(iter(dataset))[1].numpy()
    np.testing.assert_array_equal(next(iter(dataset))[1].numpy(), first)


def test_an_iteration_that_is_given_up_holds_no_batch(monkeypatch):
    batches = []
    original = BatchStream.batch

    def batch(self, indices):
        inputs, labels = original(self, indices)
        batches.append(weakref.ref(inputs["text"]))
        return inputs, labels

    monkeypatch.setattr(BatchStream, "batch", batch)
    dataset = make_dataset(make_split(), 8, training=True)
    for _ in range(3):
        next(iter(dataset))
    assert len(list(dataset.take(2))) == 2
    gc.collect()
    assert len(batches) >= 5 and not any(batch() is not None for batch in batches)


def test_two_iterations_at_once_are_the_same_epoch():
    dataset = make_dataset(make_split(), 8, training=True, seed=3)
    for first, second in zip(dataset, dataset, strict=True):
        np.testing.assert_array_equal(first[1], second[1])
    stream = BatchStream(make_split(), 8, True, seed=3, initial_epoch=1)
    np.testing.assert_array_equal(next(iter(dataset))[1], next(iter(stream))[1])


def test_keras_fit_sees_each_epoch_once():
    keras = pytest.importorskip("keras")
    split = make_split()
    seen = []

    class Watch(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, inputs):
            return self.dense(keras.ops.mean(inputs["text"], axis=1))

        def train_step(self, *args):
            seen.append(args[-1][1].numpy().tolist())
            return super().train_step(*args)

    if keras.backend.backend() != "tensorflow":
        pytest.skip("the train step is TensorFlow's")
    model = Watch()
    model.compile("sgd", "mse", run_eagerly=True, metrics=["mae"])
    model.fit(make_dataset(split, 8, training=True, seed=1), epochs=2, verbose=0)
    stream = BatchStream(split, 8, True, seed=1)
    assert seen == [y.tolist() for _ in range(2) for _, y in stream]


def test_options_and_errors():
    split = make_split()
    dataset = make_dataset(split, modalities=["vision"], batch_size=70)
    assert set(dataset.element_spec[0]) == {"vision", "vision_length"}
    policy = dataset.options().experimental_distribute.auto_shard_policy
    assert policy == tf.data.experimental.AutoShardPolicy.OFF
    dropped = make_dataset(split, 32, training=True, drop_remainder=True)
    assert [len(y) for _, y in dropped] == [32, 32] and int(dropped.cardinality()) == 2
    with pytest.raises(DataError, match="no modality 'audio'; it has text, vision"):
        make_dataset(split, modalities=["audio"])
    with pytest.raises(ValueError, match="batch_size=0"):
        make_dataset(split, batch_size=0)


@pytest.mark.skipif(sys.platform != "linux", reason="counts page faults as Linux does")
def test_the_process_keeps_freed_memory_while_batches_are_read():
    """`Dataset.from_generator` has TensorFlow 2.21 give it back after every operation."""
    code = """
import resource, numpy as np
from plumkeras.data_pipelines import Split, make_dataset
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(20):
        np.ones(2**21, "float32")
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
faults()
dataset = make_dataset(Split(["a", "b"], {"text": np.ones((2, 3, 4))}, {"text": [3, 1]}, [0.5, -1.0]), 1, training=True)
assert len(list(dataset)) == 2
faults()
print(faults())
"""
    out = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    # Each array has 2,048 pages.
    assert int(out.stdout) < 2048


def test_example():
    assert doctest.testmod(tf_dataset).failed == 0 and doctest.testmod(tf_dataset).attempted > 0


def test_loading_starts_no_backend(write_npz, npz_arrays):
    code = (
        "import sys, plumkeras.data_pipelines as d; d.describe(d.load(sys.argv[1]))\n"
        "print([m for m in ('tensorflow', 'keras', 'matplotlib', 'pickle') if m in sys.modules])"
    )
    path = write_npz(npz_arrays())
    out = subprocess.run([sys.executable, "-c", code, path], env=os.environ, capture_output=True, text=True)
    # `pickle` comes with numpy; the others must not be there.
    assert out.stdout.strip() in ("[]", "['pickle']"), out.stderr
