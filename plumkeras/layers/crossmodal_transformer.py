"""The Transformer of MulT, in which the frames of one modality read those of another; BBFN, DMD and GLoMo use it."""

import math

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE, check_divisible, valid_frames

_MASKED = -1e9
# Of the framework that the comparators were published in.
EPSILON = 1e-5


def mult_positions(frames, width):
    """MulT's position signal `[frames, width]`: sines of all frequencies, then cosines; position `t + 1` at frame `t`.

    The frequencies are `10000 ** (-j / (H - 1))`, `H = width // 2`; of an odd width the last column is 0.
    """
    half = width // 2
    scale = math.log(10000.0) / max(half - 1, 1)
    frequencies = ops.exp(ops.arange(half, dtype="float32") * -scale)
    angle = (ops.cast(ops.arange(frames), "float32")[:, None] + 1.0) * frequencies[None, :]
    parts = [ops.sin(angle), ops.cos(angle)]
    if width % 2:
        parts.append(ops.zeros_like(angle[:, :1]))
    return ops.concatenate(parts, axis=-1)


def readable_frames(query, query_length, key, key_length, causal):
    """Which frames of `key` each frame of `query` may read, `[B, T, S]` bool: the valid ones.

    Causal, frame `i` reads `j <= i + |S - T|` alone, with each sample's own lengths, so that padding has no say.
    """
    readable = valid_frames(key, key_length)[:, None, :]
    if not causal:
        return ops.broadcast_to(readable, (ops.shape(query)[0], ops.shape(query)[1], ops.shape(key)[1]))
    apart = ops.abs(ops.cast(key_length, "int32") - ops.cast(query_length, "int32"))
    last = ops.arange(ops.shape(query)[1])[None, :] + apart[:, None]
    return ops.logical_and(readable, ops.arange(ops.shape(key)[1])[None, None, :] <= last[:, :, None])


class Attention(keras.layers.Layer):
    """Multi-head attention with a mask `[B, T, S]` and dropout of the weights.

    A query that may read nothing gets the output's bias alone: attention to no frame is 0, not the mean of the padding.

    Args:
        width: int, a multiple of `num_heads`.
        num_heads: int.
        dropout: float, of the attention weights.
        fused_initializer: bool. Whether the kernels of queries, keys and values are drawn as one of `[d, 3d]`.

    Call arguments:
        query: `[B, T, d]`.
        value: `[B, S, d]`, also the keys.
        readable: `[B, T, S]` bool.

    Reference: Vaswani et al. 2017, section 3.2.
    """

    def __init__(self, width, num_heads, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        check_divisible(width, num_heads)
        self.width, self.num_heads, self.dropout = width, num_heads, dropout
        # Glorot's rule for the three kernels as one of [d, 3d].
        limit = (6 / (4 * width)) ** 0.5
        for name in ("query", "key", "value"):
            initializer = keras.initializers.RandomUniform(-limit, limit)
            setattr(self, name, self._dense(name, initializer))
        self.output_projection = self._dense("output", "glorot_uniform")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def _dense(self, name, initializer):
        return keras.layers.Dense(self.width, kernel_initializer=initializer, dtype=self.dtype_policy, name=name)

    def build(self, query_shape, value_shape, readable_shape=None):
        self.query.build(query_shape)
        for layer in (self.key, self.value):
            layer.build(value_shape)
        self.output_projection.build(query_shape)
        self.built = True

    def call(self, query, value, readable, training=False):
        heads = [self._split(self.query(query)), self._split(self.key(value)), self._split(self.value(value))]
        queries, keys, values = heads
        scores = ops.matmul(queries * (self.width // self.num_heads) ** -0.5, ops.transpose(keys, (0, 1, 3, 2)))
        scores = ops.cast(scores, keras.backend.result_type(scores.dtype, "float32"))
        mask = readable[:, None]
        scores = ops.where(mask, scores, _MASKED)
        # By hand: Keras warns of a softmax over one key.
        weights = ops.exp(scores - ops.max(scores, axis=-1, keepdims=True))
        weights = ops.where(mask, weights / ops.sum(weights, axis=-1, keepdims=True), 0.0)
        attended = ops.matmul(self.drop(ops.cast(weights, values.dtype), training=training), values)
        attended = ops.transpose(attended, (0, 2, 1, 3))
        return self.output_projection(ops.reshape(attended, ops.shape(query)))

    def _split(self, projected):
        shape = (*ops.shape(projected)[:2], self.num_heads, self.width // self.num_heads)
        return ops.transpose(ops.reshape(projected, shape), (0, 2, 1, 3))

    def compute_output_spec(self, query, value, readable, training=False):
        return keras.KerasTensor(query.shape, dtype=self.compute_dtype)

    def get_config(self):
        own = {"width": self.width, "num_heads": self.num_heads, "dropout": self.dropout}
        return {**super().get_config(), **own}


class CrossmodalLayer(keras.layers.Layer):
    """`a = x + drop(attention(norm(x), norm(s)))`, then `a + drop(W2 drop(relu(W1 norm(a))))`; pre-norm.

    Target and source go through the same normalisation.

    Call arguments:
        target: `[B, T, d]`.
        source: `[B, S, d]`, or None: the target itself.
        readable: `[B, T, S]` bool.
    """

    def __init__(self, width, num_heads, feed_forward, attention_dropout, relu_dropout, residual_dropout, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.norm_attention = LayerNormalization(epsilon=EPSILON, dtype=policy, name="norm_attention")
        self.attention = Attention(width, num_heads, attention_dropout, dtype=policy, name="attention")
        self.norm_feed_forward = LayerNormalization(epsilon=EPSILON, dtype=policy, name="norm_feed_forward")
        # Glorot's rule and biases of 0, as Keras has them.
        self.feed_forward_in = keras.layers.Dense(feed_forward, "relu", dtype=policy, name="feed_forward_in")
        self.feed_forward_out = keras.layers.Dense(width, dtype=policy, name="feed_forward_out")
        self.attention_drop = Dropout(residual_dropout, dtype=policy, name="attention_drop")
        self.relu_drop = Dropout(relu_dropout, dtype=policy, name="relu_drop")
        self.feed_forward_drop = Dropout(residual_dropout, dtype=policy, name="feed_forward_drop")

    def build(self, target_shape):
        self.norm_attention.build(target_shape)
        self.attention.build(target_shape, target_shape)
        self.norm_feed_forward.build(target_shape)
        self.feed_forward_in.build(target_shape)
        self.feed_forward_out.build((*target_shape[:-1], self.feed_forward_in.units))
        self.built = True

    def call(self, target, source, readable, training=False):
        query = self.norm_attention(target, training=training)
        value = query if source is None else self.norm_attention(source, training=training)
        attended = self.attention(query, value, readable, training=training)
        return self._feed_forward(target + self.attention_drop(attended, training=training), training)

    def _feed_forward(self, target, training):
        hidden = self.feed_forward_in(self.norm_feed_forward(target, training=training))
        hidden = self.feed_forward_out(self.relu_drop(hidden, training=training))
        return target + self.feed_forward_drop(hidden, training=training)


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class CrossmodalEncoder(keras.layers.Layer):
    """MulT's encoder: `num_layers` layers in which a target reads a source, or itself, and a last normalisation.

    Both are multiplied by `sqrt(d)` and get positions; the source is the same in every layer.

    Args:
        width: int `d`, a multiple of `num_heads`.
        num_layers: int.
        num_heads: int.
        feed_forward: int, inner width; `None`: `4d`. Defaults to `None`.
        attention_dropout, relu_dropout, residual_dropout, embed_dropout: floats. Default to `0`.
        causal: bool, see `readable_frames`. Defaults to `True`.

    Call arguments:
        target: `[B, T, d]` float.
        target_length: `[B]` int, valid leading frames.
        source: `[B, S, d]`, or `None`: the target.
        source_length: `[B]` int.

    Returns:
        `[B, T, d]`; rows past the length are finite and mean nothing.

    Reference: Tsai et al. 2019, section 3.2. Of the public code, its lengths and not its zeros say what is padding.
    """

    def __init__(
        self,
        width,
        num_layers,
        num_heads,
        feed_forward=None,
        attention_dropout=0.0,
        relu_dropout=0.0,
        residual_dropout=0.0,
        embed_dropout=0.0,
        causal=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.options = {
            "width": width,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "feed_forward": feed_forward,
            "attention_dropout": attention_dropout,
            "relu_dropout": relu_dropout,
            "residual_dropout": residual_dropout,
            "embed_dropout": embed_dropout,
            "causal": causal,
        }
        self.width, self.causal = width, causal
        rates = (attention_dropout, relu_dropout, residual_dropout)
        self.blocks = [
            CrossmodalLayer(
                width, num_heads, feed_forward or 4 * width, *rates, dtype=self.dtype_policy, name=f"layer_{i}"
            )
            for i in range(num_layers)
        ]
        self.norm_final = LayerNormalization(epsilon=EPSILON, dtype=self.dtype_policy, name="norm_final")
        self.embed_drop = Dropout(embed_dropout, dtype=self.dtype_policy, name="embed_drop")

    def build(self, target_shape, target_length_shape=None, source_shape=None, source_length_shape=None):
        for block in self.blocks:
            block.build(target_shape)
        self.norm_final.build(target_shape)
        self.built = True

    def call(self, target, target_length, source=None, source_length=None, training=False):
        if source is None:
            readable = readable_frames(target, target_length, target, target_length, self.causal)
        else:
            readable = readable_frames(target, target_length, source, source_length, self.causal)
            source = self._embed(source, source_length, training)
        hidden = self._embed(target, target_length, training)
        for block in self.blocks:
            hidden = block(hidden, source, readable, training=training)
        return self.norm_final(hidden, training=training)

    def _embed(self, sequence, length, training):
        positions = mult_positions(ops.shape(sequence)[1], self.width)[None]
        valid = valid_frames(sequence, length)[:, :, None]
        positions = ops.where(valid, positions, ops.zeros_like(positions))
        embedded = sequence * self.width**0.5 + ops.cast(positions, sequence.dtype)
        return self.embed_drop(embedded, training=training)

    def compute_output_spec(self, target, target_length, source=None, source_length=None, training=False):
        return keras.KerasTensor(target.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {**super().get_config(), **self.options}


@keras.saving.register_keras_serializable(package=PACKAGE)
class LastFrame(keras.layers.Layer):
    """The last valid frame. `sequence [B, T, d]`, `length [B]` -> `[B, d]`; zero for length 0."""

    def call(self, sequence, length):
        length = ops.cast(length, "int32")
        at = ops.arange(ops.shape(sequence)[1])[None, :] == (length - 1)[:, None]
        # A sum over one frame: gathering has a slow gradient.
        return ops.sum(ops.where(at[:, :, None], sequence, ops.zeros_like(sequence)), axis=1)

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()
