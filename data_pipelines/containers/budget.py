"""How many bytes a source may unfold to: one limit for all that is made of a file or folder while it is read.

A few bytes of a compressed array can stand for gigabytes, a pickle can name one object many times at two bytes each,
and one long sequence pads all others. So nothing is decompressed, gone through or allocated that isn't in proportion
to the source. What takes time is paid for like memory, at a fixed price per item.
"""

import contextlib
import contextvars
import os

from plumkeras.data_pipelines.schema.validation import DataError

ALWAYS_ADMITTED = 10**9
# Real arrays compress by 20 at most, and padding multiplies a real file by 10.
MAX_RATIO = 100

_current = contextvars.ContextVar("budget", default=None)


class Budget:
    """What is left of the bytes that a source may unfold to.

    Args:
        path: str. A file, or a folder.
        max_bytes: int or None. The limit; by default the larger of 1 GB and 100 times the size of the source.
    """

    def __init__(self, path, max_bytes=None):
        self.limit = max_bytes or max(ALWAYS_ADMITTED, MAX_RATIO * _size(path))
        self.left = self.limit

    def spend(self, size, where):
        """Takes bytes off the budget; called before they are allocated.

        Raises:
            DataError: it is used up. Names `where`.
        """
        self.left -= size
        if self.left < 0:
            raise DataError(
                f"{where} unfolds to more than {self.limit} bytes, the limit (by default the larger of 1 GB and "
                f"{MAX_RATIO} times the size of the file or folder); if you trust the source, raise it: "
                "--max-bytes N on the command line, max_bytes=N in Python"
            )


def _size(path):
    if not os.path.isdir(path):
        return os.path.getsize(path)
    files = (os.path.join(folder, name) for folder, _, names in os.walk(path) for name in names)
    return sum(os.path.getsize(file) for file in files if os.path.isfile(file))


@contextlib.contextmanager
def reading(path, max_bytes=None):
    """Within it, whatever is read spends one budget; a source that is read within another one spends the other's.

    Args:
        path, max_bytes: as for `Budget`.

    Raises:
        ValueError: `max_bytes` isn't positive.
    """
    if max_bytes is not None and not max_bytes >= 1:
        raise ValueError(f"`max_bytes` must be at least 1. Received: max_bytes={max_bytes!r}")
    token = _current.set(_current.get() or Budget(path, max_bytes))
    try:
        yield
    finally:
        _current.reset(token)


def spend(size, where):
    """Takes bytes off the budget of the source that is being read, where one is; see `Budget.spend`."""
    if _current.get() is not None:
        _current.get().spend(size, where)
