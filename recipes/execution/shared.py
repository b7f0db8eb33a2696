"""What many tasks need, data above all, sent to each process once and not with every task."""

import contextlib
import hashlib
import os
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from pathlib import Path

from plumkeras.recipes.config import TrainingError
from plumkeras.recipes.execution.local import SerialExecutor

NAME = ".plumkeras.shared"
# What this process has been sent last, by the hash of its file.
_HELD = {}


@contextlib.contextmanager
def share(executor: Executor, value, folder: str | os.PathLike, make: Callable | None = None) -> Iterator["Shared"]:
    """Lends a value to the tasks of an executor.

    Where they are run in other processes, the value is a pickle in `folder` meanwhile. Features of shards stay in their
    files.

    Args:
        executor: of `open_executor`.
        value: anything that can be pickled.
        folder: where this process alone writes, and every worker can read.
        make: called with the value once in each process, a class say; `get` gives what it returns.

    Yields:
        `Shared`, to be part of tasks.
    """
    if isinstance(executor, SerialExecutor):
        yield Shared(make, value if make is None else make(value))
        return
    path = Path(folder).absolute() / NAME
    try:
        with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600), "r+b") as file:
            pickle.dump(value, file, protocol=5)
            file.seek(0)
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        yield Shared(make, path=path, sha256=sha256)
    finally:
        path.unlink(missing_ok=True)


class Shared:
    """A value that `share` lends: `get()` gives the same object to all tasks of a process."""

    def __init__(self, make, value=None, path=None, sha256=None):
        self._make, self._value, self._path, self._sha256 = make, value, path, sha256

    def get(self):
        """The value.

        Raises:
            TrainingError: its file is gone, or another one.
        """
        if self._path is None:
            return self._value
        if self._sha256 not in _HELD:
            # First what is held goes: both might not fit into memory.
            _HELD.clear()
            value = self._read()
            _HELD[self._sha256] = value if self._make is None else self._make(value)
        return _HELD[self._sha256]

    def _read(self):
        try:
            with open(self._path, "rb") as file:
                # Nobody else's pickle: it would be code.
                if hashlib.file_digest(file, "sha256").hexdigest() != self._sha256:
                    raise TrainingError(f"{self._path}: is another file than this run has written")
                file.seek(0)
                return pickle.load(file)
        except FileNotFoundError:
            raise TrainingError(f"{self._path}: is gone; it is needed as long as tasks are run") from None
