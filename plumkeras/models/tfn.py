"""TFN, the Tensor Fusion Network."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.tensor_fusion import TensorFusion, modality_vectors
from plumkeras.models.published import PublishedNetwork


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TFN(PublishedNetwork):
    """The outer product of one vector for each modality, each with a 1, which holds the products of any of them.

    The text's vector is the last state of an LSTM, that of another modality comes of the mean over its frames. Nothing
    has to be aligned. The product's size is that of all widths, each with 1 added, multiplied.

    Deviations from the public code: the state after the last valid frame is read, and padding is in no mean. A missing
    modality's vector is 0, so that it is in no product, and it is in no batch's statistics.

    Args:
        feature_dims: dict from modality to feature width.
        width: int, of the vectors but the text's, or a dict by modality. Defaults to `32`.
        text_width: int, of the LSTM. Defaults to `128`.
        text_out: int, of the text's vector. Defaults to `32`.
        fusion_width: int, of the two layers behind the product. Defaults to `64`.
        dropout: float, of the means. Defaults to `0.3`.
        text_dropout: float, of the text's state. Defaults to `0.3`.
        fusion_dropout: float, of the product. Defaults to `0.5`.
        label_range: `(low, high)` that a regression's prediction is squashed to, or `None`: it is not. Defaults to
            `(-3, 3)`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`; per modality `<m>_present` `[B]` bool and `<m>_vector`; and `fusion`, the product, the
        text's values running fastest.

    Example:
        >>> network = TFN({"text": 12, "audio": 5}, width=3, text_width=8, text_out=4, fusion_width=6)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["fusion"].shape)
        (2, 20)

    Reference: Zadeh, Chen, Poria, Cambria and Morency, EMNLP 2017.
    """

    own_name = "tfn"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int | dict[str, int] = 32,
        text_width: int = 128,
        text_out: int = 32,
        fusion_width: int = 64,
        dropout: float = 0.3,
        text_dropout: float = 0.3,
        fusion_dropout: float = 0.5,
        label_range: tuple[float, float] | None = (-3.0, 3.0),
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
            text_width=text_width,
            text_out=text_out,
            fusion_width=fusion_width,
            dropout=dropout,
            text_dropout=text_dropout,
            fusion_dropout=fusion_dropout,
            label_range=None if label_range is None else list(label_range),
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
        text_out,
        fusion_width,
        dropout,
        text_dropout,
        fusion_dropout,
        label_range,
    ):
        widths, rates = (width, text_width, text_out), (dropout, text_dropout)
        vectors = modality_vectors(sequences, lengths, policy, *widths, *rates)
        outputs = {f"{m}_vector": vector for m, vector in vectors.items()}
        outputs["fusion"] = hidden = TensorFusion(dtype=policy, name="fusion")(list(vectors.values()))
        hidden = Dropout(fusion_dropout, dtype=policy, name="fusion_drop")(hidden)
        for number in (1, 2):
            hidden = FanInDense(fusion_width, "relu", dtype=policy, name=f"fusion_dense_{number}")(hidden)
        outputs["prediction"] = TaskOutput(task, num_classes, label_range, name="fusion_output")(hidden)
        return outputs
