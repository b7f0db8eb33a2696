"""A Transformer over a few tokens of which some may be absent: vectors of modalities, without an order."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization
from plumkeras.layers.crossmodal_transformer import EPSILON, Attention
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE


class _TokenLayer(keras.layers.Layer):
    """`a = norm(x + drop(attention(x)))`, then `norm(a + drop(W2 drop(relu(W1 a))))`; post-norm."""

    def __init__(self, width, num_heads, feed_forward, dropout, **kwargs):
        super().__init__(**kwargs)
        policy = self.dtype_policy
        self.attention = Attention(width, num_heads, dropout, dtype=policy, name="attention")
        self.norm_attention = LayerNormalization(epsilon=EPSILON, dtype=policy, name="norm_attention")
        self.feed_forward_in = FanInDense(feed_forward, "relu", dtype=policy, name="feed_forward_in")
        self.feed_forward_out = FanInDense(width, dtype=policy, name="feed_forward_out")
        self.norm_feed_forward = LayerNormalization(epsilon=EPSILON, dtype=policy, name="norm_feed_forward")
        self.attention_drop = Dropout(dropout, dtype=policy, name="attention_drop")
        self.inner_drop = Dropout(dropout, dtype=policy, name="inner_drop")
        self.feed_forward_drop = Dropout(dropout, dtype=policy, name="feed_forward_drop")

    def build(self, tokens_shape):
        self.attention.build(tokens_shape, tokens_shape)
        self.norm_attention.build(tokens_shape)
        self.feed_forward_in.build(tokens_shape)
        self.feed_forward_out.build((*tokens_shape[:-1], self.feed_forward_in.units))
        self.norm_feed_forward.build(tokens_shape)
        self.built = True

    def call(self, tokens, readable, training=False):
        attended = self.attention(tokens, tokens, readable, training=training)
        tokens = self.norm_attention(tokens + self.attention_drop(attended, training=training), training=training)
        hidden = self.inner_drop(self.feed_forward_in(tokens), training=training)
        hidden = self.feed_forward_drop(self.feed_forward_out(hidden), training=training)
        return self.norm_feed_forward(tokens + hidden, training=training)


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TokenEncoder(keras.layers.Layer):
    """A post-norm Transformer over tokens, without positions and without a last normalisation.

    Absent tokens are read by none, and come out as 0.

    Args:
        width: int `d`, a multiple of `num_heads`.
        num_layers: int. Defaults to `1`.
        num_heads: int. Defaults to `2`.
        feed_forward: int, inner width. Defaults to `2048`.
        dropout: float. Defaults to `0.1`.

    Call arguments:
        tokens: `[B, N, d]` float.
        lengths: list of `N` tensors `[B]` int; 0 where a sample does not have the token.

    Returns:
        `[B, N, d]`.

    Example:
        >>> encoder = TokenEncoder(4, feed_forward=8)
        >>> encoder(np.ones((1, 2, 4)), [np.array([3]), np.array([0])]).shape
        TensorShape([1, 2, 4])
    """

    def __init__(self, width, num_layers=1, num_heads=2, feed_forward=2048, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.width, self.num_layers, self.num_heads = width, num_layers, num_heads
        self.feed_forward, self.dropout = feed_forward, dropout
        self.blocks = [
            _TokenLayer(width, num_heads, feed_forward, dropout, dtype=self.dtype_policy, name=f"layer_{i}")
            for i in range(num_layers)
        ]

    def build(self, tokens_shape, lengths_shape=None):
        for block in self.blocks:
            block.build(tokens_shape)
        self.built = True

    def call(self, tokens, lengths, training=False):
        present = ops.stack([ops.cast(length, "int32") > 0 for length in lengths], axis=1)
        readable = ops.logical_and(present[:, None, :], present[:, :, None])
        for block in self.blocks:
            tokens = block(tokens, readable, training=training)
        return ops.where(present[:, :, None], tokens, ops.zeros_like(tokens))

    def compute_output_spec(self, tokens, lengths, training=False):
        return keras.KerasTensor(tokens.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "width": self.width,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "feed_forward": self.feed_forward,
            "dropout": self.dropout,
        }
