"""MAG, the Multimodal Adaptation Gate, in front of a text encoder of its own."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.adaptation_gate import AdaptationGate, StepsOfText
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.transformer import TransformerEncoder
from plumkeras.models.published import PublishedNetwork


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class MAG(PublishedNetwork):
    """Text vectors that audio and vision shift, step by step, and a Transformer that reads them.

    A version on features: the gate is the published one, but it stands in front of a small Transformer that is trained
    from the start, and not inside a pretrained BERT or XLNet, so its figures are not theirs. The Transformer has no
    positions: vectors of a language model know theirs. The mean of its frames goes to the task's output. The loss is
    the task's, which in regression is the mean absolute error (published: squared).

    The data have to be aligned: frame `i` of another modality goes with frame `i` of the text, and what is longer than
    the text is cut. Of a modality with one valid frame, which is of the whole utterance, that frame goes with every
    one. Where a modality has no frame it shifts nothing; of a sample without text nothing is read.

    Args:
        feature_dims: dict from modality to feature width, of text and one other modality or more.
        width: int `d` of the Transformer, a multiple of `num_heads`. Defaults to `64`.
        num_layers: int. Defaults to `2`.
        num_heads: int. Defaults to `4`.
        beta: float, how far a vector may be shifted, in its own length. Defaults to `1`.
        gate_dropout: float, of the shifted vectors. Defaults to `0.5`.
        dropout: float, in the Transformer and of the mean. Defaults to `0.1`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, `text_encoded` `[B, d]`, and per modality `<m>_present` `[B]` bool.

    Raises:
        ValueError: there is no text, or text alone.

    Example:
        >>> network = MAG({"text": 12, "audio": 5}, width=8)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["text_encoded"].shape)
        (2, 8)

    Reference: Rahman, Hasan, Lee, Zadeh, Mao, Morency and Hoque, ACL 2020.
    """

    own_name = "mag"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 64,
        num_layers: int = 2,
        num_heads: int = 4,
        beta: float = 1.0,
        gate_dropout: float = 0.5,
        dropout: float = 0.1,
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
            beta=beta,
            gate_dropout=gate_dropout,
            dropout=dropout,
        )

    @staticmethod
    def wire(
        sequences, lengths, task, num_classes, policy, *, width, num_layers, num_heads, beta, gate_dropout, dropout
    ):
        text, length = sequences["text"], lengths["text"]
        others, valid = {}, {}
        for m in sequences:
            if m != "text":
                steps = StepsOfText(dtype=policy, name=f"{m}_steps")
                others[m], valid[m] = steps(sequences[m], lengths[m], text, length)
        gated = AdaptationGate(beta, gate_dropout, dtype=policy, name="gate")(text, others, valid)
        hidden = FanInDense(width, dtype=policy, name="text_projection")(gated)
        encoder = TransformerEncoder(width, num_layers, num_heads, dropout, dtype=policy, name="text_encoder")
        encoded = SequenceMean(dtype=policy, name="text_mean")(encoder(hidden, length), length)
        encoded = Dropout(dropout, dtype=policy, name="head_drop")(encoded)
        prediction = TaskOutput(task, num_classes, name="head_output")(encoded)
        return {"prediction": prediction, "text_encoded": encoded}
