"""One process writes to a directory at a time; the others are told who does, and a dead one holds nobody up."""

import errno
import os
import signal
import socket
import threading

import pytest

from plumkeras import locking


def test_the_second_is_told_process_and_host(tmp_path, lock_holder):
    process = lock_holder(tmp_path / "run")
    told = f"process {process.pid} on host {socket.gethostname()} is writing here"
    for _ in range(2):
        with pytest.raises(BlockingIOError, match=told), locking.locked(tmp_path / "run"):
            pytest.fail("two hold the lock")
        with pytest.raises(BlockingIOError, match=told):
            locking.check_unlocked(tmp_path / "run")
    process.communicate()
    assert list((tmp_path).iterdir()) == []  # It was made for the lock, and nothing was written there.
    locking.check_unlocked(tmp_path / "run")
    with locking.locked(tmp_path / "run") as alone:
        assert alone


def test_a_killed_process_holds_nobody_up(tmp_path, lock_holder):
    process = lock_holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (tmp_path / locking.NAME).exists()
    locking.check_unlocked(tmp_path)
    assert (tmp_path / locking.NAME).exists()
    with locking.locked(tmp_path):
        assert f"process {os.getpid()} " in (tmp_path / locking.NAME).read_text()
    assert list(tmp_path.iterdir()) == []


def test_threads_exclude_each_other_and_one_at_a_time_gets_in(tmp_path):
    inside, most, refused, done = [], [], [], []

    def work():
        for _ in range(200):
            try:
                with locking.locked(tmp_path / "run"):
                    inside.append(1)
                    most.append(len(inside))
                    inside.pop()
                    done.append(1)
            except BlockingIOError:
                refused.append(1)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(most) == {1} and len(done) + len(refused) == 800
    assert not list(tmp_path.rglob(locking.NAME))


def test_a_file_system_without_locks_is_said_and_does_not_stop_anybody(tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(locking.fcntl, "flock", fail)
    told = "cannot be locked .No locks available.; make sure that no other"
    with pytest.warns(locking.LockWarning, match=told), locking.locked(tmp_path) as alone:
        assert not alone
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(locking, "fcntl", None)
    with pytest.warns(locking.LockWarning, match="no flock"), locking.locked(tmp_path) as alone:
        assert not alone


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    """A directory from somebody else cannot have another file emptied."""
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / locking.NAME).symlink_to(tmp_path / "precious")
    with pytest.raises(OSError), locking.locked(tmp_path / "run"):
        pytest.fail("the link was followed")
    assert (tmp_path / "precious").read_text() == "precious"
