"""The head, which predicts what the task asks for."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE
from plumkeras.tasks import get_task


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class Prediction(keras.layers.Layer):
    """Head: `Dense(d)`, GELU, dropout, then the task's `[B]` values or `[B, C]` probabilities, in float32."""

    def __init__(self, task, hidden_dim, num_classes, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.task, self.hidden_dim, self.num_classes, self.dropout = task, hidden_dim, num_classes, dropout
        self.hidden = keras.layers.Dense(hidden_dim, activation="gelu", dtype=self.dtype_policy, name="hidden")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")
        units = get_task(task).units(num_classes)
        self.out = keras.layers.Dense(units, dtype="float32", name="out")

    def build(self, vector_shape):
        self.hidden.build(vector_shape)
        self.out.build((None, self.hidden_dim))
        self.built = True

    def call(self, vector, training=False):
        out = self.out(self.drop(self.hidden(vector), training=training))
        return get_task(self.task).activate(out)

    def compute_output_spec(self, vector, training=False):
        shape = get_task(self.task).prediction_shape(vector.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "task": self.task,
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
class TaskOutput(FanInDense):
    """The last layer of a published model: the task's `[B]` values or `[B, C]` probabilities, in float32.

    Args:
        task: a name of `plumkeras.tasks`.
        num_classes: int.
        label_range: `(low, high)` that a regression's value is squashed to by a sigmoid, or `None`.
    """

    def __init__(self, task, num_classes, label_range=None, **kwargs):
        kwargs.pop("units", None)
        super().__init__(get_task(task).units(num_classes), **{**kwargs, "dtype": "float32"})
        self.task, self.num_classes, self.label_range = task, num_classes, label_range

    def call(self, vector, training=False):
        scores = super().call(vector)
        if self.label_range is not None and self.task == "regression":
            low, high = self.label_range
            scores = low + (high - low) * keras.ops.sigmoid(scores)
        return get_task(self.task).activate(scores)

    def compute_output_spec(self, vector, training=False):
        shape = get_task(self.task).prediction_shape(vector.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        own = {"task": self.task, "num_classes": self.num_classes, "label_range": self.label_range}
        return {**super().get_config(), **own}
