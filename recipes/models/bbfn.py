"""BBFN among the models."""

import dataclasses

from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "bbfn", "BBFN", "BBFN"
ABOUT = About(
    paper="Han et al., ICMI 2021",
    data_sets=(
        "MOSI",
        "MOSEI",
        "UR-FUNNY",
    ),
    parameters=1_059_491,
    differs="The discriminator's loss is on, which the published script leaves off, and validation reads the "
    "task's loss alone. Frames are matched by position; keys are masked by the source's length and rows "
    "by the target's, so that lengths may differ.",
)
STAGES = published.STAGES
LOSS_TITLES = {"regression": "mean squared error"}


@dataclasses.dataclass(frozen=True)
class BBFNConfig:
    """What `plumkeras.models.bbfn.BBFN` is built with; the feature widths come from the data."""

    width: int = 40
    """Width d of every modality; a multiple of the heads."""
    num_layers: int = 5
    """Layers of each pair of the text and another modality."""
    num_heads: int = 5
    """Attention heads."""
    attention_dropout: float = 0.1
    """Dropout rate of the attention weights."""
    relu_dropout: float = 0.1
    """Dropout rate inside the feed-forward layers."""
    residual_dropout: float = 0.1
    """Dropout rate on the residual branches."""
    dropout: float = 0.0
    """Dropout rate of the head."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class BBFNObjectiveConfig:
    """What `plumkeras.models.bbfn.BBFNObjective` is built with."""

    discriminator_weight: float = 0.1
    """Weight of the discriminators' loss."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig(published.TrainingConfig):
    """The one stage."""

    learning_rate: float = 5e-4
    """Learning rate, at the start."""


@dataclasses.dataclass(frozen=True)
class BBFNRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of BBFN except the data file."""

    model: str = NAME
    """Model to train."""
    network: BBFNConfig = dataclasses.field(default_factory=BBFNConfig)
    objective: BBFNObjectiveConfig = dataclasses.field(default_factory=BBFNObjectiveConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)


SyntheticBBFNRecipeConfig = on_generated_data(BBFNRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = BBFNRecipeConfig, SyntheticBBFNRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
