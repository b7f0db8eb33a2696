"""MMIM: the mutual information between text and each other modality, and between each modality and the fusion."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.recurrent import Recurrent
from plumkeras.models.published import PublishedNetwork, check_pooling, in_order, text_vector
from plumkeras.objectives.alignment import membership
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, mean_of_rows, rows_with
from plumkeras.tasks import get_task

_MASKED = -1e9
# Of a covariance, which is singular where vectors lie in a plane.
_RIDGE = 1e-5


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class MMIM(PublishedNetwork):
    """Vectors of the modalities, fused by two layers, with networks that say what each tells of another.

    Text is the mean of its frames (or the first one), another modality `m` the projected final state of an LSTM. From
    the text, a mean and a log-variance of `m`'s vector are predicted; `m`'s code, of a quarter of its width, is for
    estimating its entropy; from the fusion, every modality's vector is predicted.

    Deviations from the public code: of text there are frozen vectors, of which the first one need not stand for all,
    so that their mean is the default. An LSTM's final state is after the last valid frame.

    Args:
        feature_dims: dict from modality to feature width, text and one or more others.
        width: int, of the fusion. Defaults to `128`.
        audio_width, vision_width: ints, of the modalities' vectors; other modalities have that of vision. Default to
            `16`.
        audio_lstm_width, vision_lstm_width: ints, of each direction. Default to `16`.
        bidirectional: bool. Whether the LSTMs read in both directions. Defaults to `True`.
        dropout: float, in front of the fusion. Defaults to `0.1`.
        text_pooling: `"mean"`, or `"first"` where that is a [CLS] token, as published. Defaults to `"mean"`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, and `fusion_vector` `[B, width]`; per modality `<m>_present` `[B]` bool, `<m>_vector` and
        `fusion_to_<m>` `[B, d_m]`; per modality but text `text_to_<m>_mean` and `text_to_<m>_log_variance` `[B, d_m]`,
        `text_to_<m>_code` `[B, d_m // 4]`.

    Raises:
        ValueError: there is no text, or nothing else; or an option is none of those above.

    Example:
        >>> network = MMIM({"text": 12, "audio": 5}, width=8)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["text_to_audio_code"].shape)
        (2, 4)

    Reference: Han, Chen and Poria, EMNLP 2021.
    """

    own_name = "mmim"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 128,
        audio_width: int = 16,
        vision_width: int = 16,
        audio_lstm_width: int = 16,
        vision_lstm_width: int = 16,
        bidirectional: bool = True,
        dropout: float = 0.1,
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
            audio_width=audio_width,
            vision_width=vision_width,
            audio_lstm_width=audio_lstm_width,
            vision_lstm_width=vision_lstm_width,
            bidirectional=bidirectional,
            dropout=dropout,
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
        audio_width,
        vision_width,
        audio_lstm_width,
        vision_lstm_width,
        bidirectional,
        dropout,
        text_pooling,
    ):
        def dense(name, units, activation=None):
            return FanInDense(units, activation, glorot_normal=True, dtype=policy, name=name)

        modalities = in_order(sequences, ("text", "audio", "vision"))
        vectors = {"text": text_vector(sequences["text"], lengths["text"], text_pooling, policy)}
        for m in modalities[1:]:
            units = audio_lstm_width if m == "audio" else vision_lstm_width
            lstm = Recurrent(units, "lstm", bidirectional, "glorot_normal", dtype=policy, name=f"{m}_lstm")
            _, state = lstm(sequences[m], lengths[m])
            vectors[m] = dense(f"{m}_lstm_projection", audio_width if m == "audio" else vision_width)(state)
        joined = keras.layers.Concatenate(dtype=policy, name="joined")([vectors[m] for m in modalities])
        joined = Dropout(dropout, dtype=policy, name="fusion_drop")(joined)
        fusion = dense("fusion_dense_2", width, "tanh")(dense("fusion_dense_1", width, "tanh")(joined))
        outputs = {f"{m}_vector": vector for m, vector in vectors.items()} | {"fusion_vector": fusion}
        for m in modalities[1:]:
            units, name = vectors[m].shape[-1], f"mutual_information_text_to_{m}"
            for kind in ("mean", "log_variance"):
                hidden = dense(f"{name}_{kind}_dense_1", units, "relu")(vectors["text"])
                outputs[f"text_to_{m}_{kind}"] = dense(f"{name}_{kind}_dense_2", units)(hidden)
            code = dense(f"{name}_entropy_projection", max(units // 4, 1), "tanh")
            outputs[f"text_to_{m}_code"] = code(vectors[m])
        for m in modalities:
            predicted = dense(f"predictive_coding_fusion_to_{m}", vectors[m].shape[-1])
            outputs[f"fusion_to_{m}"] = predicted(fusion)
        outputs["prediction"] = TaskOutput(task, num_classes, glorot_normal=True, name="fusion_output")(fusion)
        return outputs

    def objective(self, label_classes="sign3", class_weight=None, **weights):
        """The `MMIMObjective`, with its weights."""
        return MMIMObjective(self, label_classes, class_weight, **weights)

    @property
    def likelihood_variables(self):
        """The weights that predict other modalities from the text, and which the prediction does not use."""
        names = [f"mutual_information_text_to_{m}" for m in self.modalities if m != "text"]
        return [
            variable
            for name in names
            for kind in ("mean", "log_variance")
            for number in (1, 2)
            for variable in self.get_layer(f"{name}_{kind}_dense_{number}").trainable_variables
        ]


@known_arguments_only()
class MMIMObjective:
    """The task's loss, less weighted bounds of the mutual information between modalities, and with the fusion.

    - `<m>_likelihood_loss`: less the log-likelihood of a modality's vector given the text, up to constants and the
      variance's own term, which the public code leaves out.
    - `<m>_entropy_loss`: less the entropy of its code, by a Gaussian for each class, from this batch and from codes
      that the trainer remembers. Classes are the sign of the label in regression, where 0 is of neither.
    - `<m>_contrast_loss`: which vector of the batch the fusion's prediction is of.

    A loss of the batch passes over samples that lack one of its modalities, or have weight 0.

    Deviations from the public code: all weights are trained by these terms, in one pass. There, a pass of its own
    trains the networks of mean and variance by the likelihood alone. Its gradient is theirs here divided by
    `mutual_information_weight`, of which Adam, for which only directions count, makes the same steps. What projects
    codes was never trained there; here it is. A class that has no more samples than codes have values adds no entropy,
    where it would be -infinity.

    Args:
        network: `MMIM`.
        label_classes, class_weight: as in `PredictionObjective`.
        contrast_weight: float, the paper's alpha. Defaults to `0.1`.
        mutual_information_weight: float, its beta. Defaults to `0.1`.
    """

    def __init__(
        self, network, label_classes="sign3", class_weight=None, contrast_weight=0.1, mutual_information_weight=0.1
    ):
        self.prediction = PredictionObjective(network, label_classes, class_weight)
        self.task, self.num_classes = get_task(network.task), network.num_classes
        self.modalities = in_order(network.modalities, ("text", "audio", "vision"))
        self.contrast_weight = contrast_weight
        self.mutual_information_weight = mutual_information_weight

    @property
    def output_names(self):
        """The network outputs that the terms read."""
        names = [*self.prediction.output_names]
        for m in self.modalities:
            names += [f"{m}_present", f"{m}_vector", f"fusion_to_{m}"]
            if m != "text":
                names += [f"text_to_{m}_{kind}" for kind in ("mean", "log_variance", "code")]
        return names

    @property
    def term_names(self):
        """Names of the terms, which all end in `_loss`."""
        of_pairs = [f"{m}_{kind}_loss" for m in self.modalities[1:] for kind in ("likelihood", "entropy")]
        return [*self.prediction.term_names, *of_pairs, *(f"{m}_contrast_loss" for m in self.modalities)]

    @property
    def num_groups(self):
        """Number of the classes of which each has its entropy."""
        return self.num_classes if self.task.has_classes else 2

    def groups(self, y):
        """Which of these classes the samples are in, `[N, G]` float32, of labels."""
        if self.task.has_classes:
            return membership(self.task.classes(y), self.num_classes)
        y = ops.cast(ops.reshape(y, (-1,)), "float32")
        return ops.cast(ops.stack([y > 0, y < 0], axis=1), "float32")

    def coded(self, outputs, modality, y, sample_weight):
        """A modality's codes `[N, K]`, and the classes `[N, G]` that they are of; of none for a row that has none."""
        rows = rows_with(outputs, ["text", modality], sample_weight)
        codes = ops.cast(outputs[f"text_to_{modality}_code"], "float32")
        return codes, self.groups(y) * rows[:, None]

    def terms(self, outputs, y, sample_weight=None, history=None, entropy_scale=1.0):
        """Named scalar terms.

        Args:
            outputs, y, sample_weight: as in `PredictionObjective`.
            history: dict by modality of codes and classes of earlier samples, as `coded` gives them; or `None`.
            entropy_scale: scalar, by which the entropy is multiplied.
        """
        terms = self.prediction.terms(outputs, y, sample_weight)
        vectors = {m: ops.cast(outputs[f"{m}_vector"], "float32") for m in self.modalities}
        for m in self.modalities[1:]:
            rows = rows_with(outputs, ["text", m], sample_weight)
            mean, log_variance = (ops.cast(outputs[f"text_to_{m}_{k}"], "float32") for k in ("mean", "log_variance"))
            distance = ops.sum(ops.square(mean - vectors[m]) * ops.exp(-log_variance), axis=1) / 2
            likelihood = -mean_of_rows(distance, rows, sample_weight)
            codes, groups = self.coded(outputs, m, y, sample_weight)
            if history is not None:
                codes = ops.concatenate([codes, ops.stop_gradient(ops.convert_to_tensor(history[m][0]))], axis=0)
                groups = ops.concatenate([groups, history[m][1]], axis=0)
            entropy = entropy_scale * entropy_of_groups(codes, groups, self.num_groups)
            terms[f"{m}_likelihood_loss"] = -self.mutual_information_weight * batch_term(likelihood)
            terms[f"{m}_entropy_loss"] = -self.mutual_information_weight * batch_term(entropy)
        for m in self.modalities:
            rows = rows_with(outputs, [m], sample_weight)
            contrast = contrast_values(vectors[m], ops.cast(outputs[f"fusion_to_{m}"], "float32"), rows)
            terms[f"{m}_contrast_loss"] = self.contrast_weight * batch_term(mean_of_rows(contrast, rows, sample_weight))
        return {name: terms[name] for name in self.term_names}


def entropy_of_groups(codes, groups, num_groups):
    """Half the mean over groups of half the log-determinant of their codes' covariance.

    Args:
        codes: `[N, K]` float32.
        groups: `[N, G]` float32, 1 where a row is a member, else 0.
        num_groups: int `G`.
    """
    size = codes.shape[-1]
    identity, total = ops.eye(size, dtype="float32"), 0.0
    for group in range(num_groups):
        rows = groups[:, group]
        count = ops.sum(rows)
        some = ops.maximum(count, 1.0)
        mean = ops.sum(codes * rows[:, None], axis=0) / some
        centred = (codes - mean) * rows[:, None]
        covariance = ops.matmul(ops.transpose(centred), centred) / some + _RIDGE * identity
        _, log_determinant = ops.slogdet(ops.where(count > size, covariance, identity))
        total = total + log_determinant
    return total / (2 * num_groups)


def contrast_values(vectors, predicted, rows):
    """For each row, less the log of the softmax of its own similarity among those to the rows that count: `[N]`."""
    vectors, predicted = _unit(vectors), _unit(predicted)
    similarity = ops.matmul(vectors, ops.transpose(predicted))
    among = ops.logsumexp(ops.where(rows[None, :] > 0, similarity, _MASKED), axis=1)
    return among - ops.sum(vectors * predicted, axis=1)


def _unit(vectors):
    return vectors * ops.rsqrt(ops.maximum(ops.sum(ops.square(vectors), axis=-1, keepdims=True), 1e-12))
