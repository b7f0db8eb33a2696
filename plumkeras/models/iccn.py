"""ICCN, the Interaction Canonical Correlation Network."""

import itertools

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInConv1D, FanInDense
from plumkeras.layers.masking import PACKAGE, SequenceMean, ZeroPadding
from plumkeras.layers.outer_product import OuterProduct
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.recurrent import Recurrent
from plumkeras.models.published import PublishedNetwork
from plumkeras.objectives.canonical_correlation import canonical_correlations
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, rows_with


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class ICCN(PublishedNetwork):
    """Codes of text with each other modality, which are to correlate with each other, beside the text itself.

    A convolution over time and an LSTM make a vector of each modality but the text. Its outer product with the text's
    vector is read as a picture by two convolutions with pooling, and becomes a code. The codes and the text's vector
    feed a head.

    There is no public code: what is in the paper is built, in widths of our own. The text's vector is the mean of its
    frames, since feature files have no vector of the sentence. The correlation is part of the loss from the start.
    With text and one other modality there is one code, and nothing that it could correlate with.

    Args:
        feature_dims: dict from modality to feature width, of text and one other modality or more.
        width: int, of the LSTMs. Defaults to `16`.
        kernel_size: int, frames of the convolutions over time. Defaults to `3`.
        channels: int, of the convolutions over products. Defaults to `8`.
        code_width: int. A batch has to have more samples than that for a correlation. Defaults to `8`.
        head_width: int. Defaults to `64`.
        dropout: float, of the head. Defaults to `0.2`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, `text_vector` `[B, F]`, `fused`, per modality `<m>_present` `[B]` bool, and per modality but
        the text `<m>_code` `[B, code_width]`.

    Raises:
        ValueError: there is no text, or text alone.

    Example:
        >>> widths = {"text": 12, "audio": 5, "vision": 4}
        >>> network = ICCN(widths, code_width=3)
        >>> outputs = network({m: np.zeros((2, 7, width)) for m, width in widths.items()})
        >>> tuple(outputs["audio_code"].shape), tuple(outputs["fused"].shape)
        ((2, 3), (2, 18))

    Reference: Sun, Sarma, Sethares and Liang, AAAI 2020.
    """

    own_name = "iccn"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 16,
        kernel_size: int = 3,
        channels: int = 8,
        code_width: int = 8,
        head_width: int = 64,
        dropout: float = 0.2,
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
            kernel_size=kernel_size,
            channels=channels,
            code_width=code_width,
            head_width=head_width,
            dropout=dropout,
        )

    def objective(self, label_classes="sign3", class_weight=None, **weights):
        """`ICCNObjective`, whose options the weights are."""
        return ICCNObjective(self, label_classes, class_weight, **weights)

    @staticmethod
    def wire(
        sequences,
        lengths,
        task,
        num_classes,
        policy,
        *,
        width,
        kernel_size,
        channels,
        code_width,
        head_width,
        dropout,
    ):
        outputs = {"text_vector": SequenceMean(dtype=policy, name="text_vector")(sequences["text"], lengths["text"])}
        codes = []
        for m in sequences:
            if m == "text":
                continue
            convolution = FanInConv1D(
                width, kernel_size, padding="same", activation="relu", dtype=policy, name=f"{m}_conv"
            )
            hidden = ZeroPadding(dtype=policy, name=f"{m}_valid")(convolution(sequences[m]), lengths[m])
            _, state = Recurrent(width, dtype=policy, name=f"{m}_lstm")(hidden, lengths[m])
            picture = OuterProduct(dtype=policy, name=f"{m}_products")(outputs["text_vector"], state)
            for i in (1, 2):
                options = {"padding": "same", "data_format": "channels_last", "dtype": policy}
                picture = keras.layers.Conv2D(channels, 3, activation="relu", name=f"{m}_conv_{i}", **options)(picture)
                picture = keras.layers.MaxPooling2D(2, name=f"{m}_pool_{i}", **options)(picture)
            flat = keras.layers.Flatten(data_format="channels_last", dtype=policy, name=f"{m}_flat")(picture)
            outputs[f"{m}_code"] = code = FanInDense(code_width, dtype=policy, name=f"{m}_code")(flat)
            codes.append(code)
        parts = [codes[0], outputs["text_vector"], *codes[1:]]
        outputs["fused"] = hidden = keras.layers.Concatenate(dtype=policy, name="fused")(parts)
        hidden = FanInDense(head_width, "relu", dtype=policy, name="head_dense")(hidden)
        hidden = Dropout(dropout, dtype=policy, name="head_drop")(hidden)
        outputs["prediction"] = TaskOutput(task, num_classes, name="head_output")(hidden)
        return outputs


@known_arguments_only()
class ICCNObjective:
    """The task's loss, less the canonical correlations of the codes of every two modalities.

    They are of the samples of a batch that have the text and both modalities. Where these are no more than a code has
    numbers, every code correlates with every other one, and the term is 0; some times as many, hundreds rather than
    tens, are needed for one that means something. Choose `batch_size` and the network's `code_width` for it.

    Args:
        network: `ICCN`.
        label_classes, class_weight: as in `PredictionObjective`.
        correlation_weight: float. Defaults to `0.1`.
        regularisation: float, added to the diagonals of the covariances. Defaults to `1e-3`.

    Reference: Sun et al. 2020; Andrew et al. 2013.
    """

    def __init__(self, network, label_classes="sign3", class_weight=None, correlation_weight=0.1, regularisation=1e-3):
        if regularisation <= 0:
            raise ValueError(f"`regularisation` must be positive. Received: regularisation={regularisation}")
        self.prediction = PredictionObjective(network, label_classes, class_weight)
        self.pairs = list(itertools.combinations([m for m in network.modalities if m != "text"], 2))
        self.correlation_weight, self.regularisation = correlation_weight, regularisation

    @property
    def output_names(self):
        """The network outputs that the terms read."""
        of_pairs = dict.fromkeys(m for pair in self.pairs for m in pair)
        presence = [f"{m}_present" for m in ("text", *of_pairs)] if self.pairs else []
        return ["prediction", *presence, *(f"{m}_code" for m in of_pairs)]

    @property
    def term_names(self):
        """Names of the terms, which all end in `_loss`."""
        return ["prediction_loss", *(["correlation_loss"] if self.pairs else [])]

    def terms(self, outputs, y, sample_weight=None):
        """Named scalar terms. Arguments as those of `PredictionObjective.terms`."""
        terms = self.prediction.terms(outputs, y, sample_weight)
        if not self.pairs:
            return terms
        correlation = 0.0
        for pair in self.pairs:
            rows = rows_with(outputs, ["text", *pair], sample_weight)
            codes = [outputs[f"{m}_code"] for m in pair]
            total, _ = canonical_correlations(*codes, rows, self.regularisation)
            correlation += ops.where(ops.sum(rows) > codes[0].shape[-1], total, 0.0)
        terms["correlation_loss"] = -self.correlation_weight * batch_term(correlation)
        return terms
