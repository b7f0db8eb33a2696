"""GLoMo, global and local vectors of each modality."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.adaptive_max_pool import AdaptiveMaxPool
from plumkeras.layers.crossmodal_transformer import CrossmodalEncoder
from plumkeras.layers.fan_in import FanInConv1D, FanInDense
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.modality_attention import ModalityAttention
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.sparse_mixture import SparseMixture
from plumkeras.layers.token_encoder import TokenEncoder
from plumkeras.models.published import PublishedNetwork, in_order
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, rows_with

_ORDER = ("text", "audio", "vision")
_DEVIATION = 0.02


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class GLoMo(PublishedNetwork):
    """A global vector of each modality and a local one of a few of its parts; the former say which modality counts.

    The global vector is of the text's mean or first frame, of other modalities the maximum over an encoded sequence.
    The local one is a sparse mixture of experts over the maxima of a few parts. A Transformer reads all of them; the
    weights of the modalities, of the global vectors, also weigh what merges the two vectors of each.

    Deviations from the public code: lengths say what is padding, and the parts are those of the valid frames. The text
    is one layer of frozen vectors (there: the last two of a tuned BERT, along time), whose global vector is of its mean
    unless `first_token`. A missing modality is read by none and has the weight 0.

    Args:
        feature_dims: dict from modality to feature width.
        width: int `d`, a multiple of `num_heads`. Defaults to `48`.
        num_layers: int, of the encoders of audio and vision. Defaults to `4`.
        num_heads: int. Defaults to `16`.
        granularity: int, parts of a sequence. Defaults to `3`.
        num_experts, top_k: ints, experts and how many of them a sample uses. Default to `3` and `2`.
        first_token: bool. Whether the text's first vector stands for all of it, as BERT's does. Defaults to `False`:
            their mean.
        fusion_layers: int. Defaults to `2`.
        fusion_feed_forward: int, inner width of the fusion's layers. Defaults to `2048`.
        attention_dropout: float. Defaults to `0.5`.
        relu_dropout, residual_dropout: floats. Default to `0.3`.
        embed_dropout: float. Defaults to `0.2`.
        fusion_dropout: float, of the fusion's layers. Defaults to `0.1`.
        score_dropout: float, of the weights of the modalities. Defaults to `0.3`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`; `tokens` `[B, 2 M, d]`, for text, audio, vision, others the global vector and the local one,
        both of which have read the others; `global_weights` and `local_weights` `[B, M]`, `global_pooled` and
        `local_pooled` `[B, d]`, `fused` `[B, 2 d]`; and per modality `<m>_present` `[B]` bool, `<m>_global` and
        `<m>_local` `[B, d]`, `<m>_local_input` `[B, d, granularity]`, `<m>_gates` and `<m>_load` `[B, num_experts]`.

    Example:
        >>> network = GLoMo({"text": 12, "audio": 5}, width=8, num_layers=1, num_heads=2, fusion_feed_forward=16)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["tokens"].shape), tuple(outputs["audio_gates"].shape)
        ((2, 4, 8), (2, 3))

    Reference: Zhuang, Zhang, Hu, Zhang, Deng and Ren, ACM MM 2024.
    """

    own_name = "glomo"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 48,
        num_layers: int = 4,
        num_heads: int = 16,
        granularity: int = 3,
        num_experts: int = 3,
        top_k: int = 2,
        first_token: bool = False,
        fusion_layers: int = 2,
        fusion_feed_forward: int = 2048,
        attention_dropout: float = 0.5,
        relu_dropout: float = 0.3,
        residual_dropout: float = 0.3,
        embed_dropout: float = 0.2,
        fusion_dropout: float = 0.1,
        score_dropout: float = 0.3,
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
            granularity=granularity,
            num_experts=num_experts,
            top_k=top_k,
            first_token=first_token,
            fusion_layers=fusion_layers,
            fusion_feed_forward=fusion_feed_forward,
            attention_dropout=attention_dropout,
            relu_dropout=relu_dropout,
            residual_dropout=residual_dropout,
            embed_dropout=embed_dropout,
            fusion_dropout=fusion_dropout,
            score_dropout=score_dropout,
        )
        self._begin_small()

    def _begin_small(self):
        """Dense layers begin with small kernels and biases of 0; the projections of attention by their own rule."""
        for variable in self.variables:
            layer, name = variable.path.split("/")[-2:]
            if name == "kernel" and len(variable.shape) == 2 and layer not in ("query", "key", "value"):
                variable.assign(keras.initializers.RandomNormal(stddev=_DEVIATION)(variable.shape, variable.dtype))
            elif name == "bias":
                variable.assign(ops.zeros(variable.shape, variable.dtype))

    def objective(self, label_classes="sign3", class_weight=None, **weights):
        """`GLoMoObjective`, whose options the weights are."""
        return GLoMoObjective(self, label_classes, class_weight, **weights)

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
        granularity,
        num_experts,
        top_k,
        first_token,
        fusion_layers,
        fusion_feed_forward,
        attention_dropout,
        relu_dropout,
        residual_dropout,
        embed_dropout,
        fusion_dropout,
        score_dropout,
    ):
        def dense(name, vector):
            return FanInDense(width, dtype=policy, name=name)(vector)

        def joined(name, vectors):
            return keras.layers.Concatenate(dtype=policy, name=name)(vectors)

        outputs, tokens, token_lengths = {}, [], []
        order = in_order(sequences, _ORDER)
        for m in order:
            projection = FanInConv1D(width, 3, padding="same", use_bias=False, dtype=policy, name=f"{m}_projection")
            hidden = projection(sequences[m])
            if m == "text":
                mean = SequenceMean(dtype=policy, name="text_mean")
                summary = sequences[m][:, 0] if first_token else mean(sequences[m], lengths[m])
                outputs["text_global"] = dense("text_global", summary)
            else:
                rates = (attention_dropout, relu_dropout, residual_dropout, embed_dropout)
                encoder = CrossmodalEncoder(
                    width, num_layers, num_heads, None, *rates, causal=False, dtype=policy, name=f"{m}_encoder"
                )
                hidden = encoder(hidden, lengths[m])
                whole = AdaptiveMaxPool(1, dtype=policy, name=f"{m}_max")(hidden, lengths[m])
                outputs[f"{m}_global"] = keras.layers.Reshape((width,), dtype=policy, name=f"{m}_global")(whole)
            parts = AdaptiveMaxPool(granularity, dtype=policy, name=f"{m}_parts")(hidden, lengths[m])
            by_channel = keras.layers.Permute((2, 1), dtype=policy, name=f"{m}_local_input")(parts)
            flat = keras.layers.Reshape((width * granularity,), dtype=policy, name=f"{m}_flat")(by_channel)
            mixture = SparseMixture(width, num_experts, top_k, dtype=policy, name=f"{m}_mixture")
            outputs[f"{m}_local_input"] = by_channel
            outputs[f"{m}_local"], outputs[f"{m}_gates"], outputs[f"{m}_load"] = mixture(flat)
            tokens += [outputs[f"{m}_global"], outputs[f"{m}_local"]]
            token_lengths += [lengths[m]] * 2

        fusion = TokenEncoder(
            width, fusion_layers, num_heads, fusion_feed_forward, fusion_dropout, dtype=policy, name="fusion_encoder"
        )
        outputs["tokens"] = read = fusion(ops.stack(tokens, axis=1), token_lengths)
        present, pooled = [lengths[m] for m in order], []
        for place, part in enumerate(("global", "local")):
            attention = ModalityAttention(width, score_dropout, dtype=policy, name=f"fusion_{part}_attention")
            weights, vector = attention([read[:, 2 * i + place] for i in range(len(order))], present)
            outputs[f"{part}_weights"], outputs[f"{part}_pooled"] = weights, vector
            pooled.append(vector)
        merged = []
        for i, m in enumerate(order):
            both = joined(f"{m}_both", [read[:, 2 * i], read[:, 2 * i + 1]])
            merged.append(dense(f"fusion_merge_{m}", both))
        guide = ops.cast(outputs["global_weights"], policy.compute_dtype)[:, :, None]
        guided = ops.sum(guide * ops.stack(merged, axis=1), axis=1)
        outputs["fused"] = fused = joined("fused", [dense("fusion_merge_all", joined("pooled", pooled)), guided])
        outputs["prediction"] = TaskOutput(task, num_classes, name="head")(fused)
        return outputs


@known_arguments_only()
class GLoMoObjective:
    """The task's loss and, of each modality, what keeps its experts equally busy.

    The balance is `cv(importance) ** 2 + cv(load) ** 2` over the experts of a batch, of the samples that have the
    modality.

    Args:
        network: `GLoMo`.
        label_classes, class_weight: as in `PredictionObjective`.
        balance_weight: float. Defaults to `0.01`.

    Reference: Shazeer et al. 2017.
    """

    output_parts = ("present", "gates", "load")

    def __init__(self, network, label_classes="sign3", class_weight=None, balance_weight=0.01):
        self.prediction = PredictionObjective(network, label_classes, class_weight)
        self.modalities = network.modalities
        self.balance_weight = balance_weight
        self.output_names = ["prediction", *(f"{m}_{part}" for m in self.modalities for part in self.output_parts)]
        self.term_names = ["prediction_loss", *(f"{m}_balance_loss" for m in self.modalities)]

    def terms(self, outputs, y, sample_weight=None):
        """Named scalar terms. Arguments as those of `PredictionObjective.terms`."""
        terms = self.prediction.terms(outputs, y, sample_weight)
        for m in self.modalities:
            rows = rows_with(outputs, [m], sample_weight)[:, None]
            used = [ops.sum(rows * ops.cast(outputs[f"{m}_{part}"], "float32"), axis=0) for part in ("gates", "load")]
            balance = _squared_variation(used[0]) + _squared_variation(used[1])
            terms[f"{m}_balance_loss"] = self.balance_weight * batch_term(balance)
        return terms


def _squared_variation(values):
    """Square of the coefficient of variation of `[E]`, of the unbiased variance; 0 where all are 0."""
    mean = ops.mean(values)
    variance = ops.sum(ops.square(values - mean)) / (values.shape[0] - 1)
    return variance / (ops.square(mean) + 1e-10)
