"""The largest values of a few parts of a sequence, whatever its length."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class AdaptiveMaxPool(keras.layers.Layer):
    """Maximum over each of `G` parts of the valid frames.

    Of length `L`, part `i` is the frames from `floor(i L / G)` to `ceil((i + 1) L / G) - 1`: parts share a frame where
    `L` is no multiple of `G`, and each has one at least.

    Args:
        bins: int `G`.

    Call arguments:
        sequence: `[B, T, d]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, G, d]`; zero for length 0.

    Example:
        >>> pooled = AdaptiveMaxPool(2)(np.array([[[1.0], [3.0], [2.0], [9.0]]]), np.array([3]))
        >>> ops.convert_to_numpy(pooled)[0, :, 0].tolist()
        [3.0, 3.0]
    """

    def __init__(self, bins: int, **kwargs):
        super().__init__(**kwargs)
        self.bins = bins

    def call(self, sequence, length):
        length = ops.cast(length, "int32")[:, None]
        frame = ops.arange(ops.shape(sequence)[1])[None, :]
        values, parts = ops.cast(sequence, "float32"), []
        for i in range(self.bins):
            first, end = (i * length) // self.bins, ((i + 1) * length + self.bins - 1) // self.bins
            inside = ops.logical_and(frame >= first, frame < end)
            parts.append(ops.max(ops.where(inside[:, :, None], values, -1e9), axis=1))
        pooled = ops.cast(ops.stack(parts, axis=1), sequence.dtype)
        return ops.where(length[:, :, None] > 0, pooled, ops.zeros_like(pooled))

    def compute_output_spec(self, sequence, length):
        return keras.KerasTensor((sequence.shape[0], self.bins, sequence.shape[-1]), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "bins": self.bins}
