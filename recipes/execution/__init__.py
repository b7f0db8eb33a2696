"""Where seeds, folds, rows, models and trials are run: in this process, in others of this machine, or on a cluster.

Each is a task: a function of a module and one argument, both picklable. A task may be run again after its process died,
so it must be one that can be, as a run with `resume=True` is.
"""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent import futures

from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.execution.cluster import open_cluster
from plumkeras.recipes.execution.local import LocalExecutor, SerialExecutor, usual_jobs
from plumkeras.recipes.execution.losses import WorkerLostError

__all__ = ["WorkerLostError", "check_choice", "open_executor", "run_tasks"]


@contextlib.contextmanager
def open_executor(
    jobs: int | None = None,
    scheduler: str | None = None,
    tasks: int | None = None,
    paths: Iterable = (),
    devices: int = 1,
) -> Iterator[futures.Executor]:
    """An executor for tasks that train.

    A block that raises stops the processes of this machine at once, in the middle of their tasks.

    Args:
        jobs: how many processes of this machine. By default as many as there are tasks, as its memory and cores carry,
            or as it has GPUs. With 1, tasks are run in this process.
        scheduler: address of a Dask scheduler, whose workers run the tasks in place of this machine.
        tasks: how many tasks there are, if that is known.
        paths: files and folders that the tasks need, and that the workers of a cluster must see too; of one that is
            yet to be made, the folder that it will be in.
        devices: how many GPUs a task trains on.

    Yields:
        `concurrent.futures.Executor` with the attribute `workers`, the number of tasks that it runs at a time. Where
        the process of a task dies, the task is run again, three times in all; then its error is a `WorkerLostError`.

    Raises:
        ConfigError: `jobs` is below 1, or `scheduler` is given too; or the cluster is not there, or not fit.
    """
    check_choice(jobs, scheduler)
    if scheduler is not None:
        with open_cluster(scheduler, paths) as executor:
            yield executor
        return
    jobs = usual_jobs(devices) if jobs is None else jobs
    jobs = jobs if tasks is None else max(1, min(jobs, tasks))
    with SerialExecutor() if jobs == 1 else LocalExecutor(jobs, devices) as executor:
        yield executor


def check_choice(jobs: int | None, scheduler: str | None) -> None:
    """Raises `ConfigError` unless at most one of both is given, and `jobs` is positive."""
    if jobs is not None and jobs < 1:
        raise ConfigError(f"--jobs must be at least 1. Received: {jobs}")
    if jobs is not None and scheduler is not None:
        raise ConfigError("--jobs counts processes of this machine and --scheduler names a cluster; choose one")


def run_tasks(
    executor: futures.Executor,
    function: Callable,
    tasks: Sequence,
    on_done: Callable[[int, object], None] | None = None,
) -> list:
    """Runs tasks, as many at a time as the executor has workers.

    Args:
        executor: of `open_executor`.
        function: called with one task; a function of a module.
        tasks: the arguments. Their paths are absolute: a worker of a cluster may be in another folder.
        on_done: called with the index and the result of each task as it ends, in this thread.

    Returns:
        List of the results, in the order of the tasks.

    Raises:
        The error of the first task that fails. No further task is begun.
    """
    results, waiting, running = [None] * len(tasks), list(reversed(range(len(tasks)))), {}
    try:
        while waiting or running:
            while waiting and len(running) < executor.workers:
                index = waiting.pop()
                running[executor.submit(function, tasks[index])] = index
            done, _ = futures.wait(running, return_when=futures.FIRST_COMPLETED)
            for future in sorted(done, key=running.get):
                index = running.pop(future)
                results[index] = future.result()
                if on_done is not None:
                    on_done(index, results[index])
    finally:
        for future in running:
            future.cancel()
    return results
