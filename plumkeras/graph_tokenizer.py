"""The tokenizer of a BERT-like encoder as a TensorFlow graph: from strings the token ids that `tokenizers` gives.

What `tokenizers` does to every single code point is asked of it when the graph is made, and stands there as tables. The
words are looked up by the WordPiece operation of TensorFlow Text. Both are imported late.
"""

import functools
import importlib.util
import json

import numpy as np

_LETTER, _SPACE, _PUNCTUATION = range(3)
# An entry of an image from here on is relative to the code point; it stands for a difference of 0.
_RELATIVE = 1 << 22
# The marks that canonical order puts first and last.
_FIRST_MARK, _LAST_MARK = "\u0334", "\u0345"


def obstacle(text: str | None) -> str | None:
    """Why a tokenizer cannot be a graph, the words after "because"; None where it can.

    Args:
        text: what a Hugging Face `tokenizer.json` holds, or None.
    """
    if text is None:
        return "the network has no tokenizer"
    if importlib.util.find_spec("tensorflow_text") is None:
        return "tensorflow_text is not installed"
    if importlib.util.find_spec("tokenizers") is None:
        return "tokenizers is not installed"
    described = _described(text)
    parts = (("model", "WordPiece"), ("normalizer", "BertNormalizer"), ("pre_tokenizer", "BertPreTokenizer"))
    for part, wanted in parts:
        kind = (described[part] or {}).get("type")
        if kind != wanted:
            return f"the {part} of its tokenizer is {kind or 'none'}, and a graph can be made of {wanted} alone"
    if described["model"]["unk_token"] not in described["model"]["vocab"]:
        return "its tokenizer has no token for unknown words"
    # `tokenizers` looks for these in a text before anything else.
    added = [token["content"] for token in described["added_tokens"] if not token["special"]]
    if added:
        return f"its tokenizer has added tokens, such as {added[0]!r}"
    return None


class GraphTokenizer:
    """Token ids of strings, in a graph: those of `data_pipelines.transforms.tokenizing.Tokenizer`.

    Args:
        text: what a Hugging Face `tokenizer.json` holds.
        max_tokens: int. How many tokens are kept of a text, special tokens among them.
        keep_end: bool. Whether a long text's end is kept, not its beginning. Defaults to `False`.

    Attributes:
        table: the lookup table of the vocabulary, which what is saved with the graph must track.

    Call arguments:
        texts: `[B]` string. Bytes that are no UTF-8 are read as U+FFFD.

    Returns:
        Int32 `[B, T]`, 0 past the lengths, `T` at least 1; int32 lengths `[B]`, 0 of a text without tokens.

    Raises:
        ValueError: `obstacle` names one, or `max_tokens` leaves no room for a word.
    """

    def __init__(self, text: str, max_tokens: int, keep_end: bool = False):
        if (why := obstacle(text)) is not None:
            raise ValueError(f"`text` is a tokenizer that cannot be a graph, because {why}")
        import tensorflow as tf
        import tensorflow_text

        described = _described(text)
        model, options = described["model"], described["normalizer"]
        self._tables = _tables(**{name: value for name, value in options.items() if name != "type"})
        self._before, self._after = _special_tokens(text)
        room = max_tokens - len(self._before) - len(self._after)
        if room < 1:
            raise ValueError(
                f"`max_tokens` must leave room for a word beside {max_tokens - room} special tokens. "
                f"Received: max_tokens={max_tokens}"
            )
        self._kept = slice(-room, None) if keep_end else slice(room)
        self._unknown, self._longest_word = model["unk_token"], model["max_input_chars_per_word"]
        words, ids = list(model["vocab"]), np.array(list(model["vocab"].values()), "int64")
        self.table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(words), tf.constant(ids)), model["vocab"][self._unknown]
        )
        self._pieces = tensorflow_text.WordpieceTokenizer(
            self.table,
            suffix_indicator=model["continuing_subword_prefix"],
            # Longer words do not come so far; a character has four bytes at most.
            max_bytes_per_word=4 * max(self._longest_word, len(self._unknown)),
            token_out_type=tf.int32,
            unknown_token=self._unknown,
        )

    def __call__(self, texts):
        import tensorflow as tf

        cleaned, ranks, folded, kinds = self._tables
        points = _mapped(tf.strings.unicode_decode(texts, "UTF-8"), cleaned)
        words = self._words(_mapped(_in_canonical_order(points, ranks), folded), kinds)
        # A word is one token or more.
        ids = self._pieces.tokenize(words[:, self._kept]).merge_dims(1, 2)[:, self._kept]
        count = tf.cast(ids.row_lengths(), tf.int32)
        length = tf.where(count > 0, count + len(self._before) + len(self._after), 0)
        before, after = (
            tf.tile(tf.constant([special], tf.int32), [tf.size(count), 1]) for special in (self._before, self._after)
        )
        longest = tf.reduce_max(tf.concat([[1], length], 0))
        padded = tf.concat([before, ids, after], axis=1).to_tensor(shape=tf.stack([-1, longest]))
        return tf.where(length[:, None] > 0, padded, 0), length

    def _words(self, points, kinds):
        """The words `[B, words]` of code points `[B, characters]`: spaces part them, punctuation is a word each."""
        import tensorflow as tf

        starts, values = kinds
        kind, row = tf.gather(values, _run(starts, points.values)), points.value_rowids()
        kind_before, row_before = tf.concat([[_SPACE], kind[:-1]], 0), tf.concat([[-1], row[:-1]], 0)
        kept = kind != _SPACE
        begins = kept & ((kind == _PUNCTUATION) | (kind_before != _LETTER) | (row != row_before))
        number = tf.cumsum(tf.cast(begins, tf.int64))
        letters = tf.RaggedTensor.from_value_rowids(
            points.values[kept], number[kept] - 1, tf.reduce_max(tf.concat([[0], number], 0)), validate=False
        )
        words = tf.strings.unicode_encode(letters, "UTF-8")
        words = tf.where(letters.row_lengths() > self._longest_word, self._unknown, words)
        return tf.RaggedTensor.from_value_rowids(words, row[begins], points.nrows(), validate=False)


def _mapped(points, images):
    """The ragged code points with their images in their places."""
    import tensorflow as tf

    starts, values, splits = images
    image = tf.gather(tf.RaggedTensor.from_row_splits(values, splits, validate=False), _run(starts, points.values))
    origin = tf.gather(points.values, image.value_rowids())
    absolute = tf.where(image.values < _RELATIVE // 2, image.values, origin + image.values - _RELATIVE)
    return points.with_values(image.with_values(absolute)).merge_dims(1, 2)


def _in_canonical_order(points, ranks):
    """The ragged code points with their combining marks in the order of NFD, which single characters do not tell."""
    import tensorflow as tf

    starts, values = ranks
    rank, row = tf.gather(values, _run(starts, points.values)), points.value_rowids()
    # Marks change places only among those behind the same character.
    apart = (rank == 0) | (row != tf.concat([[-1], row[:-1]], 0))
    order = tf.argsort(tf.cumsum(tf.cast(apart, tf.int64)) * 256 + tf.cast(rank, tf.int64), stable=True)
    return points.with_values(tf.gather(points.values, order))


def _run(starts, points):
    """In which run of code points each one is."""
    import tensorflow as tf

    return tf.searchsorted(starts, points, side="right") - 1


@functools.lru_cache(maxsize=4)
def _described(text):
    """The parts of a tokenizer, every option of theirs among them."""
    from tokenizers import Tokenizer

    return json.loads(Tokenizer.from_str(text).to_str())


def _special_tokens(text):
    """The ids in front of every text, and those behind it."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(text)
    tokenizer.no_padding()
    encoded = tokenizer.encode("a")
    own = [position for position, special in enumerate(encoded.special_tokens_mask) if not special]
    return encoded.ids[: own[0]], encoded.ids[own[-1] + 1 :]


@functools.lru_cache(maxsize=4)
def _tables(clean_text, handle_chinese_chars, strip_accents, lowercase):
    """What the normalizer, whose options these are, and the pre-tokenizer do to single code points.

    Returns:
        Images of the code points of a text: cleaned and, where accents are stripped, decomposed; ranks of these for
        `_in_canonical_order`; their images, without accents and in lower case; and the kinds of the latter.
    """
    from tokenizers.normalizers import NFD, BertNormalizer, Sequence
    from tokenizers.pre_tokenizers import BertPreTokenizer

    strip = lowercase if strip_accents is None else strip_accents
    clean = BertNormalizer(clean_text, handle_chinese_chars, strip_accents=False, lowercase=False)
    clean = Sequence([clean, NFD()]) if strip else clean
    cleaned = {}
    for start in range(0, 0x110000, 256):
        # Surrogates are no characters.
        block = [] if 0xD800 <= start < 0xE000 else range(start, start + 256)
        # Of most blocks nothing is left.
        kept = clean.normalize_str("".join(map(chr, block)))
        cleaned |= _images(clean, block) if kept else dict.fromkeys(block, ())
    points = sorted(set().union(*cleaned.values()))
    folded = _images(BertNormalizer(False, False, strip_accents=strip, lowercase=lowercase), points)
    split = BertPreTokenizer().pre_tokenize_str
    # Between two letters a letter makes one word of them, a space two, and punctuation is a third.
    kinds = {
        point: (_LETTER, _SPACE, _PUNCTUATION)[len(split(f"a{chr(point)}a")) - 1]
        for point in sorted(set().union(*folded.values()))
    }
    ranks = _mark_ranks(points) if strip else dict.fromkeys(points, 0)
    return _runs_of_images(cleaned), _runs_of_numbers(ranks), _runs_of_images(folded), _runs_of_numbers(kinds)


def _images(normalizer, points):
    """Dict from code points to the tuples of those that a normalizer makes of them."""
    return {point: tuple(map(ord, normalizer.normalize_str(chr(point)))) for point in points}


def _mark_ranks(points):
    """Dict from decomposed code points to the ranks by which NFD orders combining marks; 0 of what is none."""
    from tokenizers.normalizers import NFD

    def stays(characters):
        return nfd.normalize_str(characters) == characters

    nfd = NFD()
    # What is no mark keeps the other two apart.
    marks = [chr(point) for point in points if not stays(f"{_LAST_MARK}{chr(point)}{_FIRST_MARK}")]
    ranks, rank, before = dict.fromkeys(points, 0), 0, None
    for mark in nfd.normalize_str("".join(marks)):
        # Of the same rank two keep any order.
        rank += before is None or not stays(mark + before)
        ranks[ord(mark)], before = rank, mark
    return ranks


def _runs(values):
    """A dict by code points, in order, as runs of the same value: their starts, and a list of their values."""
    starts, kept = [], []
    for point, value in values.items():
        if not kept or value != kept[-1]:
            starts.append(point)
            kept.append(value)
    return np.array(starts, "int32"), kept


def _runs_of_numbers(numbers):
    starts, kept = _runs(numbers)
    return starts, np.array(kept, "int32")


def _runs_of_images(images):
    """Of the runs of images the starts, the entries one after the other, and the splits between those of each run."""
    starts, kept = _runs(
        {
            point: tuple(code if len(image) > 1 and code != point else _RELATIVE + code - point for code in image)
            for point, image in images.items()
        }
    )
    entries = np.array([code for image in kept for code in image], "int32")
    return starts, entries, np.cumsum([0, *map(len, kept)], dtype="int64")
