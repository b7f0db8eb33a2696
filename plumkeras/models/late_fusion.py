"""Late fusion: each modality for itself, until a head reads them all. A comparator."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.modality_encoder import ModalityEncoder
from plumkeras.layers.text_encoder import TextModalityEncoder
from plumkeras.models.fusion import FusionNetwork


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class LateFusion(FusionNetwork):
    """Per modality: standardise, project, masked mean over the valid frames, `Dense(d)`, GELU; concatenated, the head.

    Args:
        feature_dims: dict from modality to feature width.
        hidden_dim: int, even. `d`. Defaults to `128`.
        num_classes: int. `C`, of the prediction unless it is a regression. Defaults to `3`.
        task: a name of `plumkeras.tasks`. Defaults to `"regression"`.
        dropout: float. Defaults to `0.3`.
        signed_log1p: modalities whose raw features are compressed, see `layers.FeatureStandardization`.
        text_encoder: as in `PLUMNet`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction` (`[B]`, or `[B, C]` probabilities) and, per modality, `<modality>_present` `[B]` bool.

    Example:
        >>> network = LateFusion({"text": 12, "audio": 5}, hidden_dim=16)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["prediction"].shape)
        (2,)
    """

    own_name = "late_fusion"

    @staticmethod
    def modality_vector(modality, sequence, length, compression, text_encoder, hidden_dim, dropout, dtype):
        name = f"{modality}_encoder"
        if text_encoder is None:
            encoder = ModalityEncoder(hidden_dim, compression, dropout, dtype=dtype, name=name)
        else:
            encoder = TextModalityEncoder(hidden_dim, text_encoder, dropout, dtype=dtype, name=name)
        vector = SequenceMean(dtype=dtype, name=f"{modality}_mean")(encoder(sequence, length), length)
        vector = keras.layers.Dense(hidden_dim, activation="gelu", dtype=dtype, name=f"{modality}_hidden")(vector)
        return Dropout(dropout, dtype=dtype, name=f"{modality}_drop")(vector)
