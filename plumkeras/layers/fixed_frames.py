"""Sequences of a fixed number of frames, for models that flatten over time."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE, zero_padding


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class FixedFrames(keras.layers.Layer):
    """Cuts or pads every sequence to the same number of frames; the first ones are kept.

    Args:
        frames: int `N`.

    Call arguments:
        sequence: `[B, T, F]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, N, F]`, zero past the length, and the lengths `[B]`, at most `N`.

    Example:
        >>> sequence, length = FixedFrames(3)(np.ones((2, 5, 4)), np.array([5, 2]))
        >>> tuple(sequence.shape), ops.convert_to_numpy(length).tolist()
        ((2, 3, 4), [3, 2])
    """

    def __init__(self, frames: int, **kwargs):
        super().__init__(**kwargs)
        self.frames = frames

    def call(self, sequence, length):
        length = ops.minimum(ops.cast(length, "int32"), self.frames)
        batch, width = ops.shape(sequence)[0], sequence.shape[-1]
        more = ops.zeros((batch, self.frames, width), sequence.dtype)
        sequence = ops.concatenate([sequence, more], axis=1)[:, : self.frames]
        # Said, since a graph does not know the length of a part of what it knows no length of.
        sequence = ops.reshape(sequence, (batch, self.frames, width))
        return zero_padding(sequence, length), length

    def compute_output_spec(self, sequence, length):
        shape = (sequence.shape[0], self.frames, sequence.shape[-1])
        return keras.KerasTensor(shape, dtype=self.compute_dtype), keras.KerasTensor(length.shape, dtype="int32")

    def get_config(self):
        return {**super().get_config(), "frames": self.frames}


@keras.saving.register_keras_serializable(package=PACKAGE)
class LongestFrames(keras.layers.Layer):
    """Cuts sequences of a fixed number of frames to the longest of the batch, so that padding costs no attention.

    On JAX, whose shapes are fixed when a graph is compiled, sequences stay as they are.

    Call arguments:
        sequence: `[B, T, F]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, T', F]`, where `T'` is the largest length, and 1 at least.
    """

    def call(self, sequence, length):
        if keras.backend.backend() == "jax":
            return sequence
        return sequence[:, : ops.maximum(ops.max(length), 1)]

    def compute_output_spec(self, sequence, length):
        frames = sequence.shape[1] if keras.backend.backend() == "jax" else None
        return keras.KerasTensor((sequence.shape[0], frames, sequence.shape[-1]), dtype=self.compute_dtype)

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class ConvolvedLength(keras.layers.Layer):
    """How many frames of a convolution without padding read valid ones alone: `[B]` lengths -> `[B]`.

    One at least, where the sequence is shorter than the kernel; 0 for length 0.

    Args:
        kernel_size: int.
    """

    def __init__(self, kernel_size: int, **kwargs):
        super().__init__(**kwargs)
        self.kernel_size = kernel_size

    def call(self, length):
        length = ops.cast(length, "int32")
        return ops.where(length > 0, ops.maximum(length - (self.kernel_size - 1), 1), 0)

    def compute_output_spec(self, length):
        return keras.KerasTensor(length.shape, dtype="int32")

    def get_config(self):
        return {**super().get_config(), "kernel_size": self.kernel_size}
