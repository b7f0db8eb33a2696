"""Keras callbacks between the steps and the epochs of a stage."""

import math

import keras

from plumkeras.arguments import known_arguments_only


class NonFiniteLossError(FloatingPointError):
    """A loss that is NaN or infinite. The step that gave it has already changed the weights.

    Attributes:
        epoch, step: ints, counted from 0; the step is the position of the batch in its epoch.
        terms: names of the terms that are not finite.
    """

    def __init__(self, epoch, step, terms):
        self.epoch, self.step, self.terms = epoch, step, tuple(terms)
        super().__init__(f"{', '.join(self.terms)} not finite at step {step + 1} of epoch {epoch + 1}")


@known_arguments_only()
class StopOnNonFiniteLoss(keras.callbacks.Callback):
    """Raises `NonFiniteLossError` at the first step whose loss is not finite."""

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        # The logs are means over the epoch so far: what is not finite stays so, and this is the first step of it.
        if math.isfinite(float(logs["loss"])):
            return
        terms = [name for name in self.model.term_trackers if not math.isfinite(float(logs[name]))]
        raise NonFiniteLossError(self.epoch, batch, terms or ["loss"])


@known_arguments_only()
class StageSchedule(keras.callbacks.Callback):
    """Before each epoch: the epoch's switches, then fresh prototypes. After stage 1: prototypes of its last weights.

    Args:
        prototype_data: batches of `(inputs, labels)` over the complete training split, or `None`: no refresh.
    """

    def __init__(self, prototype_data=None):
        super().__init__()
        self.prototype_data = prototype_data

    def on_epoch_begin(self, epoch, logs=None):
        self.model.begin_epoch(epoch)
        if self.prototype_data is not None:
            self.model.refresh_prototypes(self.prototype_data)

    def on_train_end(self, logs=None):
        if self.prototype_data is not None and self.model.refreshes_at_end:
            self.model.refresh_prototypes(self.prototype_data)


@known_arguments_only()
class BestEpoch(keras.callbacks.Callback):
    """Ends on the weights, prototypes among them, of the epoch with the lowest monitored value.

    It keeps the weights as they were measured: a callback behind it (`SwapEMAWeights`, say) may put others in their
    place between the validation and the end of the epoch.

    Args:
        monitor: str. A quantity of the logs. Defaults to `"val_prediction_loss"`.

    Attributes:
        best: float. The lowest value of this `fit`; infinite when nothing was measured.
        best_epoch: int, from 0, or `None`.
        best_weights: list of arrays, or `None`.
    """

    def __init__(self, monitor: str = "val_prediction_loss"):
        super().__init__()
        self.monitor = monitor
        self.reset()

    def reset(self):
        self.best, self.best_epoch = float("inf"), None
        self.best_weights = self.measured_weights = None

    def on_train_begin(self, logs=None):
        self.reset()

    def on_test_end(self, logs=None):
        self.measured_weights = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {}).get(self.monitor, float("inf"))
        if value < self.best:
            self.best, self.best_epoch, self.best_weights = value, epoch, self.measured_weights

    def on_train_end(self, logs=None):
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
