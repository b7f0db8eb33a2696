"""Progress of a stage with the few numbers a person follows; the history and TensorBoard hold every term."""

import shutil
import sys

import keras

from plumkeras.recipes.models import STAGE_TITLES
from plumkeras.recipes.views.wrapping import fill

# In the order in which they are shown.
_SHOWN = ("loss", "val_loss", "prediction_loss", "val_prediction_loss", "val_corr", "val_accuracy")


class StageProgress(keras.callbacks.ProgbarLogger):
    """`ProgbarLogger` that names the stage and shows some of the metrics.

    On a terminal what does not fit beside the bar is on a line below it.

    Args:
        stage: name of the stage.
        done: int. Epochs that a resumed run has behind it. Defaults to `0`.
    """

    def __init__(self, stage, done=0):
        super().__init__()
        self.stage, self.done = stage, done

    def set_params(self, params):
        # `fit` itself runs silent; this takes its place: a bar in a terminal, a line an epoch in a log file.
        super().set_params({**params, "verbose": 1 if sys.stdout.isatty() else 2})

    def on_train_begin(self, logs=None):
        behind = f", {self.done} of them done" if self.done else ""
        epochs = "1 epoch" if self.epochs == 1 else f"{self.epochs} epochs, at most; the first is the slowest"
        print(f"{STAGE_TITLES[self.stage]}: {epochs}{behind}")
        super().on_train_begin(logs)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if (best := getattr(self.model, "best_epoch", None)) is not None:
            print(f"Kept: epoch {best + 1}, the best on validation")

    def on_train_batch_end(self, batch, logs=None):
        shown = _shown(logs)
        super().on_train_batch_end(batch, {name: shown[name] for name in shown if name in self._beside()})

    def on_epoch_end(self, epoch, logs=None):
        shown, beside = _shown(logs), self._beside()
        super().on_epoch_end(epoch, {name: shown[name] for name in shown if name in beside})
        if below := [f"{name}: {value:.4f}" for name, value in shown.items() if name not in beside]:
            print(fill(f"  {' - '.join(below)}", shutil.get_terminal_size().columns))

    def _beside(self):
        """The metrics that fit beside the bar, by their longest values; all of them in a log file."""
        if self.verbose != 1:
            return _SHOWN
        # The bar is 20 wide; count and time of a step need some more.
        room = shutil.get_terminal_size().columns - 20 - 2 * len(str(self.target or 0)) - 18
        names = []
        for name in _SHOWN:
            room -= len(f" - {name}: -10.1234")
            if room < 0:
                break
            names.append(name)
        return names


class NotebookProgress(keras.callbacks.Callback):
    """One line for a stage in a notebook, replaced after each epoch.

    Args:
        stage: name of the stage.
    """

    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def on_train_begin(self, logs=None):
        from IPython.display import display

        self._line = f"{STAGE_TITLES[self.stage]}: starting; the first epoch is the slowest"
        self._place = display(_Line(self._line), display_id=True)

    def on_epoch_end(self, epoch, logs=None):
        shown = ", ".join(f"{name} {value:.4f}" for name, value in _shown(logs).items())
        self._line = f"{STAGE_TITLES[self.stage]}: epoch {epoch + 1} of {self.params['epochs']}: {shown}"
        self._place.update(_Line(self._line))

    def on_train_end(self, logs=None):
        if (best := getattr(self.model, "best_epoch", None)) is not None:
            self._place.update(_Line(f"{self._line}; kept: epoch {best + 1}, the best on validation"))


class _Line:
    """A text that a notebook shows as it is, without quotes."""

    def __init__(self, text):
        self._text = text

    def __repr__(self):
        return self._text


def in_notebook() -> bool:
    """Whether a Jupyter kernel runs this process."""
    ipython = sys.modules.get("IPython")
    shell = ipython and ipython.get_ipython()
    return bool(shell) and hasattr(shell, "kernel")


def stage_progress(stage, done=0):
    """The progress callback for where this process prints: a notebook, or a terminal or file."""
    return NotebookProgress(stage) if in_notebook() else StageProgress(stage, done)


def _shown(logs):
    return {name: logs[name] for name in _SHOWN if name in (logs or {})}
