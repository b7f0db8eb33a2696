"""Private Refinement, the paper's eq. 9."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization, MultiHeadAttention, per_frame
from plumkeras.layers.masking import PACKAGE, attended_frames, check_divisible, masked_mean

FUSIONS = ("sequence", "vector")


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class PrivateRefinement(keras.layers.Layer):
    """Fuses the two branches of a modality by cross-attention both ways, then attends to its soft label.

    `a = MHA(common -> private)`, `b = MHA(private -> common)`, `H_fusion = LayerNorm(Dense([a; b]))`,
    `H_private = MHA(Dense(H_fusion), label tokens)` with the tokens `soft[:, k] * E_k`, and
    `H = H_fusion + H_private`, averaged over the valid frames.

    Args:
        hidden_dim: int. `d`.
        num_classes: int. `C`.
        num_heads: int. Defaults to `8`.
        fusion: `"sequence"` attends between the two branches' sequences; `"vector"` between their two pooled vectors,
            as the paper prints it. A softmax over the one key of a vector is always 1, so there the query has no
            effect: `a` is a projection of the private vector and `b` of the common one. Defaults to `"sequence"`.

    Call arguments:
        common, private: `[B, T, d]`, or `[B, d]` with `fusion="vector"`.
        soft_label: `[B, C]`, from `PrototypeLabelGenerator`.
        length: `[B]` int; not read with `fusion="vector"`.

    Returns:
        `[B, d]`.

    Example:
        >>> layer = PrivateRefinement(hidden_dim=8, num_classes=3, num_heads=2)
        >>> sequence = np.ones((2, 5, 8))
        >>> tuple(layer(sequence, sequence, np.full((2, 3), 1 / 3), np.array([5, 2])).shape)
        (2, 8)

    Reference: PLUM-Net, eq. 9 and Figure 3.
    """

    def __init__(self, hidden_dim: int, num_classes: int, num_heads: int = 8, fusion: str = "sequence", **kwargs):
        super().__init__(**kwargs)
        check_divisible(hidden_dim, num_heads)
        if fusion not in FUSIONS:
            raise ValueError(f"`fusion` must be one of {FUSIONS}. Received: fusion={fusion!r}")
        self.hidden_dim = hidden_dim
        self.num_classes = num_classes
        self.num_heads = num_heads
        self.fusion = fusion
        policy = self.dtype_policy
        self.common_to_private = MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name="common_to_private")
        self.private_to_common = MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name="private_to_common")
        self.merge = keras.layers.Dense(hidden_dim, dtype=policy, name="merge")
        self.merge_norm = LayerNormalization(dtype=policy, name="merge_norm")
        self.label_query = keras.layers.Dense(hidden_dim, dtype=policy, name="label_query")
        self.label_attention = MultiHeadAttention(hidden_dim, num_heads, dtype=policy, name="label_attention")

    def build(self, common_shape, private_shape=None, soft_label_shape=None, length_shape=None):
        sequence = (None, None, self.hidden_dim)
        self.class_embedding = self.add_weight(
            shape=(self.num_classes, self.hidden_dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0 / self.hidden_dim**0.5),
            name="class_embedding",
        )
        self.common_to_private.build(sequence, sequence, sequence)
        self.private_to_common.build(sequence, sequence, sequence)
        self.merge.build((None, None, 2 * self.hidden_dim))
        self.merge_norm.build(sequence)
        self.label_query.build(sequence)
        self.label_attention.build(sequence, sequence, sequence)
        self.built = True

    def call(self, common, private, soft_label, length, training=False):
        if self.fusion == "vector":
            common, private = common[:, None, :], private[:, None, :]
            length = ops.ones_like(length)
        mask = attended_frames(common, length)
        toward_private = self.common_to_private(common, private, mask, training=training)
        toward_common = self.private_to_common(private, common, mask, training=training)
        fused = per_frame(self.merge, ops.concatenate([toward_private, toward_common], axis=-1))
        fused = self.merge_norm(fused, training=training)
        embedding = ops.cast(ops.convert_to_tensor(self.class_embedding), fused.dtype)
        tokens = ops.cast(ops.stop_gradient(soft_label), fused.dtype)[:, :, None] * embedding[None]
        enhanced = self.label_attention(per_frame(self.label_query, fused), tokens, training=training)
        return masked_mean(fused + enhanced, mask)

    def compute_output_spec(self, common, private, soft_label, length, training=False):
        return keras.KerasTensor((common.shape[0], self.hidden_dim), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "num_heads": self.num_heads,
            "fusion": self.fusion,
        }
