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
    inside, most, refused, done, errors = [], [], [], [], []

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
            except Exception as error:
                errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert set(most) == {1} and len(done) + len(refused) == 800
    assert not list(tmp_path.rglob(locking.NAME))


def test_a_directory_removed_while_it_is_made_is_made_again(tmp_path, monkeypatch):
    """Another process that wrote nothing removes it, and `mkdir` reports a file that is no longer there."""
    mkdir, calls = locking.Path.mkdir, []

    def mkdir_late(self, *arguments, **options):
        calls.append(self)
        if len(calls) == 1:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
        mkdir(self, *arguments, **options)

    monkeypatch.setattr(locking.Path, "mkdir", mkdir_late)
    with locking.locked(tmp_path / "run") as alone:
        assert alone and (tmp_path / "run" / locking.NAME).exists()
    assert len(calls) == 2


@pytest.mark.parametrize("below", ["", "run"])
def test_a_dangling_link_in_place_of_a_directory_is_an_error(below, tmp_path):
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="link"), locking.locked(tmp_path / "link" / below):
        pytest.fail("there is no such directory")


def test_a_file_in_place_of_the_directory_is_an_error(tmp_path):
    (tmp_path / "run").write_text("precious")
    with pytest.raises(FileExistsError, match="run"), locking.locked(tmp_path / "run"):
        pytest.fail("it is a file")
    assert (tmp_path / "run").read_text() == "precious"


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
