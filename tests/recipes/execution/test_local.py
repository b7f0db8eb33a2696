"""Processes of this machine: tasks in order, each process with its share, and none that outlives what started it."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.execution import WorkerLostError, local, machine, open_executor, run_tasks
from tests.testing import tasks
from tests.testing.processes import is_alive, wait_for

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def two():
    with open_executor(2) as executor:
        yield executor


def test_one_job_is_this_process(tmp_path):
    with open_executor(1) as executor:
        done = []
        found = run_tasks(executor, tasks.surroundings, [3, 1, 2], lambda i, result: done.append((i, result["number"])))
        assert executor.workers == 1 and {result["pid"] for result in found} == {os.getpid()}
        assert done == [(0, 3), (1, 1), (2, 2)]
        with pytest.raises(ConfigError, match="task 0 is refused"):
            run_tasks(executor, tasks.refuse, range(2))
    with open_executor(tasks=1) as executor:
        assert run_tasks(executor, tasks.surroundings, [0])[0]["pid"] == os.getpid()


def test_one_job_lets_an_interrupt_through():
    def interrupted(number):
        raise KeyboardInterrupt

    with open_executor(1) as executor, pytest.raises(KeyboardInterrupt):
        run_tasks(executor, interrupted, [0])


def test_results_are_in_order_whoever_ends_first(two, tmp_path):
    # The first waits for the second.
    pids = run_tasks(two, tasks.meet, [(tmp_path, 2)] * 2)
    assert len(set(pids)) == 2 and os.getpid() not in pids
    told = {}
    found = run_tasks(two, tasks.surroundings, range(5), told.__setitem__)
    assert [result["number"] for result in found] == list(range(5)) and told == dict(enumerate(found))
    # The same processes, which keep what they have compiled.
    assert {result["pid"] for result in found} <= set(pids)


def test_processes_share_the_cores_and_start_no_backend(two, tmp_path):
    run_tasks(two, tasks.meet, [(tmp_path, 2)] * 2)
    ours = machine.cores()
    for result in run_tasks(two, tasks.surroundings, range(4)):
        assert result["backends"] == [] and result["KERAS_BACKEND"] == local.chosen_backend()
        share = max(1, len(ours) // 2)
        assert result["OMP_NUM_THREADS"] == result["TF_NUM_INTRAOP_THREADS"] == result["TF_NUM_INTEROP_THREADS"]
        assert int(result["OMP_NUM_THREADS"]) in (share, share + 1)
        if result["cores"] is not None:
            assert set(result["cores"]) <= set(ours) and len(result["cores"]) == int(result["OMP_NUM_THREADS"])


def test_shares_of_cores_and_gpus(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: [0, 1, 2, 5, 6])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert local._shares(2, 1) == [([0, 1], None), ([2, 5, 6], None)]
    assert [own for own, _ in local._shares(7, 1)] == [[0], [0], [1], [2], [2], [5], [6]]
    monkeypatch.setattr(machine, "available_bytes", lambda: 3 * machine.PROCESS_BYTES)
    assert local.usual_jobs() == 3
    monkeypatch.setattr(machine, "available_bytes", lambda: machine.PROCESS_BYTES / 2)
    assert local.usual_jobs() == 1
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,3,4,7")
    assert local.usual_jobs() == 4 and local.usual_jobs(2) == 2
    assert [gpus for _, gpus in local._shares(4, 1)] == [["0"], ["3"], ["4"], ["7"]]
    assert [gpus for _, gpus in local._shares(2, 2)] == [["0", "3"], ["4", "7"]]
    assert [gpus for _, gpus in local._shares(6, 1)] == [["0"], ["3"], ["4"], ["7"], ["0"], ["3"]]


def test_an_error_arrives_as_it_was_raised_and_ends_the_rest(two):
    begun = []
    with pytest.raises(ConfigError, match=r"^task 5 is refused$"):
        run_tasks(two, tasks.refuse, [5] * 9, lambda i, result: begun.append(i))
    assert begun == []
    with pytest.raises(RuntimeError, match="Unpicklable: 4 and 4"):
        run_tasks(two, tasks.fail_strangely, [4])
    # The processes are fit for more.
    assert run_tasks(two, tasks.surroundings, [7])[0]["number"] == 7


def test_a_task_whose_process_is_killed_is_run_again_and_no_other_is(two, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    killed = two.submit(tasks.die_at_first, tmp_path / "first")
    beside = two.submit(tasks.meet, (tmp_path / "a", 2))
    again = killed.result()
    assert again != int((tmp_path / "first").read_text())
    # It was in the middle of its task all the time.
    (tmp_path / "a" / "other").touch()
    assert int(next(path.name for path in (tmp_path / "a").iterdir() if path.name != "other")) == beside.result()


def test_a_task_that_kills_its_process_each_time_is_one_line(two):
    with pytest.raises(WorkerLostError, match=r"died in the middle of its task 3 times.*--jobs 1") as caught:
        run_tasks(two, tasks.die, [0])
    assert "\n" not in str(caught.value)


def test_a_block_that_raises_ends_the_processes_in_the_middle_of_their_tasks(tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    with pytest.raises(KeyboardInterrupt), open_executor(2) as executor:
        for path in paths:
            executor.submit(tasks.begin_and_wait, path)
        wait_for(lambda: all(path.exists() and path.read_text() for path in paths))
        raise KeyboardInterrupt
    assert not any(is_alive(path.read_text()) for path in paths)


SCRIPT = """
import sys
from plumkeras.recipes.execution import open_executor, run_tasks
from tests.testing import tasks
from tests.testing.processes import is_alive, wait_for
{guard}
    with open_executor(2) as executor:
        run_tasks(executor, tasks.begin_and_wait, sys.argv[1:])
"""


def start_script(tmp_path, *arguments, guard='if __name__ == "__main__":'):
    path = tmp_path / "script.py"
    path.write_text(SCRIPT.format(guard=guard))
    return subprocess.Popen(
        [sys.executable, str(path), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # The tests may have been started in the background, where a shell turns it off.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="asks /proc which processes there are")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT])
def test_no_process_outlives_the_one_that_started_it(number, tmp_path):
    paths = [tmp_path / "a", tmp_path / "b"]
    process = start_script(tmp_path, *paths)
    wait_for(lambda: all(path.exists() and path.read_text() for path in paths))
    if number == signal.SIGINT:
        # As a terminal does: to every process of the group.
        os.killpg(process.pid, number)
    else:
        process.send_signal(number)
    _, err = process.communicate(timeout=120)
    wait_for(lambda: not any(is_alive(path.read_text()) for path in paths))
    # The script's own traceback, and none of another process.
    assert err.count("Traceback") == (number == signal.SIGINT)


def test_a_script_without_a_guard_is_told_about_it(tmp_path):
    _, err = start_script(tmp_path, tmp_path / "a", tmp_path / "b", guard="if True:").communicate(timeout=120)
    assert "under `if __name__ == '__main__':`" in err.splitlines()[-1] and not (tmp_path / "a").exists()
    assert err.count("Traceback") == 1


def test_wrong_numbers_and_both_are_one_line():
    with pytest.raises(ConfigError, match=r"--jobs must be at least 1\. Received: 0"), open_executor(0):
        pass
    with pytest.raises(ConfigError, match="choose one"), open_executor(2, "tcp://here:1"):
        pass


def test_a_thread_can_open_one(tmp_path):
    """The processes belong to threads, which end with the block."""
    found, before = [], threading.active_count()

    def work():
        with open_executor(2) as executor:
            found.extend(run_tasks(executor, tasks.meet, [(tmp_path, 2)] * 2))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert len(set(found)) == 2 and threading.active_count() == before
