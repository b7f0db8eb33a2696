"""Lengths and masks: the rules about padding."""

import keras
from keras import ops

PACKAGE = "plumkeras"


def valid_frames(sequence, length):
    """Which frames hold data: `[B, T]` bool, `False` everywhere for length 0."""
    return ops.arange(ops.shape(sequence)[1])[None, :] < ops.cast(length, "int32")[:, None]


def attended_frames(sequence, length):
    """Which frames attention and means may read: the valid ones, or the (zeroed) first one of a missing modality.

    A fully masked attention row would depend on the padding, so a missing modality attends over one frame of zeros
    and is replaced afterwards, by `present`.
    """
    return valid_frames(sequence, ops.maximum(length, 1))


def zero_padding(sequence, length):
    """Zeroes the frames past the length with `where`, so that not even NaN gets through."""
    return ops.where(valid_frames(sequence, length)[:, :, None], sequence, ops.zeros_like(sequence))


def masked_mean(sequence, mask):
    """Mean over the frames of `mask`. `sequence [B, T, d]`, `mask [B, T]` bool -> `[B, d]`.

    Summed in float32 whatever the precision: 16 bits can't count more than a few hundred frames.
    """
    weight = ops.cast(mask, "float32")[:, :, None]
    total = ops.sum(ops.cast(sequence, "float32") * weight, axis=1)
    return ops.cast(total / ops.maximum(ops.sum(weight, axis=1), 1), sequence.dtype)


def check_divisible(hidden_dim, num_heads):
    """Raises `ValueError` unless the heads share the width evenly."""
    if hidden_dim < 1 or num_heads < 1 or hidden_dim % num_heads:
        raise ValueError(
            "`hidden_dim` must be a positive multiple of `num_heads`. "
            f"Received: hidden_dim={hidden_dim}, num_heads={num_heads}"
        )


@keras.saving.register_keras_serializable(package=PACKAGE)
class SequenceMean(keras.layers.Layer):
    """Masked mean over the valid frames. `sequence [B, T, d]`, `length [B]` -> `[B, d]`."""

    def call(self, sequence, length):
        return masked_mean(sequence, attended_frames(sequence, length))

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
class ZeroPadding(keras.layers.Layer):
    """Zeroes the frames past the length. `sequence [B, T, d]`, `length [B]` -> `[B, T, d]`."""

    def call(self, sequence, length):
        return zero_padding(sequence, length)

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
class FirstFrame(keras.layers.Layer):
    """The first frame, as that of a [CLS] token. `sequence [B, T, d]`, `length [B]` -> `[B, d]`; zero for length 0."""

    def call(self, sequence, length):
        return zero_padding(sequence[:, :1], length)[:, 0]

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()
