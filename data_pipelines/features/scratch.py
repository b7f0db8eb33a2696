"""Arrays in temporary files in place of memory, for data that are gone through once."""

import math
import mmap
import os
import tempfile

import numpy as np

from plumkeras.data_pipelines.schema.validation import DataError


class Scratch:
    """Makes arrays that live in files without a name, which vanish with the last use of the array.

    Args:
        folder: str. Where the files take their room.
    """

    def __init__(self, folder):
        self.folder = folder
        self._mapped = []

    def empty(self, shape):
        """A float32 array of that shape, in a file.

        Raises:
            DataError: there is no room for it.
        """
        size = math.prod(shape) * 4
        try:
            with tempfile.TemporaryFile(dir=self.folder) as file:
                # A full disk would otherwise kill the process when the array is written to.
                if hasattr(os, "posix_fallocate"):
                    os.posix_fallocate(file.fileno(), 0, size)
                else:
                    file.truncate(size)
                mapped = mmap.mmap(file.fileno(), size)
        except OSError as error:
            raise DataError(f"{self.folder}: no room for {size / 1e6:.0f} MB in temporary files: {error}") from None
        self._mapped.append(mapped)
        return np.frombuffer(mapped, dtype="float32").reshape(shape)

    def release(self):
        """Lets the system take back the memory of what was read and written so far; the values stay."""
        if hasattr(mmap, "MADV_DONTNEED"):
            for mapped in self._mapped:
                mapped.madvise(mmap.MADV_DONTNEED)
