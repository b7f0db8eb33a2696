"""The loss of the prediction."""

import keras
from keras import ops


class PredictionObjective:
    """`L_stage2`: cross-entropy, eq. 11, or mean absolute error, eq. 12."""

    term_names = ("prediction_loss",)
    output_names = ("prediction",)

    def __init__(self, network):
        self.regression = network.task == "regression"
        loss = keras.losses.MeanAbsoluteError if self.regression else keras.losses.SparseCategoricalCrossentropy
        self.loss = loss(name="prediction")

    def terms(self, outputs, y, sample_weight=None):
        prediction = outputs["prediction"]
        if self.regression:
            # With a last axis, so that the mean over it keeps one value per sample for the sample weights.
            y, prediction = ops.reshape(y, (-1, 1)), prediction[:, None]
        return {"prediction_loss": self.loss(y, prediction, sample_weight=sample_weight)}
