"""CubeMLP's layers: sequences of one length, stacked to a cube of time, modality and channel; networks along each."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization, gelu
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE, zero_padding
from plumkeras.layers.recurrent import Recurrent

# Of every normalisation of the model.
EPSILON = 1e-6


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class FirstFrames(keras.layers.Layer):
    """Cuts a sequence `[B, T, F]` and its length `[B]` to the first `frames`."""

    def __init__(self, frames, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, sequence, length):
        return sequence[:, : self.frames], ops.minimum(ops.cast(length, "int32"), self.frames)

    def compute_output_spec(self, sequence, length):
        known = sequence.shape[1] if sequence.shape[1] is None else min(sequence.shape[1], self.frames)
        return (
            keras.KerasTensor((sequence.shape[0], known, sequence.shape[2]), dtype=sequence.dtype),
            keras.KerasTensor(length.shape, dtype="int32"),
        )

    def get_config(self):
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class CubeEncoder(keras.layers.Layer):
    """Two bidirectional GRUs over the valid frames; the directions of the second are added, normalised, and rectified.

    Args:
        width: int `d`.

    Call arguments:
        sequence: `[B, T, F]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, T, d]`.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        options = {"bidirectional": True, "recurrent_initializer": "orthogonal", "dtype": self.dtype_policy}
        self.recurrent = [Recurrent(width, "gru", name=f"gru_{number}", **options) for number in (1, 2)]
        self.norm = LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name="norm")

    def build(self, sequence_shape, length_shape=None):
        of_frames = sequence_shape[:2]
        self.recurrent[0].build(sequence_shape)
        self.recurrent[1].build((*of_frames, 2 * self.width))
        self.norm.build((*of_frames, self.width))
        self.built = True

    def call(self, sequence, length, training=False):
        for layer in self.recurrent:
            sequence, _ = layer(sequence, length, training=training)
        added = sequence[:, :, : self.width] + sequence[:, :, self.width :]
        return ops.relu(self.norm(added, training=training))

    def compute_output_spec(self, sequence, length, training=False):
        return keras.KerasTensor((*sequence.shape[:2], self.width), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class CubeSlice(keras.layers.Layer):
    """A modality's slice of the cube: as many frames for every batch, zero past the length.

    Args:
        frames: int `N`.

    Call arguments:
        sequence: `[B, T, d]`, `T` at most `N`.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, N, 1, d]`.
    """

    def __init__(self, frames, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, sequence, length):
        sequence = zero_padding(sequence, length)
        # As many as may be lacking, and what is too much cut: `T` may be unknown.
        padding = ops.zeros((ops.shape(sequence)[0], self.frames, sequence.shape[-1]), dtype=sequence.dtype)
        padded = ops.concatenate([sequence, padding], axis=1)[:, : self.frames]
        return ops.reshape(padded, (-1, self.frames, 1, sequence.shape[-1]))

    def compute_output_spec(self, sequence, length):
        return keras.KerasTensor((sequence.shape[0], self.frames, 1, sequence.shape[-1]), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "frames": self.frames}


class AxisMixer(keras.layers.Layer):
    """`drop(W2 gelu(W1 norm(x))) + R x` along one axis, of the sizes `units`.

    Args:
        axis: int from 0, of the cube `[B, N, M, C]`.
        hidden, units: ints, inner and outer size.
        dropout: float.
    """

    def __init__(self, axis, hidden, units, dropout, **kwargs):
        super().__init__(**kwargs)
        self.axis, self.units = axis, units
        policy = self.dtype_policy
        self.norm = LayerNormalization(epsilon=EPSILON, dtype=policy, name="norm")
        self.dense_1 = FanInDense(hidden, dtype=policy, name="dense_1")
        self.dense_2 = FanInDense(units, dtype=policy, name="dense_2")
        self.residual = FanInDense(units, use_bias=False, dtype=policy, name="residual")
        self.drop = Dropout(dropout, dtype=policy, name="drop")

    def build(self, cube_shape):
        size = cube_shape[self.axis]
        for layer in (self.norm, self.dense_1, self.residual):
            layer.build((None, size))
        self.dense_2.build((None, self.dense_1.units))
        self.built = True

    def call(self, cube, training=False):
        cube = ops.swapaxes(cube, self.axis, -1)
        hidden = self.dense_2(gelu(self.dense_1(self.norm(cube, training=training)), training))
        mixed = self.drop(hidden, training=training) + self.residual(cube)
        return ops.swapaxes(mixed, self.axis, -1)

    def compute_output_shape(self, cube_shape):
        return tuple(self.units if axis == self.axis else size for axis, size in enumerate(cube_shape))


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class CubeBlock(keras.layers.Layer):
    """CubeMLP's block: a small network along time, one along the modalities and one along the channels.

    Args:
        hidden: three ints, the inner sizes of time, modality and channel.
        units: three ints, the sizes of the result.
        dropout: float. Defaults to `0`.

    Call arguments:
        cube: `[B, N, M, C]`.

    Returns:
        `[B, *units]`.

    Reference: Sun et al. 2022, section 3.
    """

    def __init__(self, hidden, units, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        self.hidden, self.units, self.dropout = list(hidden), list(units), dropout
        self.mixers = [
            AxisMixer(axis, *sizes, dropout, dtype=self.dtype_policy, name=name)
            for axis, (name, *sizes) in enumerate(zip(("time", "modality", "channel"), hidden, units, strict=True), 1)
        ]

    def build(self, cube_shape):
        for mixer in self.mixers:
            mixer.build(cube_shape)
            cube_shape = mixer.compute_output_shape(cube_shape)
        self.built = True

    def call(self, cube, training=False):
        for mixer in self.mixers:
            cube = mixer(cube, training=training)
        return cube

    def compute_output_spec(self, cube, training=False):
        return keras.KerasTensor((cube.shape[0], *self.units), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "hidden": self.hidden, "units": self.units, "dropout": self.dropout}


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class CubePooling(keras.layers.Layer):
    """The cube `[B, N, M, C]` as a vector.

    Args:
        time_pooling: `"mean"`: the mean over time, one modality after another, `[B, M C]`; or `"concatenate"`: of each
            modality one frame after another, `[B, M N C]`. Defaults to `"mean"`.
    """

    def __init__(self, time_pooling="mean", **kwargs):
        super().__init__(**kwargs)
        if time_pooling not in ("mean", "concatenate"):
            raise ValueError(f"`time_pooling` must be 'mean' or 'concatenate'. Received: time_pooling={time_pooling!r}")
        self.time_pooling = time_pooling

    def call(self, cube):
        pooled = ops.mean(cube, axis=1) if self.time_pooling == "mean" else ops.swapaxes(cube, 1, 2)
        return ops.reshape(pooled, (-1, self._width(cube.shape)))

    def _width(self, cube_shape):
        _, frames, modalities, channels = cube_shape
        return modalities * channels * (1 if self.time_pooling == "mean" else frames)

    def compute_output_spec(self, cube):
        return keras.KerasTensor((cube.shape[0], self._width(cube.shape)), dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), "time_pooling": self.time_pooling}
