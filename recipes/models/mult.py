"""MulT among the models."""

import dataclasses

from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "mult", "MulT", "MulT"
ABOUT = About(
    paper="Tsai et al., ACL 2019",
    data_sets=("MOSI", "MOSEI", "IEMOCAP"),
    parameters=1_555_961,
    differs="Lengths say what is padding and the last valid frame is read; the public code reads padding. The rate is "
    "constant or falls by a cosine, in place of the plateau schedule.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class MulTConfig:
    """What `plumkeras.models.mult.MulT` is built with; the feature widths come from the data."""

    width: int = 40
    """Width d of every modality; a multiple of the heads."""
    num_layers: int = 4
    """Layers of the encoders between modalities; the memories have 3 at least."""
    num_heads: int = 8
    """Attention heads."""
    text_dropout: float = 0.2
    """Dropout rate of the text's features."""
    attention_dropout: float = 0.1
    """Dropout rate of attention to the text and in the memories."""
    relu_dropout: float = 0.1
    """Dropout rate inside the feed-forward layers."""
    residual_dropout: float = 0.1
    """Dropout rate on the residual branches."""
    embed_dropout: float = 0.25
    """Dropout rate of frames and positions, in front of each encoder."""
    dropout: float = 0.1
    """Dropout rate of the head."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class MulTRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of MulT except the data file."""

    model: str = NAME
    """Model to train."""
    network: MulTConfig = dataclasses.field(default_factory=MulTConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)


SyntheticMulTRecipeConfig = on_generated_data(MulTRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = MulTRecipeConfig, SyntheticMulTRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
