"""How long a run took: `timings.json`, apart from what a resumed run has to repeat byte for byte."""

import time
from pathlib import Path

import keras

from plumkeras.files import write_json
from plumkeras.recipes.config import ConfigError, read_json
from plumkeras.recipes.runs.run_directory import TIMINGS


class StageTimer(keras.callbacks.Callback):
    """Keeps the seconds of each epoch of a stage, with its validation and prototypes, in `timings.json`.

    Args:
        directory: path of the run.
        stage: name of the stage.
        done: int. How many epochs are done already: their seconds are kept.
    """

    def __init__(self, directory, stage, done=0):
        super().__init__()
        self.path, self.stage, self.done = Path(directory) / TIMINGS, stage, done

    def on_train_begin(self, logs=None):
        self._known = _read(self.path)
        self._seconds = self._known.get(self.stage, [])[: self.done]
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        # From the end of one epoch to the end of the next: what comes before the first step counts too.
        now = time.perf_counter()
        self._seconds.append(round(now - self._began, 3))
        self._began = now
        write_json(self.path, {"epoch_seconds": {**self._known, self.stage: self._seconds}}, indent=None)


def _read(path):
    """Seconds of each epoch by stage. A file that makes no sense is worth no error: it says nothing of the result."""
    try:
        found = read_json(path)["epoch_seconds"]
        return {stage: [float(second) for second in seconds] for stage, seconds in found.items()}
    except (ConfigError, KeyError, TypeError, ValueError, AttributeError):
        return {}
