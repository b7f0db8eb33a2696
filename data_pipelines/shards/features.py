"""Features of a converted data set, which stay in their file: `ShardFeatures`."""

import mmap
import os
import zlib

import numpy as np

from plumkeras.data_pipelines.batches.buffers import BufferPool
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.shards import layout

# How much of a file stays in the process's memory.
_MAX_RESIDENT = 64 << 20


def map_frames(path, rows, width):
    """The memory-mapped array `[rows, width]` of a file of frames.

    Raises:
        DataError: the file is missing, or its size or header is another one.
    """
    header = layout.npy_header(rows, width)
    size = len(header) + 4 * rows * width
    try:
        with open(path, "rb") as file:
            found, found_size = file.read(len(header)), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        raise layout.damaged(path, "there is no such file, though the schema names it") from None
    if found_size != size:
        kind = "truncated" if found_size < size else "damaged"
        raise layout.damaged(path, f"{kind}: it has {found_size} bytes; {size} were written")
    if found != header:
        raise layout.damaged(path, "damaged: its header isn't what was written")
    return np.load(path, mmap_mode="r", allow_pickle=False)


class ShardFeatures(StoredFeatures):
    """The features of one modality in a split's file of frames, read when they are asked for.

    Args:
        path: str. The file.
        field: str. Named in errors.
        shape: pair of ints, frames and width.
        frames: memory-mapped float32 `[sum of lengths, width]`.
        ids: array `[N]` of str, for errors.
        starts, lengths, sums: integer arrays `[N]`: where each sample's frames start, how many they are, and their
            CRC-32.
    """

    def __init__(self, path, field, shape, frames, ids, starts, lengths, sums):
        super().__init__((len(ids), *shape))
        self.lengths = lengths
        self._path, self._field, self._frames, self._ids = path, field, frames, ids
        self._starts, self._sums = starts, sums
        self._is_checked = np.zeros(len(ids), dtype=bool)
        self._buffers, self._resident = BufferPool(), 0

    def __reduce__(self):
        # Another process maps the file itself.
        known = (self._ids, self._starts, self.lengths, self._sums)
        return _opened, (os.path.abspath(self._path), self._field, self.shape[1:], len(self._frames), *known)

    def take(self, rows):
        rows = self._numbers(rows)
        picked = (array[rows] for array in (self._ids, self._starts, self.lengths, self._sums))
        return ShardFeatures(self._path, self._field, self.shape[1:], self._frames, *picked)

    def _read(self, rows, start, stop):
        batch = self._buffers.empty((len(rows), stop - start, self.shape[2]))
        frames = self._frames.view(np.ndarray)
        for row, sample in zip(rows.tolist(), batch, strict=True):
            begin = int(self._starts[row])
            valid = frames[begin : begin + int(self.lengths[row])]
            self._check(row, valid)
            part = valid[start:stop]
            sample[: len(part)] = part
            sample[len(part) :] = 0
            self._release(valid.nbytes)
        return batch.astype(self.dtype, copy=False)

    def _check(self, row, valid):
        if self._is_checked[row]:
            return
        if zlib.crc32(valid) != self._sums[row]:
            problem = f"damaged: {self._field} of sample {self._ids[row]!s} isn't what was written"
            raise layout.damaged(self._path, problem)
        self._is_checked[row] = True

    def _release(self, size):
        """Unmaps what was read from time to time, or the whole file would count as the process's memory."""
        self._resident += size
        if self._resident > _MAX_RESIDENT and hasattr(mmap, "MADV_DONTNEED"):
            self._frames.base.madvise(mmap.MADV_DONTNEED)
            self._resident = 0


def _opened(path, field, shape, frames, ids, starts, lengths, sums):
    mapped = map_frames(path, frames, shape[1])
    return ShardFeatures(path, field, shape, mapped, ids, starts, lengths, sums)
