"""What the published models share among the models: one stage, the network's arguments, the search space."""

import dataclasses
from typing import ClassVar

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import BaseRecipeConfig, StageConfig
from plumkeras.recipes.models.fusion import STAGES
from plumkeras.recipes.models.spaces import around

__all__ = [
    "STAGES",
    "PublishedRecipeConfig",
    "TrainingConfig",
    "build_trainers",
    "network_options",
    "search_space",
    "widths_by_modality",
]


@dataclasses.dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """The one stage."""

    epochs: int = 40
    """Epochs, at most."""
    learning_rate: float = 1e-3
    """Learning rate, at the start."""
    clipnorm: float = 1.0
    """Norm to clip the gradient of each weight at; 0 does not clip."""
    patience: int = 6
    """Stop after this many epochs without a better validation loss; 0 never stops."""


@dataclasses.dataclass(frozen=True)
class PublishedRecipeConfig(BaseRecipeConfig):
    """Everything about a run of a published model except the data file."""

    STAGES: ClassVar[tuple[str, ...]] = tuple(STAGES)

    def __post_init__(self):
        super().__post_init__()
        width, heads = self.network.width, getattr(self.network, "num_heads", 1)
        if width % heads:
            raise ConfigError(
                "network.width must be a multiple of network.num_heads. Received: "
                f"network.width={width}, network.num_heads={heads}"
            )


def network_options(config, shape):
    """The network's arguments beside those of `shape`. Arguments as those of `plum_net.network_options`."""
    return dict(vars(config.network))


def widths_by_modality(config, shape):
    """As `network_options`, with `width` by modality in place of `width` and `audio_width`."""
    options = network_options(config, shape)
    width, audio = options["width"], options.pop("audio_width")
    others = {m: width for m in shape["feature_dims"] if m != "text"}
    options["width"] = {**others, "audio": audio} if "audio" in others and audio is not None else width
    return options


def build_trainers(config, network, class_weight, data):
    """The trainer, not yet compiled: dict with `training`."""
    from plumkeras.trainers import PredictionTrainer

    objective = getattr(config, "objective", None)
    options = {} if objective is None else vars(objective)
    return {"training": PredictionTrainer(network, config.label_classes, class_weight, **options)}


def search_space(config, modalities):
    """The space that is searched when none is given: width, dropout, learning rate and weight decay, as of fusion."""
    network, training = config.network, config.training
    widths, heads = (network.width // 2, network.width, 2 * network.width), getattr(network, "num_heads", 1)
    space = {
        "network.width": {"values": [w for w in widths if w >= 1 and w % heads == 0]},
        "training.learning_rate": around(training.learning_rate),
        "training.weight_decay": {"values": sorted({0.0, 1e-4, 1e-3, 1e-2, training.weight_decay})},
    }
    if hasattr(network, "dropout"):
        space["network.dropout"] = {"min": 0.0, "max": max(0.5, min(round(network.dropout + 0.2, 4), 0.9))}
    return space
