"""What a task ends with when its process dies again and again."""

from plumkeras.recipes.config import TrainingError

# How often a task is begun: it may be what kills its process.
ATTEMPTS = 3


class WorkerLostError(TrainingError):
    """The process that ran a task died, each time that the task was run."""
