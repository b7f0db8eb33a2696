"""PLUM-Net among the models: its configuration, network, stages and search space."""

import dataclasses
import math
from typing import ClassVar, Literal

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import BaseRecipeConfig, StageConfig, on_generated_data
from plumkeras.recipes.models.about import About
from plumkeras.recipes.models.spaces import around
from plumkeras.recipes.models.text import text_options, text_space

NAME, NETWORK, TITLE = "plum_net", "PLUMNet", "PLUM-Net"
ABOUT = About(
    paper="Wang et al., AAAI 2026",
    data_sets=("MOSI", "MOSEI", "UR-FUNNY", "MUStARD"),
    parameters=11_006_989,
    differs="The paper's network; every ambiguity of the paper and how it was settled is in docs/network.md.",
)
STAGES = {"alignment": "Stage 1: common-private alignment", "refinement": "Stage 2: fusion refinement"}


@dataclasses.dataclass(frozen=True)
class NetworkConfig:
    """What `plumkeras.PLUMNet` is built with; the feature widths come from the data."""

    hidden_dim: int = 256
    """Width d of every representation; even, and a multiple of the heads."""
    num_layers: int = 2
    """Transformer blocks in each branch encoder."""
    num_heads: int = 8
    """Attention heads."""
    dropout: float = 0.1
    """Dropout rate."""
    modules: tuple[Literal["msa", "psl_tfb", "prm"], ...] = ("msa", "psl_tfb", "prm")
    """Modules to use: none, msa, msa psl_tfb, or all three, as in the rows of the paper's Table 3."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""
    label_temperature: float = 0.1
    """Temperature of the prototype labels; 1 is eq. 5 as printed."""
    normalize_labels: bool = True
    """Whether prototype distances are taken between vectors of unit length."""
    fusion: Literal["sequence", "vector"] = "sequence"
    """Whether private refinement attends between the branches' sequences or, as printed, their pooled vectors."""
    common_branch: Literal["shared", "per_modality", "shared_encoder"] = "shared"
    """One common branch for all modalities, one for each, or one encoder with a pool and a classifier for each."""
    modality_dropout: float = 0.0
    """Probability of hiding a modality of a sample in training."""
    strided: tuple[str, ...] = ()
    """Modalities whose frames the stem projects `stride` at a time, for long sequences."""
    stride: int = 4
    """Frames that the stem projects as one, of strided modalities."""


@dataclasses.dataclass(frozen=True)
class ObjectiveConfig:
    """What both stages minimise; see `plumkeras.objectives.alignment.AlignmentObjective`."""

    label_classes: Literal["sign3", "round7"] | tuple[float, ...] = "sign3"
    """How a regression label becomes a class; or increasing bin edges. Where sign3 gives one class, quantiles of the
    training labels. Not read in classification."""
    alignment_weight: float = 0.1
    """Weight of the contrastive terms, the paper's lambda_1."""
    temperature: float = 0.1
    """Temperature of the contrastive terms."""
    include_self: bool = False
    """The anchor in the contrastive denominator, as eq. 1 and 2 are printed."""
    inter_positives: Literal["cross", "all"] = "cross"
    """Positives of eq. 2: same-class members of other modalities, or all."""
    private_target: Literal["hard", "soft", "class"] = "hard"
    """What the private branches learn: prototype labels, or the true class."""
    warmup_target: Literal["class", "none"] = "class"
    """During label warm-up: "class", the private branches learn the true class; "none", no branch is trained."""
    branch_weight: float = 1.0
    """Weight of the branch losses; 1 is eq. 10."""
    class_balanced: bool = False
    """Weigh classes by the inverse of their share in the branch losses."""
    label_smoothing: float = 0.0
    """Label smoothing of the branch losses."""


@dataclasses.dataclass(frozen=True)
class AlignmentConfig(StageConfig):
    """Stage 1, common-private alignment."""

    label_warmup_epochs: int = 1
    """Epochs before the private branches learn prototype labels."""


@dataclasses.dataclass(frozen=True)
class RefinementConfig(StageConfig):
    """Stage 2, fusion refinement."""

    objective: Literal["total", "refinement"] = "total"
    """Eq. 13, or the prediction loss alone."""
    freeze_alignment: bool = False
    """Keep stem, alignment and branches as stage 1 left them."""


@dataclasses.dataclass(frozen=True)
class RecipeConfig(BaseRecipeConfig):
    """Everything about a run of PLUM-Net except the data file."""

    STAGES: ClassVar[tuple[str, ...]] = tuple(STAGES)

    prototype_policy: Literal["epoch", "ema", "batch", "none"] = "epoch"
    """When prototypes are computed: from the whole training split before each epoch, from batches, or never, so that
    soft labels stay uniform (with objective.private_target class)."""
    prototype_momentum: float = 0.99
    """Momentum of the "ema" policy."""
    record: tuple[Literal["similarity", "labels"], ...] = ()
    """What the history holds beside the losses, after each epoch: similarity, the cosines between the modalities'
    embeddings on valid; labels, how many samples of train get which prototype label."""
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    alignment: AlignmentConfig = dataclasses.field(default_factory=AlignmentConfig)
    refinement: RefinementConfig = dataclasses.field(default_factory=RefinementConfig)

    def __post_init__(self):
        super().__post_init__()
        if self.network.hidden_dim % 2 or self.network.hidden_dim % self.network.num_heads:
            raise ConfigError(
                "network.hidden_dim must be even and a multiple of network.num_heads. Received: "
                f"network.hidden_dim={self.network.hidden_dim}, network.num_heads={self.network.num_heads}"
            )
        modules = tuple(self.network.modules)
        if modules != ("msa", "psl_tfb", "prm")[: len(modules)]:
            raise ConfigError(
                f"network.modules must be a leading part of msa psl_tfb prm. Received: {' '.join(modules)}"
            )
        if self.prototype_policy == "none" and self.objective.private_target != "class":
            raise ConfigError(
                "prototype_policy=none leaves no label but the true class; set objective.private_target=class too"
            )
        if self.record and "psl_tfb" not in modules:
            raise ConfigError("record needs the module psl_tfb, whose branches it measures; leave it out, or add that")
        edges = self.objective.label_classes
        finite = isinstance(edges, str) or all(map(math.isfinite, edges))
        if not isinstance(edges, str) and (not edges or not finite or list(edges) != sorted(set(edges))):
            raise ConfigError(f"objective.label_classes must be sign3, round7 or increasing edges. Received: {edges}")

    @property
    def label_classes(self):
        return self.objective.label_classes


SyntheticRecipeConfig = on_generated_data(RecipeConfig)
CONFIG, SYNTHETIC_CONFIG = RecipeConfig, SyntheticRecipeConfig


def network_options(config, shape):
    """The arguments of `PLUMNet` beside those of `shape`.

    Args:
        config: `RecipeConfig`.
        shape: dict of `feature_dims`, `task` and `num_classes`.
    """
    # Late: it imports numpy.
    from plumkeras.features import TOKEN_IDS

    options = dict(vars(config.network))
    modalities = shape["feature_dims"]
    compressed, strided, stride = (options.pop(name) for name in ("signed_log1p", "strided", "stride"))
    vectors = [m for m, width in modalities.items() if width != TOKEN_IDS]
    options["compression"] = {m: "signed_log1p" for m in vectors if m in compressed}
    options["strides"] = {m: stride for m in vectors if m in strided}
    return {**options, **text_options(config, shape)}


def build_trainers(config, network, class_weight, data):
    """The trainers, not yet compiled: dict with `alignment` (unless there is no stage 1) and `refinement`."""
    from plumkeras.trainers import AlignmentTrainer, RefinementTrainer

    shared = {
        "prototype_policy": config.prototype_policy,
        "prototype_momentum": config.prototype_momentum,
        **vars(config.objective),
        "class_weight": class_weight,
    }
    trainers = {}
    if network.modules and config.alignment.epochs:
        warmup = config.alignment.label_warmup_epochs
        trainers["alignment"] = AlignmentTrainer(network, label_warmup_epochs=warmup, **shared)
    stage = config.refinement
    trainers["refinement"] = RefinementTrainer(
        network, objective=stage.objective, freeze_alignment=stage.freeze_alignment, **shared
    )
    return trainers


def search_space(config, modalities):
    """The space around a recipe's values that is searched when none is given, as in a space file.

    - `network.hidden_dim`: half, once and twice the recipe's; `network.num_layers`: one less, the same and one more;
    - `network.dropout`: 0 to 0.5 or the recipe's and 0.2; `network.modality_dropout`: 0 to 0.3;
    - `alignment.learning_rate`, `refinement.learning_rate`, `objective.alignment_weight`, `objective.branch_weight`,
      `network.label_temperature`: from a fifth of the recipe's to five times it, by the logarithm;
    - `alignment.epochs`: half to twice the recipe's;
    - `refinement.weight_decay`: 0, 1e-4, 1e-3, 1e-2 and the recipe's;
    - with a text encoder that is tuned, its learning rate as the others, and `text.layer_decay`: 0.8, 0.9, 1.

    What the recipe's modules do not use is left out, and so are the epochs of stage 2, of which validation chooses one.

    Args:
        config: `RecipeConfig`.
        modalities: the modalities that are trained on.
    """
    network, objective = config.network, config.objective
    widths = [network.hidden_dim // 2, network.hidden_dim, 2 * network.hidden_dim]
    fits = [w for w in widths if w >= 2 and w % 2 == 0 and w % network.num_heads == 0]
    space = {"network.hidden_dim": {"values": fits}}
    has_branches = "psl_tfb" in network.modules
    if has_branches:
        layers = (network.num_layers - 1, network.num_layers, network.num_layers + 1)
        space["network.num_layers"] = {"values": [n for n in layers if n]}
    space["network.dropout"] = {"min": 0.0, "max": max(0.5, min(round(network.dropout + 0.2, 4), 0.9))}
    if len(modalities) > 1:
        space["network.modality_dropout"] = {"min": 0.0, "max": max(0.3, network.modality_dropout)}
    if has_branches:
        space["network.label_temperature"] = around(network.label_temperature)
        space["objective.branch_weight"] = around(objective.branch_weight)
    if network.modules:
        space["objective.alignment_weight"] = around(objective.alignment_weight)
    if network.modules and config.alignment.epochs:
        epochs = config.alignment.epochs
        space["alignment.epochs"] = {"min": max(epochs // 2, 1), "max": 2 * epochs}
        space["alignment.learning_rate"] = around(config.alignment.learning_rate)
    space["refinement.learning_rate"] = around(config.refinement.learning_rate)
    space["refinement.weight_decay"] = {"values": sorted({0.0, 1e-4, 1e-3, 1e-2, config.refinement.weight_decay})}
    return space | text_space(config)
