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
    """

    def build(self, input_shape):
        # Each of its own seed: one initializer gives equal numbers to equal shapes.
        self.kernel_initializer = _uniform(input_shape[-1])
        self.bias_initializer = _uniform(input_shape[-1])
        super().build(input_shape)


@keras.saving.register_keras_serializable(package=PACKAGE)
class FanInConv1D(keras.layers.Conv1D):
    """`keras.layers.Conv1D` whose kernel and bias are drawn from `U(-1 / sqrt(fan-in), 1 / sqrt(fan-in))`."""

    def build(self, input_shape):
        fan_in = input_shape[-1] * self.kernel_size[0]
        self.kernel_initializer = _uniform(fan_in)
        self.bias_initializer = _uniform(fan_in)
        super().build(input_shape)
