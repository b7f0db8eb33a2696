"""Arrays in npy files: what numpy raises on damaged ones; those of objects, which the restricted unpickler reads."""

import shutil
import tempfile
from tokenize import TokenError

import numpy as np

from plumkeras.data_pipelines.containers.pickles.unpickler import read_pickle
from plumkeras.data_pipelines.schema.validation import DataError

# What a damaged or crafted header, or what follows it, makes numpy raise.
DAMAGE = (ArithmeticError, EOFError, LookupError, MemoryError, OSError, RuntimeError, SyntaxError, TypeError,
          ValueError, TokenError)  # fmt: skip


def read_object_array(stream, shape, where):
    """The objects that follow the header of an npy file.

    Args:
        stream: binary file, at the end of the header.
        shape: tuple. What the header says.
        where: str. File and field, for errors.

    Returns:
        An array of objects; what it refers to are plain values, as `read_pickle` makes them.

    Raises:
        DataError: it is damaged, or refers to anything else.
    """
    with tempfile.NamedTemporaryFile() as file:
        shutil.copyfileobj(stream, file)
        file.flush()
        try:
            array, _ = read_pickle(file.name)
        except DataError as error:
            raise DataError(
                f"{str(error).replace(file.name, where)}; write the npz anew, with arrays of numbers or texts"
            ) from None
    if not isinstance(array, np.ndarray) or array.dtype.kind != "O" or array.shape != tuple(shape):
        raise DataError(f"{where}: truncated or corrupt: its header promises an array of objects of shape {shape}")
    return array
