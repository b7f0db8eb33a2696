"""LMF, Low-rank Multimodal Fusion."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE
from plumkeras.layers.tensor_fusion import LowRankFusion, modality_vectors
from plumkeras.models.published import PublishedNetwork


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class LMF(PublishedNetwork):
    """A linear layer of TFN's outer product, whose weights are a sum of few products of factors, one per modality.

    The product is never made. The modalities' vectors are TFN's; nothing has to be aligned.

    Deviations from the public code: the state after the last valid frame is read, and padding is in no mean. A missing
    modality's vector is 0, so that its factor has the weights of its 1 alone, and it is in no batch's statistics.

    Args:
        feature_dims: dict from modality to feature width.
        width: int, of the vectors but the text's, or a dict by modality. Defaults to `32`.
        text_width: int, of the LSTM; the text's vector has half of it. Defaults to `64`.
        rank: int, how many products of factors there are. Defaults to `4`.
        dropout: float, of the means. Defaults to `0.3`.
        text_dropout: float, of the text's state. Defaults to `0.3`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`; per modality `<m>_present` `[B]` bool and `<m>_vector`; and `rank_products` `[B, rank, C]`,
        whose weighted sum is the prediction before the task's activation; `C` is 1 in regression.

    Example:
        >>> network = LMF({"text": 12, "audio": 5}, width=3, text_width=8, rank=2)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["text_vector"].shape), tuple(outputs["rank_products"].shape)
        ((2, 4), (2, 2, 1))

    Reference: Liu, Shen, Lakshminarasimhan, Liang, Zadeh and Morency, ACL 2018.
    """

    own_name = "lmf"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int | dict[str, int] = 32,
        text_width: int = 64,
        rank: int = 4,
        dropout: float = 0.3,
        text_dropout: float = 0.3,
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
            rank=rank,
            dropout=dropout,
            text_dropout=text_dropout,
        )

    @staticmethod
    def wire(sequences, lengths, task, num_classes, policy, *, width, text_width, rank, dropout, text_dropout):
        widths, rates = (width, text_width, text_width // 2), (dropout, text_dropout)
        vectors = modality_vectors(sequences, lengths, policy, *widths, *rates)
        outputs = {f"{m}_vector": vector for m, vector in vectors.items()}
        fusion = LowRankFusion(list(vectors), rank, task, num_classes, name="fusion")
        outputs["prediction"], outputs["rank_products"] = fusion(list(vectors.values()))
        return outputs
