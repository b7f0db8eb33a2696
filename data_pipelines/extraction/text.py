"""Token vectors of texts, by a BERT encoder on disk."""

import dataclasses
import os

import numpy as np

from plumkeras import json_text
from plumkeras.arguments import known_arguments_only
from plumkeras.data_pipelines.extraction.extras import require
from plumkeras.data_pipelines.schema.validation import DataError

_FILES = ("config.json", "model.safetensors", "tokenizer.json")
# Few lengths, so that few graphs are made.
_STEP = 16


@known_arguments_only()
@dataclasses.dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How texts become token vectors."""

    text_encoder: str | None = None
    """Folder of a BERT encoder: config.json, model.safetensors, tokenizer.json."""
    max_tokens: int = 50
    """Tokens kept of a text, `[CLS]` and `[SEP]` among them; what lies behind is dropped, and reported."""
    text_batch_size: int = 32
    """Texts encoded at a time."""

    def __post_init__(self):
        for name, low in (("max_tokens", 3), ("text_batch_size", 1)):
            if getattr(self, name) < low:
                raise DataError(f"{name} must be at least {low}. Received: {getattr(self, name)}")


class TextEncoder:
    """A frozen encoder of the BERT family, as Hugging Face stores it, run by keras-hub.

    keras-hub computes GELU by its tanh approximation; against the exact one that turns the third decimal of a vector.

    Args:
        directory: str. Holds `config.json`, `model.safetensors` and `tokenizer.json`. Nothing is downloaded.

    Raises:
        DataError: a file is missing or damaged, it is no BERT encoder, or the extra `text` isn't installed.
    """

    def __init__(self, directory):
        self.directory = directory
        for name in _FILES:
            if not os.path.isfile(os.path.join(directory, name)):
                raise DataError(
                    f"{directory}: is no text encoder: it holds no {name}; {', '.join(_FILES)} are expected"
                )
        config = self._config()
        tokenizers = require("tokenizers", "text", "a text encoder")
        require("safetensors", "text", "a text encoder")
        models = require("keras_hub", "text", "a text encoder").models
        try:
            self.tokenizer = tokenizers.Tokenizer.from_file(os.path.join(directory, "tokenizer.json"))
            self.network = models.BertBackbone.from_preset(os.path.abspath(directory), dtype="float32")
        except Exception as error:
            # What keras-hub, tokenizers and safetensors raise on damaged files has no common class.
            raise DataError(
                f"{directory}: can't be loaded as a BERT encoder: {' '.join(str(error).split())[:300]}"
            ) from None
        self.tokenizer.no_padding()
        self.longest = config["max_position_embeddings"]
        self.width = config["hidden_size"]
        if self.tokenizer.get_vocab_size() > config["vocab_size"]:
            raise DataError(
                f"{directory}: tokenizer.json has {self.tokenizer.get_vocab_size()} tokens, the encoder "
                f"{config['vocab_size']}; they don't belong together"
            )

    def _config(self):
        path = os.path.join(self.directory, "config.json")
        try:
            with open(path, encoding="utf-8") as file:
                config = json_text.parse(file.read())
        except ValueError as error:
            raise DataError(f"{path}: damaged, or no JSON: {error}") from None
        if not isinstance(config, dict) or config.get("model_type") != "bert":
            kind = config.get("model_type") if isinstance(config, dict) else type(config).__name__
            raise DataError(f"{path}: model_type is {kind!r:.80}; encoders of model_type 'bert' are read")
        for name in ("max_position_embeddings", "hidden_size", "vocab_size"):
            if type(config.get(name)) is not int or config[name] < 1:
                raise DataError(f"{path}: {name} is {config.get(name)!r:.80}; a positive whole number is expected")
        if config.get("hidden_act", "gelu") not in ("gelu", "gelu_new"):
            raise DataError(f"{path}: hidden_act is {config['hidden_act']!r}; 'gelu' is expected")
        return config

    def encode(self, texts, max_tokens=50, batch_size=32, keep_end=False, progress=None):
        """Token vectors, those of `[CLS]` and `[SEP]` among them.

        Args:
            texts: list of str.
            max_tokens: int. How many tokens are kept at the most.
            batch_size: int.
            keep_end: bool. Whether a long text's end is kept, not its beginning. Defaults to `False`.
            progress: callable with how many are done, and of how many, or None.

        Returns:
            Float32 `[N, T, width]`, zero past the lengths, `T` being the largest length; int32 lengths `[N]`, 0 for
            a text of nothing but spaces; and the number of texts that were cut.
        """
        if max_tokens > self.longest:
            raise DataError(f"{self.directory}: takes at most {self.longest} tokens. Received: max_tokens={max_tokens}")
        self.tokenizer.no_truncation()
        whole = [len(found.ids) for found in self.tokenizer.encode_batch(texts)]
        self.tokenizer.enable_truncation(max_tokens, direction="left" if keep_end else "right")
        tokens = [found.ids for found in self.tokenizer.encode_batch(texts)]
        lengths = np.array([len(ids) if text.strip() else 0 for ids, text in zip(tokens, texts, strict=True)], "int32")
        features = np.zeros((len(texts), max(1, lengths.max(initial=0)), self.width), dtype="float32")
        # Texts of one length together, so that little is padding.
        order = [row for row in np.argsort(lengths, kind="stable") if lengths[row]]
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            longest = min(-(-lengths[rows[-1]] // _STEP) * _STEP, self.longest)
            # The last batch is filled up: one shape less to trace.
            ids = np.zeros((batch_size, longest), dtype="int32")
            mask = np.zeros_like(ids)
            for position, row in enumerate(rows):
                ids[position, : lengths[row]] = tokens[row]
                mask[position, : lengths[row]] = 1
            mask[len(rows) :, 0] = 1
            inputs = {"token_ids": ids, "segment_ids": np.zeros_like(ids), "padding_mask": mask}
            vectors = np.asarray(self.network.predict_on_batch(inputs)["sequence_output"])
            for position, row in enumerate(rows):
                features[row, : lengths[row]] = vectors[position, : lengths[row]]
            if progress is not None:
                progress(start + len(rows), len(order))
        return features, lengths, sum(count > max_tokens for count in whole)
