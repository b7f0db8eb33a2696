"""Self-MM: labels of each modality, generated from the sample's label and learned beside it."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.recurrent import Recurrent
from plumkeras.models.published import PublishedNetwork, check_pooling, in_order, text_vector
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, mean_of_rows, rows_with


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class SelfMM(PublishedNetwork):
    """A regression of all modalities together, and one of each alone, with the same form of head.

    Text is the mean of its frames (or the first one), another modality the projected final state of an LSTM; their
    concatenation and each of them has a head. `trainers.self_mm_stage.SelfMMTrainer` generates the labels of the heads
    of one modality while it trains; without it they have none but the sample's, with a weight of 0.

    Deviations from the public code: of text there are frozen vectors, of which the first one need not stand for all,
    so that their mean is the default. An LSTM's final state is after the last valid frame.

    Args:
        feature_dims: dict from modality to feature width, of two modalities or more.
        width: int, of the feature of all modalities. Defaults to `128`.
        text_width: int, of the text's feature. Defaults to `64`.
        audio_width, vision_width: ints, of vector and feature; other modalities have that of vision. Default to `16`
            and `32`.
        audio_lstm_width, vision_lstm_width: ints. Default to `32` and `64`.
        dropout: float, of every head's input but the text's. Defaults to `0.1`.
        text_dropout: float. Defaults to `0`.
        text_pooling: `"mean"`, or `"first"` where that is a [CLS] token, as published. Defaults to `"mean"`.
        task: `"regression"`.
        num_classes, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction` `[B]` and `fusion_feature` `[B, width]`; per modality `<m>_present` `[B]` bool,
        `<m>_prediction` `[B]` and `<m>_feature` `[B, d_m]`.

    Raises:
        ValueError: there is one modality alone, the task is another, or an option is none of those above.

    Example:
        >>> network = SelfMM({"text": 12, "audio": 5}, width=8)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["audio_feature"].shape)
        (2, 16)

    Reference: Yu, Xu, Yuan and Wu, AAAI 2021.
    """

    own_name = "self_mm"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 128,
        text_width: int = 64,
        audio_width: int = 16,
        vision_width: int = 32,
        audio_lstm_width: int = 32,
        vision_lstm_width: int = 64,
        dropout: float = 0.1,
        text_dropout: float = 0.0,
        text_pooling: str = "mean",
        num_classes: int = 3,
        task: str = "regression",
        signed_log1p=(),
        name: str | None = None,
        dtype=None,
        trainable: bool = True,
    ):
        check_pooling(text_pooling, ("mean", "first"))
        super().__init__(
            *(feature_dims, num_classes, task, signed_log1p, name, dtype, trainable),
            width=width,
            text_width=text_width,
            audio_width=audio_width,
            vision_width=vision_width,
            audio_lstm_width=audio_lstm_width,
            vision_lstm_width=vision_lstm_width,
            dropout=dropout,
            text_dropout=text_dropout,
            text_pooling=text_pooling,
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
        text_width,
        audio_width,
        vision_width,
        audio_lstm_width,
        vision_lstm_width,
        dropout,
        text_dropout,
        text_pooling,
    ):
        outputs, vectors = {}, {}

        def dense(name, units, activation=None):
            return FanInDense(units, activation, dtype=policy, name=name)

        def head(source, vector, units, rate):
            vector = Dropout(rate, dtype=policy, name=f"{source}_drop")(vector)
            outputs[f"{source}_feature"] = feature = dense(f"{source}_hidden", units, "relu")(vector)
            hidden = dense(f"{source}_dense", units, "relu")(feature)
            return TaskOutput(task, num_classes, name=f"{source}_output")(hidden)

        widths = {m: text_width if m == "text" else audio_width if m == "audio" else vision_width for m in sequences}
        for m in in_order(sequences, ("text", "audio", "vision")):
            if m == "text":
                vectors[m] = text_vector(sequences[m], lengths[m], text_pooling, policy)
                continue
            units = audio_lstm_width if m == "audio" else vision_lstm_width
            _, state = Recurrent(units, dtype=policy, name=f"{m}_lstm")(sequences[m], lengths[m])
            vectors[m] = dense(f"{m}_lstm_projection", widths[m])(state)
        joined = keras.layers.Concatenate(dtype=policy, name="joined")(list(vectors.values()))
        outputs["prediction"] = head("fusion", joined, width, dropout)
        for m, vector in vectors.items():
            outputs[f"{m}_prediction"] = head(m, vector, widths[m], text_dropout if m == "text" else dropout)
        return outputs

    def objective(self, label_classes="sign3", class_weight=None, **options):
        """The `SelfMMObjective`."""
        return SelfMMObjective(self, label_classes, class_weight, **options)


@known_arguments_only()
class SelfMMObjective:
    """The task's loss, plus for each modality the weighted mean absolute error to its generated label.

    A sample's weight there is `tanh(|label of the modality - label|)`, so that a label which is the sample's own
    teaches nothing. Samples without the modality take no part.

    Args:
        network: `SelfMM`.
        label_classes, class_weight: as in `PredictionObjective`.
    """

    def __init__(self, network, label_classes="sign3", class_weight=None):
        self.prediction = PredictionObjective(network, label_classes, class_weight)
        self.modalities = network.modalities

    @property
    def output_names(self):
        """The network outputs that the terms, and the generation of labels, read."""
        of_modalities = [f"{m}_{kind}" for m in self.modalities for kind in ("present", "prediction", "feature")]
        return [*self.prediction.output_names, "fusion_feature", *of_modalities]

    @property
    def term_names(self):
        """Names of the terms, which all end in `_loss`."""
        return [*self.prediction.term_names, *(f"{m}_loss" for m in self.modalities)]

    def terms(self, outputs, y, sample_weight=None, labels=None):
        """Named scalar terms.

        Args:
            outputs, y, sample_weight: as in `PredictionObjective`.
            labels: dict by modality of generated labels `[N]`; `None`: every modality has the sample's own.
        """
        terms = self.prediction.terms(outputs, y, sample_weight)
        y = ops.cast(ops.reshape(y, (-1,)), "float32")
        for m in self.modalities:
            label = y if labels is None else ops.convert_to_tensor(labels[m])
            error = ops.tanh(ops.abs(label - y)) * ops.abs(outputs[f"{m}_prediction"] - label)
            rows = rows_with(outputs, [m], sample_weight)
            terms[f"{m}_loss"] = batch_term(mean_of_rows(error, rows, sample_weight))
        return terms
