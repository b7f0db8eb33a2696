"""The workers of a Dask cluster, which have to be like the process that sends them tasks.

Client, scheduler and workers send each other pickles: who reaches one of them can run code in all. Certificates
(`tls://`) are read from Dask's own configuration, `distributed.comm.tls`.
"""

import contextlib
import functools
import logging
import multiprocessing
import os
import platform
import re
from concurrent.futures import CancelledError, Executor, Future
from importlib import metadata
from pathlib import Path

from plumkeras.backends import chosen_backend
from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.execution import local, machine
from plumkeras.recipes.execution.losses import WorkerLostError

CONNECT_SECONDS = 15
# Workers that a queue starts come later than the scheduler.
WAIT_SECONDS = 60
_STOP_SECONDS = 30


@contextlib.contextmanager
def open_cluster(address, paths=()):
    """An executor whose tasks the workers of a Dask scheduler run.

    Args:
        address: str, as `tcp://host:8786`.
        paths: what must exist for every worker.

    Yields:
        `ClusterExecutor`.

    Raises:
        ConfigError: `distributed` is not installed, no scheduler answers, it has no workers, or a worker is not fit.
    """
    try:
        import distributed
    except ImportError:
        raise ConfigError('--scheduler needs the package distributed: pip install "plumkeras[cluster]"') from None
    with _silenced(), _client(distributed, address) as client:
        needs = facts(), [_existing(path) for path in paths]
        _check_workers(client, address, needs)
        executor = ClusterExecutor(client, address, needs)
        try:
            yield executor
        except BaseException:
            executor.stop()
            raise


def _client(distributed, address):
    # A client that cannot begin leaves half of itself behind, which complains when Python ends.
    if not re.fullmatch(r"(tcp|tls)://(\[[0-9a-fA-F:.]+\]|[^\s:/]+):\d{1,5}", address):
        raise ConfigError(f"--scheduler must be tcp://HOST:PORT, or tls://HOST:PORT. Received: {address}")
    try:
        security = distributed.Security()
        if address.startswith("tls:") and security.get_connection_args("client").get("ssl_context") is None:
            raise ConfigError(
                f"--scheduler {address}: certificates are needed; name them in Dask's configuration, "
                "`distributed.comm.tls`, or in DASK_DISTRIBUTED__COMM__TLS__CA_FILE and "
                "DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and __KEY"
            )
    except OSError as error:
        raise ConfigError(f"--scheduler {address}: a certificate cannot be read: {error}") from None
    try:
        return distributed.Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except (OSError, ValueError, TypeError, RuntimeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise ConfigError(
            f"--scheduler {address}: no Dask scheduler answers ({first}); is it running, and is the address that of "
            "`dask scheduler`, with the same certificates?"
        ) from None


@contextlib.contextmanager
def _silenced():
    """What goes wrong is told by an error of ours, and not by lines of the log before it."""
    loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)


def _existing(path):
    path = Path(path).absolute()
    return str(next(p for p in (path, *path.parents) if p.exists()))


def facts():
    """What has to be the same where a task is sent from and where it is run: a dict of str."""
    backend = chosen_backend()
    found = {"Python": ".".join(platform.python_version_tuple()[:2]), "KERAS_BACKEND": backend}
    for name in ("plumkeras", "keras", backend):
        found[name] = next(filter(None, map(_version, (name, f"{name}-cpu"))), "missing")
    return found


def _version(package):
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def what_is_wrong(needs):
    """Why this process cannot run the tasks of another, as a clause; `None` where it can.

    Args:
        needs: the `facts` of the other, and the paths that its tasks need.
    """
    then, paths = needs
    now = facts()
    for name, value in then.items():
        if now.get(name) != value:
            return f"has {name} {now.get(name)}, and here it is {value}; they must be the same"
    for path in paths:
        if not os.path.exists(path):
            return f"does not see {path}; data and output must be on a file system that all machines share"
    return None


def _check_workers(client, address, needs):
    import distributed

    try:
        client.wait_for_workers(1, timeout=WAIT_SECONDS)
    except (TimeoutError, distributed.TimeoutError):
        raise ConfigError(
            f"--scheduler {address}: no worker joined it in {WAIT_SECONDS} s; start some with "
            f"`dask worker {address} --nthreads 1`"
        ) from None
    try:
        # It reads what tasks are made of.
        client.run_on_scheduler(facts)
    except Exception as error:
        said = f"cannot run plumkeras ({type(error).__name__}: {error}); install what is installed here"
        raise ConfigError(f"--scheduler {address}: the scheduler {said}") from None
    found = client.run(_look, needs, on_error="return")
    for worker, threads in client.nthreads().items():
        if threads != 1:
            raise ConfigError(
                f"--scheduler {address}: worker {worker} has {threads} threads, and it has to train "
                f"one run at a time; start workers with `dask worker {address} --nworkers {threads} --nthreads 1`"
            )
        said = found.get(worker)
        if isinstance(said, Exception):
            said = f"cannot run plumkeras ({type(said).__name__}: {said}); install what is installed here"
        if said is not None:
            raise ConfigError(f"--scheduler {address}: worker {worker} {said}")


def _look(needs):
    return what_is_wrong(needs)


def _on_worker(needs, function, args, kwargs):
    """Runs a task in a process of the worker's own.

    The threads of a Dask worker draw from the random numbers of Python, from which Keras draws the seeds of weights.
    """
    said = what_is_wrong(needs)
    if said is not None:  # It may have joined after the others were looked at.
        raise ConfigError(f"worker {platform.node()}-{os.getpid()} {said}")
    return _process().run(function, args, kwargs)


@functools.cache
def _process():
    """The process of a Dask worker, which keeps what it has compiled and ends with the worker."""
    # Nannies start workers as daemons, which may start no process.
    multiprocessing.current_process().daemon = False
    watched, alive = local.SPAWN.Pipe(duplex=False)
    worker = local.Worker(watched, machine.cores())
    worker.alive = alive
    return worker


class ClusterExecutor(Executor):
    """Dask's executor, whose errors are ours.

    Attributes:
        workers: int. How many workers there are now.
    """

    def __init__(self, client, address, needs):
        self._client, self._address, self._needs = client, address, needs
        self._executor = client.get_executor(pure=False, retries=0)

    @property
    def workers(self):
        return max(1, len(self._client.nthreads()))

    def submit(self, function, /, *args, **kwargs):
        ours, theirs = Future(), self._executor.submit(_on_worker, self._needs, function, args, kwargs)

        def ended(theirs):
            if not ours.set_running_or_notify_cancel():
                return
            try:
                ours.set_result(theirs.result())
            except BaseException as error:
                ours.set_exception(self._translated(error))

        theirs.add_done_callback(ended)
        ours.add_done_callback(lambda ours: ours.cancelled() and theirs.cancel())
        return ours

    def _translated(self, error):
        import distributed

        if isinstance(error, (distributed.KilledWorker, WorkerLostError)):
            return WorkerLostError(
                "the worker of a task died each time that it was run; out of memory, perhaps: start fewer workers on a "
                "machine, and run the command again with --resume to keep what is finished"
            )
        if isinstance(error, CancelledError):
            return TrainingError(
                f"--scheduler {self._address}: the scheduler was lost; start it again, and run the command again with "
                "--resume to keep what is finished"
            )
        return error

    def stop(self):
        """Ends tasks that are running: a thread of Python cannot be ended, so that their workers are restarted."""
        with contextlib.suppress(Exception):
            ours = set(self._client.futures)
            busy = [worker for worker, keys in self._client.processing().items() if ours & set(keys)]
            self._executor.shutdown(wait=False)
            if busy:
                self._client.restart_workers(busy, timeout=_STOP_SECONDS)

    def shutdown(self, wait=True, *, cancel_futures=False):
        self._executor.shutdown(wait=wait and not cancel_futures)
