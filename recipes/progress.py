"""Keras's progress bar with the few numbers a person follows; the history and TensorBoard hold every term."""

import sys

import keras

from plumkeras.visualization import STAGE_TITLES

_SHOWN = ("loss", "val_loss", "prediction_loss", "val_prediction_loss", "val_corr", "val_accuracy")


class StageProgress(keras.callbacks.ProgbarLogger):
    """`ProgbarLogger` that names the stage and shows some of the metrics.

    Args:
        stage: `"alignment"` or `"refinement"`.
    """

    def __init__(self, stage):
        super().__init__()
        self.stage = stage

    def set_params(self, params):
        # `fit` itself runs silent; this takes its place: a bar in a terminal, a line an epoch in a log file.
        super().set_params({**params, "verbose": 1 if sys.stdout.isatty() else 2})

    def on_train_begin(self, logs=None):
        print(f"{STAGE_TITLES[self.stage]}: {self.epochs} epochs, at most")
        super().on_train_begin(logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, _shown(logs))

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, _shown(logs))


def _shown(logs):
    return {name: logs[name] for name in _SHOWN if name in (logs or {})}
