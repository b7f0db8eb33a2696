"""The loss of the prediction."""

from keras import ops

from plumkeras.tasks import get_task


class PredictionObjective:
    """`L_stage2`, the task's loss: cross-entropy (eq. 11), mean absolute error (eq. 12), or binary cross-entropy.

    Args:
        network: a model with a `task`.
        label_classes: how a regression label becomes a class. Read with `class_weight` alone.
        class_weight: weights of the classes, or `None`.
        loss: a `keras.losses.Loss` in place of the task's, or `None`.
    """

    term_names = ("prediction_loss",)
    output_names = ("prediction",)

    def __init__(self, network, label_classes="sign3", class_weight=None, loss=None):
        self.task = get_task(network.task)
        self.label_classes = label_classes
        self.class_weight = class_weight
        self.loss = loss or self.task.loss()

    def terms(self, outputs, y, sample_weight=None):
        weight = sample_weight
        if weight is not None:
            weight = ops.cast(ops.reshape(weight, (-1,)), "float32")
            if self.task.label_axes > 1:
                weight = weight[:, None] * ops.ones_like(outputs["prediction"])
        if self.class_weight is not None:
            of_labels = self.task.label_weights(y, self.class_weight, self.label_classes)
            weight = of_labels if weight is None else weight * of_labels
        y, prediction = self.task.loss_arguments(y, outputs["prediction"])
        return {"prediction_loss": self.loss(y, prediction, sample_weight=weight)}
