"""What late and early fusion share among the models: configuration, network, stage and search space."""

import dataclasses
from typing import ClassVar

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import BaseRecipeConfig, StageConfig, on_generated_data
from plumkeras.recipes.models.spaces import around
from plumkeras.recipes.models.text import text_options, text_space

STAGES = {"training": "Training"}


@dataclasses.dataclass(frozen=True)
class FusionConfig:
    """What a `plumkeras.models.fusion.FusionNetwork` is built with; the feature widths come from the data."""

    hidden_dim: int = 128
    """Width d of every representation; even."""
    dropout: float = 0.3
    """Dropout rate."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """The one stage."""

    learning_rate: float = 1e-3
    """Learning rate, at the start."""
    weight_decay: float = 1e-2
    """Decoupled weight decay (AdamW); 0 is Adam."""


@dataclasses.dataclass(frozen=True)
class FusionRecipeConfig(BaseRecipeConfig):
    """Everything about a run of late or early fusion except the data file."""

    STAGES: ClassVar[tuple[str, ...]] = tuple(STAGES)

    model: str = "late_fusion"
    """Model to train: late_fusion or early_fusion."""
    network: FusionConfig = dataclasses.field(default_factory=FusionConfig)
    training: TrainingConfig = dataclasses.field(default_factory=TrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        if self.network.hidden_dim % 2:
            raise ConfigError(f"network.hidden_dim must be even. Received: {self.network.hidden_dim}")


SyntheticFusionRecipeConfig = on_generated_data(FusionRecipeConfig)


def network_options(config, shape):
    """The network's arguments beside those of `shape`. Arguments as those of `plum_net.network_options`."""
    return {**vars(config.network), **text_options(config, shape)}


def build_trainers(config, network, class_weight, data):
    """The trainer, not yet compiled: dict with `training`."""
    from plumkeras.trainers import PredictionTrainer

    return {"training": PredictionTrainer(network, config.label_classes, class_weight)}


def search_space(config, modalities):
    """The space that is searched when none is given: width, dropout, learning rate and weight decay."""
    width, training = config.network.hidden_dim, config.training
    return {
        "network.hidden_dim": {"values": [w for w in (width // 2, width, 2 * width) if w >= 2 and w % 2 == 0]},
        "network.dropout": {"min": 0.0, "max": max(0.5, min(round(config.network.dropout + 0.2, 4), 0.9))},
        "training.learning_rate": around(training.learning_rate),
        "training.weight_decay": {"values": sorted({0.0, 1e-4, 1e-3, 1e-2, training.weight_decay})},
        **text_space(config),
    }
