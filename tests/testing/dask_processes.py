"""A Dask cluster as processes of this machine: a scheduler, and workers with one thread each."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# Tasks of tests are imported from there.
_REPOSITORY = Path(__file__).resolve().parents[2]


@contextlib.contextmanager
def dask_cluster(folder, count=2, threads=1, **environment):
    """Yields the scheduler's address, and its process and those of the workers' nannies, each with a group of its own.

    Args:
        folder: path, made here. What the processes print is there.
        **environment: variables of the workers.
    """
    folder.mkdir(parents=True)
    started = []

    def start(name, *words, **variables):
        with (folder / f"{name}.log").open("w") as log:
            command = [sys.executable, "-m", "dask", *words, "--no-dashboard", "--host", "127.0.0.1"]
            environment = {**os.environ, "PYTHONPATH": str(_REPOSITORY), **variables}
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env=environment, cwd=folder, start_new_session=True
            )
        started.append(process)
        return process

    try:
        scheduler = start("scheduler", "scheduler", "--port", "0", "--scheduler-file", str(folder / "scheduler.json"))
        file, told = folder / "scheduler.json", ""
        # It is there before it is written.
        while not told.rstrip().endswith("}"):
            assert scheduler.poll() is None, (folder / "scheduler.log").read_text()
            time.sleep(0.05)
            told = file.read_text() if file.exists() else ""
        address = json.loads(told)["address"]
        words = ("worker", address, "--nthreads", str(threads), "--local-directory", str(folder), "--memory-limit", "0")
        workers = [start(f"worker{i}", *words, **environment) for i in range(count)]
        yield address, [scheduler, *workers]
    finally:
        for process in started:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
