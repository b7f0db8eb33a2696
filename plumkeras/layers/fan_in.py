"""Dense and convolution layers that begin as those of the published comparators do: uniform by the fan-in."""

import keras

from plumkeras.layers.masking import PACKAGE


def _uniform(fan_in):
    limit = fan_in**-0.5
    return keras.initializers.RandomUniform(-limit, limit)


@keras.saving.register_keras_serializable(package=PACKAGE)
class FanInDense(keras.layers.Dense):
    """`keras.layers.Dense` whose kernel and bias are drawn from `U(-1 / sqrt(fan-in), 1 / sqrt(fan-in))`.

    The default of the framework that the comparators were published in; Keras draws kernels by Glorot's rule and sets
    biases to 0.

    Args:
        glorot_normal: bool. Whether the kernel is drawn by Glorot's normal rule instead. Defaults to `False`.
        units, activation, **kwargs: as in Keras.
    """

    def __init__(self, units, activation=None, glorot_normal=False, **kwargs):
        super().__init__(units, activation, **kwargs)
        self.glorot_normal = glorot_normal

    def build(self, input_shape):
        # Each of its own seed: one initializer gives equal numbers to equal shapes.
        self.kernel_initializer = keras.initializers.GlorotNormal() if self.glorot_normal else _uniform(input_shape[-1])
        self.bias_initializer = _uniform(input_shape[-1])
        super().build(input_shape)

    def get_config(self):
        return {**super().get_config(), "glorot_normal": self.glorot_normal}


@keras.saving.register_keras_serializable(package=PACKAGE)
class FanInConv1D(keras.layers.Conv1D):
    """`keras.layers.Conv1D` whose kernel and bias are drawn from `U(-1 / sqrt(fan-in), 1 / sqrt(fan-in))`."""

    def build(self, input_shape):
        fan_in = input_shape[-1] * self.kernel_size[0]
        self.kernel_initializer = _uniform(fan_in)
        self.bias_initializer = _uniform(fan_in)
        super().build(input_shape)
