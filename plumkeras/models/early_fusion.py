"""Early fusion: one perceptron over the mean features of all modalities. A comparator, and the smallest model."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.feature_standardization import FeatureStandardization
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.models.fusion import FusionNetwork


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class EarlyFusion(FusionNetwork):
    """Per modality: standardise, masked mean over the valid frames; concatenated, the head, `Dense(d)`, GELU, `Dense`.

    All of it is float32 whatever the precision: a feature that was constant in training, or an outlier, can be larger
    after the standardisation than float16 holds.

    Args:
        feature_dims: dict from modality to feature width.
        hidden_dim: int. `d`. Defaults to `128`.
        num_classes: int. `C`, of the prediction unless it is a regression. Defaults to `3`.
        task: a name of `plumkeras.tasks`. Defaults to `"regression"`.
        dropout: float. Defaults to `0.3`.
        signed_log1p: modalities whose raw features are compressed, see `layers.FeatureStandardization`.
        text_encoder: as in `PLUMNet`. The mean of its vectors is the text's.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction` (`[B]`, or `[B, C]` probabilities) and, per modality, `<modality>_present` `[B]` bool.

    Example:
        >>> network = EarlyFusion({"text": 12, "audio": 5}, hidden_dim=16)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["prediction"].shape)
        (2,)
    """

    own_name, own_dtype = "early_fusion", "float32"

    @staticmethod
    def modality_vector(modality, sequence, length, compression, text_encoder, hidden_dim, dropout, dtype):
        encoder = text_encoder or FeatureStandardization(compression, name=f"{modality}_standardization")
        return SequenceMean(dtype=dtype, name=f"{modality}_mean")(encoder(sequence, length), length)

    def _standardization(self, modality):
        return self.get_layer(f"{modality}_standardization")
