"""All products of two vectors, as a picture of one channel."""

import keras

from plumkeras.layers.masking import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class OuterProduct(keras.layers.Layer):
    """`first [B, p]`, `second [B, q]` -> `[B, p, q, 1]`."""

    def call(self, first, second):
        return (first[:, :, None] * second[:, None, :])[..., None]

    def compute_output_spec(self, first, second):
        return keras.KerasTensor((first.shape[0], first.shape[1], second.shape[1], 1), dtype=self.compute_dtype)

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()
