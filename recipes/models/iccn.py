"""ICCN among the models."""

import dataclasses

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "iccn", "ICCN", "ICCN"
ABOUT = About(
    paper="Sun et al., AAAI 2020",
    data_sets=(
        "MOSI",
        "MOSEI",
        "IEMOCAP",
    ),
    parameters=155_409,
    differs="There is no public code: widths are ours, the text's vector is the mean of its frames, and the "
    "correlation is trained with the task from the start, in batches larger than the codes. The "
    "correlation's gradient is in closed form, since that of a decomposition fails where two values are "
    "equal. With one modality beside the text nothing correlates.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class ICCNConfig:
    """What `plumkeras.models.iccn.ICCN` is built with; the feature widths come from the data."""

    width: int = 16
    """Width of the recurrent layers."""
    kernel_size: int = 3
    """Frames that a convolution over time reads at a time."""
    channels: int = 8
    """Channels of the convolutions over products of two vectors."""
    code_width: int = 8
    """Width of the codes that are to correlate; a batch has to have many times as many samples."""
    head_width: int = 64
    """Width of the head."""
    dropout: float = 0.2
    """Dropout rate of the head."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class ICCNObjectiveConfig:
    """The term of the loss beside the task's."""

    correlation_weight: float = 0.1
    """Weight of the correlation of the codes."""
    regularisation: float = 1e-3
    """What is added to the variances of the codes."""


@dataclasses.dataclass(frozen=True)
class ICCNRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of ICCN except the data file."""

    model: str = NAME
    """Model to train."""
    network: ICCNConfig = dataclasses.field(default_factory=ICCNConfig)
    objective: ICCNObjectiveConfig = dataclasses.field(default_factory=ICCNObjectiveConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        if self.batch_size <= self.network.code_width:
            raise ConfigError(
                "batch_size must be above network.code_width, or no batch has a correlation. Received: "
                f"batch_size={self.batch_size}, network.code_width={self.network.code_width}"
            )


SyntheticICCNRecipeConfig = on_generated_data(ICCNRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = ICCNRecipeConfig, SyntheticICCNRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
