"""DMD's graph: how much each modality learns from each other one."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE


def distillation_pairs(count):
    """The edges `(student, teacher)` of so many modalities: (0, 1), (0, 2), (1, 0), ..."""
    return [(j, i) for j in range(count) for i in range(count) if i != j]


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class DistillationGraph(keras.layers.Layer):
    """Weights of the edges between modalities, a softmax over all ordered pairs, for each sample.

    A modality's node is a projection of its prediction beside one of its representation; an edge is scored from the
    student's node beside the teacher's.

    Args:
        width: int `g`, of each of a node's two parts.
        temperature: float, that the scores are divided by. Defaults to `8`.

    Call arguments:
        predictions: list by modality of `[B]` or `[B, C]`.
        representations: list by modality of `[B, r]`.

    Returns:
        `[B, M (M - 1)]` in the order of `distillation_pairs`, in float32.

    Reference: Li et al. 2023.
    """

    def __init__(self, width: int, temperature: float = 8.0, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.width, self.temperature = width, temperature
        self.logit = FanInDense(width, dtype="float32", name="logit")
        self.representation = FanInDense(width, dtype="float32", name="representation")
        self.edge = FanInDense(1, dtype="float32", name="edge")

    def build(self, predictions_shape, representations_shape):
        shape = predictions_shape[0]
        self.logit.build((shape[0], 1) if len(shape) == 1 else shape)
        self.representation.build(representations_shape[0])
        self.edge.build((None, 4 * self.width))
        self.built = True

    def call(self, predictions, representations):
        nodes = []
        for prediction, representation in zip(predictions, representations, strict=True):
            if len(prediction.shape) == 1:
                prediction = prediction[:, None]
            nodes.append(ops.concatenate([self.logit(prediction), self.representation(representation)], axis=-1))
        pairs = distillation_pairs(len(nodes))
        scores = [self.edge(ops.concatenate([nodes[j], nodes[i]], axis=-1)) for j, i in pairs]
        return ops.softmax(ops.concatenate(scores, axis=-1) / self.temperature, axis=-1)

    def compute_output_spec(self, predictions, representations):
        count = len(predictions)
        return keras.KerasTensor((predictions[0].shape[0], count * (count - 1)), dtype="float32")

    def get_config(self):
        return {**super().get_config(), "width": self.width, "temperature": self.temperature}
