"""Tasks for executors: functions that another process can import, and that start no backend."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from plumkeras.recipes.config import ConfigError


def surroundings(number):
    """What a task finds where it is run."""
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "KERAS_BACKEND")
    return {
        "number": number,
        "pid": os.getpid(),
        "cores": sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "backends": [name for name in ("keras", "tensorflow", "jax", "torch") if name in sys.modules],
        **{name: os.environ.get(name) for name in names},
    }


def refuse(number):
    raise ConfigError(f"task {number} is refused")


class Unpicklable(Exception):
    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def fail_strangely(number):
    raise Unpicklable(number, number)


def die_at_first(task):
    """Kills its process the first time that it is run; `task` is a path, which then exists."""
    path = Path(task)
    if not path.exists():
        path.write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def lose_worker_at_first(task):
    """As `die_at_first`, and it is the process that has started this one that is killed."""
    path = Path(task)
    if not path.exists():
        path.write_text(str(os.getpid()))
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)
    return os.getpid()


def is_main_thread(number):
    return threading.current_thread() is threading.main_thread()


def die(number):
    os.kill(os.getpid(), signal.SIGKILL)


def begin_and_wait(path):
    """Makes the path, which holds the process ID, and stays until that process is killed."""
    Path(path).write_text(str(os.getpid()))
    time.sleep(600)


def meet(task):
    """Ends when `count` tasks have come to `folder`, each in a process of its own; returns the process ID."""
    folder, count = task
    (Path(folder) / str(os.getpid())).touch()
    while len(list(Path(folder).iterdir())) < count:
        time.sleep(0.02)
    return os.getpid()
