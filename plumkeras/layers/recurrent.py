"""LSTM and GRU over the valid frames of padded sequences, in one direction or both."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE, valid_frames, zero_padding

_CELLS = {"lstm": keras.layers.LSTM, "gru": keras.layers.GRU}
_INITIALIZERS = ("uniform", "orthogonal", "glorot_normal")


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class Recurrent(keras.layers.Layer):
    """A recurrent layer that reads valid frames alone; backward it begins with the last valid one.

    Args:
        units: int `h`, of each direction.
        cell: `"lstm"` or `"gru"` (its reset gate after the product). Defaults to `"lstm"`.
        bidirectional: bool. Defaults to `False`.
        recurrent_initializer: `"uniform"`, every array from `U(-1 / sqrt(h), 1 / sqrt(h))`, as the comparators begin
            where they say nothing; `"orthogonal"` recurrent kernels; or `"glorot_normal"`, both kernels. Defaults to
            `"uniform"`.

    Call arguments:
        sequence: `[B, T, F]` float.
        length: `[B]` int, valid leading frames.

    Returns:
        Outputs `[B, T, h]` (`[B, T, 2h]`, forward first), zero past the length; and the final states `[B, h]`
        (`[B, 2h]`): after the last valid frame forward, after the first one backward; zero for length 0.

    Example:
        >>> outputs, state = Recurrent(3, bidirectional=True)(np.ones((2, 5, 4)), np.array([5, 2]))
        >>> tuple(outputs.shape), tuple(state.shape)
        ((2, 5, 6), (2, 6))
    """

    def __init__(self, units, cell="lstm", bidirectional=False, recurrent_initializer="uniform", **kwargs):
        super().__init__(**kwargs)
        if cell not in _CELLS:
            raise ValueError(f"`cell` must be one of {tuple(_CELLS)}. Received: cell={cell!r}")
        if recurrent_initializer not in _INITIALIZERS:
            raise ValueError(
                f"`recurrent_initializer` must be one of {_INITIALIZERS}. "
                f"Received: recurrent_initializer={recurrent_initializer!r}"
            )
        self.units, self.cell, self.bidirectional = units, cell, bidirectional
        self.recurrent_initializer = recurrent_initializer
        self.directions = [self._direction("forward")] + ([self._direction("backward")] if bidirectional else [])

    def _direction(self, name):
        def uniform():
            # Each of its own seed: one initializer gives equal numbers to equal shapes.
            return keras.initializers.RandomUniform(-(self.units**-0.5), self.units**-0.5)

        options = {"kernel_initializer": uniform(), "bias_initializer": uniform()}
        options["recurrent_initializer"] = uniform()
        if self.recurrent_initializer == "orthogonal":
            options["recurrent_initializer"] = keras.initializers.Orthogonal()
        elif self.recurrent_initializer == "glorot_normal":
            options["kernel_initializer"] = keras.initializers.GlorotNormal()
            options["recurrent_initializer"] = keras.initializers.GlorotNormal()
        if self.cell == "lstm":
            options["unit_forget_bias"] = False
        return _CELLS[self.cell](
            self.units,
            return_sequences=True,
            return_state=True,
            go_backwards=name == "backward",
            # The fused kernels of a GPU know no reading backward over padding.
            use_cudnn=False,
            dtype=self.dtype_policy,
            name=name,
            **options,
        )

    def build(self, sequence_shape, length_shape=None):
        for direction in self.directions:
            direction.build(sequence_shape)
        self.built = True

    def call(self, sequence, length, training=False):
        sequence = zero_padding(sequence, length)
        mask = valid_frames(sequence, length)
        outputs, states = [], []
        for direction in self.directions:
            output, state, *_ = direction(sequence, mask=mask, training=training)
            outputs.append(ops.flip(output, axis=1) if direction.go_backwards else output)
            states.append(state)
        joined = [parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=-1) for parts in (outputs, states)]
        return zero_padding(joined[0], length), joined[1]

    def compute_output_spec(self, sequence, length, training=False):
        width = self.units * len(self.directions)
        return (
            keras.KerasTensor((*sequence.shape[:2], width), dtype=self.compute_dtype),
            keras.KerasTensor((sequence.shape[0], width), dtype=self.compute_dtype),
        )

    def get_config(self):
        return {
            **super().get_config(),
            "units": self.units,
            "cell": self.cell,
            "bidirectional": self.bidirectional,
            "recurrent_initializer": self.recurrent_initializer,
        }
