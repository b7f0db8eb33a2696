"""MISA among the models."""

import dataclasses
from typing import Literal

from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "misa", "MISA", "MISA"
ABOUT = About(
    paper="Hazarika et al., ACM MM 2020",
    data_sets=(
        "MOSI",
        "MOSEI",
        "UR-FUNNY",
    ),
    parameters=1_134_045,
    differs="Text is the mean of frozen vectors, where the authors tune a language model. Audio and vision have "
    "their own lengths, where ports cut them to the text's. The moments' square roots are guarded, whose "
    "slope at 0 is infinite; the losses pass over missing modalities. The variant with a modality "
    "classifier behind reversed gradients, which is off in the public code, is left out.",
)
STAGES = published.STAGES
LOSS_TITLES = {"regression": "mean squared error"}


@dataclasses.dataclass(frozen=True)
class MISAConfig:
    """What `plumkeras.models.misa.MISA` is built with; the feature widths come from the data."""

    width: int = 128
    """Width of the projected, private and shared vectors; a multiple of the heads."""
    num_heads: int = 2
    """Attention heads of the fusion."""
    feed_forward: int = 2048
    """Inner width of the fusion's Transformer layer."""
    fusion_dropout: float = 0.1
    """Dropout rate of the fusion's Transformer layer."""
    dropout: float = 0.5
    """Dropout rate of the head."""
    text_pooling: Literal["mean", "lstm"] = "mean"
    """Text as the mean of its vectors; or by LSTMs as the other modalities, as the paper reads word vectors."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class MISAObjectiveConfig:
    """The weights of the losses beside the task's, which is the squared error in regression."""

    difference_weight: float = 0.3
    """Weight of what keeps private vectors apart from shared ones and from each other."""
    similarity_weight: float = 1.0
    """Weight of what brings the shared vectors of the modalities together."""
    reconstruction_weight: float = 1.0
    """Weight of the reconstruction."""


@dataclasses.dataclass(frozen=True)
class MISARecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of MISA except the data file."""

    model: str = NAME
    """Model to train."""
    network: MISAConfig = dataclasses.field(default_factory=MISAConfig)
    objective: MISAObjectiveConfig = dataclasses.field(default_factory=MISAObjectiveConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)


SyntheticMISARecipeConfig = on_generated_data(MISARecipeConfig)
CONFIG, SYNTHETIC_CONFIG = MISARecipeConfig, SyntheticMISARecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
