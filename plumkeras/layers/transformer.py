"""Pre-norm Transformer encoder with a padding mask."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization, SelfAttention, gelu, join_frames, split_frames
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE, attended_frames, check_divisible


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TransformerBlock(keras.layers.Layer):
    """`x + drop(attention(norm(x)))`, then `x + drop(feed_forward(norm(x)))`; feed-forward `4d` with GELU.

    Several sequences go through it at once, so that a layer is one matrix product for all of them.

    Call arguments:
        rows: `[N, d]`, the frames of the sequences, one sequence after another.
        masks: list of `[B, T]` bool, one for each sequence, the frames that may be read.

    Returns:
        `[N, d]`.

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
        self.attention = SelfAttention(hidden_dim, num_heads, dtype=policy, name="attention")
        self.feed_forward_norm = LayerNormalization(dtype=policy, name="feed_forward_norm")
        self.expand = keras.layers.Dense(4 * hidden_dim, dtype=policy, name="expand")
        self.contract = keras.layers.Dense(hidden_dim, dtype=policy, name="contract")
        self.attention_drop = Dropout(dropout, dtype=policy, name="attention_drop")
        self.feed_forward_drop = Dropout(dropout, dtype=policy, name="feed_forward_drop")

    def build(self, rows_shape, masks_shape=None):
        self.attention_norm.build(rows_shape)
        self.attention.build((None, *rows_shape), (None, *rows_shape))
        self.feed_forward_norm.build(rows_shape)
        self.expand.build(rows_shape)
        self.contract.build((None, 4 * self.hidden_dim))
        self.built = True

    def call(self, rows, masks, training=False):
        hidden = self.attention(self.attention_norm(rows, training=training), masks, training=training)
        rows = rows + self.attention_drop(hidden, training=training)
        hidden = self.expand(self.feed_forward_norm(rows, training=training))
        hidden = self.contract(gelu(hidden, training))
        return rows + self.feed_forward_drop(hidden, training=training)

    def compute_output_spec(self, rows, masks, training=False):
        return keras.KerasTensor(rows.shape, dtype=self.compute_dtype)

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
        sequence: `[B, T, d]`, or a list of several.
        length: `[B]` int, valid leading frames; a list for several sequences.

    Returns:
        `[B, T, d]`, or a list; rows past the length are finite and mean nothing.
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
        rows = (None, self.hidden_dim)
        for block in self.blocks:
            block.build(rows)
        self.final_norm.build(rows)
        self.built = True

    def call(self, sequence, length, training=False):
        several = isinstance(sequence, list)
        sequences, lengths = (sequence, length) if several else ([sequence], [length])
        masks = [attended_frames(*pair) for pair in zip(sequences, lengths, strict=True)]
        rows = join_frames(sequences)
        for block in self.blocks:
            rows = block(rows, masks, training=training)
        rows = self.final_norm(rows, training=training)
        encoded = split_frames(rows, [ops.shape(mask) for mask in masks])
        return encoded if several else encoded[0]

    def compute_output_spec(self, sequence, length, training=False):
        if isinstance(sequence, list):
            return [self.compute_output_spec(one, length) for one in sequence]
        return keras.KerasTensor(sequence.shape, dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
        }
