"""BBFN, the Bi-Bimodal Fusion Network, and what it minimises."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.fan_in import FanInConv1D
from plumkeras.layers.gated_complementation import GatedComplementation
from plumkeras.layers.masking import PACKAGE, FirstFrame, SequenceMean
from plumkeras.models.published import PublishedNetwork, residual_head
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, mean_of_rows, rows_with


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class BBFN(PublishedNetwork):
    """A Transformer for each pair of the text and another modality, in which either of the two reads the other.

    Gates in every layer decide how much of what was read is taken over. Of the summaries that they are made of, a
    discriminator has to tell whose they are, so that the two modalities stay apart; see `BBFNObjective`. The first
    frames of all pairs feed a residual head.

    Made for aligned data. Of unaligned ones each modality has its own frames: keys are masked by the source's length,
    rows by the target's.

    Deviations from the public code: the frames of aligned features meet those of the text as they are, without a zero
    frame at either end. A missing modality is read as nothing, its first frame is 0, and no discriminator learns from
    the pair. The epoch is chosen by the task's loss alone, on validation.

    Args:
        feature_dims: dict from modality to feature width, of `text` and another modality at least.
        width: int `d`, a multiple of `num_heads`. Defaults to `40`.
        num_layers: int, of each pair. Defaults to `5`.
        num_heads: int. Defaults to `5`.
        attention_dropout, relu_dropout, residual_dropout: floats. Default to `0.1`.
        dropout: float, of the head. Defaults to `0`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`; per modality `<m>_present` `[B]` bool and `<m>_pooled` `[B, d]`; per pair of the text and
        `<m>`, `text_from_<m>` `[B, T_text, d]`, `<m>_from_text` `[B, T_m, d]` and the discriminators' logits
        `discriminator_<m>` `[B, num_layers, 2]`, of the text's summaries and the other's; and `first_states`
        `[B, 2 (M - 1) d]`.

    Raises:
        ValueError: there is no text, or nothing else.

    Example:
        >>> network = BBFN({"text": 12, "audio": 5}, width=8, num_layers=2, num_heads=2)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 7, 5))})
        >>> tuple(outputs["audio_from_text"].shape), tuple(outputs["discriminator_audio"].shape)
        ((2, 7, 8), (2, 2, 2))

    Reference: Han, Chen, Gelbukh, Zadeh, Morency and Poria, ICMI 2021.
    """

    own_name = "bbfn"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 40,
        num_layers: int = 5,
        num_heads: int = 5,
        attention_dropout: float = 0.1,
        relu_dropout: float = 0.1,
        residual_dropout: float = 0.1,
        dropout: float = 0.0,
        num_classes: int = 3,
        task: str = "regression",
        signed_log1p=(),
        name: str | None = None,
        dtype=None,
        trainable: bool = True,
    ):
        super().__init__(
            *(feature_dims, num_classes, task, signed_log1p, name, dtype, trainable),
            width=width,
            num_layers=num_layers,
            num_heads=num_heads,
            attention_dropout=attention_dropout,
            relu_dropout=relu_dropout,
            residual_dropout=residual_dropout,
            dropout=dropout,
        )

    @staticmethod
    def wire(
        sequences,
        lengths,
        task,
        num_classes,
        policy,
        *,
        width,
        num_layers,
        num_heads,
        attention_dropout,
        relu_dropout,
        residual_dropout,
        dropout,
    ):
        outputs, projected = {}, {}
        for m, sequence in sequences.items():
            projection = FanInConv1D(width, 3, padding="same", use_bias=False, dtype=policy, name=f"{m}_projection")
            projected[m] = projection(sequence)
            outputs[f"{m}_pooled"] = SequenceMean(dtype=policy, name=f"{m}_mean")(projected[m], lengths[m])
        rates = (attention_dropout, relu_dropout, residual_dropout)
        first = []
        for m in (m for m in sequences if m != "text"):
            pair = ("text", m)
            stack = GatedComplementation(
                pair, width, num_layers, num_heads, None, *rates, dtype=policy, name=f"text_{m}"
            )
            arguments = [of[n] for n in pair for of in (projected, lengths)]
            names = (f"text_from_{m}", f"{m}_from_text")
            *read, outputs[f"discriminator_{m}"] = stack(*arguments)
            for name, n, frames in zip(names, pair, read, strict=True):
                outputs[name] = frames
                first.append(FirstFrame(dtype=policy, name=f"{name}_first")(frames, lengths[n]))
        outputs["first_states"] = states = keras.layers.Concatenate(dtype=policy, name="first_states")(first)
        outputs["prediction"] = residual_head(states, dropout, task, num_classes, policy)
        return outputs

    def objective(self, label_classes="sign3", class_weight=None, discriminator_weight=0.1):
        """A `BBFNObjective`; arguments as those."""
        return BBFNObjective(self, label_classes, class_weight, discriminator_weight)


@known_arguments_only()
class BBFNObjective:
    """The task's loss, in regression the squared error, and that of the discriminators.

    A discriminator learns by binary cross-entropy which summary is the text's; nothing turns its gradient around, so
    the summaries are to differ. Its loss is the mean over pairs, layers, both summaries and the samples that have both
    modalities.

    Args:
        network: `BBFN`.
        label_classes, class_weight: as in `PredictionObjective`.
        discriminator_weight: float. Defaults to `0.1`.
    """

    term_names = ("prediction_loss", "discriminator_loss")

    def __init__(self, network, label_classes="sign3", class_weight=None, discriminator_weight=0.1):
        loss = keras.losses.MeanSquaredError(name="prediction") if network.task == "regression" else None
        self.prediction = PredictionObjective(network, label_classes, class_weight, loss)
        self.discriminator_weight = discriminator_weight
        self.others = [m for m in network.modalities if m != "text"]
        present = [f"{m}_present" for m in network.modalities]
        self.output_names = ("prediction", *present, *(f"discriminator_{m}" for m in self.others))

    def terms(self, outputs, y, sample_weight=None):
        values, rows = [], []
        for m in self.others:
            logits = ops.cast(outputs[f"discriminator_{m}"], "float32")
            of_sample = ops.mean(ops.softplus(logits[:, :, 0]) + ops.softplus(-logits[:, :, 1]), axis=1) / 2
            if sample_weight is not None:
                of_sample = of_sample * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
            values.append(of_sample)
            rows.append(rows_with(outputs, ("text", m), sample_weight))
        discriminator = mean_of_rows(ops.concatenate(values), ops.concatenate(rows))
        return {
            **self.prediction.terms(outputs, y, sample_weight),
            "discriminator_loss": self.discriminator_weight * batch_term(discriminator),
        }
