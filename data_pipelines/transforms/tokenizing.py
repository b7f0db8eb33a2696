"""Token ids of texts: `tokenize` replaces a data set's text features, `Tokenizer` does a list of texts."""

import dataclasses
import functools
import importlib
from collections.abc import Sequence

import numpy as np

from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.data_pipelines.schema.validation import DataError


class Tokenizer:
    """The tokenizer of a pretrained encoder.

    What looks like one of its special tokens inside a text, e.g. `[SEP]`, is read as the letters that it is.

    Args:
        text: what a Hugging Face `tokenizer.json` holds.
    """

    def __init__(self, text: str):
        # Late: it belongs to the extra `text`.
        self._tokenizer = importlib.import_module("tokenizers").Tokenizer.from_str(text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        # What surrounds every text.
        self._around = self._tokenizer.num_special_tokens_to_add(is_pair=False)

    def encode(self, texts: Sequence[str], max_tokens: int, keep_end: bool = False):
        """Token ids, those of the special tokens at both ends among them.

        Args:
            texts: list of str. One without any token, such as an empty one, is missing.
            max_tokens: int. How many tokens are kept of a text.
            keep_end: bool. Whether a long text's end is kept, not its beginning. Defaults to `False`.

        Returns:
            Int32 `[N, T]`, 0 past the lengths, `T` being the largest length and at least 1; int32 lengths `[N]`, 0 of
            a text that is missing; and how many texts were cut, an int.

        Raises:
            DataError: a text is no `str`, or none that can be encoded.
        """
        for position, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"text {position} is a {type(text).__name__}; a str is expected")
        texts = [text.encode("utf-8", "replace").decode() for text in texts]
        self._tokenizer.no_truncation()
        found = [encoded.ids for encoded in self._tokenizer.encode_batch(texts)]
        cut = [row for row, ids in enumerate(found) if len(ids) > max_tokens]
        if cut:
            self._tokenizer.enable_truncation(max_tokens, direction="left" if keep_end else "right")
            for row, encoded in zip(cut, self._tokenizer.encode_batch([texts[r] for r in cut]), strict=True):
                found[row] = encoded.ids
        lengths = np.array([len(ids) if len(ids) > self._around else 0 for ids in found], "int32")
        ids = np.zeros((len(found), max(1, lengths.max(initial=0))), "int32")
        for row, length in enumerate(lengths):
            ids[row, :length] = found[row][:length]
        return ids, lengths, len(cut)


@functools.lru_cache(maxsize=4)
def make_tokenizer(text: str) -> Tokenizer:
    """The `Tokenizer` of a text; a process makes each of them once."""
    return Tokenizer(text)


def tokenize(dataset: Dataset, tokenizer: Tokenizer, max_tokens: int) -> Dataset:
    """The data set with token ids of its `raw_text` in place of text features.

    Args:
        dataset: `Dataset` whose splits all have `raw_text`.
        tokenizer: `Tokenizer`.
        max_tokens: int. How many tokens are kept of a text. What is cut is counted, and told in the report.

    Raises:
        DataError: a split has no `raw_text`.
    """
    splits, cuts = {}, {}
    for name, split in dataset.items():
        if split.raw_text is None:
            raise DataError(
                f"{dataset.path or 'the data set'}: {name} has no raw_text, which a text encoder reads; leave "
                "text.encoder empty to use the features of the file"
            )
        ids, lengths, cuts[name] = tokenizer.encode([str(text) for text in split.raw_text], max_tokens)
        others = {m: f for m, f in split.features.items() if m != "text"}
        splits[name] = dataclasses.replace(
            split,
            features={"text": TokenIds(ids), **others},
            lengths={"text": lengths, **{m: split.lengths[m] for m in others}},
            context_features=None,
            context_lengths=None,
        )
    tokenized = dataset.replace(splits)
    for name, count in cuts.items():
        if count:
            tokenized.report.warn(f"{name}/text: {count} of {len(splits[name])} texts were cut to {max_tokens} tokens")
    return tokenized
