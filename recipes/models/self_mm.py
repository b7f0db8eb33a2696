"""Self-MM among the models."""

import dataclasses
from typing import Literal

from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "self_mm", "SelfMM", "Self-MM"
ABOUT = About(
    paper="Yu et al., AAAI 2021",
    data_sets=(
        "MOSI",
        "MOSEI",
        "SIMS",
    ),
    parameters=206_596,
    differs="Text is the mean of frozen vectors, where the authors tune a language model. Quotients are guarded "
    "and a class without samples keeps its centre, where the public code gives NaN; samples that were not"
    " seen yet take no part; a label of 0 is of neither class, as the port has it. There is one learning "
    "rate. Regression only.",
)
STAGES = published.STAGES
# Its memory has a place for each training sample, and the bound of its labels is the data's.
GRAPH_DEPENDS_ON = ("train_samples", "label_range")


@dataclasses.dataclass(frozen=True)
class SelfMMConfig:
    """What `plumkeras.models.self_mm.SelfMM` is built with; the feature widths come from the data."""

    width: int = 128
    """Width of the feature of all modalities."""
    text_width: int = 64
    """Width of the text's feature."""
    audio_width: int = 16
    """Width of the audio's vector and feature."""
    vision_width: int = 32
    """Width of vision's vector and feature."""
    audio_lstm_width: int = 32
    """Width of the audio's LSTM."""
    vision_lstm_width: int = 64
    """Width of vision's LSTM."""
    dropout: float = 0.1
    """Dropout rate in front of every head but the text's."""
    text_dropout: float = 0.0
    """Dropout rate in front of the text's head."""
    text_pooling: Literal["mean", "first"] = "mean"
    """Text as the mean of its vectors; or as the first one, where that is a [CLS] token."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class SelfMMObjectiveConfig:
    """How the labels of each modality are generated."""

    label_bound: float | None = None
    """Largest absolute value of a generated label; by default that of the data's label range."""
    exclude_zero: bool = True
    """Whether a label of exactly 0 is of neither class; else it is positive."""


@dataclasses.dataclass(frozen=True)
class SelfMMRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of Self-MM except the data file."""

    model: str = NAME
    """Model to train."""
    network: SelfMMConfig = dataclasses.field(default_factory=SelfMMConfig)
    objective: SelfMMObjectiveConfig = dataclasses.field(default_factory=SelfMMObjectiveConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        if self.task not in (None, "regression"):
            raise ConfigError(f"{NAME} supports regression only. Received: task={self.task}")


SyntheticSelfMMRecipeConfig = on_generated_data(SelfMMRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = SelfMMRecipeConfig, SyntheticSelfMMRecipeConfig
network_options, search_space = published.network_options, published.search_space


def build_trainers(config, network, class_weight, data):
    """The trainer, not yet compiled: dict with `training`."""
    from plumkeras.trainers.self_mm_stage import SelfMMTrainer

    bound = config.objective.label_bound or max(map(abs, data["label_range"]))
    options = (bound, config.objective.exclude_zero, config.label_classes, class_weight)
    return {"training": SelfMMTrainer(network, data["train_samples"], *options)}
