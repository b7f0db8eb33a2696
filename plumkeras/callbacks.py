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


class BestEpoch(keras.callbacks.EarlyStopping):
    """Never stops; ends on the weights, prototypes among them, of the epoch with the lowest monitored value."""

    def __init__(self, monitor="val_prediction_loss"):
        super().__init__(monitor=monitor, mode="min", patience=2**31, restore_best_weights=True)

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        self.model.best_epoch = self.best_epoch
