"""LMF among the models."""

import dataclasses

from plumkeras.recipes.config.fields import on_generated_data
from plumkeras.recipes.models import published
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "lmf", "LMF", "LMF"
ABOUT = About(
    paper="Liu et al., ACL 2018",
    data_sets=(
        "MOSI",
        "POM",
        "IEMOCAP",
    ),
    parameters=220_867,
    differs="As TFN. The weights of the ranks and the bias are trained, which the port's optimizer skips; the "
    "loss is a mean over samples, where the authors' is a sum.",
)
STAGES = published.STAGES


@dataclasses.dataclass(frozen=True)
class LMFConfig:
    """What `plumkeras.models.lmf.LMF` is built with; the feature widths come from the data."""

    width: int = 32
    """Width of the vector of every modality but the text."""
    audio_width: int | None = None
    """Width of the audio's vector; by default `width`."""
    text_width: int = 64
    """Width of the text's LSTM; its vector has half of it."""
    rank: int = 4
    """How many products of factors make the weights."""
    dropout: float = 0.3
    """Dropout rate of the modalities but the text."""
    text_dropout: float = 0.3
    """Dropout rate of the text's state."""
    signed_log1p: tuple[str, ...] = ("audio",)
    """Modalities whose raw features are compressed by sign(x) log(1 + |x|) before they are standardised."""


@dataclasses.dataclass(frozen=True)
class LMFRecipeConfig(published.PublishedRecipeConfig):
    """Everything about a run of LMF except the data file."""

    model: str = NAME
    """Model to train."""
    network: LMFConfig = dataclasses.field(default_factory=LMFConfig)
    training: published.TrainingConfig = dataclasses.field(default_factory=published.TrainingConfig)


SyntheticLMFRecipeConfig = on_generated_data(LMFRecipeConfig)
CONFIG, SYNTHETIC_CONFIG = LMFRecipeConfig, SyntheticLMFRecipeConfig
build_trainers, search_space = published.build_trainers, published.search_space
network_options = published.widths_by_modality
