"""`make_dataset`: a split as a `tf.data.Dataset`."""

import contextlib
from collections.abc import Iterable

import numpy as np

from plumkeras.data_pipelines.batches.order import BatchStream
from plumkeras.data_pipelines.schema.dataset import Split
from plumkeras.features import TOKEN_IDS, input_name

_PREFETCH = 2
_FEW = 8


def make_dataset(
    split: Split,
    batch_size: int = 32,
    *,
    training: bool = False,
    seed: int = 0,
    initial_epoch: int = 0,
    modalities: Iterable[str] | None = None,
    drop_remainder: bool = False,
    length_aware: bool = True,
    window: int = 8,
    length_multiple: int = 8,
    with_index: bool = False,
):
    """The network's inputs and the labels of a split, in batches.

    Args:
        split: Split. Of stored features (see `open_shards`) a batch is read when its turn comes.
        batch_size: int. Defaults to `32`.
        training: bool. `True` shuffles, each iteration being the next epoch; `False` keeps file
            order and every sample. Defaults to `False`.
        seed: int. The training order is a function of `seed` and the epoch alone. Defaults to `0`.
        initial_epoch: int. The epoch of the first iteration. Defaults to `0`.
        modalities: iterable of str, or None for all of the split's.
        drop_remainder: bool. Leaves out the last, partial batch of training. Defaults to `False`.
        length_aware: bool. Batches samples of similar length in training, each batch no longer than it needs to be;
            `False` pads every batch to the frames of the array. Defaults to `True`.
        window: int. How many batches are sorted by length together. Defaults to `8`.
        length_multiple: int. Batch lengths are rounded up to multiples of it, or to a coarser
            step where more than 8 lengths would occur. Defaults to `8`.
        with_index: bool. Adds `sample_index` int32 `[B]` to the inputs, each sample's place in the split, which some
            trainers ask for. Defaults to `False`.

    Returns:
        A `tf.data.Dataset` of known cardinality of `(inputs, labels)`, or `(inputs,)` where the
        split has no labels. `inputs` holds `<modality>` float32 `[B, T, F]` (of token ids `<modality>_ids` int32
        `[B, T]`) and `<modality>_length` int32 `[B]`; labels are float32 or int32 `[B]`. Its `stream` is the
        `BatchStream`.

    Raises:
        DataError: the split lacks one of `modalities`.
        ValueError: an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from plumkeras.data_pipelines import Split, make_dataset
    >>> split = Split(["a", "b"], {"text": np.ones((2, 3, 4))}, {"text": [3, 1]}, [0.5, -1.0])
    >>> inputs, labels = next(iter(make_dataset(split, batch_size=2)))
    >>> inputs["text"].shape, inputs["text_length"].numpy().tolist()
    (TensorShape([2, 3, 4]), [3, 1])
    """
    stream = BatchStream(
        split,
        batch_size,
        training,
        seed,
        initial_epoch,
        modalities,
        drop_remainder=drop_remainder,
        length_aware=length_aware,
        window=window,
        length_multiple=length_multiple,
        with_index=with_index,
    )
    # Late, so that reading data and printing help don't start TensorFlow.
    import tensorflow as tf

    inputs = {}
    for modality, features in stream.split.features.items():
        width = features.shape[2]
        shape = (None, None) if width == TOKEN_IDS else (None, None, width)
        inputs[input_name(modality, width)] = tf.TensorSpec(shape, tf.as_dtype(features.dtype))
        inputs[f"{modality}_length"] = tf.TensorSpec((None,), tf.int32)
    if with_index:
        inputs["sample_index"] = tf.TensorSpec((None,), tf.int32)
    signature = (inputs,)
    if split.labels is not None:
        signature = (inputs, tf.TensorSpec((None, *split.labels.shape[1:]), tf.as_dtype(split.labels.dtype)))
    dataset = _iterated(stream, signature)
    options = tf.data.Options()
    # Reading ahead would turn a look at the first of few batches into a whole epoch.
    options.experimental_optimization.inject_prefetch = False
    if len(stream) > _FEW:
        dataset = dataset.prefetch(_PREFETCH)
    # Every replica's share is cut from the same batches: a generator can't be sharded by file.
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    dataset = dataset.with_options(options)
    dataset.stream = stream
    return dataset


def _iterated(stream, signature):
    """The batches of a stream, which are of `signature`, as a dataset whose every iteration is the next epoch.

    Not by `Dataset.from_generator`: once TensorFlow 2.21 has built one, the whole process gives memory back to the
    system after every operation, and training on a CPU takes twice as long.
    """
    import tensorflow as tf

    specs = tf.nest.flatten(signature)

    def begin():
        return np.int64(stream.begin())

    def read(epoch, position):
        return tf.nest.flatten(stream.read(int(epoch), int(position)))

    @tf.autograph.experimental.do_not_convert
    def batches(_):
        epoch = tf.numpy_function(begin, [], tf.int64)

        @tf.autograph.experimental.do_not_convert
        def batch(position):
            tensors = tf.numpy_function(read, [epoch, position], [spec.dtype for spec in specs])
            for tensor, spec in zip(tensors, specs, strict=True):
                tensor.set_shape(spec.shape)
            return tf.nest.pack_sequence_as(signature, tensors)

        return tf.data.Dataset.range(len(stream)).map(batch)

    dataset = tf.data.Dataset.from_tensors(0).flat_map(batches)
    return dataset.apply(tf.data.experimental.assert_cardinality(len(stream)))


@contextlib.contextmanager
def data_errors(*batches):
    """Context in which the error of a damaged shard is raised as the `DataError` that it is.

    `tf.data` reads batches in its own threads and reports their errors as TensorFlow's.

    Args:
        *batches: what `make_dataset` or `make_sequence` returned and the context iterates, in any wrapping.

    Raises:
        ValueError: one of `batches` has no `stream`, e.g. the result of `Dataset.map`.
    """
    for one in batches:
        if not hasattr(one, "stream"):
            raise ValueError(f"`batches` must come from `make_dataset` or `make_sequence`. Received: {one!r}")
    try:
        yield
    except Exception as error:
        found = next((one.stream.error for one in batches if one.stream.error is not None), None)
        if found is None or not type(error).__module__.startswith("tensorflow."):
            raise
        raise found from None
