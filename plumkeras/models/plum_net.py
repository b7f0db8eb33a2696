"""PLUM-Net as a functional Keras model of named inputs and outputs."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from plumkeras import features
from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.missing_modality import AbsentVector, ModalityDropout, Presence, ZeroWhenMissing
from plumkeras.layers.modality_encoder import ModalityEncoder
from plumkeras.layers.multilevel_semantic_alignment import MultilevelSemanticAlignment
from plumkeras.layers.private_refinement import PrivateRefinement
from plumkeras.layers.prototype_label_generator import PrototypeLabelGenerator
from plumkeras.layers.task_conditioned_bifurcator import TaskConditionedBifurcator, TaskConditionedBranch
from plumkeras.layers.transformer import TransformerEncoder
from plumkeras.tasks import get_task

MODULES = ("msa", "psl_tfb", "prm")
COMMON_BRANCHES = ("shared", "per_modality", "shared_encoder")


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class Prediction(keras.layers.Layer):
    """Head: `Dense(d)`, GELU, dropout, then the task's `[B]` values or `[B, C]` probabilities, in float32."""

    def __init__(self, task, hidden_dim, num_classes, dropout=0.1, **kwargs):
        super().__init__(**kwargs)
        self.task, self.hidden_dim, self.num_classes, self.dropout = task, hidden_dim, num_classes, dropout
        self.hidden = keras.layers.Dense(hidden_dim, activation="gelu", dtype=self.dtype_policy, name="hidden")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")
        units = get_task(task).units(num_classes)
        self.out = keras.layers.Dense(units, dtype="float32", name="out")

    def build(self, vector_shape):
        self.hidden.build(vector_shape)
        self.out.build((None, self.hidden_dim))
        self.built = True

    def call(self, vector, training=False):
        out = self.out(self.drop(self.hidden(vector), training=training))
        return get_task(self.task).activate(out)

    def compute_output_spec(self, vector, training=False):
        shape = get_task(self.task).prediction_shape(vector.shape[0], self.num_classes)
        return keras.KerasTensor(shape, dtype="float32")

    def get_config(self):
        return {
            **super().get_config(),
            "task": self.task,
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "dropout": self.dropout,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class PLUMNet(keras.Model):
    """Prototype-Induced Label Structuring for Disentangled Multimodal Representation Network.

    A functional model: a flat dict of named inputs to a flat dict of named outputs. It holds what changes weights or
    the forward pass; objectives live on `AlignmentTrainer` and `RefinementTrainer`.

    Args:
        feature_dims: dict from modality to feature width, e.g. `{"text": 384, "audio": 73}`. One modality or more,
            any names.
        hidden_dim: int, even, a multiple of `num_heads`. `d`. Defaults to `256`.
        num_classes: int. `C`, of contrast, prototypes and branches, and of the prediction unless it is a regression.
            Defaults to `3`.
        task: `"regression"`, `"classification"` or `"multilabel"`, see `plumkeras.tasks`. Defaults to `"regression"`.
        num_layers: int, of each branch encoder. Defaults to `2`.
        num_heads: int. Defaults to `8`.
        dropout: float. Defaults to `0.1`.
        modules: the modules in use, a leading part of `("msa", "psl_tfb", "prm")`: the rows of the paper's Table 3.
            Defaults to all.
        compression: dict from modality to `"signed_log1p"` or `None`, see `layers.FeatureStandardization`.
        label_temperature, normalize_labels: `temperature` and `normalize` of `layers.PrototypeLabelGenerator`.
        fusion: `"sequence"` or `"vector"`, see `layers.PrivateRefinement`.
        common_branch: `"shared"`: one common branch for all modalities; `"per_modality"`: each has its own;
            `"shared_encoder"`: one encoder, and a pool and a classifier for each, as version 0.1.0's
            `share_common_encoder` had it. Defaults to `"shared"`.
        modality_dropout: float. Probability of hiding a modality of a sample in training. Defaults to `0`.

    Call arguments:
        inputs: dict with, per modality, `<modality>` `[B, T, F]` float (raw features) and `<modality>_length` `[B]`
            int (valid leading frames; 0 means that the modality is missing; without it every frame counts). Outside of
            training a modality can be left out: it is missing for every sample, and a warning says so.

    Returns:
        Dict: `prediction` (`[B]`, or `[B, C]` probabilities) and per modality `<modality>_<name>`: `present [B]` bool;
        with `msa`, `aligned_embedding` and `aligned_common` `[B, d]`; with `psl_tfb`, `common_embedding`,
        `private_embedding` `[B, d]`, `common_logits`, `private_logits`, `soft_label` `[B, C]`, `hard_label [B]` int
        (-1: missing, or no prototype yet); with `prm`, `refined_embedding [B, d]`. Embeddings of a missing modality
        are zero.

    Example:
        >>> network = PLUMNet({"text": 12, "audio": 5}, hidden_dim=16, num_layers=1, num_heads=2)
        >>> outputs = network({
        ...     "text": np.zeros((2, 7, 12)), "text_length": np.array([7, 3]),
        ...     "audio": np.zeros((2, 4, 5)), "audio_length": np.array([4, 0]),
        ... })
        >>> tuple(outputs["prediction"].shape), tuple(outputs["audio_soft_label"].shape)
        ((2,), (2, 3))

    Reference: Wang et al., "PLUM-Net: Prototype-Induced Label Structuring for Disentangled Multimodal Representation
    Network", AAAI 2026, Figure 1.
    """

    def __init__(
        self,
        feature_dims: dict[str, int],
        hidden_dim: int = 256,
        num_classes: int = 3,
        task: str = "regression",
        num_layers: int = 2,
        num_heads: int = 8,
        dropout: float = 0.1,
        modules: Sequence[str] = MODULES,
        compression: dict[str, str | None] | None = None,
        label_temperature: float = 0.1,
        normalize_labels: bool = True,
        fusion: str = "sequence",
        common_branch: str = "shared",
        modality_dropout: float = 0.0,
        name: str = "plum_net",
        dtype=None,
        trainable: bool = True,
    ):
        modules = tuple(modules)
        feature_dims = dict(feature_dims)
        compression = dict(compression or {})
        get_task(task)
        if common_branch not in COMMON_BRANCHES:
            raise ValueError(f"`common_branch` must be one of {COMMON_BRANCHES}. Received: {common_branch!r}")
        if modules != MODULES[: len(modules)]:
            raise ValueError(f"`modules` must be a leading part of {MODULES}. Received: modules={modules}")
        if not feature_dims or any(not isinstance(w, int) or w < 1 for w in feature_dims.values()):
            raise ValueError(
                f"`feature_dims` must give each modality a positive width. Received: feature_dims={feature_dims}"
            )
        if unknown := sorted(set(compression) - set(feature_dims)):
            raise ValueError(f"`compression` names {unknown}, which `feature_dims` lacks: {sorted(feature_dims)}")
        dtype = keras.dtype_policies.get(dtype)
        modalities = tuple(feature_dims)

        # === Layers ===
        hide = ModalityDropout(modality_dropout, dtype=dtype, name="modality_dropout")
        presence = {m: Presence(name=f"{m}_presence") for m in modalities}
        encoders = {
            m: ModalityEncoder(hidden_dim, compression.get(m), dropout, dtype=dtype, name=f"{m}_encoder")
            for m in modalities
        }
        absent = {m: AbsentVector(dtype=dtype, name=f"{m}_absent") for m in modalities}
        head = Prediction(task, hidden_dim, num_classes, dropout, dtype=dtype, name="prediction")
        alignment, prototype_labels, private, bifurcators, refinements = None, {}, {}, {}, {}
        if "msa" in modules:
            alignment = MultilevelSemanticAlignment(hidden_dim, dtype=dtype, name="alignment")
        if "psl_tfb" in modules:
            shape = {"num_layers": num_layers, "num_heads": num_heads, "dropout": dropout, "dtype": dtype}
            common = common_encoder = None
            if common_branch == "shared":
                common = TaskConditionedBranch(hidden_dim, num_classes, name="common_branch", **shape)
            elif common_branch == "shared_encoder":
                common_encoder = TransformerEncoder(hidden_dim, name="common_encoder", **shape)
            for m in modalities:
                prototype_labels[m] = PrototypeLabelGenerator(
                    num_classes, label_temperature, normalize_labels, name=f"{m}_prototype_labels"
                )
                if common is not None:
                    private[m] = TaskConditionedBranch(hidden_dim, num_classes, name=f"{m}_private_branch", **shape)
                else:
                    bifurcators[m] = TaskConditionedBifurcator(
                        hidden_dim, num_classes, common_encoder=common_encoder, name=f"{m}_bifurcator", **shape
                    )
        if "prm" in modules:
            for m in modalities:
                refinements[m] = PrivateRefinement(
                    hidden_dim, num_classes, num_heads, fusion, dtype=dtype, name=f"{m}_refinement"
                )

        # === Functional Model ===
        inputs = {}
        for m, width in feature_dims.items():
            inputs[m] = keras.Input((None, width), name=m, dtype="float32")
            inputs[f"{m}_length"] = keras.Input((), name=f"{m}_length", dtype="int32")
        lengths = {m: inputs[f"{m}_length"] for m in modalities}
        if modality_dropout:
            lengths = hide(lengths)
        single = {m: encoders[m](inputs[m], lengths[m]) for m in modalities}
        aligned = alignment(single, lengths) if alignment else {}

        def joined(vectors, name):
            return keras.layers.Concatenate(dtype=dtype, name=name)(vectors) if len(vectors) > 1 else vectors[0]

        def bifurcate(m):
            shared_sequence, own_sequence, length = aligned[m]["common_sequence"], single[m], lengths[m]
            if m in bifurcators:
                return bifurcators[m](shared_sequence, own_sequence, length)
            branches = {"common": common(shared_sequence, length), "private": private[m](own_sequence, length)}
            return {f"{kind}_{name}": value for kind, branch in branches.items() for name, value in branch.items()}

        outputs, represented = {}, []
        for m in modalities:
            present = presence[m](lengths[m])
            visible = ZeroWhenMissing(dtype=dtype, name=f"{m}_visible")
            of = {"present": present}
            if not modules:
                chosen = [SequenceMean(dtype=dtype, name=f"{m}_mean")(single[m], lengths[m])]
            if "msa" in modules:
                chosen = [aligned[m]["aligned_embedding"], aligned[m]["aligned_common"]]
                of["aligned_embedding"], of["aligned_common"] = (visible(v, present) for v in chosen)
            if "psl_tfb" in modules:
                soft, hard = prototype_labels[m](aligned[m]["aligned_embedding"], present)
                branch = bifurcate(m)
                chosen = [branch["common_embedding"], branch["private_embedding"]]
                of["common_embedding"], of["private_embedding"] = (visible(v, present) for v in chosen)
                of["common_logits"], of["private_logits"] = branch["common_logits"], branch["private_logits"]
                of["soft_label"], of["hard_label"] = soft, hard
            if "prm" in modules:
                level = "embedding" if fusion == "vector" else "sequence"
                refined = refinements[m](branch[f"common_{level}"], branch[f"private_{level}"], soft, lengths[m])
                chosen = [refined]
                of["refined_embedding"] = visible(refined, present)
            vector = joined(chosen, f"{m}_representation")
            represented.append(absent[m](vector, present))
            outputs.update({f"{m}_{key}": value for key, value in of.items()})
        outputs["prediction"] = head(joined(represented, "joint"))
        super().__init__(inputs=inputs, outputs=outputs, name=name, trainable=trainable)

        # === Config ===
        self.feature_dims = feature_dims
        self.hidden_dim = hidden_dim
        self.num_classes = num_classes
        self.task = task
        self.num_layers = num_layers
        self.num_heads = num_heads
        self.dropout = dropout
        self.modules = modules
        self.compression = compression
        self.label_temperature = label_temperature
        self.normalize_labels = normalize_labels
        self.fusion = fusion
        self.common_branch = common_branch
        self.modality_dropout = modality_dropout
        self.policy = dtype

    @property
    def task_object(self):
        """The `plumkeras.tasks.Task` of its `task`."""
        return get_task(self.task)

    @property
    def modalities(self):
        """Names of the modalities, in the order of `feature_dims`."""
        return tuple(self.feature_dims)

    @property
    def prototype_generators(self):
        """Dict from modality to its `PrototypeLabelGenerator`; empty without `psl_tfb`."""
        if "psl_tfb" not in self.modules:
            return {}
        return {m: self.get_layer(f"{m}_prototype_labels") for m in self.modalities}

    def __call__(self, inputs, *args, training=None, **kwargs):
        # Not in `call`, before which Keras refuses what can be filled in, and lengthens every error.
        named = self.named_inputs(inputs, may_be_absent=not training)
        return super().__call__(named, *args, training=training, **kwargs)

    def predict(self, x, *args, **kwargs):
        """As `keras.Model.predict`. Of a dict of arrays a modality may be absent: it is missing for every sample.

        Warns:
            UserWarning: a modality is absent, every modality of some samples is missing, or values were set to 0.
        """
        if isinstance(x, dict):
            x = self.complete_arrays(x, may_be_absent=True)
        outputs = super().predict(x, *args, **kwargs)
        features.warn_of_lacking_all(outputs[f"{m}_present"] for m in self.modalities)
        return outputs

    def complete_arrays(self, arrays, where="the dict of arrays", **options):
        """`features.complete_inputs` of arrays or tensors, for this network."""
        names = [name for m in self.modalities for name in (m, f"{m}_length")]
        # Names that the network does not read pass unread: they are for messages.
        numpy = {n: ops.convert_to_numpy(a) if n in names and a is not None else a for n, a in arrays.items()}
        return features.complete_inputs(numpy, self.feature_dims, where, **options)

    def named_inputs(self, inputs, may_be_absent=False):
        """Of a dict of tensors those that the network reads, by name: Keras would match them by position.

        Without lengths every frame counts. An absent modality, where it may be, is missing for every sample.

        Raises:
            DataError: a modality is absent, or has the wrong width.
        """
        absent = features.check_names(inputs, self.modalities, f"{self.name}: the inputs", may_be_absent)
        named = {}
        for m, width in self.feature_dims.items():
            if m in absent:
                continue
            # Tensors all, since Keras refuses a mixture with arrays.
            sequence, length = (_tensor(inputs.get(name)) for name in (m, f"{m}_length"))
            if len(sequence.shape) == 2:
                sequence = ops.expand_dims(sequence, 1)
            features.check_width(sequence.shape[-1], width, m, f"{self.name}: the inputs")
            if length is None:
                length = ops.sum(ops.ones_like(sequence[:, :, 0], dtype="int32"), axis=1)
            named[m], named[f"{m}_length"] = sequence, length
        one_frame = ops.zeros_like(next(iter(named.values()))[:, :1, :1])
        for m in absent:
            named[m] = ops.repeat(one_frame, self.feature_dims[m], axis=2)
            named[f"{m}_length"] = ops.cast(one_frame[:, 0, 0], "int32")
        return named

    def select(self, *names: str) -> keras.Model:
        """The same network with only the named outputs: a functional model that computes nothing else."""
        return keras.Model(self.input, {name: self.output[name] for name in names}, name=f"{self.name}_part")

    def adapt(self, dataset) -> None:
        """Fits the standardisation on the valid frames of the training split.

        Args:
            dataset: an iterable of batches, `(inputs, labels)` or `inputs`, e.g. of `make_dataset`, gone through once;
                or one dict of arrays.

        Raises:
            ValueError: when a modality has no valid frame, or a batch is not what the network reads. NaN of a dict of
                arrays is set to 0 with a warning, as `fit` does it; of a batch it is refused.
        """
        is_dict = isinstance(dataset, dict)
        batches = [dataset] if is_dict else dataset
        layers = {m: self.get_layer(f"{m}_encoder").standardization for m in self.modalities}
        moments = {m: features.FrameMoments(width) for m, width in self.feature_dims.items()}
        for number, batch in enumerate(batches):
            inputs = batch[0] if isinstance(batch, (tuple, list)) else batch
            where = "the dict of arrays" if is_dict else f"batch {number}"
            inputs = self.complete_arrays(inputs, where, clean=is_dict)
            for m, layer in layers.items():
                layer.collect(moments[m], inputs[m], inputs[f"{m}_length"])
        for m in self.modalities:
            if not moments[m].count:
                raise ValueError(f"{m}: no valid frame to take statistics from; is the modality missing everywhere?")
        for m, layer in layers.items():
            layer.set_moments(moments[m])

    @property
    def is_adapted(self):
        """Whether the standardisation has other statistics than those it begins with."""
        layers = [self.get_layer(f"{m}_encoder").standardization for m in self.modalities]
        return any(
            np.any(ops.convert_to_numpy(layer.mean) != 0) or np.any(ops.convert_to_numpy(layer.divisor) != 1)
            for layer in layers
        )

    def get_config(self):
        return {
            "feature_dims": dict(self.feature_dims),
            "hidden_dim": self.hidden_dim,
            "num_classes": self.num_classes,
            "task": self.task,
            "num_layers": self.num_layers,
            "num_heads": self.num_heads,
            "dropout": self.dropout,
            "modules": list(self.modules),
            "compression": dict(self.compression),
            "label_temperature": self.label_temperature,
            "normalize_labels": self.normalize_labels,
            "fusion": self.fusion,
            "common_branch": self.common_branch,
            "modality_dropout": self.modality_dropout,
            "name": self.name,
            "dtype": keras.saving.serialize_keras_object(self.policy),
            "trainable": self.trainable,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**_with_common_branch(config))


def _with_common_branch(config):
    """A configuration of any version, with `common_branch` in place of version 0.1.0's `share_common_encoder`."""
    if "share_common_encoder" not in config:
        return config
    config = dict(config)
    shares = config.pop("share_common_encoder")
    return {**config, "common_branch": "shared_encoder" if shares else "per_modality"}


def _tensor(values):
    return values if values is None or keras.utils.is_keras_tensor(values) else ops.convert_to_tensor(values)
