"""HDF5 files of others, read without trusting what they declare.

An HDF5 file can name other files to read from (external links, external and virtual storage), ask for filters that
are loaded as code, declare terabytes that it doesn't hold, and name one object many times. None of that is followed,
and what is read is paid for by the source's budget (see `budget`).
"""

import contextlib
import math
import os

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.schema.validation import DataError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
_FILTERS = {1, 2, 3}  # gzip, shuffle, fletcher32: HDF5's own
# A text of any length takes 16 bytes, and all can be the same one: so many at a time stay below any budget.
_LONG_TEXTS = 64
# What is paid for an array, a chunk of it and a text: HDF5 needs memory and time for each, stored or not.
_BYTES_PER_ARRAY, _BYTES_PER_CHUNK, _BYTES_PER_TEXT = 4096, 2048, 128

# What h5py raises on a damaged or crafted file.
_FAILURES = (ArithmeticError, AttributeError, LookupError, MemoryError, OSError, RuntimeError, TypeError, ValueError)


def is_hdf5(path):
    """Whether a file begins as HDF5."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(SIGNATURE)) == SIGNATURE


def opened(path):
    """The file as an `h5py.File`, to be closed; raises `DataError` where it can't be opened."""
    # Late, so that reading other formats doesn't load HDF5.
    import h5py

    with guarded(path):
        return h5py.File(path, "r", locking=False)


@contextlib.contextmanager
def guarded(where):
    """Whatever h5py raises inside becomes a `DataError`: every access can meet damage."""
    try:
        yield
    except DataError:
        raise
    except _FAILURES as error:
        raise DataError(f"{where}: truncated or corrupt HDF5: {' '.join(str(error).split())}") from None


def children(group, where):
    """The names in a group, in the file's order, without what is in other files.

    Raises:
        DataError: it is no group, or damaged.
    """
    import h5py

    with guarded(where):
        if not isinstance(group, h5py.Group):
            raise DataError(f"{where} is no group")
        return [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]


def child(group, name):
    """What a group holds under a name; None for no group, nothing, or what is in another file."""
    import h5py

    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return group[name]


def read(dataset, where):
    """A data set's values as a numpy array of numbers or bytes.

    Raises:
        DataError: it is no data set, is damaged or of another type, refers to another file, or unfolds to more than
            the budget.
    """
    with guarded(where):
        shape = check(dataset, where)
        if dataset.dtype.kind == "O" and shape:
            return np.concatenate([np.empty((0, *shape[1:]), object), *blocks(dataset, where)])
        _pay(dataset, where)
        return dataset[()] if math.prod(shape) else np.empty(shape, dataset.dtype)


def blocks(dataset, where):
    """Yields a data set's rows a few at a time, as numbers or bytes; raises as `read`."""
    with guarded(where):
        shape = check(dataset, where)
        _pay(dataset, where)
        if not math.prod(shape):
            return
        if dataset.dtype.kind == "O":
            rows = _LONG_TEXTS // math.prod(shape[1:])
            if not rows:
                raise DataError(f"{where} has shape {shape}: more than {_LONG_TEXTS} texts in a row")
        else:
            rows = max(1, cleaning.BLOCK_BYTES // (math.prod(shape[1:]) * dataset.dtype.itemsize))
            if dataset.chunks:
                # A chunk is unpacked whole, so each should be needed once.
                rows = -(-rows // dataset.chunks[0]) * dataset.chunks[0]
        for start in range(0, shape[0], rows):
            block = dataset[start : start + rows]
            if block.dtype.kind == "O":
                spend(sum(map(len, block.ravel())), where)
            yield block


def _pay(dataset, where):
    """Takes an array off the budget, before it is read."""
    # A chunk is unpacked whole, however little of it is read.
    chunks, count = dataset.chunks or (), math.prod(dataset.shape)
    size = max(count, math.prod(chunks)) * dataset.dtype.itemsize
    if dataset.dtype.kind in "SO":
        size += count * _BYTES_PER_TEXT
    else:
        # It is joined with others of its video, and becomes float32.
        size = 2 * size + 4 * count
    number = math.prod(-(-length // chunk) for length, chunk in zip(dataset.shape, chunks, strict=False))
    spend(_BYTES_PER_ARRAY + size + number * _BYTES_PER_CHUNK, where)


def check(dataset, where):
    """The shape of a data set, known to be one that can be read; raises as `read`."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{where} is no array")
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{where} is in another file, which isn't read")
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(position)[0] for position in range(creation.get_nfilters())}
    if filters - _FILTERS:
        raise DataError(f"{where} is stored by a filter that isn't HDF5's own")
    if dataset.shape is None:
        raise DataError(f"{where} holds nothing")
    if dataset.dtype.kind not in "iufbSO" or (dataset.dtype.kind == "O" and not h5py.check_string_dtype(dataset.dtype)):
        raise DataError(f"{where} is of type {dataset.dtype}; numbers or texts are expected")
    return dataset.shape
