"""A real Dask scheduler and workers, as processes on loopback: a worker that is lost, and clusters that are not fit."""

import os
import signal
import sys

import pytest

from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.execution import WorkerLostError, cluster, open_executor, run_tasks
from tests.testing import tasks
from tests.testing.dask_processes import dask_cluster
from tests.testing.processes import is_alive, wait_for

TINY = ["--model=late_fusion", "--training.epochs=1", "--network.hidden-dim=8"]
TINY += ["--synthetic.train=32", "--synthetic.valid=16", "--synthetic.test=16"]


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """A cluster of two workers: its address."""
    # A worker is like this process: of the backend that the tests have started.
    with dask_cluster(tmp_path_factory.mktemp("dask") / "two", KERAS_BACKEND=cluster.chosen_backend()) as (address, _):
        yield address


def test_tasks_on_two_workers_one_of_which_is_killed_in_its_task(two, tmp_path):
    with open_executor(scheduler=two, paths=[tmp_path / "not" / "yet"]) as executor:
        wait_for(lambda: executor.workers == 2)
        (tmp_path / "met").mkdir()
        pids = run_tasks(executor, tasks.meet, [(tmp_path / "met", 2)] * 2)
        assert len(set(pids)) == 2 and os.getpid() not in pids
        done = []
        found = run_tasks(executor, tasks.surroundings, range(5), lambda i, result: done.append(i))
        assert [result["number"] for result in found] == list(range(5)) and sorted(done) == list(range(5))
        # A task is alone in its process: the threads of a worker would draw from the random numbers that it has seeded.
        assert run_tasks(executor, tasks.is_main_thread, range(3)) == [True] * 3
        # What was lost is run again, by the other one or by a new one; first two processes of workers, then a worker.
        killed = [tmp_path / "first", tmp_path / "second"]
        again = run_tasks(executor, tasks.die_at_first, killed)
        assert not {int(path.read_text()) for path in killed} & set(again)
        lost = tmp_path / "lost"
        again = run_tasks(executor, tasks.lose_worker_at_first, [lost])
        assert int(lost.read_text()) not in again
        wait_for(lambda: not is_alive(lost.read_text()))
        with pytest.raises(ConfigError, match=r"^task 5 is refused$"):
            run_tasks(executor, tasks.refuse, [5] * 3)
        with pytest.raises(WorkerLostError, match=r"died each time that it was run.*--resume") as caught:
            run_tasks(executor, tasks.die, [0])
        assert "\n" not in str(caught.value)


def test_a_block_that_raises_ends_its_tasks(two, tmp_path):
    path = tmp_path / "begun"
    with pytest.raises(KeyboardInterrupt), open_executor(scheduler=two) as executor:
        executor.submit(tasks.begin_and_wait, path)
        wait_for(lambda: path.exists() and path.read_text())
        raise KeyboardInterrupt
    wait_for(lambda: not is_alive(path.read_text()))
    with open_executor(scheduler=two) as executor:
        assert run_tasks(executor, tasks.surroundings, [3])[0]["number"] == 3


@pytest.mark.parametrize("changed", ["plumkeras", "keras", "Python", "KERAS_BACKEND"])
def test_workers_of_another_version_are_refused_by_name(changed, two, monkeypatch):
    now = {**cluster.facts(), changed: "other"}
    monkeypatch.setattr(cluster, "facts", lambda: now)
    said = rf"--scheduler {two}: worker tcp://\S+ has {changed} \S+, and here it is other; they must be the same"
    with pytest.raises(ConfigError, match=said), open_executor(scheduler=two):
        pass


def test_a_worker_that_joins_later_is_looked_at_too(two, monkeypatch):
    monkeypatch.setattr(cluster, "_check_workers", lambda client, address, needs: None)
    now = {**cluster.facts(), "keras": "other"}
    monkeypatch.setattr(cluster, "facts", lambda: now)
    with pytest.raises(ConfigError, match="has keras"), open_executor(scheduler=two) as executor:
        run_tasks(executor, tasks.surroundings, [0])


def test_a_folder_that_workers_do_not_see_is_named(two, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "_existing", str)
    missing = tmp_path / "missing"
    with pytest.raises(ConfigError, match=f"does not see {missing}"), open_executor(scheduler=two, paths=[missing]):
        pass


def test_workers_with_threads_or_without_plumkeras_are_refused(tmp_path):
    with (
        dask_cluster(tmp_path / "dask", count=1, threads=2) as (address, _),
        pytest.raises(ConfigError, match=r"has 2 threads.*--nworkers 2 --nthreads 1"),
        open_executor(scheduler=address),
    ):
        pass
    # What stands before ours cannot be imported.
    other = tmp_path / "other" / "plumkeras"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise ImportError('none here')")
    with (
        dask_cluster(tmp_path / "without", count=1, PYTHONPATH=str(other.parent)) as (address, _),
        pytest.raises(ConfigError, match=r"cannot run plumkeras \(.*none here.*\); install what is installed here"),
        open_executor(scheduler=address),
    ):
        pass


def test_a_scheduler_without_workers_or_none_at_all_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.2)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with dask_cluster(tmp_path / "dask", count=0) as (address, _):
        with pytest.raises(ConfigError, match=r"no worker joined it.*--nthreads 1"), open_executor(scheduler=address):
            pass
        wrong = address.replace("tcp:", "tls:")
        with pytest.raises(ConfigError, match="certificates are needed"), open_executor(scheduler=wrong):
            pass
    for wrong, said in ((address, "no Dask scheduler answers"), ("here", "must be tcp://HOST:PORT")):
        with pytest.raises(ConfigError, match=said) as caught, open_executor(scheduler=wrong):
            pass
        assert "\n" not in str(caught.value) and wrong in str(caught.value)


def test_a_scheduler_that_is_lost_is_one_line(tmp_path):
    with (
        dask_cluster(tmp_path / "dask", count=1, KERAS_BACKEND=cluster.chosen_backend()) as (address, processes),
        open_executor(scheduler=address) as executor,
    ):
        path = tmp_path / "begun"
        future = executor.submit(tasks.begin_and_wait, path)
        wait_for(lambda: path.exists() and path.read_text())
        os.killpg(processes[0].pid, signal.SIGKILL)
        with pytest.raises(TrainingError, match="the scheduler was lost; start it again"):
            future.result()


def test_without_distributed_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ConfigError, match=r'pip install "plumkeras\[cluster\]"'), open_executor(scheduler="tcp://a:1"):
        pass


def test_seeds_are_trained_on_the_workers(two, tmp_path, capsys):
    line = ["train", "synthetic", *TINY, "--seeds", "0", "1", "--output", str(tmp_path / "runs")]
    assert main([*line, "--scheduler", two]) == 0
    assert "mean ± std" in capsys.readouterr().out
    for seed in (0, 1):
        assert (tmp_path / "runs" / f"seed_{seed}" / "network.keras").is_file()


def test_a_scheduler_that_is_not_there_costs_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    for words in (["train", "synthetic", *TINY], ["experiment", "comparison", "synthetic", *TINY]):
        line = [*words, "--seeds", "0", "1", "--output", str(tmp_path / "runs"), "--scheduler", "tcp://127.0.0.1:9"]
        assert main(line) == 2
        assert "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers" in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.json"))
