"""Reads pickles of numpy arrays, plain containers, strings and numbers, and nothing else.

Public feature files are pickles, and a pickle is a program: the standard loader imports and calls
whatever it names, and even numpy's own reconstruction functions trust the bytes that they are
given (a crafted dtype state turns data into pointers). So nothing here subclasses that loader.
`opcodes` and `machine` interpret the file themselves and know a closed table of constructors: no
import, no attribute access, no call of anything named in the file can happen, because there is no
code that could do it. Sizes are checked against the bytes that are there before anything is
allocated, and what is made again and again of the same bytes is paid for by the source's budget
(see `budget`). Arrays are views into the mapped file, so that reading costs no memory of its own.
"""

import mmap
import os
import struct

from plumkeras.data_pipelines.containers import budget
from plumkeras.data_pipelines.containers.pickles import opcodes
from plumkeras.data_pipelines.containers.pickles.machine import Machine
from plumkeras.data_pipelines.containers.pickles.values import Refused
from plumkeras.data_pipelines.schema.validation import DataError

ADMITTED = "only numpy arrays, plain containers, strings and numbers are admitted"

# What a crafted or cut file can make the machine's own operations raise.
_FAILURES = (
    ArithmeticError,
    AttributeError,
    BufferError,
    EOFError,
    LookupError,
    MemoryError,
    RecursionError,
    struct.error,
    TypeError,
    ValueError,
)


def read_pickle(path):
    """Reads a pickle file without running anything in it.

    Args:
        path: path of the file. Any protocol, written by Python 2 or 3, numpy 1 or 2.

    Returns:
        The object, and a function that tells the system to forget the mapped pages that were read
        so far (the arrays stay valid; call it after copying a part out).

    Raises:
        DataError: the file refers to anything else, is truncated or corrupt. Names the file.
    """
    if os.path.getsize(path) == 0:
        raise DataError(f"{path}: is empty")
    with open(path, "rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    machine = Machine(mapped)
    try:
        with budget.reading(path):
            value = opcodes.run(machine)
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Refused as error:
        raise DataError(f"{path}: {error}; {ADMITTED}") from None
    except _FAILURES as error:
        said = str(error)[:300]
        raise DataError(f"{path}: truncated or corrupt pickle at byte {machine.at}: {said}") from None

    def release():
        if hasattr(mmap, "MADV_DONTNEED"):
            mapped.madvise(mmap.MADV_DONTNEED)

    return value, release
