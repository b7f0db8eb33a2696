"""DMD, Decoupled Multimodal Distilling."""

import math

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.crossmodal_transformer import CrossmodalEncoder, LastFrame
from plumkeras.layers.distillation_graph import DistillationGraph, distillation_pairs
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInConv1D, FanInDense
from plumkeras.layers.fixed_frames import ConvolvedLength, FixedFrames, LongestFrames
from plumkeras.layers.masking import PACKAGE, ZeroPadding, valid_frames
from plumkeras.layers.prediction import TaskOutput
from plumkeras.models.published import PublishedNetwork, in_order
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, mean_of_rows, rows_with

# Which modality teaches which depends on the order, and so does what is concatenated.
_ORDER = ("text", "vision", "audio")
_READ_ORDER = ("text", "audio", "vision")
_MARGIN = 0.15


def _by_modality(name, value, modalities):
    """An option of all modalities, or a dict of those of each, as a dict."""
    found = {m: value.get(m) for m in modalities} if isinstance(value, dict) else dict.fromkeys(modalities, value)
    if wrong := [m for m, v in found.items() if not isinstance(v, int) or v < 1]:
        raise ValueError(
            f"`{name}` must be a whole number of 1 or more, or a dict with one for each modality; {wrong[0]} has "
            f"{found[wrong[0]]!r}. Received: {name}={value!r}"
        )
    return found


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class DMD(PublishedNetwork):
    """A common and a specific part of each modality, between which modalities teach each other.

    Every modality is cut or padded to a fixed number of frames and projected to `d`. One encoder of all modalities
    makes the common part, one of its own the specific part, of which a decoder makes the projection again. A head
    predicts from each of them; a graph for the common parts and one for the specific parts weigh what each head learns
    from each other one, in training alone. The common parts go through a self-attention encoder each, the specific
    ones through MulT; what comes out, through a sigmoid each, is concatenated and feeds a residual head.

    Deviations from the public code: lengths say what is padding, everywhere, and the last valid frame is read; means
    over frames are of the valid ones. The orthogonality is of the channels of each frame (there: of the rows of a
    batch). Specific parts are *repelled* by their teachers', as published: the term is a cosine that is made small. In
    classification, heads are compared by their probabilities. A sample that lacks a modality takes no part in its head,
    its reconstruction and the graphs.

    With other modalities than the three, the first of text, vision, audio, others teaches the common parts of all
    others, and in the specific parts each teaches those behind it.

    Args:
        feature_dims: dict from modality to feature width, of two modalities or more.
        frames: int, or dict by modality: frames that are read, the first ones of a longer sequence. Data that are not
            aligned, or have a context in front, may need more. Defaults to `50`.
        kernel_size: int, or dict by modality: frames of the projections. Defaults to `5`.
        width: int `d`, a multiple of `num_heads`. Defaults to `50`.
        num_layers: int, of the encoders; the memories have 3 at least. Defaults to `4`.
        num_heads: int. Defaults to `10`.
        common_graph_width, specific_graph_width: ints. Default to `64` and `32`.
        text_dropout: float, of the text's features, in front. Defaults to `0.5`.
        attention_dropout: float, of attention to the text and in the memories. Defaults to `0.3`.
        audio_attention_dropout: float, of attention to the audio; that to other modalities has none, as published.
            Defaults to `0.2`.
        relu_dropout, residual_dropout: floats. Default to `0`.
        embed_dropout: float. Defaults to `0.2`.
        dropout: float, of the heads. Defaults to `0.5`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, `common_prediction`, `graph_common_edge` and `graph_specific_edge` `[B, M (M - 1)]`; and per
        modality `<m>_present` `[B]` bool, `<m>_common_prediction`, `<m>_specific_prediction`,
        `<m>_common_representation` `[B, d]`, `<m>_specific_representation` and `<m>_specific_last` `[B, (M - 1) d]`,
        `<m>_common_aligned` `[B, d]`, `<m>_projected_length` `[B]` and, `[B, frames - kernel_size + 1, d]`,
        `<m>_projected`, `<m>_common`, `<m>_specific`, `<m>_reconstructed`, `<m>_specific_again`.

    Raises:
        ValueError: there is one modality alone, or more frames are read at a time than there are.

    Example:
        >>> network = DMD({"text": 12, "audio": 5}, frames=6, kernel_size=3, width=8, num_layers=1, num_heads=2)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["text_common"].shape), tuple(outputs["graph_common_edge"].shape)
        ((2, 4, 8), (2, 2))

    Reference: Li, Wang and Cui, CVPR 2023.
    """

    own_name = "dmd"

    def __init__(
        self,
        feature_dims: dict[str, int],
        frames: int | dict[str, int] = 50,
        kernel_size: int | dict[str, int] = 5,
        width: int = 50,
        num_layers: int = 4,
        num_heads: int = 10,
        common_graph_width: int = 64,
        specific_graph_width: int = 32,
        text_dropout: float = 0.5,
        attention_dropout: float = 0.3,
        audio_attention_dropout: float = 0.2,
        relu_dropout: float = 0.0,
        residual_dropout: float = 0.0,
        embed_dropout: float = 0.2,
        dropout: float = 0.5,
        num_classes: int = 3,
        task: str = "regression",
        signed_log1p=(),
        name: str | None = None,
        dtype=None,
        trainable: bool = True,
    ):
        super().__init__(
            *(feature_dims, num_classes, task, signed_log1p, name, dtype, trainable),
            frames=frames,
            kernel_size=kernel_size,
            width=width,
            num_layers=num_layers,
            num_heads=num_heads,
            common_graph_width=common_graph_width,
            specific_graph_width=specific_graph_width,
            text_dropout=text_dropout,
            attention_dropout=attention_dropout,
            audio_attention_dropout=audio_attention_dropout,
            relu_dropout=relu_dropout,
            residual_dropout=residual_dropout,
            embed_dropout=embed_dropout,
            dropout=dropout,
        )

    def objective(self, label_classes="sign3", class_weight=None, **weights):
        """`DMDObjective`, whose options the weights are."""
        return DMDObjective(self, label_classes, class_weight, **weights)

    @staticmethod
    def wire(
        sequences,
        lengths,
        task,
        num_classes,
        policy,
        *,
        frames,
        kernel_size,
        width,
        num_layers,
        num_heads,
        common_graph_width,
        specific_graph_width,
        text_dropout,
        attention_dropout,
        audio_attention_dropout,
        relu_dropout,
        residual_dropout,
        embed_dropout,
        dropout,
    ):
        order = in_order(sequences, _ORDER)
        frames, kernel_size = _by_modality("frames", frames, order), _by_modality("kernel_size", kernel_size, order)
        for m in order:
            if frames[m] < kernel_size[m]:
                raise ValueError(
                    f"`frames` must not be below `kernel_size`. Received: {m} with frames={frames[m]}, "
                    f"kernel_size={kernel_size[m]}"
                )

        def encoder(name, width, layers, source):
            attention = {"text": attention_dropout, "audio": audio_attention_dropout}.get(source, 0.0)
            rates = (attention, relu_dropout, residual_dropout, embed_dropout)
            return CrossmodalEncoder(width, layers, num_heads, None, *rates, dtype=policy, name=name)

        def pointwise(name):
            return FanInConv1D(width, 1, use_bias=False, dtype=policy, name=name)

        def residual(name, vector, hidden):
            """The hidden vector, and the vector with what comes of it added."""
            hidden = FanInDense(hidden, "relu", dtype=policy, name=f"{name}_dense_1")(vector)
            more = Dropout(dropout, dtype=policy, name=f"{name}_drop")(hidden)
            more = FanInDense(vector.shape[-1], dtype=policy, name=f"{name}_dense_2")(more)
            return hidden, keras.layers.Add(dtype=policy, name=f"{name}_residual")([vector, more])

        def joined(name, parts):
            return keras.layers.Concatenate(dtype=policy, name=name)(parts) if len(parts) > 1 else parts[0]

        def last(name, sequence, length):
            return LastFrame(dtype=policy, name=name)(sequence, length)

        def output(name, vector):
            return TaskOutput(task, num_classes, name=name)(vector)

        outputs, valid, common, specific = {}, {}, {}, {}
        common_encoder = pointwise("common_encoder")
        for m in order:
            sequence, length = FixedFrames(frames[m], dtype=policy, name=f"{m}_frames")(sequences[m], lengths[m])
            if m == "text":
                sequence = Dropout(text_dropout, dtype=policy, name="text_drop")(sequence)
            outputs[f"{m}_projected_length"] = valid[m] = ConvolvedLength(kernel_size[m], name=f"{m}_valid")(length)
            projection = FanInConv1D(width, kernel_size[m], use_bias=False, dtype=policy, name=f"{m}_projection")
            projected = ZeroPadding(dtype=policy, name=f"{m}_projected")(projection(sequence), valid[m])
            specific_encoder, decoder = pointwise(f"{m}_specific_encoder"), pointwise(f"{m}_decoder")
            specific[m], common[m] = specific_encoder(projected), common_encoder(projected)
            reconstructed = decoder(joined(f"{m}_parts", [specific[m], common[m]]))
            outputs[f"{m}_projected"] = projected
            outputs[f"{m}_specific"], outputs[f"{m}_common"] = specific[m], common[m]
            outputs[f"{m}_reconstructed"] = reconstructed
            outputs[f"{m}_specific_again"] = specific_encoder(reconstructed)

        # What encoders read: flattened frames need all of them, attention does not.
        read_common = {m: LongestFrames(dtype=policy, name=f"{m}_common_read")(common[m], valid[m]) for m in order}
        read_specific = {
            m: LongestFrames(dtype=policy, name=f"{m}_specific_read")(specific[m], valid[m]) for m in order
        }
        attended = []
        for m in order:
            size = (frames[m] - kernel_size[m] + 1) * width
            channels = keras.layers.Permute((2, 1), dtype=policy, name=f"{m}_channels")(common[m])
            channels = keras.layers.Reshape((size,), dtype=policy, name=f"{m}_common_by_channel")(channels)
            outputs[f"{m}_common_aligned"] = FanInDense(width, dtype=policy, name=f"{m}_common_alignment")(channels)
            flat = keras.layers.Reshape((size,), dtype=policy, name=f"{m}_common_by_frame")(common[m])
            representation, vector = residual(f"{m}_common_head", flat, width)
            outputs[f"{m}_common_representation"] = representation
            outputs[f"{m}_common_prediction"] = output(f"{m}_common_head_output", vector)
            own = encoder(f"{m}_common_attention", width, num_layers, m)
            attended.append(last(f"{m}_common_last", own(read_common[m], valid[m]), valid[m]))
        fused = joined("common_fusion", attended)
        _, vector = residual("common_fusion", fused, fused.shape[-1])
        outputs["common_prediction"] = output("common_fusion_output", vector)

        gated = []
        for m in order:
            read = []
            for n in in_order(sequences, _READ_ORDER):
                if n != m:
                    between = encoder(f"{m}_from_{n}", width, num_layers, n)
                    read.append(between(read_specific[m], valid[m], read_specific[n], valid[n]))
            memory = encoder(f"{m}_memory", len(read) * width, max(num_layers, 3), "text")
            memory = memory(joined(f"{m}_read", read), valid[m])
            outputs[f"{m}_specific_last"] = state = last(f"{m}_specific_last", memory, valid[m])
            _, vector = residual(f"{m}_specific_head", state, state.shape[-1])
            outputs[f"{m}_specific_representation"] = vector
            outputs[f"{m}_specific_prediction"] = output(f"{m}_specific_head_output", vector)
            gated.append(FanInDense(state.shape[-1], "sigmoid", dtype=policy, name=f"{m}_gate")(state))
        gated.append(FanInDense(fused.shape[-1], "sigmoid", dtype=policy, name="common_fusion_gate")(fused))
        states = joined("states", gated)
        _, vector = residual("head", states, states.shape[-1])
        outputs["prediction"] = output("head_output", vector)
        for part, graph_width in (("common", common_graph_width), ("specific", specific_graph_width)):
            outputs[f"graph_{part}_edge"] = DistillationGraph(graph_width, name=f"graph_{part}")(
                [outputs[f"{m}_{part}_prediction"] for m in order],
                [outputs[f"{m}_{part}_representation"] for m in order],
            )
        return outputs


@known_arguments_only()
class DMDObjective:
    """The losses of the heads, of what modalities teach each other, and of the two parts of each modality.

    Args:
        network: `DMD`.
        label_classes, class_weight: as in `PredictionObjective`, of every head.
        common_graph_weight, specific_graph_weight: floats, of the terms of the graphs. Default to `0.05`.
        reconstruction_weight: float, of reconstruction and cycle. Defaults to `0.1`.
        margin_weight: float, of margin and orthogonality. Defaults to `0.01`.

    Reference: Li et al. 2023. Of the common parts, representations are not taught, as in the public code.
    """

    def __init__(
        self,
        network,
        label_classes="sign3",
        class_weight=None,
        common_graph_weight=0.05,
        specific_graph_weight=0.05,
        reconstruction_weight=0.1,
        margin_weight=0.01,
    ):
        self.prediction = PredictionObjective(network, label_classes, class_weight)
        self.task = network.task_object
        self.modalities = in_order(network.modalities, _ORDER)
        self.graph_weights = {"common": common_graph_weight, "specific": specific_graph_weight}
        self.reconstruction_weight, self.margin_weight = reconstruction_weight, margin_weight
        pairs = distillation_pairs(len(self.modalities))
        self.priors = {
            "common": _prior([teacher == 0 for _, teacher in pairs]),
            "specific": _prior([teacher < student for student, teacher in pairs]),
        }

    @property
    def heads(self):
        """The outputs that are predictions of one modality."""
        return [f"{m}_{part}_prediction" for m in self.modalities for part in ("common", "specific")]

    @property
    def output_names(self):
        """The network outputs that the terms read."""
        names = ("present", "projected_length", "projected", "specific", "common", "reconstructed", "specific_again")
        names += ("common_aligned", "common_representation", "specific_representation")
        of_modalities = [f"{m}_{name}" for m in self.modalities for name in names]
        return [
            *("prediction", "common_prediction", "graph_common_edge", "graph_specific_edge"),
            *self.heads,
            *of_modalities,
        ]

    @property
    def term_names(self):
        """Names of the terms, which all end in `_loss`."""
        graphs = ("common_regular", "common_logit", "specific_regular", "specific_logit", "specific_representation")
        return [
            *("prediction_loss", "common_prediction_loss", *(f"{head}_loss" for head in self.heads)),
            *(f"graph_{name}_loss" for name in graphs),
            *("reconstruction_loss", "cycle_loss", "margin_loss", "orthogonality_loss"),
        ]

    def terms(self, outputs, y, sample_weight=None):
        """Named scalar terms. Arguments as those of `PredictionObjective.terms`."""
        terms = self.prediction.terms(outputs, y, sample_weight)
        rows = {m: rows_with(outputs, [m], sample_weight) for m in self.modalities}
        terms["common_prediction_loss"] = self._head_term(outputs["common_prediction"], y, sample_weight)
        for m in self.modalities:
            # Weights that make the mean over all rows one over those that have the modality.
            present = ops.cast(outputs[f"{m}_present"], "float32")
            weight = present * _count(present) / ops.maximum(ops.sum(present), 1.0)
            if sample_weight is not None:
                weight = weight * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
            for part in ("common", "specific"):
                name = f"{m}_{part}_prediction"
                terms[f"{name}_loss"] = self._head_term(outputs[name], y, weight)
        terms |= self._graph_terms(outputs, rows_with(outputs, self.modalities, sample_weight), sample_weight)
        terms |= self._part_terms(outputs, rows, sample_weight)
        vectors = ops.concatenate([outputs[f"{m}_common_aligned"] for m in self.modalities])
        used = ops.concatenate([rows[m] for m in self.modalities])
        apart = ops.tile(self._label_distance(y), (len(rows), len(rows)))
        terms["margin_loss"] = self.margin_weight * batch_term(margin_loss(vectors, apart, used))
        return {name: terms[name] for name in self.term_names}

    def _head_term(self, prediction, y, weight):
        return self.prediction.terms({"prediction": prediction}, y, weight)["prediction_loss"]

    def _label_distance(self, y):
        """`[B, B]`, 0 for equal labels: of values their distance; 1 for different classes; of sets the mean."""
        if self.task.label_axes == 2:
            y = ops.cast(y, "float32")
            return ops.mean(ops.abs(y[:, None] - y[None]), axis=-1)
        y = ops.reshape(ops.cast(y, "float32"), (-1,))
        apart = ops.abs(y[:, None] - y[None])
        return ops.minimum(apart, 1.0) if self.task.has_classes else apart

    def _graph_terms(self, outputs, rows, sample_weight):
        terms = {}
        exists = ops.minimum(ops.sum(rows), 1.0)
        for part, graph_weight in self.graph_weights.items():
            edges = ops.cast(outputs[f"graph_{part}_edge"], "float32")
            predictions = [_rows_of(outputs[f"{m}_{part}_prediction"]) for m in self.modalities]
            vectors = [ops.cast(outputs[f"{m}_{part}_representation"], "float32") for m in self.modalities]
            regular = logit = representation = 0.0
            for x, (student, teacher) in enumerate(distillation_pairs(len(self.modalities))):
                prior = self.priors[part][x]
                regular += ops.square(mean_of_rows(edges[:, x], rows) - prior)
                weight = edges[:, x] + prior
                apart = ops.abs(predictions[student] - ops.stop_gradient(predictions[teacher]))
                logit += mean_of_rows(weight * ops.mean(apart, axis=-1), rows, sample_weight)
                alike = ops.relu(_cosine(vectors[student], ops.stop_gradient(vectors[teacher])))
                representation += mean_of_rows(weight, rows) * mean_of_rows(alike, rows)
            values = {"regular": 10.0 * exists * regular, "logit": logit}
            if part == "specific":
                values["representation"] = 10.0 * representation
            for name, value in values.items():
                terms[f"graph_{part}_{name}_loss"] = graph_weight * batch_term(value)
        return terms

    def _part_terms(self, outputs, rows, sample_weight):
        reconstruction = cycle = orthogonality = 0.0
        for m in self.modalities:
            projected, again, specific, specific_again, common = (
                ops.cast(outputs[f"{m}_{name}"], "float32")
                for name in ("projected", "reconstructed", "specific", "specific_again", "common")
            )
            valid = valid_frames(projected, outputs[f"{m}_projected_length"])
            frames = ops.cast(valid, "float32") * rows[m][:, None]

            def mean(values, frames=frames):
                if sample_weight is not None:
                    values = values * ops.cast(ops.reshape(sample_weight, (-1, 1)), "float32")
                return mean_of_rows(ops.reshape(values, (-1,)), ops.reshape(frames, (-1,)))

            reconstruction += mean(ops.mean(ops.square(again - projected), axis=-1))
            cycle += mean(ops.mean(ops.square(specific - specific_again), axis=-1))
            orthogonality += mean(ops.relu(_cosine(specific, common)))
        return {
            "reconstruction_loss": self.reconstruction_weight * batch_term(reconstruction),
            "cycle_loss": self.reconstruction_weight * batch_term(cycle),
            "orthogonality_loss": self.margin_weight * batch_term(orthogonality),
        }


def margin_loss(vectors, apart, used, margin=_MARGIN):
    """Cosines of vectors with equal labels above those with others, by a margin that grows with their distance.

    Of an anchor the mean over positives `p` and negatives `n` of `max(0, margin * apart_n - cos_p + cos_n)`; then the
    mean over the anchors that have both; 0 where none has.

    Pairs are not made: in the order of `margin * apart_n + cos_n` among the `cos_p`, sums up to each place are enough.

    Args:
        vectors: `[N, d]`.
        apart: `[N, N]`, distance of labels, 0 for equal ones.
        used: `[N]` float, 0 for vectors that take no part.
        margin: float.
    """
    vectors = ops.cast(vectors, "float32")
    vectors = vectors * ops.rsqrt(ops.sum(ops.square(vectors), axis=-1, keepdims=True) + 1e-8)
    cosine = ops.matmul(vectors, ops.transpose(vectors))
    index = ops.arange(ops.shape(vectors)[0])
    pair = used[:, None] * used[None, :] * ops.cast(index[:, None] != index[None, :], "float32")
    positive = pair * ops.cast(apart == 0, "float32")
    negative = pair - positive
    values = ops.concatenate([margin * apart + cosine, cosine], axis=1)
    none = ops.zeros_like(pair)
    is_negative, is_positive = ops.concatenate([negative, none], axis=1), ops.concatenate([none, positive], axis=1)
    order = ops.argsort(ops.stop_gradient(values), axis=1)
    values, is_negative, is_positive = (
        ops.take_along_axis(array, order, axis=1) for array in (values, is_negative, is_positive)
    )
    below = ops.cumsum(is_positive, axis=1) * values - ops.cumsum(is_positive * values, axis=1)
    pairs = ops.sum(positive, axis=1) * ops.sum(negative, axis=1)
    per_anchor = ops.sum(is_negative * below, axis=1) / ops.maximum(pairs, 1.0)
    return mean_of_rows(per_anchor, ops.cast(pairs > 0, "float32"))


def _prior(taught):
    """Softmax of 4 for the edges that are taught, 0 for the others, as floats."""
    strength = [math.exp(4.0) if t else 1.0 for t in taught]
    return [s / sum(strength) for s in strength]


def _cosine(x, y):
    """Cosine along the last axis; 0, with finite gradients, where one is 0."""
    lengths = ((ops.sum(ops.square(v), axis=-1) + 1e-12) for v in (x, y))
    inverse = [ops.rsqrt(length) for length in lengths]
    return ops.sum(x * y, axis=-1) * inverse[0] * inverse[1]


def _rows_of(prediction):
    prediction = ops.cast(prediction, "float32")
    return prediction[:, None] if len(prediction.shape) == 1 else prediction


def _count(rows):
    return ops.cast(ops.shape(rows)[0], "float32")
