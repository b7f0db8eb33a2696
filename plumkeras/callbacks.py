"""What happens between the epochs of a stage."""

import keras


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


class BestEpoch(keras.callbacks.Callback):
    """Ends on the weights, prototypes among them, of the epoch with the lowest monitored value.

    It keeps the weights as they were measured: a callback behind it (`SwapEMAWeights`, say) may put others in their
    place between the validation and the end of the epoch.

    Args:
        monitor: str. A quantity of the logs. Defaults to `"val_prediction_loss"`.
    """

    def __init__(self, monitor="val_prediction_loss"):
        super().__init__()
        self.monitor = monitor

    def on_train_begin(self, logs=None):
        self.best, self.best_epoch, self.best_weights = float("inf"), None, None

    def on_test_end(self, logs=None):
        self.measured_weights = self.model.get_weights()

    def on_epoch_end(self, epoch, logs=None):
        value = (logs or {}).get(self.monitor, float("inf"))
        if value < self.best:
            self.best, self.best_epoch, self.best_weights = value, epoch, self.measured_weights

    def on_train_end(self, logs=None):
        if self.best_weights is not None:
            self.model.set_weights(self.best_weights)
        self.model.best_epoch = self.best_epoch
