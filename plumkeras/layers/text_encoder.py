"""A pretrained text encoder in place of feature vectors: token ids to vectors, tuned with the rest of the network."""

import re

import keras
import numpy as np
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.features import DataError
from plumkeras.layers.attention import LayerNormalization
from plumkeras.layers.attention import gelu as exact_gelu
from plumkeras.layers.dropout import Dropout
from plumkeras.layers.masking import PACKAGE

TUNINGS = ("full", "lora", "none")
# What KerasHub calls the blocks of its encoders, e.g. `transformer_layer_5`.
_BLOCK = re.compile(r"(?:transformer|disentangled_attention_encoder)_layer_(\d+)$|group_(\d+)_inner_layer_(\d+)$")
_TOKENIZER = "tokenizer.json"


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TextEncoder(keras.layers.Layer):
    """A backbone of KerasHub with its tokenizer: token ids to the vectors of its last layer.

    The layer is serialised with the backbone's own configuration and weights, and keeps the tokenizer among the assets
    of a `.keras` file, which so needs neither a hub nor the folder that the encoder came from.

    Args:
        backbone: a `keras_hub.models.Backbone` that takes `token_ids` and `padding_mask`, perhaps `segment_ids`, and
            gives the vectors of a sequence. See `plumkeras.text_encoders.load_text_encoder`.
        tokenizer: text of a Hugging Face `tokenizer.json`, or None.
        tuning: `"full"`: its weights are trained; `"lora"`: low-rank additions to its queries and values are (Hu et al.
            2022), its own weights stay (what is saved has the additions merged into them, and both factors zero: after
            loading, nothing more is learned of it); `"none"`: it stays as it is, without dropout. Defaults to `"full"`.
        frozen_layers: int. With `"full"`, how many of the lower blocks stay as they are; the embeddings then do too.
            Defaults to `0`, which trains the embeddings.
        lora_rank: int. Rank of the additions. Defaults to `8`.
        activation: `"gelu"`, the exact one, or `"gelu_approximate"`, as KerasHub computes it; or None: the backbone's
            own. Defaults to None.

    Call arguments:
        ids: `[B, T]` int, `T` at most `longest`.
        length: `[B]` int, valid leading tokens.

    Returns:
        `[B, T, width]`. Rows past the length are finite and mean nothing.

    Raises:
        ValueError: an option outside its range, or a backbone with other inputs.

    Example:
        >>> from plumkeras.text_encoders import load_text_encoder
        >>> layer = load_text_encoder()  # doctest: +SKIP
        >>> tuple(layer(np.array([[101, 2204, 102]]), np.array([3])).shape)  # doctest: +SKIP
        (1, 3, 384)

    Reference: Devlin et al., "BERT", NAACL 2019.
    """

    def __init__(
        self,
        backbone: keras.Model,
        tokenizer: str | None = None,
        tuning: str = "full",
        frozen_layers: int = 0,
        lora_rank: int = 8,
        activation: str | None = None,
        **kwargs,
    ):
        super().__init__(autocast=False, **kwargs)
        if tuning not in TUNINGS:
            raise ValueError(f"`tuning` must be one of {TUNINGS}. Received: tuning={tuning!r}")
        inputs = getattr(backbone, "input", None)
        known = set(inputs) if isinstance(inputs, dict) else set()
        if not {"token_ids", "padding_mask"} <= known <= {"token_ids", "padding_mask", "segment_ids"}:
            raise ValueError(
                "`backbone` must take token_ids and padding_mask, and at most segment_ids besides. Received: a "
                f"{type(backbone).__name__} that takes {sorted(known) or inputs}"
            )
        self.backbone = backbone
        self.tokenizer = tokenizer
        self.tuning = tuning
        self.frozen_layers = frozen_layers
        self.lora_rank = lora_rank
        self.activation = activation
        self._set_activation()
        self._set_trainable()
        self.built = True

    @property
    def width(self) -> int:
        """Width of the vectors."""
        return self.backbone.hidden_dim

    @property
    def vocabulary_size(self) -> int:
        """How many tokens there are."""
        return self.backbone.vocabulary_size

    @property
    def longest(self) -> int:
        """How many tokens a text can have at most."""
        return getattr(self.backbone, "max_sequence_length", None) or 512

    @property
    def blocks(self) -> list:
        """The backbone's blocks, the lowest first."""
        numbered = {tuple(int(n) for n in m.groups() if n): layer for m, layer in self._numbered()}
        return [numbered[number] for number in sorted(numbered)]

    def _numbered(self):
        return [(m, layer) for layer in self.backbone.layers if (m := _BLOCK.match(layer.name))]

    def rate_factors(self, decay: float) -> dict[int, float]:
        """By the `id` of each trainable variable `decay` to the power of the layers above it; of the top block 1."""
        blocks = self.blocks
        heights = {id(v): number for number, block in enumerate(blocks) for v in block.trainable_variables}
        return {id(v): decay ** (len(blocks) - 1 - heights.get(id(v), -1)) for v in self.backbone.trainable_variables}

    def check_ids(self, ids, where) -> None:
        """Raises `DataError` unless token ids `[N, T]` are of the vocabulary, and no more than the encoder takes."""
        ids = np.asarray(ids)
        if ids.size and not 0 <= ids.min() <= ids.max() < self.vocabulary_size:
            wrong = ids.ravel()[np.argmax((ids < 0) | (ids >= self.vocabulary_size))]
            raise DataError(f"{where} holds {wrong}; the encoder has the tokens 0 to {self.vocabulary_size - 1}")
        if ids.shape[1] > self.longest:
            raise DataError(f"{where} has {ids.shape[1]} tokens; the encoder takes at most {self.longest}")

    def call(self, ids, length, training=False):
        positions = ops.arange(ops.shape(ids)[1], dtype="int32")
        # A text that is missing attends to its first position: a softmax over nothing would be NaN.
        valid = positions[None] < ops.maximum(ops.cast(length, "int32"), 1)[:, None]
        inputs = {"token_ids": ids, "padding_mask": ops.cast(valid, "int32")}
        if "segment_ids" in self.backbone.input:
            inputs["segment_ids"] = ops.zeros_like(ids)
        outputs = self.backbone(inputs, training=bool(training) and self.tuning != "none")
        return outputs["sequence_output"] if isinstance(outputs, dict) else outputs

    def compute_output_spec(self, ids, length, training=False):
        return keras.KerasTensor((*ids.shape, self.width), dtype=self.backbone.compute_dtype)

    def _set_activation(self):
        if self.activation not in (None, "gelu", "gelu_approximate"):
            raise ValueError(f"`activation` must be gelu, gelu_approximate or None. Received: {self.activation!r}")
        if self.activation != "gelu":
            return
        for block in self.blocks:
            for layer in block._flatten_layers():  # On torch they are no attributes in `vars(block)`.
                if isinstance(layer, keras.layers.Dense) and "gelu" in getattr(layer.activation, "__name__", ""):
                    layer.activation = exact_gelu

    def _set_trainable(self):
        backbone, blocks = self.backbone, self.blocks
        if not isinstance(self.frozen_layers, int) or not 0 <= self.frozen_layers <= len(blocks):
            raise ValueError(
                f"`frozen_layers` must be 0 to {len(blocks)}, the encoder's blocks. Received: {self.frozen_layers}"
            )
        if self.tuning == "none":
            backbone.trainable = False
        elif self.tuning == "lora":
            if not isinstance(self.lora_rank, int) or self.lora_rank < 1:
                raise ValueError(f"`lora_rank` must be 1 or more. Received: lora_rank={self.lora_rank}")
            if not getattr(backbone, "_lora_enabled_layers", None):
                backbone.enable_lora(self.lora_rank)
            # KerasHub leaves the biases beside the additions as they were.
            for variable in backbone.trainable_variables:
                variable.trainable = "lora" in variable.path
        elif self.frozen_layers:
            kept = {id(layer) for layer in blocks[self.frozen_layers :]}
            for layer in backbone.layers:
                if layer.weights and id(layer) not in kept:
                    layer.trainable = False
        # What reads the first token alone is no part of the vectors, and would have no gradient.
        for layer in backbone.layers:
            if layer.name.startswith("pooled"):
                layer.trainable = False

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "tuning": self.tuning,
            "frozen_layers": self.frozen_layers,
            "lora_rank": self.lora_rank,
            "activation": self.activation,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "backbone": keras.saving.deserialize_keras_object(config["backbone"])})

    def save_assets(self, dir_path):
        if self.tokenizer is not None:
            with open(f"{dir_path}/{_TOKENIZER}", "w", encoding="utf-8") as file:
                file.write(self.tokenizer)

    def load_assets(self, dir_path):
        with open(f"{dir_path}/{_TOKENIZER}", encoding="utf-8") as file:
            self.tokenizer = file.read()


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class TextModalityEncoder(keras.layers.Layer):
    """The stem of a modality that is token ids: text encoder, projection, layer normalisation, dropout.

    As `ModalityEncoder`, with the encoder's vectors in place of standardised features; they know their positions.

    Args:
        hidden_dim: int. Width `d` of the result.
        text_encoder: `TextEncoder`.
        dropout: float. Defaults to `0.1`.

    Call arguments:
        ids: `[B, T]` int.
        length: `[B]` int, valid leading tokens.

    Returns:
        `[B, T, d]`. Rows past the length are finite and mean nothing.
    """

    def __init__(self, hidden_dim: int, text_encoder: TextEncoder, dropout: float = 0.1, **kwargs):
        super().__init__(autocast=False, **kwargs)
        self.hidden_dim = hidden_dim
        self.dropout = dropout
        self.text_encoder = text_encoder
        self.projection = keras.layers.Dense(hidden_dim, dtype=self.dtype_policy, name="projection")
        self.normalization = LayerNormalization(dtype=self.dtype_policy, name="normalization")
        self.drop = Dropout(dropout, dtype=self.dtype_policy, name="drop")

    def build(self, ids_shape, length_shape):
        self.projection.build((None, None, self.text_encoder.width))
        self.normalization.build((None, None, self.hidden_dim))
        self.built = True

    def call(self, ids, length, training=False):
        hidden = self.text_encoder(ids, length, training=training)
        hidden = self.projection(ops.cast(hidden, self.compute_dtype))
        return self.drop(self.normalization(hidden, training=training), training=training)

    def compute_output_spec(self, ids, length, training=False):
        return keras.KerasTensor((*ids.shape, self.hidden_dim), dtype=self.compute_dtype)

    def get_config(self):
        return {
            **super().get_config(),
            "hidden_dim": self.hidden_dim,
            "dropout": self.dropout,
            "text_encoder": keras.saving.serialize_keras_object(self.text_encoder),
        }

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "text_encoder": keras.saving.deserialize_keras_object(config["text_encoder"])})
