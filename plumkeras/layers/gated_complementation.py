"""BBFN's layers: two sequences read each other, gated by summaries that a discriminator learns to tell apart."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.crossmodal_transformer import CrossmodalLayer
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE, masked_mean, valid_frames, zero_padding
from plumkeras.layers.recurrent import Recurrent


class Separator(keras.layers.Layer):
    """Summaries of two sequences, and what a discriminator makes of each.

    A summary is a dense layer of the mean over the valid frames; or, recurrent, the mean over the valid frames of a
    bidirectional GRU, averaged over its directions.

    Call arguments:
        sequences: pair of `[B, T, d]`.
        lengths: pair of `[B]` int.

    Returns:
        Both summaries side by side, `[B, 2d]`, and their logits `[B, 2]` of being the second modality's, in float32.
    """

    def __init__(self, names, width, recurrent, **kwargs):
        super().__init__(**kwargs)
        self.width, self.recurrent = width, recurrent
        self.summarizers = [self._summarizer(name) for name in names]
        self.discriminator_1 = FanInDense(4 * width, "relu", dtype=self.dtype_policy, name="discriminator_1")
        self.discriminator_2 = FanInDense(1, dtype="float32", name="discriminator_2")

    def _summarizer(self, name):
        if not self.recurrent:
            return FanInDense(self.width, dtype=self.dtype_policy, name=name)
        options = {"bidirectional": True, "recurrent_initializer": "orthogonal"}
        return Recurrent(self.width, "gru", dtype=self.dtype_policy, name=name, **options)

    def build(self, sequence_shape):
        vector_shape = (sequence_shape[0], self.width)
        for summarizer in self.summarizers:
            summarizer.build(sequence_shape if self.recurrent else vector_shape)
        self.discriminator_1.build(vector_shape)
        self.discriminator_2.build((sequence_shape[0], 4 * self.width))
        self.built = True

    def call(self, sequences, lengths, training=False):
        summaries = [
            self._summary(*args, training=training) for args in zip(self.summarizers, sequences, lengths, strict=True)
        ]
        scores = [self.discriminator_2(self.discriminator_1(summary)) for summary in summaries]
        return ops.concatenate(summaries, axis=-1), ops.concatenate(scores, axis=-1)

    def _summary(self, summarizer, sequence, length, training):
        if not self.recurrent:
            return summarizer(masked_mean(sequence, valid_frames(sequence, length)))
        outputs, _ = summarizer(sequence, length, training=training)
        mean = masked_mean(outputs, valid_frames(outputs, length))
        return (mean[:, : self.width] + mean[:, self.width :]) / 2


class GatedCrossmodalLayer(CrossmodalLayer):
    """`a = drop(attention(norm(x), norm(s))) * g_a + x * g_r`, then `a + drop(W2 drop(relu(W1 norm(a))))`.

    Call arguments:
        target, source, readable: as those of `CrossmodalLayer`.
        summary: `[B, 2d]`, of which a sigmoid makes the gates `g_a` and `g_r`, the same for every frame.
    """

    def __init__(self, width, *args, **kwargs):
        super().__init__(width, *args, **kwargs)
        self.gate_attention, self.gate_residual = (
            FanInDense(width, "sigmoid", dtype=self.dtype_policy, name=name)
            for name in ("gate_attention", "gate_residual")
        )

    def build(self, target_shape):
        super().build(target_shape)
        for gate in (self.gate_attention, self.gate_residual):
            gate.build((target_shape[0], 2 * target_shape[-1]))

    def call(self, target, source, readable, summary, training=False):
        query, value = (self.norm_attention(sequence, training=training) for sequence in (target, source))
        attended = self.attention_drop(self.attention(query, value, readable, training=training), training=training)
        attended = attended * self.gate_attention(summary)[:, None] + target * self.gate_residual(summary)[:, None]
        return self._feed_forward(attended, training)


class ComplementationLayer(keras.layers.Layer):
    """A `Separator`, and a `GatedCrossmodalLayer` for either sequence, both of which read what the sequences were.

    Args:
        names: of the two modalities.
        width, recurrent: those of `Separator`.
        *options: the rest of `CrossmodalLayer`'s.
    """

    def __init__(self, names, width, recurrent, *options, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.separator = Separator(names, width, recurrent, dtype=policy, name="separator")
        self.targets = [GatedCrossmodalLayer(width, *options, dtype=policy, name=f"target_{name}") for name in names]

    def build(self, sequence_shape):
        for layer in (self.separator, *self.targets):
            layer.build(sequence_shape)
        self.built = True

    def call(self, sequences, lengths, training=False):
        summary, scores = self.separator(sequences, lengths, training=training)
        valid = [valid_frames(*pair) for pair in zip(sequences, lengths, strict=True)]
        read = []
        for at, layer in enumerate(self.targets):
            readable = ops.logical_and(valid[at][:, :, None], valid[1 - at][:, None, :])
            read.append(layer(sequences[at], sequences[1 - at], readable, summary, training=training))
        return read, scores


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class GatedComplementation(keras.layers.Layer):
    """BBFN's stack for a pair of modalities, in whose layers the frames of either one read those of the other.

    In each layer, gates decide by channel how much of what was read and how much of the frame itself goes on. They are
    made of one summary of each modality, which a discriminator tells apart.

    Args:
        names: pair of the modalities' names, for those of the weights.
        width: int `d`, a multiple of `num_heads`.
        num_layers: int `K`.
        num_heads: int.
        feed_forward: int, inner width; `None`: `4d`. Defaults to `None`.
        attention_dropout, relu_dropout, residual_dropout: floats. Default to `0`.

    Call arguments:
        first: `[B, T, d]` float.
        first_length: `[B]` int, valid leading frames.
        second: `[B, S, d]` float.
        second_length: `[B]` int.

    Returns:
        `[B, T, d]` and `[B, S, d]`, zero past the length; and the discriminators' logits of each modality's summary,
        `[B, K, 2]` float32.

    Reference: Han et al. 2021, section 3.
    """

    def __init__(
        self,
        names,
        width,
        num_layers,
        num_heads,
        feed_forward=None,
        attention_dropout=0.0,
        relu_dropout=0.0,
        residual_dropout=0.0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = {
            "names": list(names),
            "width": width,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "feed_forward": feed_forward,
            "attention_dropout": attention_dropout,
            "relu_dropout": relu_dropout,
            "residual_dropout": residual_dropout,
        }
        options = (num_heads, feed_forward or 4 * width, attention_dropout, relu_dropout, residual_dropout)
        self.blocks = [
            ComplementationLayer(names, width, i > 0, *options, dtype=self.dtype_policy, name=f"layer_{i}")
            for i in range(num_layers)
        ]

    def build(self, first_shape, first_length_shape=None, second_shape=None, second_length_shape=None):
        for block in self.blocks:
            block.build(first_shape)
        self.built = True

    def call(self, first, first_length, second, second_length, training=False):
        sequences, lengths = [first, second], [first_length, second_length]
        scores = []
        for block in self.blocks:
            sequences, score = block(sequences, lengths, training=training)
            scores.append(score)
        first, second = (zero_padding(*pair) for pair in zip(sequences, lengths, strict=True))
        return first, second, ops.stack(scores, axis=1)

    def compute_output_spec(self, first, first_length, second, second_length, training=False):
        return (
            *(keras.KerasTensor(sequence.shape, dtype=self.compute_dtype) for sequence in (first, second)),
            keras.KerasTensor((first.shape[0], len(self.blocks), 2), dtype="float32"),
        )

    def get_config(self):
        return {**super().get_config(), **self.options}
