"""The fields of a recipe, with their defaults and bounds. Every field can be overridden on the command line.

Nothing here imports a backend, so that a mistake on the line is told before one starts.
"""

import dataclasses
import math
import sys
from typing import ClassVar, Literal

from plumkeras.recipes.config.errors import ConfigError

# The names of `plumkeras.tasks`, which takes numpy to import.
TaskName = Literal["regression", "classification", "multilabel"]


@dataclasses.dataclass(frozen=True)
class StageConfig:
    """One stage's optimisation."""

    epochs: int = 20
    """Epochs, at most."""
    learning_rate: float = 5e-4
    """Learning rate, at the start."""
    schedule: Literal["constant", "cosine"] = "constant"
    """Constant, or falling by a cosine to a twentieth over all the epochs."""
    warmup: float = 0.0
    """Share of the stage's steps over which the learning rate rises from 0, of schedule cosine."""
    weight_decay: float = 0.0
    """Decoupled weight decay (AdamW); 0 is Adam."""
    clipnorm: float = 0.0
    """Norm to clip the gradient of each weight at; 0 does not clip."""
    average: float = 0.0
    """Momentum of a running mean of the weights, which is what is measured and kept; 0: the weights themselves."""
    patience: int = 0
    """Stop the last stage after this many epochs without a better validation loss; 0 never stops."""


@dataclasses.dataclass(frozen=True)
class TextConfig:
    """A pretrained encoder that reads the raw text, in place of the file's text features."""

    encoder: str | None = None
    """Folder of an encoder, hf://..., or all-MiniLM-L6-v2; by default none: the file's features."""
    max_tokens: int = 64
    """Tokens kept of a text, special tokens among them: its first ones, or with context_frames its last ones."""
    tuning: Literal["full", "lora", "none"] = "full"
    """Train the encoder's weights, low-rank additions to its queries and values, or nothing of it."""
    learning_rate: float = 5e-5
    """Learning rate of the encoder, at the start of both stages; the schedule is the stage's."""
    layer_decay: float = 1.0
    """Factor of the learning rate from each layer of the encoder to the one below it."""
    frozen_layers: int = 0
    """Lower blocks of the encoder that are not trained, the embeddings with them."""
    lora_rank: int = 8
    """Rank of the additions."""
    dropout: float = 0.1
    """Dropout rate inside the encoder."""


@dataclasses.dataclass(frozen=True)
class SyntheticConfig:
    """The generated data of `plumkeras train synthetic`; see `plumkeras.data_pipelines.make_synthetic`."""

    train: int = 768
    """Training samples."""
    valid: int = 192
    """Validation samples."""
    test: int = 384
    """Test samples."""
    relative_strength: float = 0.5
    """Standard deviation of each private latent; that of the common one is 1."""
    noise: float = 1.0
    """Standard deviation of the noise on every frame."""
    label_noise: float = 0.0
    """Standard deviation of the noise on the label."""
    missing_rate: float = 0.0
    """Probability that a modality of a sample is missing."""
    data_seed: int = 0
    """Seed of the samples."""


@dataclasses.dataclass(frozen=True)
class BaseRecipeConfig:
    """Everything about a run except the data file."""

    # A model's own class adds its `network`, and a section of `StageConfig` for each of its stages.
    STAGES: ClassVar[tuple[str, ...]] = ()

    name: str
    """Name of the recipe."""
    model: str = "plum_net"
    """Model to train: plum_net, or a comparator; `plumkeras models` lists them."""
    modalities: tuple[str, ...] = ()
    """Modalities to use; by default all in the file."""
    protocol: Literal["file", "speaker_independent"] = "file"
    """The file's own splits or folds; or, for MUStARD, one show to test on and validation by speaker."""
    sample_norm: tuple[str, ...] = ()
    """Modalities whose features are standardised within each sample first, as MISA and MultiBench do."""
    task: TaskName | None = None
    """What the labels are; by default what the file says or shows."""
    label_column: str | None = None
    """Name or number (from 0) of the labels to learn, where each sample has several."""
    class_weight: Literal["none", "balanced"] | tuple[float, ...] = "none"
    """Weights of the classes in the prediction and branch losses: by their share of the training labels, or one for
    each class."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels; by default the file's, else -3 3, or -1 1 with labels per modality (SIMS)."""
    validation_fraction: float = 0.0
    """Share of `train` to carve off as `valid`, by video or group, where the file has no labelled `valid`; 0: none."""
    context_frames: int = 0
    """Frames of context put in front of each utterance, the last ones, where the data have a context."""
    batch_size: int = 32
    """Samples in a batch."""
    drop_remainder: bool = False
    """Leave out the last, partial batch of each training epoch."""
    seed: int = 0
    """Seed of weights, dropout and data order."""
    precision: Literal["float32", "mixed_bfloat16", "mixed_float16"] = "float32"
    """What the network computes in; weights, losses, distances, softmax and metrics stay float32."""
    devices: int = 1
    """GPUs (or, without one, logical CPU devices) that share each batch; as on one, but for dropout masks."""
    deterministic: bool = False
    """The same bits from the same seed, at some cost in speed; needed for a resumed run to equal an unbroken one."""
    text: TextConfig = dataclasses.field(default_factory=TextConfig)

    @property
    def label_classes(self):
        """How a regression label becomes a class, see `plumkeras.objectives.class_labels`."""
        return "sign3"

    @property
    def keeps_end(self) -> bool:
        """Whether a text encoder reads the end of a long text: with a context in front, the utterance is there."""
        return bool(self.context_frames)

    @property
    def last_stage(self) -> StageConfig:
        """The stage whose epoch is chosen on validation."""
        return getattr(self, self.STAGES[-1])

    @property
    def label_options(self) -> dict:
        """How the labels of a file are read: arguments of `data_pipelines.load`."""
        return {"label_range": self.label_range, "task": self.task, "label_column": self.label_column}

    def __post_init__(self):
        _check_numbers(self)
        for field in dataclasses.fields(self):
            if dataclasses.is_dataclass(getattr(self, field.name)):
                _check_numbers(getattr(self, field.name), f"{field.name}.")
        if not self.last_stage.epochs:
            raise ConfigError(f"{self.STAGES[-1]}.epochs must be 1 or more. Received: 0")
        if self.batch_size < self.devices:
            raise ConfigError(
                f"batch_size must not be below devices. Received: batch_size={self.batch_size}, devices={self.devices}"
            )
        check_label_range(self.label_range)
        if not 0 < self.text.layer_decay <= 1:
            raise ConfigError(f"text.layer_decay must be above 0 and at most 1. Received: {self.text.layer_decay}")
        if self.text.encoder and "text" not in (self.modalities or ("text",)):
            received = " ".join(self.modalities)
            raise ConfigError(
                f"text.encoder reads the modality text, which modalities leaves out. Received: {received}"
            )
        if self.text.encoder and "text" in self.sample_norm:
            raise ConfigError("sample_norm is of feature vectors, and with text.encoder text has none; leave it out")
        for stage in self.STAGES:
            if getattr(self, stage).warmup and getattr(self, stage).schedule != "cosine":
                raise ConfigError(f"{stage}.warmup is read with {stage}.schedule=cosine alone; set that too")
        weights = self.class_weight
        if not isinstance(weights, str) and not (
            weights and all(map(math.isfinite, weights)) and min(weights) >= 0 < max(weights)
        ):
            raise ConfigError(f"class_weight must be none, balanced or weights of 0 or more. Received: {weights}")


def on_generated_data(config_class: type) -> type:
    """The class of a model's recipes with the section of generated data, `Synthetic<name>`.

    Its module has to hold it by that name, so that its objects can be sent to other processes.
    """
    return dataclasses.make_dataclass(
        f"Synthetic{config_class.__name__}",
        [("synthetic", SyntheticConfig, dataclasses.field(default_factory=SyntheticConfig))],
        bases=(config_class,),
        frozen=True,
        namespace={"__doc__": config_class.__doc__, "__module__": config_class.__module__},
    )


# Half-open ranges [low, high) of the numbers; what is not named here has no bound of its own.
_RANGES = {
    (0, None): "alignment_weight balance_weight beta branch_weight clipnorm common_graph_weight context_frames "
    "contrast_weight correlation_weight difference_weight discriminator_weight epochs frozen_layers "
    "label_noise label_warmup_epochs learning_rate likelihood_rate margin_weight "
    "mutual_information_weight noise patience reconstruction_weight relative_strength similarity_weight "
    "specific_graph_weight weight_decay",
    (1e-06, None): "label_bound label_temperature regularisation temperature",
    (1, None): "audio_lstm_width audio_width channels code_width common_graph_width devices feed_forward frames "
    "fusion_feed_forward fusion_layers fusion_width granularity head_width kernel_size lora_rank num_heads num_layers "
    "rank specific_graph_width stride text_out top_k vision_lstm_width vision_width width",
    (2, None): "batch_size hidden_dim num_experts test text_width train valid",
    (3, None): "max_tokens",
    (0, 1): "attention_dropout audio_attention_dropout average cube_dropout dropout embed_dropout fusion_dropout "
    "gate_dropout head_dropout label_smoothing missing_rate modality_dropout prototype_momentum "
    "relu_dropout residual_dropout score_dropout text_dropout validation_fraction warmup",
    (0, 2**32): "data_seed seed",
}


def _check_numbers(config, section=""):
    bounds = {name: ends for ends, names in _RANGES.items() for name in names.split()}
    for field in dataclasses.fields(config):
        low, high = bounds.get(field.name, (None, None))
        value = getattr(config, field.name)
        if value is None:
            continue
        # A whole number may be one that no float holds, which math.isfinite can't take.
        if low is not None and not (low <= value <= sys.float_info.max and (high is None or value < high)):
            bound = f"in [{low}, {high})" if high is not None else f"{low} or more"
            raise ConfigError(f"{section}{field.name} must be {bound}. Received: {value}")


def check_label_range(label_range, name="label_range"):
    """Raises `ConfigError`, with the option's name, unless it is None or two finite numbers, the lower one first."""
    if label_range is None:
        return
    if len(label_range) != 2 or not all(map(math.isfinite, label_range)) or not label_range[0] < label_range[1]:
        received = " ".join(f"{end:g}" for end in label_range)
        raise ConfigError(f"{name} must be two finite numbers, the lower one first. Received: {received}")
