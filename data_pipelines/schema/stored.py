"""Features that stay in files until they are asked for.

A `Split` may hold `StoredFeatures` in place of an array, so that training, statistics and validation
run over more data than fit into memory, by the same code and with the same batches.
"""

import numpy as np


class StoredFeatures:
    """What an array `[N, T, F]` of float32 offers, without being one.

    `shape`, `ndim`, `dtype` and `len` are an array's. `features[rows]` and `features[rows, start:stop]` read samples,
    for rows as numpy takes them; `features.take(rows)` chooses samples without reading any; `np.asarray(features)`
    reads all of them.

    Args:
        shape: tuple `(N, T, F)`.

    Subclasses implement `take(rows)` and `_read(rows, start, stop)`, which gets an integer array `[B]` and returns
    float32 `[B, stop - start, F]`.
    """

    ndim = 3
    dtype = np.dtype("float32")

    def __init__(self, shape):
        self.shape = tuple(int(size) for size in shape)

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, key):
        rows, frames = key if isinstance(key, tuple) else (key, slice(None))
        start, stop, _ = frames.indices(self.shape[1])
        numbers = self._numbers(rows)
        found = self._read(np.atleast_1d(numbers), start, max(start, stop))
        return found if np.ndim(numbers) else found[0]

    def __array__(self, dtype=None, copy=None):
        array = self[:]
        return array if dtype is None else array.astype(dtype, copy=False)

    def take(self, rows):
        """The samples at `rows` (integers or a boolean mask), in that order, still stored."""
        raise NotImplementedError

    def _numbers(self, rows):
        """Rows as numpy takes them, as numbers from 0; numpy refuses those that don't exist."""
        return np.arange(len(self))[rows]

    def _read(self, rows, start, stop):
        raise NotImplementedError
