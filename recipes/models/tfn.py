"""TFN among the models."""

import dataclasses
from typing import Literal

from plumkeras.recipes.config.fields import check_label_range, on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "tfn", "TFN", "TFN"
ABOUT = About(
    paper="Zadeh et al., EMNLP 2017",
    data_sets=("MOSI",),
    parameters=2_772_787,
    differs="Text is frozen vectors; the state after its last valid frame is read, where public code reads the "
    "padding, and padding is in no mean. Predictions are squashed to the labels' own range. The text's dropout is "
    "on, which a port leaves off.",
)
STAGES = published.STAGES
# What `plumkeras.data_pipelines.Dataset` takes a regression's to be where nothing is said.
_USUAL_RANGE = (-3.0, 3.0)


@dataclasses.dataclass(frozen=True)
class TFNConfig:
    """What `plumkeras.models.tfn.TFN` is built with; the feature widths come from the data."""

    width: int = 32
    """Width of the vector of every modality but the text."""
    audio_width: int | None = None
    """Width of the audio's vector; by default `width`."""
    text_width: int = 128
    """Width of the text's LSTM."""
    text_out: int = 32
    """Width of the text's vector."""
    fusion_width: int = 64
    """Width of the two layers behind the product."""
    dropout: float = 0.3
    """Dropout rate of the modalities but the text."""
    text_dropout: float = 0.3
    """Dropout rate of the text's state."""
    fusion_dropout: float = 0.5
    """Dropout rate of the product."""
    label_range: Literal["labels", "none"] | tuple[float, float] = "labels"
    """Range that a regression's predictions are squashed to: that of the data's labels, none, or two numbers."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class TFNRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of TFN except the data file."""

    model: str = NAME
    """Model to train."""
    network: TFNConfig = dataclasses.field(default_factory=TFNConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.network.label_range, str):
            check_label_range(self.network.label_range, "network.label_range")


SyntheticTFNRecipeConfig = on_generated_data(TFNRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = TFNRecipeConfig, SyntheticTFNRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space


def network_options(config, shape):
    """The arguments of `TFN`. Arguments as those of `plum_net.network_options`."""
    options = published.widths_by_modality(config, shape)
    words = {"labels": _USUAL_RANGE, "none": None}
    if isinstance(options["label_range"], str):
        options["label_range"] = words[options["label_range"]]
    return options
