"""Weights of the modalities of a sample, and the sum by them."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class ModalityAttention(keras.layers.Layer):
    """One vector of each modality -> their weights, by a softmax of scores of all of them, and the weighted sum.

    The scores are `score(relu(drop(dense([all vectors])))) / sqrt(d)`. A missing modality has the weight 0.

    Args:
        width: int `d`, of the vectors.
        dropout: float. Defaults to `0`.

    Call arguments:
        vectors: list by modality of `[B, d]`.
        lengths: list by modality of `[B]` int; 0 where a sample lacks it.

    Returns:
        Weights `[B, M]`, in float32, which add up to 1, or 0 where everything is missing; and the sum `[B, d]`.

    Reference: Zhuang et al. 2024.
    """

    def __init__(self, width: int, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.width, self.dropout = width, dropout
        self.dense = FanInDense(width, dtype=self.dtype_policy, name="dense")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")
        self.score = None

    def build(self, vectors_shape, lengths_shape=None):
        self.score = FanInDense(len(vectors_shape), dtype=self.dtype_policy, name="score")
        self.dense.build((None, len(vectors_shape) * self.width))
        self.score.build((None, self.width))
        self.built = True

    def call(self, vectors, lengths, training=False):
        hidden = self.drop(self.dense(ops.concatenate(vectors, axis=-1)), training=training)
        scores = ops.cast(self.score(ops.relu(hidden)), "float32") * self.width**-0.5
        present = ops.stack([ops.cast(length, "int32") > 0 for length in lengths], axis=1)
        scores = ops.where(present, scores, -1e9)
        # By hand: Keras warns of a softmax over one score.
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        weights = ops.where(present, weights / ops.sum(weights, axis=-1, keepdims=True), 0.0)
        stacked = ops.stack(vectors, axis=1)
        return weights, ops.sum(ops.cast(weights, stacked.dtype)[:, :, None] * stacked, axis=1)

    def compute_output_spec(self, vectors, lengths, training=False):
        batch = vectors[0].shape[0]
        weights = keras.KerasTensor((batch, len(vectors)), dtype="float32")
        return weights, keras.KerasTensor((batch, self.width), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "width": self.width, "dropout": self.dropout}
