"""Late fusion: each modality for itself, until a head reads them all. A comparator, and the smallest model there is."""

from collections.abc import Iterable

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.missing_modality import AbsentVector, Presence
from plumkeras.layers.modality_encoder import ModalityEncoder
from plumkeras.layers.prediction import Prediction
from plumkeras.models.base import MultimodalNetwork, check_widths
from plumkeras.tasks import get_task


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class LateFusion(MultimodalNetwork):
    """Per modality: standardise, project, masked mean over the valid frames, `Dense(d)`, GELU; concatenated, the head.

    Args:
        feature_dims: dict from modality to feature width.
        hidden_dim: int, even. `d`. Defaults to `128`.
        num_classes: int. `C`, of the prediction unless it is a regression. Defaults to `3`.
        task: a name of `plumkeras.tasks`. Defaults to `"regression"`.
        dropout: float. Defaults to `0.3`.
        signed_log1p: modalities whose raw features are compressed, see `layers.FeatureStandardization`.

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

    def __init__(
        self,
        feature_dims: dict[str, int],
        hidden_dim: int = 128,
        num_classes: int = 3,
        task: str = "regression",
        dropout: float = 0.3,
        signed_log1p: Iterable[str] = (),
        name: str = "late_fusion",
        dtype=None,
        trainable: bool = True,
    ):
        get_task(task)
        feature_dims = check_widths(feature_dims)
        signed_log1p = tuple(m for m in feature_dims if m in signed_log1p)
        dtype = keras.dtype_policies.get(dtype)
        inputs = self.named_input_tensors(feature_dims)
        outputs, vectors = {}, []
        for m in feature_dims:
            length = inputs[f"{m}_length"]
            compression = "signed_log1p" if m in signed_log1p else None
            frames = ModalityEncoder(hidden_dim, compression, dropout, dtype=dtype, name=f"{m}_encoder")(
                inputs[m], length
            )
            vector = SequenceMean(dtype=dtype, name=f"{m}_mean")(frames, length)
            vector = keras.layers.Dense(hidden_dim, activation="gelu", dtype=dtype, name=f"{m}_hidden")(vector)
            vector = Dropout(dropout, dtype=dtype, name=f"{m}_drop")(vector)
            outputs[f"{m}_present"] = Presence(name=f"{m}_presence")(length)
            vectors.append(AbsentVector(dtype=dtype, name=f"{m}_absent")(vector, outputs[f"{m}_present"]))
        joint = keras.layers.Concatenate(dtype=dtype, name="joint")(vectors) if len(vectors) > 1 else vectors[0]
        head = Prediction(task, hidden_dim, num_classes, dropout, dtype=dtype, name="prediction")
        outputs["prediction"] = head(joint)
        super().__init__(inputs=inputs, outputs=outputs, name=name, trainable=trainable)
        self.feature_dims, self.hidden_dim, self.num_classes, self.task = feature_dims, hidden_dim, num_classes, task
        self.dropout, self.signed_log1p, self.policy = dropout, signed_log1p, dtype

    def get_config(self):
        return {
            "feature_dims": dict(self.feature_dims),
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "task": self.task,
            "dropout": self.dropout,
            "signed_log1p": list(self.signed_log1p),
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.policy),
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)
