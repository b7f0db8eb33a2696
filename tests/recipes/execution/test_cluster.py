"""A real Dask scheduler with two workers as processes: tasks in order, a lost worker, workers that do not fit."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("distributed", reason="the extra `cluster` is not installed")

from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.execution import cluster, open_executor, run_tasks
from tests.testing import tasks

REPOSITORY = Path(__file__).resolve().parents[3]
TINY = ["--model=late_fusion", "--training.epochs=1", "--network.hidden-dim=8"]
TINY += ["--synthetic.train=32", "--synthetic.valid=16", "--synthetic.test=16"]


class Cluster:
    """Processes of `dask scheduler` and `dask worker`."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        path = folder / "scheduler.json"
        self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", path)
        end = time.monotonic() + 120
        while not path.is_file() or not path.read_text():
            assert time.monotonic() < end, "the scheduler does not start"
            time.sleep(0.1)
        self.address = json.loads(path.read_text())["address"]

    def add_worker(self, *options):
        self._start("worker", self.address, "--no-dashboard", "--local-directory", self.folder, *options)

    def _start(self, kind, *options):
        command = [sys.executable, "-m", "dask", kind, *map(str, options)]
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        log = (self.folder / f"{kind}_{len(self.processes)}.log").open("w")
        self.processes.append(subprocess.Popen(command, cwd=REPOSITORY, env=environment, stdout=log, stderr=log))

    def close(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            process.wait(timeout=60)


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    found = Cluster(tmp_path_factory.mktemp("cluster"))
    found.add_worker("--nthreads", "1", "--nworkers", "2")
    yield found
    found.close()


def test_tasks_run_on_the_workers_and_come_back_in_order(two, tmp_path):
    with open_executor(scheduler=two.address, paths=[tmp_path / "yet to be made"]) as executor:
        found = run_tasks(executor, tasks.surroundings, list(range(6)))
        assert [one["number"] for one in found] == list(range(6))
        assert os.getpid() not in {one["pid"] for one in found}
        with pytest.raises(ConfigError, match="task 0 is refused"):
            run_tasks(executor, tasks.refuse, range(2))


def test_the_tasks_of_a_worker_that_is_killed_run_again(two, tmp_path):
    with open_executor(scheduler=two.address) as executor:
        found = run_tasks(executor, tasks.die_at_first, [str(tmp_path / str(number)) for number in range(3)])
    killed = [int(path.read_text()) for path in sorted(tmp_path.iterdir())]
    assert len(found) == len(killed) == 3 and not set(found) & set(killed)


def test_seeds_are_trained_on_the_workers(two, tmp_path, capsys):
    line = ["train", "synthetic", *TINY, "--seeds", "0", "1", "--output", str(tmp_path / "runs")]
    assert main([*line, "--scheduler", two.address]) == 0
    assert "mean ± std" in capsys.readouterr().out
    for seed in (0, 1):
        assert (tmp_path / "runs" / f"seed_{seed}" / "network.keras").is_file()


def test_workers_with_several_threads_are_refused(tmp_path):
    other = Cluster(tmp_path)
    try:
        other.add_worker("--nthreads", "2")
        with pytest.raises(ConfigError, match=r"has 2 threads.*--nthreads 1"), open_executor(scheduler=other.address):
            pass
    finally:
        other.close()


def test_a_scheduler_that_is_not_there_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 1)
    line = ["train", "synthetic", *TINY, "--seeds", "0", "1", "--output", str(tmp_path / "runs")]
    assert main([*line, "--scheduler", "tcp://127.0.0.1:9"]) == 2
    said = capsys.readouterr().err
    assert "--scheduler tcp://127.0.0.1:9: no Dask scheduler answers" in " ".join(said.split())
    assert not list(tmp_path.rglob("seeds.json"))


def test_workers_of_another_version_and_without_the_files_are_named(tmp_path):
    then = cluster.facts()
    assert cluster.what_is_wrong((then, [str(tmp_path)])) is None
    assert "has keras" in cluster.what_is_wrong(({**then, "keras": "0"}, []))
    assert "does not see" in cluster.what_is_wrong((then, [str(tmp_path / "nowhere")]))
