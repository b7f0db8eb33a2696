"""What late and early fusion share: a vector for each modality, and one head that reads them all."""

from collections.abc import Iterable

import keras

from plumkeras import features
from plumkeras.layers.missing_modality import AbsentVector, Presence
from plumkeras.layers.prediction import Prediction
from plumkeras.layers.text_encoder import TextEncoder
from plumkeras.models.base import MultimodalNetwork, check_widths
from plumkeras.tasks import get_task


class FusionNetwork(MultimodalNetwork):
    """A vector for each modality, or a learned one where it is missing; concatenated, the head.

    A subclass defines `modality_vector`, and sets the attributes. Its constructor takes the arguments of this one.

    Attributes:
        own_name: name of the network where none is given.
        own_dtype: what all layers compute in whatever the `dtype`, or None.
    """

    own_name: str
    own_dtype: str | None = None

    def __init__(
        self,
        feature_dims: dict[str, int],
        hidden_dim: int = 128,
        num_classes: int = 3,
        task: str = "regression",
        dropout: float = 0.3,
        signed_log1p: Iterable[str] = (),
        text_encoder: TextEncoder | None = None,
        name: str | None = None,
        dtype=None,
        trainable: bool = True,
    ):
        get_task(task)
        feature_dims = check_widths(feature_dims, text_encoder)
        signed_log1p = tuple(m for m in feature_dims if m in signed_log1p)
        policy = keras.dtype_policies.get(dtype)
        dtype = self.own_dtype or policy
        inputs = self.named_input_tensors(feature_dims)
        outputs, vectors = {}, []
        for m, width in feature_dims.items():
            sequence, length = inputs[features.input_name(m, width)], inputs[f"{m}_length"]
            compression = "signed_log1p" if m in signed_log1p else None
            encoder = text_encoder if width == features.TOKEN_IDS else None
            vector = self.modality_vector(m, sequence, length, compression, encoder, hidden_dim, dropout, dtype)
            outputs[f"{m}_present"] = Presence(name=f"{m}_presence")(length)
            vectors.append(AbsentVector(dtype=dtype, name=f"{m}_absent")(vector, outputs[f"{m}_present"]))
        joint = keras.layers.Concatenate(dtype=dtype, name="joint")(vectors) if len(vectors) > 1 else vectors[0]
        head = Prediction(task, hidden_dim, num_classes, dropout, dtype=dtype, name="prediction")
        outputs["prediction"] = head(joint)
        super().__init__(inputs=inputs, outputs=outputs, name=name or self.own_name, trainable=trainable)
        self.feature_dims, self.hidden_dim, self.num_classes, self.task = feature_dims, hidden_dim, num_classes, task
        self.dropout, self.signed_log1p, self.policy = dropout, signed_log1p, policy

    @staticmethod
    def modality_vector(modality, sequence, length, compression, text_encoder, hidden_dim, dropout, dtype):
        """The vector `[B, d]` of a modality's frames.

        Args:
            modality: its name, with which the names of its layers begin.
            sequence: `[B, T, F]`, raw features; or `[B, T]`, token ids.
            length: `[B]` int, valid leading frames.
            compression: see `layers.FeatureStandardization`.
            text_encoder: `layers.TextEncoder` that reads token ids, or None of features.
            hidden_dim, dropout, dtype: of the layers.
        """
        raise NotImplementedError

    def get_config(self):
        own = {"hidden_dim": self.hidden_dim, "dropout": self.dropout, "signed_log1p": list(self.signed_log1p)}
        return {**super().get_config(), **own}
