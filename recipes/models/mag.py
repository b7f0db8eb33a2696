"""MAG among the models."""

import dataclasses

from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "mag", "MAG", "MAG"
ABOUT = About(
    paper="Rahman et al., ACL 2020",
    data_sets=(
        "MOSI",
        "MOSEI",
    ),
    parameters=1_372_033,
    differs="The gate alone is the published one: it shifts frozen text vectors in front of a small Transformer "
    "that is trained from the start, where the authors put it inside a pretrained BERT or XLNet. Frames "
    "are aligned by position; one frame of a whole utterance goes with every word. The loss is the "
    "absolute error, published: squared.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class MAGConfig:
    """What `plumkeras.models.mag.MAG` is built with; the feature widths come from the data."""

    width: int = 64
    """Width d of the Transformer; a multiple of the heads."""
    num_layers: int = 2
    """Layers of the Transformer."""
    num_heads: int = 4
    """Attention heads."""
    beta: float = 1.0
    """How far a text vector may be shifted, in its own length."""
    gate_dropout: float = 0.5
    """Dropout rate of the shifted vectors."""
    dropout: float = 0.1
    """Dropout rate in the Transformer and of what it gives the head."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class MAGRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of MAG except the data file."""

    model: str = NAME
    """Model to train."""
    network: MAGConfig = dataclasses.field(default_factory=MAGConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)


SyntheticMAGRecipeConfig = on_generated_data(MAGRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = MAGRecipeConfig, SyntheticMAGRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
