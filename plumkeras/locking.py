"""A lock on a directory: one process writes there at a time."""

import contextlib
import os
import socket
import stat
import warnings
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has none.
    fcntl = None

NAME = ".plumkeras.lock"
_MAX_OWNER = 200


class LockWarning(UserWarning):
    """A directory cannot be locked."""


@contextlib.contextmanager
def locked(directory):
    """Keeps other processes, and other threads of this one, from writing to a directory.

    The lock is the system's, on a file in the directory: it ends with the process, however that ends. The file names
    the process and its host, and is removed at the end. Where the file system has no locks, that is said and nothing
    is locked.

    Args:
        directory: path. Made where it does not exist, and removed again if nothing was written there.

    Yields:
        bool. Whether the directory is locked.

    Raises:
        BlockingIOError: another process writes there; the message names it.

    Warns:
        LockWarning: the file system has no locks.
    """
    directory = Path(directory)
    is_new = not directory.exists()
    handle = _acquire(directory)
    try:
        yield handle is not None
    finally:
        if handle is not None:
            # Removed while it is still locked: whoever opened it before finds that it is gone, and makes another.
            (directory / NAME).unlink(missing_ok=True)
            os.close(handle)
        if is_new:
            with contextlib.suppress(OSError):
                directory.rmdir()


def check_unlocked(directory):
    """Raises `BlockingIOError`, as `locked`, while another process writes to the directory. Changes nothing."""
    directory = Path(directory)
    try:
        handle = os.open(directory / NAME, os.O_RDWR | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        _lock(handle, directory)
    finally:
        os.close(handle)


def _acquire(directory):
    path = directory / NAME
    while True:
        try:
            directory.mkdir(parents=True, exist_ok=True)
            # Not through a link, by which a directory from somebody else could have another file emptied.
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        except FileNotFoundError:
            continue  # Another process found the directory empty and removed it.
        except FileExistsError as error:
            if _is_directory_or_gone(error.filename):
                continue  # Another process removed it while `mkdir` was checking what is there.
            raise
        try:
            if not _lock(handle, directory):
                path.unlink(missing_ok=True)
                os.close(handle)
                return None
            if _is_in_place(handle, path):
                os.ftruncate(handle, 0)
                # On a full disk the lock holds all the same.
                with contextlib.suppress(OSError):
                    os.write(handle, f"process {os.getpid()} on host {socket.gethostname()}\n".encode())
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def _lock(handle, directory):
    """Locks an open file, without waiting; returns whether it could be done at all."""
    try:
        if fcntl is None:
            raise OSError("this system has no flock")
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        owner = os.pread(handle, _MAX_OWNER, 0).decode(errors="replace").strip() or "another process"
        raise BlockingIOError(
            f"{directory}: {owner} is writing here; wait until it has ended, or choose another directory"
        ) from None
    except OSError as error:
        warnings.warn(
            f"{directory}: cannot be locked ({error.strerror or error}); make sure that no other process writes here",
            LockWarning,
            stacklevel=4,
        )
        return False


def _is_directory_or_gone(path):
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except FileNotFoundError:
        return True


def _is_in_place(handle, path):
    """Whether the path still is the file that was opened, and not removed or another one by now."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    ours = os.fstat(handle)
    return (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
