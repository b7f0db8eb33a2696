"""Pre-norm Transformer encoder with a padding mask."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization, MultiHeadAttention, per_frame
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE, attended_frames, check_divisible


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TransformerBlock(keras.layers.Layer):
    """`x + drop(attention(norm(x)))`, then `x + drop(feed_forward(norm(x)))`; feed-forward `4d` with GELU.

    Call arguments:
        sequence: `[B, T, d]`.
        mask: `[B, T]` bool, the frames that may be read.

    Reference: Vaswani et al. 2017, in the pre-norm form of Xiong et al. 2020.
    """

    def __init__(self, hidden_dim, num_heads=8, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        check_divisible(hidden_dim, num_heads)
        self.hidden_dim = hidden_dim
        self.num_heads = num_heads
        self.dropout = dropout
        policy = self.dtype_policy
        self.attention_norm = LayerNormalization(dtype=policy, name="attention_norm")
        self.attention = MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name="attention")
        self.feed_forward_norm = LayerNormalization(dtype=policy, name="feed_forward_norm")
        self.expand = keras.layers.Dense(4 * hidden_dim, activation="gelu", dtype=policy, name="expand")
        self.contract = keras.layers.Dense(hidden_dim, dtype=policy, name="contract")
        self.attention_drop = Dropout(dropout, dtype=policy, name="attention_drop")
        self.feed_forward_drop = Dropout(dropout, dtype=policy, name="feed_forward_drop")

    def build(self, sequence_shape, mask_shape=None):
        self.attention_norm.build(sequence_shape)
        self.attention.build(sequence_shape, sequence_shape)
        self.feed_forward_norm.build(sequence_shape)
        self.expand.build(sequence_shape)
        self.contract.build((*sequence_shape[:-1], 4 * self.hidden_dim))
        self.built = True

    def call(self, sequence, mask, training=False):
        hidden = self.attention_norm(sequence, training=training)
        hidden = self.attention(hidden, hidden, attention_mask=mask[:, None, :])
        sequence = sequence + self.attention_drop(hidden, training=training)

        def feed_forward(rows):
            return self.contract(self.expand(self.feed_forward_norm(rows, training=training)))

        return sequence + self.feed_forward_drop(per_frame(feed_forward, sequence), training=training)

    def compute_output_spec(self, sequence, mask, training=False):
        return keras.KerasTensor(sequence.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TransformerEncoder(keras.layers.Layer):
    """`num_layers` pre-norm blocks and a last layer normalisation.

    Args:
        hidden_dim: int. `d`, a multiple of `num_heads`.
        num_layers: int. Defaults to `2`.
        num_heads: int. Defaults to `8`.
        dropout: float, on the residual branches. Defaults to `0.1`.

    Call arguments:
        sequence: `[B, T, d]`.
        length: `[B]` int, valid leading frames.

    Returns:
        `[B, T, d]`; rows past the length are finite and mean nothing.
    """

    def __init__(self, hidden_dim, num_layers=2, num_heads=8, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        check_divisible(hidden_dim, num_heads)
        self.hidden_dim = hidden_dim
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout
        self.blocks = [
            TransformerBlock(hidden_dim, num_heads, dropout, dtype=self.dtype_policy, name=f"block_{index}")
            for index in range(num_layers)
        ]
        self.final_norm = LayerNormalization(dtype=self.dtype_policy, name="final_norm")

    def build(self, sequence_shape, length_shape=None):
        for block in self.blocks:
            block.build(sequence_shape)
        self.final_norm.build(sequence_shape)
        self.built = True

    def call(self, sequence, length, training=False):
        mask = attended_frames(sequence, length)
        for block in self.blocks:
            sequence = block(sequence, mask, training=training)
        return self.final_norm(sequence, training=training)

    def compute_output_spec(self, sequence, length, training=False):
        return keras.KerasTensor(sequence.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
