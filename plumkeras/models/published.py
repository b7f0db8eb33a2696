"""What the published models share: features of two modalities or more, standardised; the task's own output."""

import keras

from plumkeras import features
from plumkeras.layers.feature_standardization import FeatureStandardization
from plumkeras.layers.missing_modality import Presence
from plumkeras.models.base import MultimodalNetwork, check_widths
from plumkeras.tasks import get_task


class PublishedNetwork(MultimodalNetwork):
    """A model of the literature, on sequences of features.

    A subclass sets the attributes, says its own hyperparameters in its constructor, hands them to this one, and defines
    `wire`.

    Args:
        feature_dims, num_classes, task, signed_log1p, name, dtype, trainable: as in `FusionNetwork`.
        **options: the model's own hyperparameters, for `wire` and the configuration.

    Attributes:
        own_name: name of the network where none is given.
        fewest_modalities: how many it needs at least.
        needs_text: whether one of them has to be `text`.

    Raises:
        ValueError: the modalities are not those that the model needs.
    """

    own_name: str
    fewest_modalities = 1
    needs_text = False

    def __init__(self, feature_dims, num_classes, task, signed_log1p, name, dtype, trainable, **options):
        get_task(task)
        self.check_modalities(feature_dims)
        feature_dims = check_widths(feature_dims)
        signed_log1p = tuple(m for m in feature_dims if m in signed_log1p)
        policy = keras.dtype_policies.get(dtype)
        inputs = self.named_input_tensors(feature_dims)
        lengths = {m: inputs[f"{m}_length"] for m in feature_dims}
        sequences = {
            m: FeatureStandardization("signed_log1p" if m in signed_log1p else None, name=f"{m}_standardization")(
                inputs[m], lengths[m]
            )
            for m in feature_dims
        }
        outputs = {f"{m}_present": Presence(name=f"{m}_presence")(lengths[m]) for m in feature_dims}
        outputs |= self.wire(sequences, lengths, task, num_classes, policy, **options)
        super().__init__(inputs=inputs, outputs=outputs, name=name or self.own_name, trainable=trainable)
        self.feature_dims, self.num_classes, self.task, self.policy = feature_dims, num_classes, task, policy
        self.signed_log1p, self.options = signed_log1p, options

    @classmethod
    def check_modalities(cls, feature_dims):
        """Raises `ValueError`, saying what to do, unless the model can be built for these modalities."""
        names = ", ".join(feature_dims)
        if features.TOKEN_IDS in dict(feature_dims).values():
            raise ValueError(
                f"{cls.own_name} reads feature vectors, and text is token ids here; leave out text.encoder"
            )
        if cls.needs_text and "text" not in feature_dims:
            raise ValueError(f"{cls.own_name} needs the modality text; the data have {names}. Try another model")
        if len(feature_dims) < cls.fewest_modalities:
            raise ValueError(
                f"{cls.own_name} needs {cls.fewest_modalities} modalities or more; the data have {names}. "
                "Try late_fusion, which takes any number"
            )

    @staticmethod
    def wire(sequences, lengths, task, num_classes, policy, **options) -> dict:
        """The named outputs, `prediction` among them, of the standardised sequences: the model itself.

        Args:
            sequences: dict by modality of `[B, T, F]`, zero past the length.
            lengths: dict by modality of `[B]`.
            task, num_classes: what `layers.prediction.TaskOutput` is built with.
            policy: dtype policy of the layers.
            **options: the constructor's.
        """
        raise NotImplementedError

    def _standardization(self, modality):
        return self.get_layer(f"{modality}_standardization")

    def get_config(self):
        return {**super().get_config(), "signed_log1p": list(self.signed_log1p), **self.options}
