"""Processes of this machine, each with cores and GPUs of its own, which keep what was compiled for the next task."""

import contextlib
import copy
import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import CancelledError, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool

from plumkeras.backends import chosen_backend
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.execution import machine
from plumkeras.recipes.execution.losses import ATTEMPTS, WorkerLostError

# A fork would copy the threads' locks of a backend that has started, and not the threads.
SPAWN = multiprocessing.get_context("spawn")
_THREADS = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
# Keeps what a worker does to the end of its process.
_FOR_GOOD = contextlib.ExitStack()


def usual_jobs(devices: int = 1) -> int:
    """How many processes this machine carries, each training on so many GPUs, or on the CPU where there is none."""
    if gpus := machine.gpus():
        return max(1, len(gpus) // devices)
    return int(max(1, min(len(machine.cores()), machine.available_bytes() // machine.PROCESS_BYTES)))


class SerialExecutor(Executor):
    """Runs each task in this process, while it is submitted."""

    workers = 1

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)
        return future


class LocalExecutor(ThreadPoolExecutor):
    """Runs tasks in processes, each of which has its share of the cores and of the GPUs.

    Every process is a pool of one, so that one that dies takes no task but its own with it.

    Args:
        workers: int. How many processes; each starts when there is a task for it.
        devices: int. How many GPUs each has, where there are enough.
    """

    def __init__(self, workers, devices=1):
        if getattr(multiprocessing.current_process(), "_inheriting", False):
            # A script is being read by a process that it started itself, which says what is wrong.
            raise SystemExit(1)
        # This thread alone hears Ctrl-C. What a thread blocks its processes block too, from their first moment.
        super().__init__(workers, "plumkeras", _block_interrupts)
        self.workers, self._is_stopped = workers, False
        self._watched, self._alive = SPAWN.Pipe(duplex=False)
        self._idle = queue.LifoQueue()
        for share in reversed(_shares(workers, devices)):
            self._idle.put(Worker(self._watched, *share, lambda: self._is_stopped))

    def submit(self, function, /, *args, **kwargs):
        return super().submit(self._run, function, args, kwargs)

    def __exit__(self, kind, error, traceback):
        if kind is not None:
            self._is_stopped = True
            # The processes end when this end of the pipe is closed, as they do when this process dies.
            self._alive.close()
            self.shutdown(cancel_futures=True)
        return super().__exit__(kind, error, traceback)

    def shutdown(self, wait=True, *, cancel_futures=False):
        super().shutdown(wait, cancel_futures=cancel_futures)
        while wait and not self._idle.empty():
            self._idle.get().close()

    def _run(self, function, args, kwargs):
        worker = self._idle.get()
        try:
            return worker.run(function, args, kwargs)
        except BrokenProcessPool:
            raise CancelledError from None
        finally:
            self._idle.put(worker)


class Worker:
    """A process that runs one task at a time, is started when there is one, and replaced where it dies.

    Args:
        watched: the end of a pipe whose other end nobody else has: its process ends when that is closed.
        cores, gpus: what the process may use; `None` in place of GPUs: those that this one may.
        is_stopped: called without arguments. Whether a process that has died is not to be replaced.
    """

    def __init__(self, watched, cores, gpus=None, is_stopped=lambda: False):
        self.watched, self.cores, self.gpus, self.is_stopped = watched, cores, gpus, is_stopped
        self.pool = None

    def run(self, function, args, kwargs):
        """Calls a function in the process, and returns its result.

        Raises:
            WorkerLostError: the process died, three times.
            BrokenProcessPool: it was stopped.
        """
        for _ in range(ATTEMPTS):
            if self.pool is None:
                self._start()
            try:
                return self.pool.submit(_call, function, args, kwargs).result()
            except BrokenProcessPool:
                self.close()
                if self.is_stopped():
                    raise
        raise WorkerLostError(
            f"a process died in the middle of its task {ATTEMPTS} times; out of memory, perhaps: run the command "
            "again with --jobs 1, and --resume to keep what is finished"
        )

    def _start(self):
        if hasattr(os, "sched_setaffinity"):
            # Of this thread, from which the process has it before anything in there counts its cores.
            os.sched_setaffinity(0, self.cores)
        how = (self.watched, chosen_backend(), len(self.cores), self.gpus)
        self.pool = ProcessPoolExecutor(1, SPAWN, _begin, how)
        try:
            self.pool.submit(os.getpid).result()
        except BrokenProcessPool:
            self.close()
            if self.is_stopped():
                raise
            raise ConfigError(
                "no process can be started; a script that trains in several has to do so under "
                "`if __name__ == '__main__':`, and --jobs 1 (jobs=1) needs none"
            ) from None

    def close(self):
        if self.pool is not None:
            self.pool.shutdown()
            self.pool = None


def _shares(workers, devices):
    """Cores and GPUs of each worker; `None` in place of GPUs where there are none."""
    cores, gpus = machine.cores(), machine.gpus()
    shares = []
    for i in range(workers):
        own = cores[i * len(cores) // workers : (i + 1) * len(cores) // workers] or [cores[i * len(cores) // workers]]
        shares.append((own, [gpus[(i * devices + j) % len(gpus)] for j in range(min(devices, len(gpus)))] or None))
    return shares


def _block_interrupts():
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _begin(watched, backend, cores, gpus):
    """Begins a worker's process, before a backend starts in it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, args=(watched,), daemon=True).start()
    os.environ["KERAS_BACKEND"] = backend
    for name in _THREADS:
        asked = os.environ.get(name, "")
        os.environ[name] = str(min(cores, int(asked)) if asked.isdecimal() and int(asked) else cores)
    if gpus is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    from plumkeras.recipes.cli.quiet import quiet

    _FOR_GOOD.enter_context(quiet())


def _end_with_parent(watched):
    with contextlib.suppress(OSError, EOFError):
        watched.recv()
    os._exit(1)


def _call(function, args, kwargs):
    """Runs a task in a worker's process."""
    try:
        return function(*args, **kwargs)
    except Exception as error:
        try:
            # Made anew from its arguments, as the pool does it where the task came from.
            copy.deepcopy(error)
        except Exception:
            # It would be taken for the death of the process.
            raise RuntimeError(f"{type(error).__name__}: {error}") from None
        raise
