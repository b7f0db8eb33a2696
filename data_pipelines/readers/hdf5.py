"""HDF5 files of others, read without trusting what they declare.

An HDF5 file can name other files to read from (external links, external and virtual storage), ask for filters that
are loaded as code, and declare terabytes that it doesn't hold. None of that is followed.
"""

import contextlib
import math
import os

import numpy as np

from plumkeras.data_pipelines import cleaning
from plumkeras.data_pipelines.validation import DataError

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# As in the npz reader: real arrays compress by 20 at the most.
_MAX_RATIO = 250
_ALWAYS_ADMITTED = 16 << 20
_FILTERS = {1, 2, 3}  # gzip, shuffle, fletcher32: HDF5's own
_MAX_LONG_TEXTS = 100_000

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
    """The names in a group, in the file's order, without what stands in other files.

    Raises:
        DataError: it is no group, or damaged.
    """
    import h5py

    with guarded(where):
        if not isinstance(group, h5py.Group):
            raise DataError(f"{where} is no group")
        return [name for name in group if isinstance(group.get(name, getlink=True), h5py.HardLink)]


def child(group, name):
    """What a group holds under a name; None for no group, nothing, or what stands in another file."""
    import h5py

    if not isinstance(group, h5py.Group) or not isinstance(group.get(name, getlink=True), h5py.HardLink):
        return None
    return group[name]


def read(dataset, where):
    """A data set's values as a numpy array of numbers or bytes.

    Raises:
        DataError: it is no data set, is damaged or of another type, refers to another file, or declares more than
            it holds.
    """
    with guarded(where):
        shape = check(dataset, where)
        if not math.prod(shape):
            return np.empty(shape, dataset.dtype)
        return dataset[()]


def blocks(dataset, where):
    """Yields a data set's rows a few at a time, as numbers or bytes; raises as `read`."""
    with guarded(where):
        shape = check(dataset, where)
        row_bytes = math.prod(shape[1:]) * dataset.dtype.itemsize
        rows = max(1, cleaning.BLOCK_BYTES // max(1, row_bytes))
        for start in range(0, shape[0] if math.prod(shape) else 0, rows):
            yield dataset[start : start + rows]


def check(dataset, where):
    """The shape of a data set, known to be as it declares; raises as `read`."""
    import h5py

    if not isinstance(dataset, h5py.Dataset):
        raise DataError(f"{where} is no array")
    if dataset.is_virtual or dataset.external:
        raise DataError(f"{where} stands in another file, which isn't read")
    creation = dataset.id.get_create_plist()
    filters = {creation.get_filter(position)[0] for position in range(creation.get_nfilters())}
    if filters - _FILTERS:
        raise DataError(f"{where} is stored by a filter that isn't HDF5's own")
    if dataset.shape is None:
        raise DataError(f"{where} holds nothing")
    if dataset.dtype.kind not in "iufbSO" or (dataset.dtype.kind == "O" and not h5py.check_string_dtype(dataset.dtype)):
        raise DataError(f"{where} is of type {dataset.dtype}; numbers or texts are wanted")
    # A chunk is unpacked whole, however little of it is wanted.
    size = max(math.prod(dataset.shape), math.prod(dataset.chunks or ())) * dataset.dtype.itemsize
    stored = dataset.id.get_storage_size()
    if size > _ALWAYS_ADMITTED and size > _MAX_RATIO * stored:
        raise DataError(f"{where} has shape {dataset.shape} and type {dataset.dtype}, but {stored} bytes in the file")
    if dataset.dtype.kind == "O" and math.prod(dataset.shape) > _MAX_LONG_TEXTS:
        raise DataError(f"{where} holds {math.prod(dataset.shape)} texts; at most {_MAX_LONG_TEXTS} are read")
    return dataset.shape
