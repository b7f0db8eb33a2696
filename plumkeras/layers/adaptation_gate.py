"""MAG, the Multimodal Adaptation Gate: text vectors shifted by what goes with them in other modalities."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization
from plumkeras.layers.crossmodal_transformer import EPSILON
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE, valid_frames


@keras.saving.register_keras_serializable(package=PACKAGE)
class StepsOfText(keras.layers.Layer):
    """The frames of another modality, by those of the text: cut, padded, or one for all.

    Frame `i` goes with frame `i` of the text. A modality of one valid frame is one of the whole utterance: it goes with
    every frame.

    Call arguments:
        sequence: `[B, S, F]` float.
        length: `[B]` int, its valid leading frames.
        text: `[B, T, d]` float.
        text_length: `[B]` int.

    Returns:
        `[B, T, F]`, zero where nothing goes with the text, and where something does, `[B, T]` bool.

    Example:
        >>> audio, text = np.array([[[1.0], [2.0]], [[3.0], [0.0]]]), np.ones((2, 3, 4))
        >>> found, valid = StepsOfText()(audio, np.array([2, 1]), text, np.array([3, 2]))
        >>> ops.convert_to_numpy(found)[:, :, 0].tolist()
        [[1.0, 2.0, 0.0], [3.0, 3.0, 0.0]]
    """

    def call(self, sequence, length, text, text_length):
        length = ops.cast(length, "int32")
        frames = ops.shape(text)[1]
        none = ops.zeros((ops.shape(sequence)[0], frames, sequence.shape[-1]), sequence.dtype)
        cut = ops.concatenate([sequence, none], axis=1)[:, :frames]
        whole = (length == 1)[:, None]
        found = ops.where(whole[:, :, None], sequence[:, :1], cut)
        valid = ops.logical_and(ops.logical_or(whole, valid_frames(text, length)), valid_frames(text, text_length))
        return ops.where(valid[:, :, None], found, none), valid

    def compute_output_spec(self, sequence, length, text, text_length):
        found = keras.KerasTensor((*text.shape[:2], sequence.shape[-1]), dtype=self.compute_dtype)
        return found, keras.KerasTensor(text.shape[:2], dtype="bool")

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class AdaptationGate(keras.layers.Layer):
    """Shifts each text vector by a gated sum of the other modalities, no farther than its own length times `beta`.

    Of text `t` and others `x_m`: `S = sum_m relu(gate_m [x_m, t]) * value_m x_m`, and the result is
    `drop(norm(t + min(beta |t| / |S|, 1) S))`.

    Args:
        beta: float. Defaults to `1`.
        dropout: float. Defaults to `0`.

    Call arguments:
        text: `[B, T, d]` float.
        others: dict by modality of `[B, T, F]` float.
        valid: dict by modality of `[B, T]` bool, where there is something; elsewhere it shifts nothing. Or `None`:
            everywhere.

    Returns:
        `[B, T, d]`.

    Example:
        >>> gate = AdaptationGate()
        >>> tuple(gate(np.ones((2, 3, 4)), {"audio": np.ones((2, 3, 5)), "vision": np.ones((2, 3, 6))}).shape)
        (2, 3, 4)

    Reference: Rahman et al. 2020.
    """

    def __init__(self, beta: float = 1.0, dropout: float = 0.0, **kwargs):
        super().__init__(**kwargs)
        self.beta, self.dropout = beta, dropout
        self.gates, self.values = {}, {}
        self.norm = LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name="norm")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def build(self, text_shape, others_shape, valid_shape=None):
        width = text_shape[-1]
        for m, shape in others_shape.items():
            self.gates[m] = FanInDense(width, "relu", dtype=self.dtype_policy, name=f"{m}_gate")
            self.values[m] = FanInDense(width, dtype=self.dtype_policy, name=f"{m}_value")
            self.gates[m].build((None, None, shape[-1] + width))
            self.values[m].build(shape)
        self.norm.build(text_shape)
        self.built = True

    def call(self, text, others, valid=None, training=False):
        shift = ops.zeros_like(text)
        for m, other in others.items():
            part = self.gates[m](ops.concatenate([other, text], axis=-1)) * self.values[m](other)
            if valid is not None:
                part = ops.where(valid[m][:, :, None], part, ops.zeros_like(part))
            shift = shift + part
        lengths = [_length(vectors) for vectors in (text, shift)]
        # A shift of nothing is divided by 1.
        divisor = ops.where(lengths[1] > 0, lengths[1], 1.0) + 1e-6
        factor = ops.minimum(self.beta * lengths[0] / divisor, 1.0)
        shifted = self.norm(text + ops.cast(factor, text.dtype) * shift, training=training)
        return self.drop(shifted, training=training)

    def compute_output_spec(self, text, others, valid=None, training=False):
        return keras.KerasTensor(text.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "beta": self.beta, "dropout": self.dropout}


def _length(vectors):
    """Euclidean length `[B, T, 1]` in float32, with a gradient of 0 at 0."""
    squares = ops.sum(ops.square(ops.cast(vectors, "float32")), axis=-1, keepdims=True)
    positive = squares > 0
    return ops.where(positive, ops.sqrt(ops.where(positive, squares, 1.0)), 0.0)
