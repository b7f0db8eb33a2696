"""The stem of one modality."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization, per_frame
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.feature_standardization import FeatureStandardization
from plumkeras.layers.masking import PACKAGE


def sinusoidal_positions(length, width):
    """Sinusoidal position signal `[length, width]` (Vaswani et al. 2017, section 3.5). `width` must be even."""
    position = ops.cast(ops.arange(length), "float32")[:, None]
    pair = ops.arange(width // 2, dtype="float32")[None, :]
    angle = position * ops.exp(pair * (-2.0 / width) * ops.log(ops.convert_to_tensor(10000.0)))
    return ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class ModalityEncoder(keras.layers.Layer):
    """Raw features of one modality -> `f_single`: standardise, project, normalise, add positions, drop out.

    With a stride the projection is a convolution of that many frames, each frame read once, and the sequence becomes
    shorter by that factor. Frames past the length are read as zeros.

    Up to the normalisation everything is float32 whatever the precision: a feature that was constant in training, or an
    outlier, can be larger after the standardisation than float16 holds.

    Args:
        hidden_dim: int, even. Width `d` of the result.
        compression: see `FeatureStandardization`. Defaults to `None`.
        dropout: float. Defaults to `0.1`.
        stride: int `s`. Frames that are projected as one. Defaults to `1`.

    Call arguments:
        sequence: `[B, T, F]` float, raw features.
        length: `[B]` int, valid leading frames.

    Returns:
        `f_single [B, ceil(T / s), d]`, whose valid leading frames are `StridedLength(s)(length)`. Rows past them are
        finite and independent of what stood there.

    Example:
        >>> layer = ModalityEncoder(hidden_dim=8)
        >>> tuple(layer(np.ones((2, 5, 3)), np.array([5, 2])).shape)
        (2, 5, 8)
    """

    def __init__(
        self, hidden_dim: int, compression: str | None = None, dropout: float = 0.1, stride: int = 1, **kwargs
    ):
        # No autocast: raw features can exceed the range of float16.
        super().__init__(autocast=False, **kwargs)
        if hidden_dim < 2 or hidden_dim % 2:
            raise ValueError(f"`hidden_dim` must be even and positive. Received: hidden_dim={hidden_dim}")
        if not isinstance(stride, int) or stride < 1:
            raise ValueError(f"`stride` must be a whole number of at least 1. Received: stride={stride}")
        self.hidden_dim = hidden_dim
        self.compression = compression
        self.dropout = dropout
        self.stride = stride
        self.standardization = FeatureStandardization(compression, name="standardization")
        self.projection = keras.layers.Dense(hidden_dim, dtype="float32", name="projection")
        self.normalization = LayerNormalization(dtype="float32", name="normalization")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def build(self, sequence_shape, length_shape):
        self.standardization.build(sequence_shape, length_shape)
        self.projection.build((None, self.stride * sequence_shape[-1]))
        self.normalization.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, sequence, length, training=False):
        hidden = per_frame(self.projection, self._windows(self.standardization(sequence, length)))
        hidden = self.normalization(hidden, training=training)
        hidden = ops.cast(hidden, self.compute_dtype)
        positions = sinusoidal_positions(ops.shape(hidden)[1], self.hidden_dim)
        return self.drop(hidden + ops.cast(positions, hidden.dtype)[None], training=training)

    def _windows(self, sequence):
        """`[B, T, F]` -> `[B, ceil(T / s), s * F]`."""
        if self.stride == 1:
            return sequence
        batch, frames = ops.shape(sequence)[:2]
        windows = (frames + self.stride - 1) // self.stride
        # A pad of no frames would be an error on some backends; this one is always cut to what is missing.
        more = ops.zeros((batch, self.stride, sequence.shape[-1]), sequence.dtype)
        padded = ops.concatenate([sequence, more], axis=1)[:, : windows * self.stride]
        return ops.reshape(padded, (batch, windows, self.stride * sequence.shape[-1]))

    def compute_output_spec(self, sequence, length, training=False):
        frames = sequence.shape[1] and -(-sequence.shape[1] // self.stride)
        return keras.KerasTensor((sequence.shape[0], frames, self.hidden_dim), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "compression": self.compression,
            "dropout": self.dropout,
            "stride": self.stride,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class StridedLength(keras.layers.Layer):
    """How many frames of a stem with a stride are valid: `[B]` lengths -> `[B]`, rounded up.

    Args:
        stride: int.
    """

    def __init__(self, stride: int, **kwargs):
        super().__init__(**kwargs)
        self.stride = stride

    def call(self, length):
        return ops.floor_divide(ops.cast(length, "int32") + (self.stride - 1), self.stride)

    def compute_output_spec(self, length):
        return keras.KerasTensor(length.shape, dtype="int32")

    def get_config(self):
        return {**super().get_config(), "stride": self.stride}
