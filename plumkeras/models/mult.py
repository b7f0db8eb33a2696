"""MulT, the Multimodal Transformer for unaligned sequences."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.crossmodal_transformer import CrossmodalEncoder, LastFrame
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInConv1D
from plumkeras.layers.masking import PACKAGE
from plumkeras.models.published import PublishedNetwork, residual_head


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class MulT(PublishedNetwork):
    """A Transformer for each ordered pair of modalities, in which the frames of the one read those of the other.

    Each modality is projected to `d`; its frames read those of every other modality (`<m>_from_<n>`); what they read is
    concatenated, goes through a self-attention encoder, and the last valid frames of all modalities feed a residual
    head. Nothing has to be aligned.

    Deviations from the public code: lengths say what is padding, everywhere; the last valid frame is read, not the last
    one. A missing modality is read as nothing, and its last frame is 0.

    Args:
        feature_dims: dict from modality to feature width, of two modalities or more.
        width: int `d`, a multiple of `num_heads`. Defaults to `30`.
        num_layers: int, of the encoders between modalities; the memories have 3 at least. Defaults to `5`.
        num_heads: int. Defaults to `5`.
        text_dropout: float, of the text's features, in front. Defaults to `0.25`.
        attention_dropout: float, of attention to the text and in the memories; attention to other modalities has none,
            as published. Defaults to `0.1`.
        relu_dropout, residual_dropout: floats. Default to `0.1`.
        embed_dropout: float. Defaults to `0.25`.
        dropout: float, of the head. Defaults to `0`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, per modality `<m>_present` `[B]` bool, per ordered pair `<m>_from_<n>` `[B, T_m, d]`, and
        `last_states` `[B, M (M - 1) d]`.

    Raises:
        ValueError: there is one modality alone.

    Example:
        >>> network = MulT({"text": 12, "audio": 5}, width=8, num_layers=1, num_heads=2)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["text_from_audio"].shape)
        (2, 7, 8)

    Reference: Tsai, Bai, Liang, Kolter, Morency and Salakhutdinov, ACL 2019.
    """

    own_name = "mult"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 30,
        num_layers: int = 5,
        num_heads: int = 5,
        text_dropout: float = 0.25,
        attention_dropout: float = 0.1,
        relu_dropout: float = 0.1,
        residual_dropout: float = 0.1,
        embed_dropout: float = 0.25,
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
            text_dropout=text_dropout,
            attention_dropout=attention_dropout,
            relu_dropout=relu_dropout,
            residual_dropout=residual_dropout,
            embed_dropout=embed_dropout,
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
        text_dropout,
        attention_dropout,
        relu_dropout,
        residual_dropout,
        embed_dropout,
        dropout,
    ):
        def encoder(name, width, layers, attention_dropout):
            rates = (attention_dropout, relu_dropout, residual_dropout, embed_dropout)
            return CrossmodalEncoder(width, layers, num_heads, None, *rates, dtype=policy, name=name)

        outputs, projected = {}, {}
        for m, sequence in sequences.items():
            if m == "text":
                sequence = Dropout(text_dropout, dtype=policy, name="text_drop")(sequence)
            if sequence.shape[-1] != width:
                sequence = FanInConv1D(width, 1, use_bias=False, dtype=policy, name=f"{m}_projection")(sequence)
            projected[m] = sequence
        last = []
        for m in sequences:
            others = [n for n in sequences if n != m]
            for n in others:
                between = encoder(f"{m}_from_{n}", width, num_layers, attention_dropout if n == "text" else 0.0)
                outputs[f"{m}_from_{n}"] = between(projected[m], lengths[m], projected[n], lengths[n])
            read = [outputs[f"{m}_from_{n}"] for n in others]
            memory = keras.layers.Concatenate(dtype=policy, name=f"{m}_read")(read) if len(read) > 1 else read[0]
            own = encoder(f"{m}_memory", len(others) * width, max(num_layers, 3), attention_dropout)
            last.append(LastFrame(dtype=policy, name=f"{m}_last")(own(memory, lengths[m]), lengths[m]))
        outputs["last_states"] = states = keras.layers.Concatenate(dtype=policy, name="last_states")(last)
        outputs["prediction"] = residual_head(states, dropout, task, num_classes, policy)
        return outputs
