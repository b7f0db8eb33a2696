"""PLUM-Net as a functional Keras model of named inputs and outputs."""

from collections.abc import Sequence

import keras

from plumkeras import features
from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE, SequenceMean
from plumkeras.layers.missing_modality import AbsentVector, ModalityDropout, Presence, ZeroWhenMissing
from plumkeras.layers.modality_encoder import ModalityEncoder, StridedLength
from plumkeras.layers.multilevel_semantic_alignment import MultilevelSemanticAlignment
from plumkeras.layers.prediction import Prediction
from plumkeras.layers.private_refinement import PrivateRefinement
from plumkeras.layers.prototype_label_generator import PrototypeLabelGenerator
from plumkeras.layers.task_conditioned_bifurcator import TaskConditionedBifurcator, TaskConditionedBranch
from plumkeras.layers.text_encoder import TextEncoder, TextModalityEncoder
from plumkeras.layers.transformer import TransformerEncoder
from plumkeras.models.base import MultimodalNetwork, check_widths, with_text_encoder
from plumkeras.tasks import get_task

_EMBEDDINGS = ("common_embedding", "private_embedding", "refined_embedding")
MODULES = ("msa", "psl_tfb", "prm")
COMMON_BRANCHES = ("shared", "per_modality", "shared_encoder")


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class PLUMNet(MultimodalNetwork):
    """Prototype-Induced Label Structuring for Disentangled Multimodal Representation Network.

    A functional model: a flat dict of named inputs to a flat dict of named outputs. It holds what changes weights or
    the forward pass; objectives live on `AlignmentTrainer` and `RefinementTrainer`.

    Args:
        feature_dims: dict from modality to feature width, e.g. `{"text": 384, "audio": 73}`. One modality or more,
            any names. The width 0 is that of the token ids that `text_encoder` reads.
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
        strides: dict from modality to how many frames the stem projects as one, by default 1, for long sequences. See
            `layers.ModalityEncoder`.
        label_temperature, normalize_labels: `temperature` and `normalize` of `layers.PrototypeLabelGenerator`.
        fusion: `"sequence"` or `"vector"`, see `layers.PrivateRefinement`.
        common_branch: `"shared"`: one common branch for all modalities; `"per_modality"`: each has its own;
            `"shared_encoder"`: one encoder, and a pool and a classifier for each, as version 0.1.0's
            `share_common_encoder` had it. Defaults to `"shared"`.
        modality_dropout: float. Probability of hiding a modality of a sample in training. Defaults to `0`.
        text_encoder: `layers.TextEncoder` of the modality that is token ids, whose input is then `<modality>_ids`
            `[B, T]` int in place of `<modality>`; or None. Defaults to None.

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
        strides: dict[str, int] | None = None,
        text_encoder: TextEncoder | None = None,
        name: str = "plum_net",
        dtype=None,
        trainable: bool = True,
    ):
        modules = tuple(modules)
        feature_dims = check_widths(feature_dims, text_encoder)
        compression = dict(compression or {})
        strides = dict(strides or {})
        get_task(task)
        if common_branch not in COMMON_BRANCHES:
            raise ValueError(f"`common_branch` must be one of {COMMON_BRANCHES}. Received: {common_branch!r}")
        if modules != MODULES[: len(modules)]:
            raise ValueError(f"`modules` must be a leading part of {MODULES}. Received: modules={modules}")
        for argument, by_modality in (("compression", compression), ("strides", strides)):
            if unknown := sorted(set(by_modality) - set(feature_dims)):
                raise ValueError(f"`{argument}` names {unknown}, which `feature_dims` lacks: {sorted(feature_dims)}")
            if read := [m for m in by_modality if feature_dims[m] == features.TOKEN_IDS]:
                raise ValueError(f"`{argument}` names {read[0]!r}, which is token ids: it is for vectors alone")
        dtype = keras.dtype_policies.get(dtype)
        modalities = tuple(feature_dims)

        # === Layers ===
        hide = ModalityDropout(modality_dropout, dtype=dtype, name="modality_dropout")
        presence = {m: Presence(name=f"{m}_presence") for m in modalities}
        encoders = {}
        for m, width in feature_dims.items():
            stem = {"dropout": dropout, "dtype": dtype, "name": f"{m}_encoder"}
            if width == features.TOKEN_IDS:
                encoders[m] = TextModalityEncoder(hidden_dim, text_encoder, **stem)
            else:
                encoders[m] = ModalityEncoder(hidden_dim, compression.get(m), stride=strides.get(m, 1), **stem)
        absent = {m: AbsentVector(dtype=dtype, name=f"{m}_absent") for m in modalities}
        head = Prediction(task, hidden_dim, num_classes, dropout, dtype=dtype, name="prediction")
        alignment, common, prototype_labels, private, bifurcators, refinements = None, None, {}, {}, {}, {}
        if "msa" in modules:
            alignment = MultilevelSemanticAlignment(hidden_dim, dtype=dtype, name="alignment")
        if "psl_tfb" in modules:
            shape = {"num_layers": num_layers, "num_heads": num_heads, "dropout": dropout, "dtype": dtype}
            common_encoder = None
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
        inputs = self.named_input_tensors(feature_dims)
        lengths = {m: inputs[f"{m}_length"] for m in modalities}
        if modality_dropout:
            lengths = hide(lengths)
        single = {m: encoders[m](inputs[features.input_name(m, w)], lengths[m]) for m, w in feature_dims.items()}
        lengths |= {m: StridedLength(s, name=f"{m}_strided_length")(lengths[m]) for m, s in strides.items() if s > 1}
        aligned = alignment(single, lengths) if alignment else {}
        commons = common({m: aligned[m]["common_sequence"] for m in modalities}, lengths) if common else {}

        def joined(vectors, name):
            return keras.layers.Concatenate(dtype=dtype, name=name)(vectors) if len(vectors) > 1 else vectors[0]

        def bifurcate(m):
            if m in bifurcators:
                return bifurcators[m](aligned[m]["common_sequence"], single[m], lengths[m])
            branches = {"common": commons[m], "private": private[m](single[m], lengths[m])}
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
        self.strides = strides
        self.policy = dtype

    @property
    def prototype_generators(self):
        """Dict from modality to its `PrototypeLabelGenerator`; empty without `psl_tfb`."""
        if "psl_tfb" not in self.modules:
            return {}
        return {m: self.get_layer(f"{m}_prototype_labels") for m in self.modalities}

    def signatures(self):
        """`explain` adds soft and hard labels and the branches' probabilities, `embed` gives the embeddings."""
        every = [f"{m}_{name}" for m in self.modalities for name in _EMBEDDINGS]
        labels = [f"{m}_{name}" for m in self.modalities for name in ("soft_label", "hard_label")]
        found = super().signatures()
        found["explain"] |= {name: name for name in labels if name in self.output}
        for m in self.modalities:
            for branch in ("common", "private"):
                if (logits := f"{m}_{branch}_logits") in self.output:
                    found["explain"][f"{m}_{branch}_probabilities"] = logits
        if embeddings := {name: name for name in every if name in self.output}:
            found["embed"] = embeddings
        return found

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
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
            "strides": dict(self.strides),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**_with_common_branch(with_text_encoder(config)))


def _with_common_branch(config):
    """A configuration of any version, with `common_branch` in place of version 0.1.0's `share_common_encoder`."""
    if "share_common_encoder" not in config:
        return config
    config = dict(config)
    shares = config.pop("share_common_encoder")
    return {**config, "common_branch": "shared_encoder" if shares else "per_modality"}
