"""MMIM among the models."""

import dataclasses
from typing import Literal

from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "mmim", "MMIM", "MMIM"
ABOUT = About(
    paper="Han et al., EMNLP 2021",
    data_sets=(
        "MOSI",
        "MOSEI",
        "UR-FUNNY",
    ),
    parameters=281_417,
    differs="Text is the mean of frozen vectors, where the authors tune a language model. Both passes of an epoch"
    " are one: every weight is trained in each step, the code's projection too, which the public code "
    "never trains. A class with too few samples adds no entropy, where it would be infinite.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class MMIMConfig:
    """What `plumkeras.models.mmim.MMIM` is built with; the feature widths come from the data."""

    width: int = 128
    """Width of the fusion."""
    audio_width: int = 16
    """Width of the audio's vector."""
    vision_width: int = 16
    """Width of vision's vector."""
    audio_lstm_width: int = 16
    """Width of each direction of the audio's LSTM."""
    vision_lstm_width: int = 16
    """Width of each direction of vision's LSTM."""
    bidirectional: bool = True
    """Whether the LSTMs read in both directions."""
    dropout: float = 0.1
    """Dropout rate in front of the fusion."""
    text_pooling: Literal["mean", "first"] = "mean"
    """Text as the mean of its vectors; or as the first one, where that is a [CLS] token."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class MMIMObjectiveConfig:
    """The weights of the losses beside the task's."""

    contrast_weight: float = 0.1
    """The paper's alpha: weight of the contrast between the fusion and each modality."""
    mutual_information_weight: float = 0.1
    """The paper's beta: weight of likelihood and entropy of each modality given the text."""


@dataclasses.dataclass(frozen=True)
class MMIMTrainingConfig(published.TrainingConfig):
    """The one stage."""

    likelihood_rate: float = 1.0
    """Learning rate of what predicts modalities from the text, as a factor of learning_rate."""


@dataclasses.dataclass(frozen=True)
class MMIMRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of MMIM except the data file."""

    model: str = NAME
    """Model to train."""
    network: MMIMConfig = dataclasses.field(default_factory=MMIMConfig)
    objective: MMIMObjectiveConfig = dataclasses.field(default_factory=MMIMObjectiveConfig)
    training: MMIMTrainingConfig = dataclasses.field(default_factory=MMIMTrainingConfig)


SyntheticMMIMRecipeConfig = on_generated_data(MMIMRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = MMIMRecipeConfig, SyntheticMMIMRecipeConfig
network_options, search_space = published.network_options, published.search_space


def build_trainers(config, network, class_weight, data):
    """The trainer, not yet compiled: dict with `training`."""
    from plumkeras.trainers.mmim_stage import MMIMTrainer

    options = {"label_classes": config.label_classes, "class_weight": class_weight, **vars(config.objective)}
    return {"training": MMIMTrainer(network, config.batch_size, config.training.likelihood_rate, **options)}
