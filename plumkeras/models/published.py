"""What the published models share: features of two modalities or more, standardised; the task's own output."""

import keras

from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.feature_standardization import FeatureStandardization
from plumkeras.layers.masking import FirstFrame, SequenceMean
from plumkeras.layers.missing_modality import Presence
from plumkeras.layers.prediction import TaskOutput
from plumkeras.models.base import MultimodalNetwork, check_widths
from plumkeras.models.needs import refusal
from plumkeras.tasks import get_task


def in_order(modalities, order) -> list[str]:
    """The modalities: those of `order` first, as they come there, then the others."""
    return [m for m in order if m in modalities] + [m for m in modalities if m not in order]


def check_pooling(text_pooling, allowed):
    """Raises `ValueError` unless `text_pooling` is one of those."""
    if text_pooling not in allowed:
        raise ValueError(f"`text_pooling` must be one of {allowed}. Received: text_pooling={text_pooling!r}")


def text_vector(sequence, length, text_pooling, policy):
    """The vector of a text: the mean of its frames (`"mean"`), or the first one (`"first"`)."""
    pool = {"mean": SequenceMean, "first": FirstFrame}[text_pooling]
    return pool(dtype=policy, name=f"text_{text_pooling}")(sequence, length)


class PublishedNetwork(MultimodalNetwork):
    """A model of the literature, on sequences of features.

    A subclass sets the attributes, says its own hyperparameters in its constructor, hands them to this one, and defines
    `wire`.

    Args:
        feature_dims, num_classes, task, signed_log1p, name, dtype, trainable: as in `FusionNetwork`.
        **options: the model's own hyperparameters, for `wire` and the configuration.

    Attributes:
        own_name: name of the model, and of the network where none is given.

    Raises:
        ValueError: the modalities or the task are not what the model needs, see `models.needs`.
    """

    own_name: str

    def __init__(self, feature_dims, num_classes, task, signed_log1p, name, dtype, trainable, **options):
        get_task(task)
        if reason := refusal(self.own_name, dict(feature_dims), task):
            raise ValueError(reason)
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


def residual_head(states, dropout, task, num_classes, policy):
    """The prediction of `states` `[B, h]`: two dense layers of the same width, whose result is added to them, and one.

    Args:
        states: output of a layer.
        dropout: float, between the two layers.
        task, num_classes, policy: as in `PublishedNetwork.wire`.
    """
    units = states.shape[-1]
    hidden = FanInDense(units, "relu", dtype=policy, name="head_dense_1")(states)
    hidden = Dropout(dropout, dtype=policy, name="head_drop")(hidden)
    hidden = FanInDense(units, dtype=policy, name="head_dense_2")(hidden)
    hidden = keras.layers.Add(dtype=policy, name="head_residual")([states, hidden])
    return TaskOutput(task, num_classes, name="head_output")(hidden)
