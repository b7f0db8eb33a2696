"""Token ids of texts: `tokenize` replaces a data set's text features, `Tokenizer` does a list of texts."""

import dataclasses
import functools
import importlib
from collections.abc import Sequence

import numpy as np

from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.data_pipelines.schema.validation import DataError

# How many samples' own token ids are compared with the tokenizer's.
_COMPARED = 64


class Tokenizer:
    """The tokenizer of a pretrained encoder.

    What looks like one of its special tokens inside a text, e.g. `[SEP]`, is read as the letters that it is.

    Args:
        text: what a Hugging Face `tokenizer.json` holds.

    Attributes:
        size: int, how many tokens there are.
        around: int, how many special tokens surround a text.
        begin: int, the first of them, or None.
    """

    def __init__(self, text: str):
        # Late: it belongs to the extra `text`.
        self._tokenizer = importlib.import_module("tokenizers").Tokenizer.from_str(text)
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._tokenizer.encode_special_tokens = True
        # How many tokens surround every text.
        self.around = self._tokenizer.num_special_tokens_to_add(is_pair=False)
        self.size = self._tokenizer.get_vocab_size()
        surrounding = self._tokenizer.encode("").ids
        self.begin = surrounding[0] if surrounding else None

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
        lengths = np.array([len(ids) if len(ids) > self.around else 0 for ids in found], "int32")
        ids = np.zeros((len(found), max(1, lengths.max(initial=0))), "int32")
        for row, length in enumerate(lengths):
            ids[row, :length] = found[row][:length]
        return ids, lengths, len(cut)


@functools.lru_cache(maxsize=4)
def make_tokenizer(text: str) -> Tokenizer:
    """The `Tokenizer` of a text; a process makes each of them once."""
    return Tokenizer(text)


def tokenize(dataset: Dataset, tokenizer: Tokenizer, max_tokens: int, keep_end: bool = False) -> Dataset:
    """The data set with token ids of its `raw_text` in place of text features.

    Token ids that the file has itself (MMSA's `text_bert`) are taken as they are where they are the encoder's own:
    those that its tokenizer makes of the `raw_text` beside them.

    Args:
        dataset: `Dataset` whose splits all have `raw_text`, or token ids of the encoder.
        tokenizer: `Tokenizer`.
        max_tokens: int. How many tokens are kept of a text. What is cut is counted, and told in the report.
        keep_end: bool. Whether a long text's end is kept, not its beginning. Defaults to `False`.

    Raises:
        DataError: a split has no `raw_text`.
    """
    splits, cuts, refused = {}, {}, {}
    for name, split in dataset.items():
        told = _other_vocabulary(split, tokenizer)
        if split.raw_text is None and (split.token_ids is None or told):
            raise DataError(
                f"{dataset.path or 'the data set'}: {name} has no raw_text, which a text encoder reads"
                + (f", and its token ids are not this encoder's: {told}" if told else "")
                + "; leave text.encoder empty to use the features of the file"
            )
        if told:
            refused[name] = told
        if split.token_ids is None or told:
            ids, lengths, cuts[name] = tokenizer.encode([str(text) for text in split.raw_text], max_tokens, keep_end)
        else:
            ids, lengths, cuts[name] = _own_ids(split.token_ids, tokenizer, max_tokens, keep_end)
        others = {m: f for m, f in split.features.items() if m != "text"}
        splits[name] = dataclasses.replace(
            split,
            features={"text": TokenIds(ids), **others},
            lengths={"text": lengths, **{m: split.lengths[m] for m in others}},
            context_features=None,
            context_lengths=None,
        )
    tokenized = dataset.replace(splits)
    for name, told in refused.items():
        tokenized.report.warn(f"{name}/text: the file's token ids are not this encoder's, raw_text is read: {told}")
    for name, count in cuts.items():
        if count:
            tokenized.report.warn(f"{name}/text: {count} of {len(splits[name])} texts were cut to {max_tokens} tokens")
    return tokenized


def _own_ids(token_ids, tokenizer, max_tokens, keep_end):
    """As `Tokenizer.encode`, of the token ids of a file."""
    lengths = (token_ids >= 0).sum(axis=1, dtype="int32")
    lengths[lengths <= tokenizer.around] = 0
    cut = lengths > max_tokens
    ids = np.where(token_ids >= 0, token_ids, 0)[:, :max_tokens]
    for row in np.flatnonzero(cut):
        if keep_end:
            ids[row, 1:] = token_ids[row, lengths[row] - max_tokens + 1 : lengths[row]]
        ids[row, -1] = token_ids[row, lengths[row] - 1]
    return ids, np.minimum(lengths, max_tokens).astype("int32"), int(cut.sum())


def _other_vocabulary(split, tokenizer):
    """Why the token ids of a split are of another vocabulary than a tokenizer's, a few words; None where they are not.

    Compared on a few dozen samples, for the file's ids may be cut at another length.
    """
    if split.token_ids is None:
        return None
    highest = int(split.token_ids.max(initial=0))
    if highest >= tokenizer.size:
        return f"they go up to {highest}, and the encoder has {tokenizer.size} tokens"
    rows = np.flatnonzero((split.token_ids >= 0).sum(axis=1) > tokenizer.around)[:_COMPARED]
    if not len(rows):
        return "every text is empty"
    if split.raw_text is None:
        firsts = split.token_ids[rows, 0]
        if tokenizer.begin is not None and (firsts != tokenizer.begin).any():
            return f"texts begin with {firsts[firsts != tokenizer.begin][0]}, and the encoder's with {tokenizer.begin}"
        return None
    own, lengths, _ = tokenizer.encode([str(split.raw_text[row]) for row in rows], split.token_ids.shape[1])
    for position, row in enumerate(rows):
        given = split.token_ids[row][split.token_ids[row] >= 0]
        if not np.array_equal(given, own[position, : lengths[position]]):
            return f"those of {split.ids[row]} are {_first(given)}, and the encoder's {_first(own[position])}"
    return None


def _first(ids):
    return f"{' '.join(map(str, ids[:5]))} ..."
