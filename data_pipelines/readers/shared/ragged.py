"""Sequences of different lengths, as lists hold them, made into one array."""

import functools

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.containers.pickles.values import LongText, as_text
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.schema.validation import DataError

# More than an item needs: the time that it takes is paid for too.
_BYTES_PER_ITEM = 1536
# A context is a list of sentences, a sentence a list of frames, a frame a list of numbers.
_MAX_DEPTH = 3


class Sequence:
    """The frames of one sample, in pieces that follow each other.

    Args:
        value: numeric array `[T, F]`, an empty array, or a list of these or of frames.
        where: str. File, split, sample and field, for errors.
    """

    __slots__ = ("dtype", "length", "pieces", "where", "width")

    def __init__(self, value, where):
        self.where = where
        self.pieces = list(_pieces(value, where, _MAX_DEPTH))
        self.length = sum(len(piece) for piece in self.pieces)
        widths = {piece.shape[1] for piece in self.pieces}
        if len(widths) > 1:
            raise DataError(f"{where} has frames of {len(widths)} different widths: {sorted(widths)[:8]}")
        self.width = widths.pop() if widths else None
        self.dtype = _common({piece.dtype for piece in self.pieces})

    def keep_last(self, count):
        """Drops all frames but the last `count`, at least 1; returns how many it dropped."""
        dropped, room, kept = max(0, self.length - count), count, []
        for piece in reversed(self.pieces):
            if not room:
                break
            kept.append(piece[-room:])
            room -= len(kept[-1])
        self.pieces = kept[::-1]
        self.length -= dropped
        return dropped


def _pieces(value, where, depth):
    """Yields arrays `[T, F]` that hold something."""
    spend(_BYTES_PER_ITEM, where)
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        if not value.size and value.shape != (0,) and value.shape[:1] != (0,):
            raise DataError(f"{where} has shape {value.shape}: frames without width")
        if value.size:
            if value.dtype.kind not in "iufb":
                raise DataError(f"{where} is of type {value.dtype}; features are numbers")
            if value.ndim != 2:
                raise DataError(f"{where} has shape {value.shape}; [frames, width] is expected")
            yield value
        return
    items = value.tolist() if isinstance(value, np.ndarray) else value
    if not isinstance(items, (list, tuple)) or not depth:
        raise DataError(f"{where} is a {type(value).__name__}; an array [frames, width] is expected")
    if items and isinstance(items[0], (int, float, np.number)):
        yield _frame(items, where)
        return
    for item in items:
        if isinstance(item, np.ndarray) and item.ndim == 1 and item.dtype.kind in "iufb" and item.size:
            item = item[None]
        yield from _pieces(item, where, depth - 1)


def _frame(items, where):
    spend(8 * len(items), where)
    for item in items:
        if not isinstance(item, (int, float, np.number, np.bool_)) or isinstance(item, np.complexfloating):
            raise DataError(f"{where} holds a {type(item).__name__} among numbers")
    try:
        return np.array([items], dtype="float64")
    except OverflowError:
        raise DataError(f"{where} holds a number that no float can hold") from None


def _common(dtypes):
    """A float type that holds all of them."""
    return functools.reduce(np.promote_types, dtypes, np.dtype("float32"))


def common_width(sequences, width=None):
    """The width that all sequences with frames have, and `width` where it is given; None where there is none."""
    for sequence in sequences:
        width = width or sequence.width
        if sequence.width not in (None, width):
            raise DataError(f"{sequence.where} is {sequence.width} wide, others {width}")
    return width


def pad(sequences, width, where):
    """One array of sequences that may differ in length.

    Args:
        sequences: list of Sequence.
        width: int. The width of all of them.
        where: str. File, split and field, for errors.

    Returns:
        Cleaned float32 `[N, T, F]`, `T` being the longest length, the counts as `cleaning.clean_blocks`, and the
        lengths int32 `[N]`.
    """
    lengths = np.array([sequence.length for sequence in sequences], dtype="int32")
    longest = max(1, int(lengths.max()))
    spend(len(sequences) * longest * width * 4, where)
    dtype = _common({sequence.dtype for sequence in sequences})
    rows = max(1, cleaning.BLOCK_BYTES // (longest * width * dtype.itemsize))

    def blocks():
        for start in range(0, len(sequences), rows):
            some = sequences[start : start + rows]
            block = np.zeros((len(some), longest, width), dtype)
            for row, sequence in zip(block, some, strict=True):
                at = 0
                for piece in sequence.pieces:
                    row[at : at + len(piece)] = piece
                    at += len(piece)
            yield block

    return (*cleaning.clean_blocks(blocks(), (len(sequences), longest, width)), lengths)


def sentence(value, where, depth=_MAX_DEPTH):
    """Words, or sentences, as one text, joined by spaces.

    Args:
        value: text, or a list of texts or of such lists.
        where: str. File, split, sample and field, for errors.
        depth: int. How deep lists may be nested.

    Returns:
        str, or None where there are numbers (word ids) in place of words.
    """
    if isinstance(value, (str, bytes, LongText)):
        text = as_text(value)
        spend(_BYTES_PER_ITEM + len(text), where)
        return text
    if isinstance(value, np.ndarray):
        spend(value.size, where)
        value = value.tolist() if value.ndim == 1 else value
    if not isinstance(value, (list, tuple)) or not depth:
        raise DataError(f"{where} is a {type(value).__name__}; words are expected")
    spend(_BYTES_PER_ITEM, where)
    words = []
    for item in value:
        if isinstance(item, (int, float, np.number)):
            return None
        word = sentence(item, where, depth - 1)
        if word is None:
            return None
        if word:
            words.append(word)
    return " ".join(words)
