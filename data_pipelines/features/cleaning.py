"""Features as they come, made finite: what was done is counted, never silent.

Features are handled a block of rows at a time, so that a file's own type (often float64) never
is in memory whole beside the float32 result.
"""

import contextlib
import contextvars
import math

import numpy as np

from plumkeras.data_pipelines.features.scratch import Scratch
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.features import clean_block, is_dirty

BLOCK_BYTES = 8 << 20
# What a stream is asked for at a time.
STREAM_ROWS = 32

_scratch = contextvars.ContextVar("scratch", default=None)


@contextlib.contextmanager
def features_in_files(folder):
    """Within it, no reader's features are in memory, for a data set that is gone through once and in order.

    They are made in temporary files of a folder, or, by a reader that can, read only when that is done: then they are
    a `FeatureStream`.

    Yields:
        Scratch, to be released while the features are gone through.
    """
    token = _scratch.set(Scratch(folder))
    try:
        yield _scratch.get()
    finally:
        _scratch.reset(token)


def block_rows(row_bytes):
    """How many rows make a block: a multiple of `STREAM_ROWS`, unless that is too much."""
    rows = max(1, BLOCK_BYTES // max(1, row_bytes))
    return rows - rows % STREAM_ROWS if rows > STREAM_ROWS else rows


def row_blocks(array):
    """Cuts `[N, ...]` into views of a few rows each."""
    rows = block_rows(array[:1].nbytes)
    for start in range(0, len(array), rows):
        yield array[start : start + rows]
        _release()


def read_blocks(blocks, shape):
    """As `clean_blocks`; but within `features_in_files` a `FeatureStream`, whose counts go up while it is read."""
    if _scratch.get() is None:
        return clean_blocks(blocks, shape)
    stream = FeatureStream(blocks, shape)
    return stream, stream.counts


def clean_blocks(blocks, shape):
    """Gathers row blocks into one finite float32 array.

    NaN and infinities become 0 first, then magnitudes beyond 1e6 (values that would overflow or
    swamp the statistics), then the type becomes float32.

    Args:
        blocks: iterable of numeric arrays, consecutive rows of the whole.
        shape: tuple `[N, T, F]`, or `[N, F]` for one frame per sample.

    Returns:
        The array `[N, T, F]`, and the counts as a dict with `nan`, `inf`, `overflow`.
    """
    counts = {"nan": 0, "inf": 0, "overflow": 0}
    features = empty_features(shape)
    start = 0
    for block in blocks:
        _put(features[start : start + len(block)], block, counts)
        start += len(block)
        _release()
    if len(shape) == 2:
        features = features[:, None, :]
    return features, counts


def _put(target, block, counts):
    """Cleans a block into its place, in parts where it is large: a single row may be of any size."""
    if block.nbytes <= BLOCK_BYTES:
        target[...] = clean_block(block, counts)
        return
    axis = int(np.argmax(block.shape))
    half = block.shape[axis] // 2
    for part in (slice(half), slice(half, None)):
        key = (slice(None),) * axis + (part,)
        _put(target[key], block[key], counts)


def clean_array(array):
    """As `clean_blocks`, for an array in memory; an array with nothing to clean isn't copied."""
    if array.dtype == np.float32 and array.ndim == 3 and not is_dirty(array):
        return array, {"nan": 0, "inf": 0, "overflow": 0}
    return clean_blocks(row_blocks(array), array.shape)


def empty_features(shape):
    """A float32 array to fill: in memory, or in a file within `features_in_files`."""
    scratch = _scratch.get()
    if scratch is None or math.prod(shape) * 4 <= BLOCK_BYTES:
        return np.empty(shape, dtype="float32")
    return scratch.empty(shape)


def _release():
    scratch = _scratch.get()
    if scratch is not None:
        scratch.release()


def zero_padding(features, lengths):
    """Zeroes what is past the lengths, in place.

    Args:
        features: float array `[N, T, F]`.
        lengths: integer array `[N]`.

    Returns:
        How many frames past the length weren't zero.
    """
    if isinstance(features, FeatureStream):
        features.lengths = lengths
        return 0
    found = 0
    start = 0
    for block in row_blocks(features):
        held = _held_padding(block, lengths[start : start + len(block)])
        start += len(block)
        if held.any():
            found += int(np.count_nonzero(held))
            block[held] = 0
    return found


def _held_padding(block, lengths):
    """Which frames `[N, T]` past the lengths aren't all zero."""
    return block.any(axis=2) & (np.arange(block.shape[1]) >= lengths[:, None])


def trailing_lengths(features):
    """The number of frames `[N]` up to the last one that isn't all zero, 0 where none is."""
    if isinstance(features, FeatureStream):
        features.finds_lengths = True
        return np.zeros(len(features), dtype="int32")
    lengths = [
        np.where(held.any(axis=1), held.shape[1] - held[:, ::-1].argmax(axis=1), 0)
        for held in (block.any(axis=2) for block in row_blocks(features))
    ]
    return np.concatenate(lengths).astype("int32")


class FeatureStream(StoredFeatures):
    """Features that are read forward and once, a few rows at a time, cleaned and their padding zeroed on the way.

    Args:
        blocks: iterator of numeric arrays, consecutive rows of the whole.
        shape: tuple `[N, T, F]`, or `[N, F]`.

    Attributes:
        counts: dict of what was cleaned so far, as `clean_blocks` counts it, and `padding_frames`.
        lengths: int32 `[N]`, set by `zero_padding`.
        finds_lengths: bool. Whether `lengths` are found, and filled in, while rows are read; see `trailing_lengths`.
    """

    def __init__(self, blocks, shape):
        super().__init__(shape if len(shape) == 3 else (shape[0], 1, shape[1]))
        self._blocks, self._next, self._ahead = blocks, 0, []
        self.counts = {"nan": 0, "inf": 0, "overflow": 0, "padding_frames": 0}
        self.lengths, self.finds_lengths = None, False

    def __getitem__(self, key):
        if not isinstance(key, slice) or key.start != self._next or not key.start < key.stop <= len(self):
            raise ValueError(f"A stream is read forward, from {self._next} on. Received: {key!r}")
        parts, wanted = [], key.stop - key.start
        while wanted:
            block = self._ahead.pop() if self._ahead else next(self._blocks)
            parts.append(block[:wanted])
            wanted -= len(parts[-1])
            if len(block) > len(parts[-1]):
                self._ahead.append(block[len(parts[-1]) :])
        self._next = key.stop
        features, counts = clean_array(parts[0] if len(parts) == 1 else np.concatenate(parts))
        if self.finds_lengths:
            self.lengths[key] = trailing_lengths(features)
        held = _held_padding(features, self.lengths[key])
        counts["padding_frames"] = int(np.count_nonzero(held))
        for kind, count in counts.items():
            self.counts[kind] += count
        # Copied only where it must be: a block may be the file's own bytes.
        return np.where(held[:, :, None], np.float32(0), features) if counts["padding_frames"] else features
