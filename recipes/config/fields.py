"""The fields of a recipe, with their defaults and bounds. Every field can be overridden on the command line.

Nothing here imports a backend, so that a mistake on the line is told before one starts.
"""

import dataclasses
import math
import sys
from typing import Literal

from plumkeras.recipes.config.errors import ConfigError


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
class StageConfig:
    """One stage's optimisation."""

    epochs: int = 20
    """Epochs, at most."""
    learning_rate: float = 5e-4
    """Learning rate, at the start."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Constant, or falling by a cosine to a twentieth over all the epochs."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW); 0 is Adam."""
    clipnorm: float = 0.0
    """Norm to clip the gradient of each weight at; 0 does not clip."""
    patience: int = 0
    """Stop stage 2 after this many epochs without a better validation loss; 0 never stops. No effect on stage 1."""


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
class SyntheticConfig:
    """The generated data of `plumkeras train synthetic`; see `plumkeras.data_pipelines.make_synthetic`."""

    train: int = 768
    """Training samples."""
    valid: int = 192
    """Validation samples."""
    test: int = 384
    """Test samples."""
    relative_strength: float = 0.5
    """Standard deviation of each private latent; that of the common one is 1."""
    noise: float = 1.0
    """Standard deviation of the noise on every frame."""
    label_noise: float = 0.0
    """Standard deviation of the noise on the label."""
    missing_rate: float = 0.0
    """Probability that a modality of a sample is missing."""
    data_seed: int = 0
    """Seed of the samples."""


@dataclasses.dataclass(frozen=True)
class RecipeConfig:
    """Everything about a run except the data file."""

    name: str
    """Name of the recipe."""
    modalities: tuple[str, ...] = ()
    """Modalities to use; by default all in the file."""
    protocol: Literal["file", "speaker_independent"] = "file"
    """The file's own splits or folds; or, for MUStARD, one show to test on and validation by speaker."""
    sample_norm: tuple[str, ...] = ()
    """Modalities whose features are standardised within each sample first, as MISA and MultiBench do."""
    task: Literal["regression", "classification", "multilabel"] | None = None
    """What the labels are; by default what the file says or shows."""
    label_column: str | None = None
    """Name or number (from 0) of the labels to learn, where each sample has several."""
    class_weight: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """Weights of the classes in the prediction and branch losses: by their share of the training labels, or one for
    each class."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels; by default the file's, else -3 3, or -1 1 with labels per modality (SIMS)."""
    validation_fraction: float = 0.0
    """Share of `train` to carve off as `valid`, by video or group, where the file has no labelled `valid`; 0: none."""
    context_frames: int = 0
    """Frames of context put in front of each utterance, the last ones, where the data have a context."""
    batch_size: int = 32
    """Samples in a batch."""
    drop_remainder: bool = False
    """Leave out the last, partial batch of each training epoch."""
    seed: int = 0
    """Seed of weights, dropout and data order."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """What the network computes in; weights, losses, distances, softmax and metrics stay float32."""
    devices: int = 1
    """GPUs (or, without one, logical CPU devices) that share each batch; as on one, but for dropout masks."""
    deterministic: bool = False
    """The same bits from the same seed, at some cost in speed; needed for a resumed run to equal an unbroken one."""
    prototype_policy: Literal["epoch", "ema", "batch"] = "epoch"
    """When prototypes are computed: from the whole training split before each epoch, or from batches."""
    prototype_momentum: float = 0.99
    """Momentum of the "ema" policy."""
    network: NetworkConfig = dataclasses.field(default_factory=NetworkConfig)
    objective: ObjectiveConfig = dataclasses.field(default_factory=ObjectiveConfig)
    alignment: AlignmentConfig = dataclasses.field(default_factory=AlignmentConfig)
    refinement: RefinementConfig = dataclasses.field(default_factory=RefinementConfig)

    @property
    def label_options(self) -> dict:
        """How the labels of a file are read: arguments of `data_pipelines.load`."""
        return {"label_range": self.label_range, "task": self.task, "label_column": self.label_column}

    def __post_init__(self):
        _check_numbers(self)
        for field in dataclasses.fields(self):
            if dataclasses.is_dataclass(getattr(self, field.name)):
                _check_numbers(getattr(self, field.name))
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
        if not self.refinement.epochs:
            raise ConfigError("refinement.epochs must be 1 or more. Received: 0")
        if self.batch_size < self.devices:
            raise ConfigError(
                f"batch_size must not be below devices. Received: batch_size={self.batch_size}, devices={self.devices}"
            )
        check_label_range(self.label_range)
        weights = self.class_weight
        if not isinstance(weights, str) and not (weights and all(map(math.isfinite, weights)) and min(weights) >= 0):
            raise ConfigError(f"class_weight must be none, balanced or weights of 0 or more. Received: {weights}")
        edges = self.objective.label_classes
        finite = isinstance(edges, str) or all(map(math.isfinite, edges))
        if not isinstance(edges, str) and (not edges or not finite or list(edges) != sorted(set(edges))):
            raise ConfigError(f"objective.label_classes must be sign3, round7 or increasing edges. Received: {edges}")


@dataclasses.dataclass(frozen=True)
class SyntheticRecipeConfig(RecipeConfig):
    """A run on generated data."""

    synthetic: SyntheticConfig = dataclasses.field(default_factory=SyntheticConfig)


# Half-open ranges [low, high) of the numbers; what is not named here has no bound of its own.
_RANGES = {
    "hidden_dim": (2, None),
    "num_layers": (1, None),
    "num_heads": (1, None),
    "dropout": (0, 1),
    "modality_dropout": (0, 1),
    "label_temperature": (1e-6, None),
    "temperature": (1e-6, None),
    "alignment_weight": (0, None),
    "branch_weight": (0, None),
    "label_smoothing": (0, 1),
    "epochs": (0, None),
    "learning_rate": (0, None),
    "weight_decay": (0, None),
    "clipnorm": (0, None),
    "patience": (0, None),
    "label_warmup_epochs": (0, None),
    "batch_size": (2, None),
    "devices": (1, None),
    "validation_fraction": (0, 1),
    "context_frames": (0, None),
    "seed": (0, 2**32),
    "prototype_momentum": (0, 1),
    "train": (2, None),
    "valid": (2, None),
    "test": (2, None),
    "relative_strength": (0, None),
    "noise": (0, None),
    "label_noise": (0, None),
    "missing_rate": (0, 1),
    "data_seed": (0, 2**32),
}
_SECTIONS = {
    NetworkConfig: "network.",
    ObjectiveConfig: "objective.",
    AlignmentConfig: "alignment.",
    RefinementConfig: "refinement.",
    SyntheticConfig: "synthetic.",
}


def _check_numbers(config):
    for field in dataclasses.fields(config):
        if field.name not in _RANGES:
            continue
        low, high = _RANGES[field.name]
        value = getattr(config, field.name)
        if not (_is_finite(value) and low <= value and (high is None or value < high)):
            bound = f"in [{low}, {high})" if high is not None else f"{low} or more"
            raise ConfigError(f"{_SECTIONS.get(type(config), '')}{field.name} must be {bound}. Received: {value}")


def _is_finite(value):
    # A whole number may be one that no float holds, which math.isfinite can't take.
    return abs(value) <= sys.float_info.max


def check_label_range(label_range, name="label_range"):
    """Raises `ConfigError`, with the option's name, unless it is None or two finite numbers, the lower one first."""
    if label_range is None:
        return
    if len(label_range) != 2 or not all(map(math.isfinite, label_range)) or not label_range[0] < label_range[1]:
        received = " ".join(f"{end:g}" for end in label_range)
        raise ConfigError(f"{name} must be two finite numbers, the lower one first. Received: {received}")
