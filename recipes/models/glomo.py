"""GLoMo among the models."""

import dataclasses

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "glomo", "GLoMo", "GLoMo"
ABOUT = About(
    paper="Zhuang et al., ACM MM 2024",
    data_sets=(
        "MOSI",
        "MOSEI",
        "UR-FUNNY",
        "MUStARD",
    ),
    parameters=913_415,
    differs="Text is one layer of frozen vectors, whose mean (or first frame) is the global one, where the "
    "authors join the last two layers of a language model. There is one optimizer for all epochs, where "
    "the public code makes a new one each epoch; the epoch is chosen on validation; keys, maxima and "
    "parts are of valid frames.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class GLoMoConfig:
    """What `plumkeras.models.glomo.GLoMo` is built with; the feature widths come from the data."""

    width: int = 48
    """Width d of every vector; a multiple of the heads."""
    num_layers: int = 4
    """Layers of the encoders of audio and vision."""
    num_heads: int = 16
    """Attention heads."""
    granularity: int = 3
    """Parts of a sequence that the local vector is made of."""
    num_experts: int = 3
    """Experts of each modality."""
    top_k: int = 2
    """Experts that a sample uses; below their number."""
    first_token: bool = False
    """Let the text's first vector stand for all of it, as BERT's does, in place of their mean."""
    fusion_layers: int = 2
    """Layers of the fusion."""
    fusion_feed_forward: int = 2048
    """Inner width of the fusion's layers."""
    attention_dropout: float = 0.5
    """Dropout rate of attention in the encoders."""
    relu_dropout: float = 0.3
    """Dropout rate inside the encoders' feed-forward layers."""
    residual_dropout: float = 0.3
    """Dropout rate on the encoders' residual branches."""
    embed_dropout: float = 0.2
    """Dropout rate of frames and positions, in front of each encoder."""
    fusion_dropout: float = 0.1
    """Dropout rate of the fusion's layers."""
    score_dropout: float = 0.3
    """Dropout rate of what weighs the modalities."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class GLoMoObjectiveConfig:
    """Weight of the term of the loss beside the task's."""

    balance_weight: float = 0.01
    """Weight of what keeps the experts equally busy."""


@dataclasses.dataclass(frozen=True)
class GLoMoTrainingConfig(published.TrainingConfig):
    """The one stage."""

    weight_decay: float = 1e-4
    """Decoupled weight decay (AdamW); 0 is Adam."""


@dataclasses.dataclass(frozen=True)
class GLoMoRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of GLoMo except the data file."""

    model: str = NAME
    """Model to train."""
    network: GLoMoConfig = dataclasses.field(default_factory=GLoMoConfig)
    objective: GLoMoObjectiveConfig = dataclasses.field(default_factory=GLoMoObjectiveConfig)
    training: GLoMoTrainingConfig = dataclasses.field(default_factory=GLoMoTrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        network = self.network
        if network.top_k >= network.num_experts:
            raise ConfigError(
                "network.top_k must be below network.num_experts. Received: "
                f"network.top_k={network.top_k}, network.num_experts={network.num_experts}"
            )


SyntheticGLoMoRecipeConfig = on_generated_data(GLoMoRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = GLoMoRecipeConfig, SyntheticGLoMoRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.network_options
