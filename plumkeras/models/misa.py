"""MISA: modality-invariant and modality-specific representations."""

import itertools

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.attention import LayerNormalization
from plumkeras.layers.crossmodal_transformer import EPSILON
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.fan_in import FanInDense
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.prediction import TaskOutput
from plumkeras.layers.recurrent import Recurrent
from plumkeras.layers.token_encoder import TokenEncoder
from plumkeras.models.published import PublishedNetwork, check_pooling, in_order
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.objectives.terms import batch_term, mean_of_rows, rows_with

_ORDER = ("text", "vision", "audio")
# Inside of square roots, whose slope at 0 is infinite.
_SMALLEST = 1e-12


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class MISA(PublishedNetwork):
    """Each modality's vector is projected into a space of all modalities and into one of its own.

    A modality's vector (for text the mean of its frames, else the final states of two bidirectional LSTMs) is projected
    to `u`; `private` and `shared` are two sigmoid layers of `u`, the shared one the same for all modalities; `u` is
    reconstructed from their sum. A Transformer layer over the private and shared vectors feeds the head.

    Deviations from the public code: of text there are frozen vectors and no language model; every modality has its own
    lengths; a missing modality's tokens are read by none and are 0, and the losses pass over it.

    Args:
        feature_dims: dict from modality to feature width, of two modalities or more.
        width: int, of `u`, private and shared vectors; a multiple of `num_heads`. Defaults to `128`.
        num_heads: int, of the Transformer layer. Defaults to `2`.
        feed_forward: int, its inner width. Defaults to `2048`.
        fusion_dropout: float, of the Transformer layer. Defaults to `0.1`.
        dropout: float, of the head. Defaults to `0.5`.
        text_pooling: `"mean"` of the text's frames, or `"lstm"`: text is read as the other modalities are, as the
            paper does it with word vectors. Defaults to `"mean"`.
        num_classes, task, signed_log1p: as in `LateFusion`.

    Call arguments:
        inputs: as those of `PLUMNet`.

    Returns:
        Dict: `prediction`, and per modality `<m>_present` `[B]` bool, `<m>_projected`, `<m>_private`, `<m>_shared` and
        `<m>_reconstructed` `[B, width]`.

    Raises:
        ValueError: there is one modality alone, or an option is none of those above.

    Example:
        >>> network = MISA({"text": 12, "audio": 5}, width=8, feed_forward=16)
        >>> outputs = network({"text": np.zeros((2, 7, 12)), "audio": np.zeros((2, 4, 5))})
        >>> tuple(outputs["audio_private"].shape)
        (2, 8)

    Reference: Hazarika, Zimmermann and Poria, ACM Multimedia 2020.
    """

    own_name = "misa"

    def __init__(
        self,
        feature_dims: dict[str, int],
        width: int = 128,
        num_heads: int = 2,
        feed_forward: int = 2048,
        fusion_dropout: float = 0.1,
        dropout: float = 0.5,
        text_pooling: str = "mean",
        num_classes: int = 3,
        task: str = "regression",
        signed_log1p=(),
        name: str | None = None,
        dtype=None,
        trainable: bool = True,
    ):
        check_pooling(text_pooling, ("mean", "lstm"))
        super().__init__(
            *(feature_dims, num_classes, task, signed_log1p, name, dtype, trainable),
            width=width,
            num_heads=num_heads,
            feed_forward=feed_forward,
            fusion_dropout=fusion_dropout,
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
        num_heads,
        feed_forward,
        fusion_dropout,
        dropout,
        text_pooling,
    ):
        def dense(name, activation=None, units=width):
            return FanInDense(units, activation, dtype=policy, name=name)

        modalities = in_order(sequences, _ORDER)
        shared, outputs = dense("shared", "sigmoid"), {}
        for m in modalities:
            if m == "text" and text_pooling == "mean":
                vector = SequenceMean(dtype=policy, name="text_mean")(sequences[m], lengths[m])
            else:
                vector = _final_states(m, sequences[m], lengths[m], policy)
            norm = LayerNormalization(epsilon=EPSILON, dtype=policy, name=f"{m}_project_norm")
            outputs[f"{m}_projected"] = norm(dense(f"{m}_project", "relu")(vector))
            outputs[f"{m}_private"] = dense(f"{m}_private", "sigmoid")(outputs[f"{m}_projected"])
            outputs[f"{m}_shared"] = shared(outputs[f"{m}_projected"])
            both = keras.layers.Add(dtype=policy, name=f"{m}_sum")([outputs[f"{m}_private"], outputs[f"{m}_shared"]])
            outputs[f"{m}_reconstructed"] = dense(f"{m}_reconstruct")(both)
        vectors = [outputs[f"{m}_{kind}"] for kind in ("private", "shared") for m in modalities]
        joined = keras.layers.Concatenate(dtype=policy, name="joined")(vectors)
        tokens = keras.layers.Reshape((len(vectors), width), dtype=policy, name="tokens")(joined)
        encoder = TokenEncoder(width, 1, num_heads, feed_forward, fusion_dropout, dtype=policy, name="fusion_encoder")
        tokens = encoder(tokens, [lengths[m] for m in modalities] * 2)
        joined = keras.layers.Reshape((len(vectors) * width,), dtype=policy, name="fused")(tokens)
        hidden = dense("fusion_dense_1", "relu", len(modalities) * width)(joined)
        hidden = Dropout(dropout, dtype=policy, name="fusion_drop")(hidden)
        outputs["prediction"] = TaskOutput(task, num_classes, name="fusion_output")(hidden)
        return outputs

    def objective(self, label_classes="sign3", class_weight=None, **weights):
        """The `MISAObjective`, with its weights."""
        return MISAObjective(self, label_classes, class_weight, **weights)


def _final_states(modality, sequence, length, policy):
    """The final states of two bidirectional LSTMs of the features' width, forward ones first: `[B, 4F]`."""
    width, states = sequence.shape[-1], []
    for number in (1, 2):
        lstm = Recurrent(width, "lstm", True, "orthogonal", dtype=policy, name=f"{modality}_lstm_{number}")
        sequence, state = lstm(sequence, length)
        states.append(state)
        if number == 1:
            norm = LayerNormalization(epsilon=EPSILON, dtype=policy, name=f"{modality}_norm_between")
            sequence = norm(sequence)
    joined = keras.layers.Concatenate(dtype=policy, name=f"{modality}_states")(states)
    # From [forward 1, backward 1, forward 2, backward 2] to the forward ones in front.
    parts = keras.layers.Reshape((2, 2, width), dtype=policy, name=f"{modality}_states_by_layer")(joined)
    parts = keras.layers.Permute((2, 1, 3), dtype=policy, name=f"{modality}_states_by_direction")(parts)
    return keras.layers.Reshape((4 * width,), dtype=policy, name=f"{modality}_vector")(parts)


@known_arguments_only()
class MISAObjective:
    """The task's loss, plus the weighted losses of difference, similarity and reconstruction.

    - `similarity`: the mean over pairs of modalities of the central moment discrepancy of their shared vectors.
    - `difference`: how far private vectors correlate with the shared ones of their modality, and with each other.
    - `reconstruction`: the mean squared error of what is reconstructed.

    The first two are of the batch as a whole: samples that lack one of the two modalities, or have weight 0, are no
    part of it, and other weights change nothing.

    Deviations from the public code: a square root of 0 has a slope of 0 and not an infinite one, which a batch of one
    sample would have.

    Args:
        network: `MISA`.
        label_classes, class_weight: as in `PredictionObjective`.
        difference_weight: float. Defaults to `0.3`.
        similarity_weight: float. Defaults to `1`.
        reconstruction_weight: float. Defaults to `1`.
    """

    term_names = ("prediction_loss", "difference_loss", "similarity_loss", "reconstruction_loss")

    def __init__(
        self,
        network,
        label_classes="sign3",
        class_weight=None,
        difference_weight=0.3,
        similarity_weight=1.0,
        reconstruction_weight=1.0,
    ):
        squared = keras.losses.MeanSquaredError(name="prediction") if network.task == "regression" else None
        self.prediction = PredictionObjective(network, label_classes, class_weight, squared)
        self.modalities = in_order(network.modalities, _ORDER)
        self.difference_weight = difference_weight
        self.similarity_weight = similarity_weight
        self.reconstruction_weight = reconstruction_weight

    @property
    def output_names(self):
        """The network outputs that the terms read."""
        kinds = ("present", "projected", "private", "shared", "reconstructed")
        return [*self.prediction.output_names, *(f"{m}_{kind}" for m in self.modalities for kind in kinds)]

    def terms(self, outputs, y, sample_weight=None):
        """Named scalar terms. Arguments as in `PredictionObjective`."""

        def vectors(kind):
            return {m: ops.cast(outputs[f"{m}_{kind}"], "float32") for m in self.modalities}

        projected, private, shared, again = map(vectors, ("projected", "private", "shared", "reconstructed"))
        rows = {m: rows_with(outputs, [m], sample_weight) for m in self.modalities}
        pairs = list(itertools.combinations(self.modalities, 2))
        similarity = [moment_discrepancy(shared[a], shared[b], rows[a] * rows[b]) for a, b in pairs]
        difference = [correlation(private[m], shared[m], rows[m]) for m in self.modalities]
        difference += [correlation(private[a], private[b], rows[a] * rows[b]) for a, b in pairs]
        errors = {m: ops.mean(ops.square(again[m] - projected[m]), axis=-1) for m in self.modalities}
        reconstruction = [mean_of_rows(errors[m], rows[m], sample_weight) for m in self.modalities]
        return {
            **self.prediction.terms(outputs, y, sample_weight),
            "difference_loss": self.difference_weight * batch_term(sum(difference)),
            "similarity_loss": self.similarity_weight * batch_term(sum(similarity) / len(pairs)),
            "reconstruction_loss": self.reconstruction_weight * batch_term(sum(reconstruction) / len(rows)),
        }


def _mean(vectors, rows):
    return ops.sum(vectors * rows[:, None], axis=0) / ops.maximum(ops.sum(rows), 1.0)


def moment_discrepancy(a, b, rows, moments=5):
    """The central moment discrepancy of vectors `[N, d]`: distances of their means and of their central moments.

    Args:
        a, b: `[N, d]` float32.
        rows: `[N]` float32, 1 for the rows that count, else 0.
        moments: int, the highest moment.
    """
    means = _mean(a, rows), _mean(b, rows)
    distances = [means[0] - means[1]]
    centred = a - means[0], b - means[1]
    powers = centred
    for _ in range(2, moments + 1):
        powers = powers[0] * centred[0], powers[1] * centred[1]
        distances.append(_mean(powers[0], rows) - _mean(powers[1], rows))
    return sum(ops.sqrt(ops.sum(ops.square(distance)) + _SMALLEST) for distance in distances)


def correlation(a, b, rows):
    """The mean square of the products of all columns of `a` and `b` `[N, d]`, centred, with rows of length 1."""
    units = []
    for vectors in (a, b):
        centred = (vectors - _mean(vectors, rows)) * rows[:, None]
        length = ops.sqrt(ops.sum(ops.square(ops.stop_gradient(centred)), axis=1, keepdims=True))
        units.append(centred / (length + 1e-6))
    return ops.mean(ops.square(ops.matmul(ops.transpose(units[0]), units[1])))
