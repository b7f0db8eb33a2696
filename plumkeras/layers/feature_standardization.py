"""Standardisation of raw features, with statistics of the training split's valid frames."""

import keras
import numpy as np
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE, zero_padding

COMPRESSIONS = (None, "signed_log1p")


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class FeatureStandardization(keras.layers.Layer):
    """Subtracts the mean of each feature and divides by its standard deviation, on valid frames only.

    The statistics are weights: they are saved, restored and exported with the network, so a served model takes
    raw features. (`keras.layers.Normalization` ignores an `adapt` after its first `predict`, and it knows no lengths.)

    Args:
        compression: `None` or `"signed_log1p"`, `sign(x) log(1 + |x|)` before everything else, for features of
            many magnitudes such as acoustic statistics. Defaults to `None`.
        epsilon: float. A feature whose standard deviation is at most `epsilon * |mean|` (the rounding of a float16
            file), or 1e-6, counts as constant: it is centred and not divided. Defaults to `1e-3`.
        dtype: raw features can exceed the range of float16, so it is not the global policy. Defaults to `"float32"`.

    Call arguments:
        sequence: `[B, T, F]` float, raw features.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, T, F]`, zero past the length.

    Example:
        >>> layer = FeatureStandardization()
        >>> sequence = np.array([[[1.0], [3.0], [9.0]]])  # Of three frames the first two are valid.
        >>> moments = FrameMoments(1)
        >>> layer.build(sequence.shape, (1,))
        >>> layer.collect(moments, sequence, np.array([2]))
        >>> layer.set_moments(moments)
        >>> ops.convert_to_numpy(layer(sequence, np.array([2])))[0, :, 0].tolist()
        [-1.0, 1.0, 0.0]
    """

    def __init__(self, compression: str | None = None, epsilon: float = 1e-3, dtype="float32", **kwargs):
        super().__init__(dtype=dtype, **kwargs)
        if compression not in COMPRESSIONS:
            raise ValueError(f"`compression` must be one of {COMPRESSIONS}. Received: compression={compression!r}")
        self.compression = compression
        self.epsilon = epsilon

    def build(self, sequence_shape, length_shape):
        width = (sequence_shape[-1],)
        self.mean = self.add_weight(shape=width, initializer="zeros", trainable=False, name="mean")
        self.divisor = self.add_weight(shape=width, initializer="ones", trainable=False, name="divisor")
        self.built = True

    def compress(self, sequence):
        """Applies `compression` to a backend tensor."""
        if self.compression == "signed_log1p":
            return ops.sign(sequence) * ops.log1p(ops.abs(sequence))
        return sequence

    def call(self, sequence, length):
        sequence = self.compress(zero_padding(sequence, length))
        sequence = (sequence - self.mean) / self.divisor
        return zero_padding(sequence, length)

    def collect(self, moments, sequence, length):
        """Adds the valid frames of a numpy batch, compressed, to `moments` (a `FrameMoments`)."""
        sequence = np.asarray(sequence, dtype=np.float64)
        valid = np.arange(sequence.shape[1])[None, :] < np.asarray(length)[:, None]
        frames = sequence[valid]
        if self.compression == "signed_log1p":
            frames = np.sign(frames) * np.log1p(np.abs(frames))
        moments.update(frames)

    def set_moments(self, moments):
        """Sets the statistics to those of a `FrameMoments`. Raises `ValueError` when it has seen no frame."""
        if not moments.count:
            raise ValueError(f"{self.name}: no valid frame to take statistics from")
        self.mean.assign(moments.mean)
        self.divisor.assign(moments.divisor(self.epsilon))

    def get_config(self):
        return {**super().get_config(), "compression": self.compression, "epsilon": self.epsilon}
