"""Which samples make up which batch, and the batches themselves, in numpy alone.

The training order is a pure function of (seed, epoch), so that an interrupted run continues with the
order it would have had.
"""

import operator

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.features import input_name

# A compiled step is built anew for every length that it meets, so each modality gets at most this
# many; long sequences are rounded more coarsely for it.
MAX_LENGTHS = 8


def epoch_batches(lengths, batch_size, seed, epoch, window=8, drop_remainder=False, length_aware=True):
    """The batches of one training epoch.

    Permutes; cuts the permutation into windows of `window` batches; sorts each by length (stable),
    so that a batch holds samples of similar length; cuts batches; shuffles them. The samples that
    don't fill a batch are the end of the permutation, set aside before the sorting: any sample may
    be among them, not just long ones, and their batch comes last.

    Args:
        lengths: integer array `[N]`. Number of valid frames of each sample.
        batch_size: int.
        seed: int, not negative.
        epoch: int, not negative.
        window: int. Batches per window. Defaults to `8`.
        drop_remainder: bool. Whether to leave out the last, partial batch. Defaults to `False`.
        length_aware: bool. `False` leaves out the sorting. Defaults to `True`.

    Returns:
        A list of int64 arrays of sample numbers.
    """
    batch_size = _at_least("batch_size", batch_size, 1)
    window = _at_least("window", window, 1)
    random = np.random.default_rng([_at_least("seed", seed, 0), _at_least("epoch", epoch, 0)])
    lengths = np.asarray(lengths)
    order = random.permutation(len(lengths))
    full = len(order) // batch_size * batch_size
    batches = []
    for start in range(0, full, window * batch_size):
        part = order[start : min(start + window * batch_size, full)]
        if length_aware:
            part = part[np.argsort(lengths[part], kind="stable")]
        batches.extend(part.reshape(-1, batch_size))
    batches = [batches[position] for position in random.permutation(len(batches))]
    if full < len(order) and not drop_remainder:
        batches.append(order[full:])
    return batches


def padded_length(longest, maximum, multiple=8):
    """A batch's number of frames: `longest` rounded up to a multiple, at most `maximum`, at least 1.

    Args:
        longest: int. The longest sample of the batch.
        maximum: int. Frames of the array.
        multiple: int. Defaults to `8`.
    """
    return max(1, min(-(-int(longest) // multiple) * multiple, int(maximum)))


def length_step(maximum, multiple=8):
    """The multiple of `multiple` to round to, so that at most `MAX_LENGTHS` lengths occur."""
    return multiple * max(1, -(-int(maximum) // (multiple * MAX_LENGTHS)))


@known_arguments_only()
class BatchStream:
    """Batches of a split as dicts of numpy arrays, one epoch per iteration.

    Args:
        split: Split, of arrays or of stored features: the batches are the same.
        batch_size: int. Defaults to `32`.
        training: bool. `True` for the order of `epoch_batches`, another one each epoch; `False`
            for file order and every sample. Defaults to `False`.
        seed: int. Seed of the training order. Defaults to `0`.
        initial_epoch: int. The first epoch's number. Defaults to `0`.
        modalities: iterable of str, or None for all of the split's.
        drop_remainder: bool. Leaves out the last, partial batch of training. Defaults to `False`.
        length_aware: bool. Batches of similar length in training, each no longer than it needs to be; `False` pads
            every batch to the frames of the array and doesn't sort. Defaults to `True`.
        window: int. Batches per sorting window. Defaults to `8`.
        length_multiple: int. Batch lengths are rounded up to multiples of it (coarser for long
            sequences, see `length_step`). Defaults to `8`.
        with_index: bool. Adds `inputs["sample_index"]` int32 `[B]`, each sample's place in the split. Defaults to
            `False`.

    Iterating yields `(inputs, labels)`, or `(inputs,)` without labels: `inputs[m]` float32
    `[B, T, F]` (of token ids `inputs[m + "_ids"]` int32 `[B, T]`), `inputs[m + "_length"]` int32 `[B]`, `labels`
    float32 or int32 `[B]`.
    `epoch` is the number of the next training epoch. It advances when an epoch's last batch is
    handed out: looking at a first batch, as Keras does to build a model, isn't an epoch.
    `error` is the exception that ended the latest iteration, or None; see `data_errors`.

    Raises:
        DataError: the split lacks one of `modalities`.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        split,
        batch_size=32,
        training=False,
        seed=0,
        initial_epoch=0,
        modalities=None,
        *,
        drop_remainder=False,
        length_aware=True,
        window=8,
        length_multiple=8,
        with_index=False,
    ):
        modalities = split.modalities if modalities is None else tuple(modalities)
        if not modalities:
            raise ValueError("`modalities` must name at least one. Received: modalities=()")
        self.split = split.select(modalities)
        self.batch_size = _at_least("batch_size", batch_size, 1)
        self.training = bool(training)
        self.seed = _at_least("seed", seed, 0)
        self.epoch = _at_least("initial_epoch", initial_epoch, 0)
        self.drop_remainder = bool(drop_remainder) and self.training
        self.length_aware = bool(length_aware)
        self.window = _at_least("window", window, 1)
        self.length_multiple = _at_least("length_multiple", length_multiple, 1)
        self.with_index = bool(with_index)
        self.error = None
        self._latest_order = None, []
        self._totals = np.sum([self.split.lengths[m] for m in modalities], axis=0, dtype="int64")
        if not len(self):
            raise ValueError(
                f"`drop_remainder` leaves no batch. Received: batch_size={batch_size} for {len(split)} samples"
            )

    def __len__(self):
        whole, rest = divmod(len(self.split), self.batch_size)
        return whole + bool(rest and not self.drop_remainder)

    def __iter__(self):
        epoch = self.begin()
        for position in range(len(self)):
            yield self.read(epoch, position)

    def begin(self):
        """Starts an iteration: the number of its epoch."""
        self.error = None
        return self.epoch

    def read(self, epoch, position):
        """The batch at a position of an epoch."""
        if self.training and position == len(self) - 1:
            self.epoch = epoch + 1
        known, order = self._latest_order
        if known != epoch:
            order = self.order(epoch)
            self._latest_order = epoch, order
        try:
            return self.batch(order[position])
        except Exception as error:
            self.error = error
            raise

    def order(self, epoch):
        """The sample numbers of each batch of an epoch, as a list of arrays."""
        if self.training:
            how = (self.window, self.drop_remainder, self.length_aware)
            return epoch_batches(self._totals, self.batch_size, self.seed, epoch, *how)
        numbers = np.arange(len(self.split))
        return [numbers[start : start + self.batch_size] for start in range(0, len(numbers), self.batch_size)]

    def frames(self, modality, indices):
        """The number of frames that a batch of these samples gets."""
        maximum = self.split.features[modality].shape[1]
        if not self.length_aware:
            return maximum
        longest = self.split.lengths[modality][indices].max()
        return padded_length(longest, maximum, length_step(maximum, self.length_multiple))

    def batch(self, indices):
        """The batch of these samples."""
        inputs = {}
        for modality, features in self.split.features.items():
            name = input_name(modality, features.shape[2])
            inputs[name] = features[indices, : self.frames(modality, indices)]
            inputs[f"{modality}_length"] = self.split.lengths[modality][indices]
        if self.with_index:
            inputs["sample_index"] = np.asarray(indices, "int32")
        if self.split.labels is None:
            return (inputs,)
        return inputs, self.split.labels[indices]


def padding_share(split, batch_size=32, *, epoch=0, training=True, **options):
    """The share of the frames computed on in one epoch that are padding.

    Args:
        split: Split.
        batch_size: int. Defaults to `32`.
        epoch: int. Defaults to `0`.
        training: bool. Defaults to `True`.
        **options: further arguments of `BatchStream`.

    Returns:
        float between 0 and 1.
    """
    stream = BatchStream(split, batch_size, training, **options)
    valid = computed = 0
    for indices in stream.order(epoch):
        for modality in stream.split.modalities:
            valid += int(stream.split.lengths[modality][indices].sum(dtype="int64"))
            computed += len(indices) * stream.frames(modality, indices)
    return 1.0 - valid / computed


def _at_least(name, value, lowest):
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or number < lowest:
        raise ValueError(f"`{name}` must be an integer >= {lowest}. Received: {name}={value!r}")
    return number
