"""Tasks: what a label is, and everything that follows from it. A task is one file here.

Nothing imports Keras until a network is built, so that data can be read and a command line checked without it.
"""

from plumkeras.nearest import nearest
from plumkeras.tasks.classification import Classification
from plumkeras.tasks.multilabel import MultiLabel
from plumkeras.tasks.regression import Regression
from plumkeras.tasks.task import Task

__all__ = ["TASKS", "Classification", "MultiLabel", "Regression", "Task", "get_task", "task_of"]

TASKS = {task.name: task for task in (Regression(), Classification(), MultiLabel())}


def get_task(name: str) -> Task:
    """The task of a name: `"regression"`, `"classification"` or `"multilabel"`.

    Raises:
        ValueError: there is no task of that name.
    """
    if not isinstance(name, str) or name not in TASKS:
        hint = nearest(name, TASKS) if isinstance(name, str) else ""
        raise ValueError(f"`task` must be one of {tuple(TASKS)}. Received: task={name!r}{hint}")
    return TASKS[name]


def task_of(labels) -> str:
    """The name of the task whose labels these are: real numbers `[N]`, whole numbers `[N]`, or label sets `[N, L]`."""
    return next(task.name for task in TASKS.values() if task.owns(labels))
