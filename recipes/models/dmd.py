"""DMD among the models."""

import dataclasses

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "dmd", "DMD", "DMD"
ABOUT = About(
    paper="Li et al., CVPR 2023",
    data_sets=(
        "MOSI",
        "MOSEI",
    ),
    parameters=4_405_582,
    differs="Orthogonality is over channels, where the public code has it over the batch axis; three dense layers"
    " that are computed and unused are left out. Sequences are padded or cut to a fixed number of frames,"
    " of which lengths say what is padding. The distillation of specific representations repels, as in "
    "the public code.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class DMDConfig:
    """What `plumkeras.models.dmd.DMD` is built with; the feature widths come from the data."""

    frames: int = 50
    """Frames that are read of every modality, the first ones; more for data that are not aligned or have a context."""
    kernel_size: int = 5
    """Frames that a projection reads at a time."""
    width: int = 50
    """Width d of every part; a multiple of the heads."""
    num_layers: int = 4
    """Layers of the encoders; the memories have 3 at least."""
    num_heads: int = 10
    """Attention heads."""
    common_graph_width: int = 64
    """Width of the nodes of the common parts' graph."""
    specific_graph_width: int = 32
    """Width of the nodes of the specific parts' graph."""
    text_dropout: float = 0.5
    """Dropout rate of the text's features."""
    attention_dropout: float = 0.3
    """Dropout rate of attention to the text and in the memories."""
    audio_attention_dropout: float = 0.2
    """Dropout rate of attention to the audio."""
    relu_dropout: float = 0.0
    """Dropout rate inside the feed-forward layers."""
    residual_dropout: float = 0.0
    """Dropout rate on the residual branches."""
    embed_dropout: float = 0.2
    """Dropout rate of frames and positions, in front of each encoder."""
    dropout: float = 0.5
    """Dropout rate of the heads."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class DMDObjectiveConfig:
    """Weights of the terms of the loss beside those of the heads."""

    common_graph_weight: float = 0.05
    """Weight of what the common parts teach each other."""
    specific_graph_weight: float = 0.05
    """Weight of what the specific parts teach each other."""
    reconstruction_weight: float = 0.1
    """Weight of reconstruction and cycle."""
    margin_weight: float = 0.01
    """Weight of margin and orthogonality."""


@dataclasses.dataclass(frozen=True)
class DMDTrainingConfig(published.TrainingConfig):
    """The one stage."""

    learning_rate: float = 1e-4
    """Learning rate, at the start."""


@dataclasses.dataclass(frozen=True)
class DMDRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of DMD except the data file."""

    model: str = NAME
    """Model to train."""
    network: DMDConfig = dataclasses.field(default_factory=DMDConfig)
    objective: DMDObjectiveConfig = dataclasses.field(default_factory=DMDObjectiveConfig)
    training: DMDTrainingConfig = dataclasses.field(default_factory=DMDTrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        network = self.network
        if network.frames < network.kernel_size:
            raise ConfigError(
                "network.frames must not be below network.kernel_size. Received: "
                f"network.frames={network.frames}, network.kernel_size={network.kernel_size}"
            )


SyntheticDMDRecipeConfig = on_generated_data(DMDRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = DMDRecipeConfig, SyntheticDMDRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
