"""Token vectors of texts, by a pretrained encoder."""

import dataclasses

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.data_pipelines.schema.validation import DataError
from plumkeras.data_pipelines.transforms.tokenizing import make_tokenizer
from plumkeras.text_encoders import load_text_encoder

# Few lengths, so that few graphs are made.
_STEP = 16


@known_arguments_only()
@dataclasses.dataclass(frozen=True, kw_only=True)
class TextOptions:
    """How texts become token vectors."""

    text_encoder: str | None = None
    """Folder of an encoder (config.json, model.safetensors, tokenizer.json), hf://..., or all-MiniLM-L6-v2."""
    max_tokens: int = 50
    """Tokens kept of a text, `[CLS]` and `[SEP]` among them; what lies behind is dropped, and reported."""
    text_batch_size: int = 32
    """Texts encoded at a time."""

    def __post_init__(self):
        for name, low in (("max_tokens", 3), ("text_batch_size", 1)):
            if getattr(self, name) < low:
                raise DataError(f"{name} must be at least {low}. Received: {getattr(self, name)}")


class TextEncoder:
    """A frozen encoder, run by keras-hub.

    Args:
        name: as in `plumkeras.text_encoders.load_text_encoder`.

    Raises:
        DataError: as `load_text_encoder`.
    """

    def __init__(self, name):
        import keras

        self.name = name
        layer = load_text_encoder(name, tuning="none")
        self.tokenizer = make_tokenizer(layer.tokenizer)
        self.longest, self.width = layer.longest, layer.width
        ids, length = keras.Input((None,), dtype="int32"), keras.Input((), dtype="int32")
        self.network = keras.Model([ids, length], layer(ids, length))

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
            a text without any token, such as one of nothing but spaces; and the number of texts that were cut.
        """
        if max_tokens > self.longest:
            raise DataError(f"{self.name}: takes at most {self.longest} tokens. Received: max_tokens={max_tokens}")
        ids, lengths, cut = self.tokenizer.encode(texts, max_tokens, keep_end)
        features = np.zeros((*ids.shape, self.width), dtype="float32")
        # Texts of one length together, so that little is padding.
        order = [row for row in np.argsort(lengths, kind="stable") if lengths[row]]
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            longest = min(-(-lengths[rows[-1]] // _STEP) * _STEP, self.longest)
            # The last batch is filled up: one shape less to trace.
            batch, counts = np.zeros((batch_size, longest), "int32"), np.zeros(batch_size, "int32")
            read = min(longest, ids.shape[1])
            batch[: len(rows), :read], counts[: len(rows)] = ids[rows, :read], lengths[rows]
            vectors = np.asarray(self.network.predict_on_batch([batch, counts]))
            for position, row in enumerate(rows):
                features[row, : lengths[row]] = vectors[position, : lengths[row]]
            if progress is not None:
                progress(start + len(rows), len(order))
        return features, lengths, cut
