"""Multilevel Semantic Alignment, the paper's eq. 1-3: the projections; the losses are `SupervisedContrastiveLoss`."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import join_frames, per_frame, processed_together, split_frames
from plumkeras.layers.masking import PACKAGE, attended_frames, masked_mean


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class MultilevelSemanticAlignment(keras.layers.Layer):
    """Projects every modality twice: by weights of its own, then by one "unified projection layer" for all.

    Args:
        hidden_dim: int. Width `d`.

    Call arguments:
        sequences: dict by modality of `f_single [B, T_m, d]`.
        lengths: dict by modality of `[B]` int.

    Returns:
        Dict by modality of dicts:
        `common_sequence [B, T_m, d]`, what the common branch reads;
        `aligned_embedding [B, d]`, `h` of eq. 1, which prototypes and distances use;
        `aligned_common [B, d]`, `h_com` of eq. 2.

    Example:
        >>> layer = MultilevelSemanticAlignment(hidden_dim=8)
        >>> sequences = {"text": np.ones((2, 5, 8)), "audio": np.ones((2, 3, 8))}
        >>> aligned = layer(sequences, {"text": np.array([5, 2]), "audio": np.array([3, 0])})
        >>> tuple(aligned["audio"]["common_sequence"].shape), tuple(aligned["audio"]["aligned_embedding"].shape)
        ((2, 3, 8), (2, 8))

    Reference: PLUM-Net, eq. 1-3.
    """

    def __init__(self, hidden_dim: int, **kwargs):
        super().__init__(**kwargs)
        self.hidden_dim = hidden_dim
        self.shared_projection = keras.layers.Dense(hidden_dim, dtype=self.dtype_policy, name="shared_projection")
        self.projections = {}

    def build(self, sequences_shape, lengths_shape):
        for modality, shape in sequences_shape.items():
            projection = keras.layers.Dense(self.hidden_dim, dtype=self.dtype_policy, name=f"{modality}_projection")
            projection.build(shape)
            self.projections[modality] = projection
        self.shared_projection.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, sequences, lengths):
        masks = {m: attended_frames(sequences[m], lengths[m]) for m in sequences}
        own = {m: per_frame(self.projections[m], sequences[m]) for m in sequences}
        common = {}
        for group in processed_together(own):
            rows = self.shared_projection(join_frames([own[m] for m in group]))
            common.update(zip(group, split_frames(rows, [ops.shape(masks[m]) for m in group]), strict=True))
        return {
            m: {
                "common_sequence": common[m],
                "aligned_embedding": masked_mean(own[m], masks[m]),
                "aligned_common": masked_mean(common[m], masks[m]),
            }
            for m in sequences
        }

    def get_config(self):
        return {**super().get_config(), "hidden_dim": self.hidden_dim}
