"""CubeMLP among the models."""

import dataclasses
from typing import Literal

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "cubemlp", "CubeMLP", "CubeMLP"
ABOUT = About(
    paper="Sun et al., ACM MM 2022",
    data_sets=(
        "MOSI",
        "MOSEI",
    ),
    parameters=983_987,
    differs="Every modality's own length says what is padding, and frames past it are 0, where the public code "
    "has a constant up to the longest sample of the batch. Frames are aligned by position. The rate is "
    "chosen without the test loss, which the public plateau schedule reads.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class CubeMLPConfig:
    """What `plumkeras.models.cubemlp.CubeMLP` is built with; the feature widths come from the data."""

    width: int = 128
    """Width d of every modality."""
    frames: int = 100
    """Frames of the cube; of longer sequences the first ones are read."""
    time_sizes: tuple[int, ...] = (50, 10)
    """Frames of the cube after each block."""
    channel_sizes: tuple[int, ...] = (128, 32)
    """Channels of the cube after each block."""
    time_pooling: Literal["mean", "concatenate"] = "mean"
    """The mean over the frames that are left, or all of them."""
    dropout: float = 0.1
    """Dropout rate of each modality in front of the cube."""
    cube_dropout: float = 0.1
    """Dropout rate inside the blocks."""
    head_dropout: float = 0.1
    """Dropout rate of the head's inner layer, which a vector of up to 128 values does without."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class CubeMLPRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of CubeMLP except the data file."""

    model: str = NAME
    """Model to train."""
    network: CubeMLPConfig = dataclasses.field(default_factory=CubeMLPConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        time, channel = self.network.time_sizes, self.network.channel_sizes
        if len(time) != len(channel) or min((*time, *channel), default=0) < 1:
            raise ConfigError(
                "network.time_sizes and network.channel_sizes must each have a size of 1 or more for every block. "
                f"Received: network.time_sizes={list(time)}, network.channel_sizes={list(channel)}"
            )


SyntheticCubeMLPRecipeConfig = on_generated_data(CubeMLPRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = CubeMLPRecipeConfig, SyntheticCubeMLPRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
