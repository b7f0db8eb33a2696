"""What the network's inputs and labels must be: names, shapes, lengths, limits. In numpy alone.

Data sets, the command line, the network and its trainers all check by it, so that they refuse the same in the same
words.
"""

import sys
import warnings

import numpy as np

# Larger magnitudes would overflow or swamp the statistics.
LIMIT = 1e6
# In `feature_dims`, in place of a width: the modality is token ids, which a text encoder of the network reads.
TOKEN_IDS = 0
# The smallest standard deviation that is no rounding.
_SMALLEST = 1e-6


class DataError(ValueError):
    """A file, or a part of it, isn't what it has to be. Names the file, the field and the value."""


def warn(text):
    """A `UserWarning` at the line that called the package."""
    frame, level = sys._getframe(1), 2
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] in ("plumkeras", "keras"):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, UserWarning, stacklevel=level)


def listing(names):
    """Names for an error message."""
    return ", ".join(str(name) for name in names) or "none"


def input_name(modality, width):
    """What the network's input of a modality is called: `<modality>`, or `<modality>_ids` of token ids."""
    return f"{modality}_ids" if width == TOKEN_IDS else modality


def reads_text(feature_dims):
    """Whether a network of these widths reads texts, by a text encoder of its own."""
    return feature_dims.get("text") == TOKEN_IDS


def width_words(width, before=""):
    """A width of `feature_dims` as a reader is told it, `before` in front of a number."""
    return "token ids" if width == TOKEN_IDS else f"{before}{width}"


def whole_numbers(values, where):
    """`values` as an int32 array.

    Raises:
        DataError: one of them isn't a whole number, or doesn't fit.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise DataError(f"{where} is of type {array.dtype}; whole numbers are expected")
    if array.dtype == np.int32:
        return array
    wide = array.astype("float64")
    wrong = ~np.isfinite(wide) | (wide != np.floor(wide)) | (np.abs(wide) >= 2**31)
    for position in np.flatnonzero(wrong)[:1]:
        raise DataError(f"{where} holds {array.ravel()[position]} at position {position}; whole numbers are expected")
    return array.astype("int32")


def check_lengths(lengths, frames, ids, where):
    """Raises `DataError` unless every length `[N]` is within `0..frames`."""
    for row in np.flatnonzero((lengths < 0) | (lengths > frames))[:1]:
        raise DataError(f"{where} holds {lengths[row]} for sample {ids[row]!s}; the array has {frames} frames")


def check_finite(values, ids, where):
    """Raises `DataError` where one of the values `[N]` is NaN or infinite."""
    for row in np.flatnonzero(~np.isfinite(values))[:1]:
        raise DataError(f"{where} holds {values[row]} for sample {ids[row]!s}")


def check_width(found, expected, modality, where):
    """Raises `DataError` unless a modality has the width that the network was built for."""
    if expected == TOKEN_IDS != found:
        raise DataError(f"{where}: {modality} is vectors of width {found}; the network reads token ids of its encoder")
    if found == TOKEN_IDS != expected:
        raise DataError(f"{where}: {modality} is token ids; the network was built for vectors of width {expected}")
    if found != expected:
        raise DataError(f"{where}: {modality} has width {found}; the network was built for width {expected}")


def check_names(names, feature_dims, where, may_be_absent=False):
    """Which modalities of the network are absent from named inputs, a list.

    Raises:
        DataError: a modality is absent though it may not be, none of them is there, or lengths go by another name.

    Warns:
        UserWarning: for each absent modality.
    """
    for name in map(str, names):
        m = next((m for m in feature_dims if name.startswith(f"{m}_len")), None)
        if m and name != f"{m}_length" and name not in feature_dims:
            raise DataError(f"{where} has {name!r}; the lengths of {m} are named '{m}_length'")
    called = {m: input_name(m, width) for m, width in feature_dims.items()}
    absent = [m for m, name in called.items() if name not in names]
    for m in absent:
        if not may_be_absent or len(absent) == len(called):
            raise DataError(f"{where} has no {called[m]!r}, which the network reads; it has {listing(names)}")
        warn(f"{where} has no {called[m]!r}: it is missing for every sample. It has {listing(names)}")
    return absent


def complete_inputs(arrays, feature_dims, where="the dict of arrays", may_be_absent=False, clean=True):
    """A dict of arrays as the network reads it: every modality with its lengths, finite, in float32 and int32.

    Args:
        arrays: dict with, per modality, `<modality>` `[N, T, F]`, or `[N, F]` for one frame each (of token ids
            `<modality>_ids` `[N, T]`), and `<modality>_length` `[N]`; without lengths every frame counts. Other names
            are left out.
        feature_dims: dict from modality to width, which is 0 of token ids.
        where: str. What the arrays are called in a message.
        may_be_absent: bool. Whether a modality can be absent: it is then missing for every sample. Defaults to `False`.
        clean: bool. Whether values that are NaN, infinite or beyond 1e6 are set to 0; else they are refused. Defaults
            to `True`.

    Raises:
        DataError: a name, a shape, a width, a length or a value is not what it has to be.

    Warns:
        UserWarning: a modality is absent, or values within the lengths were set to 0.
    """
    absent = check_names(arrays, feature_dims, where, may_be_absent)
    complete, count, first = {}, None, None
    for m, width in feature_dims.items():
        if m in absent:
            continue
        called = input_name(m, width)
        read = _token_ids if width == TOKEN_IDS else _vectors
        values = read(arrays[called], m, width, where)
        count, first = (len(values), called) if count is None else (count, first)
        lengths = arrays.get(f"{m}_length")
        lengths = np.full(len(values), values.shape[1]) if lengths is None else lengths
        lengths = whole_numbers(lengths, f"{where}: {m}_length")
        for name, array in ((called, values), (f"{m}_length", lengths)):
            if len(array.shape) == 0 or len(array) != count:
                raise DataError(f"{where}: {name} has {array.shape[:1]} samples, {first} has {count}")
        if lengths.ndim != 1:
            raise DataError(f"{where}: {m}_length has shape {lengths.shape}; one per sample is expected")
        check_lengths(lengths, values.shape[1], range(count), f"{where}: {m}_length")
        complete[called] = values if width == TOKEN_IDS else _finite(values, lengths, m, where, clean)
        complete[f"{m}_length"] = lengths
    for m in absent:
        complete[input_name(m, feature_dims[m])] = np.zeros(*_of_missing(count, feature_dims[m]))
        complete[f"{m}_length"] = np.zeros(count, "int32")
    return {name: complete[name] for m, width in feature_dims.items() for name in (input_name(m, width), f"{m}_length")}


def _of_missing(count, width):
    """Shape and type of the array of a modality that every sample lacks."""
    return ((count, 1), "int32") if width == TOKEN_IDS else ((count, 1, width), "float32")


def _vectors(values, modality, width, where):
    values = np.asarray(values)
    if values.dtype.kind not in "iufb":
        raise DataError(f"{where}: {modality} is of type {values.dtype}; numbers are expected")
    if values.ndim == 2:
        values = values[:, None, :]
    if values.ndim != 3:
        raise DataError(f"{where}: {modality} has shape {values.shape}; [samples, frames, {width}] is expected")
    check_width(values.shape[2], width, modality, where)
    return values


def _token_ids(values, modality, width, where):
    name = input_name(modality, width)
    if isinstance(values, (list, tuple)) and len({np.shape(row) for row in values}) > 1:
        raise DataError(f"{where}: {name} has rows of different lengths; pad them, and give {modality}_length")
    ids = whole_numbers(values, f"{where}: {name}")
    if ids.ndim != 2 or not ids.shape[1]:
        raise DataError(f"{where}: {name} has shape {ids.shape}; [samples, tokens] is expected")
    return ids


def _finite(values, lengths, modality, where, clean):
    if is_dirty(values):
        # What is past the length is never read, and not worth a word.
        valid = np.arange(values.shape[1])[None, :] < lengths[:, None]
        counts = dict.fromkeys(("nan", "inf", "overflow"), 0)
        values = clean_block(np.where(valid[:, :, None], values, 0), counts)
        if (words := cleaned_words(counts)) and not clean:
            raise DataError(f"{where}: {modality} holds values that can't be learned from: {words}; set them to 0")
        if words:
            warn(f"{where}: {modality}: values set to 0: {words}")
    return values.astype("float32", copy=False)


def is_dirty(block):
    """Whether an array holds NaN, infinities or magnitudes beyond the limit."""
    # Two reductions and no temporary; NaN fails both comparisons. `float`, since the limit itself
    # would be infinite as a float16.
    return block.size > 0 and not (float(block.max()) <= LIMIT and float(block.min()) >= -LIMIT)


def clean_block(block, counts):
    """The array with what is not finite, or beyond the limit, set to 0 and added to `counts`."""
    if block.dtype.kind in "iub":
        block = block.astype("float64")
    elif block.dtype == np.float16:
        # It becomes float32 in any case, and NumPy compares float16 ten times as slowly.
        block = block.astype("float32")
    if not is_dirty(block):
        return block
    # A long double may not fit, and then is infinite.
    with np.errstate(over="ignore", invalid="ignore"):
        block = block.astype("float64")
    for kind, find in (
        ("nan", np.isnan),
        ("inf", np.isinf),
        ("overflow", lambda values: np.abs(values) > LIMIT),
    ):
        found = find(block)
        counts[kind] += int(np.count_nonzero(found))
        block[found] = 0
    return block


def cleaned_words(counts):
    """The counts of `clean_block` for a message; empty where nothing was cleaned."""
    kinds = (("nan", "NaN"), ("inf", "infinite"), ("overflow", "beyond 1e6 in magnitude"))
    return ", ".join(f"{counts[kind]} {words}" for kind, words in kinds if counts[kind])


def lacking_all(present, where, ids=None):
    """A sentence on the samples of which every modality is missing, or None where there is no such sample.

    Args:
        present: iterable of bool `[N]`, one by modality.
        where: str. The split, or what the inputs are called.
        ids: `[N]` or None: samples are numbered.
    """
    missing = ~np.any(list(present), axis=0)
    if not missing.any():
        return None
    first = int(np.argmax(missing))
    return (
        f"{where}: {np.count_nonzero(missing)} of {len(missing)} samples lack every modality, for one "
        f"{f'number {first}' if ids is None else ids[first]}: their predictions say nothing"
    )


def warn_of_lacking_all(present, where="the inputs"):
    """Warns of what `lacking_all` says, if anything."""
    if sentence := lacking_all(present, where):
        warn(sentence)


class FrameMoments:
    """Running mean and variance per feature in float64, merged batch by batch (Chan, Golub and LeVeque 1979)."""

    def __init__(self, width):
        self.count = 0
        self.mean = np.zeros(width)
        self.squares = np.zeros(width)

    def update(self, frames):
        """Adds `[n, F]` frames."""
        frames = np.asarray(frames, dtype=np.float64)
        if not len(frames):
            return
        total = self.count + len(frames)
        mean = frames.mean(axis=0)
        shift = mean - self.mean
        self.squares += ((frames - mean) ** 2).sum(axis=0) + shift**2 * self.count * len(frames) / total
        self.mean = self.mean + shift * len(frames) / total
        self.count = total

    @property
    def variance(self):
        return self.squares / max(self.count, 1)

    def divisor(self, epsilon=1e-3):
        """What a standardisation divides each feature by: its standard deviation, 1 where it counts as constant.

        Args:
            epsilon: share of the magnitude of the mean up to which a deviation is one of rounding.
        """
        deviation = np.sqrt(self.variance)
        return np.where(deviation <= np.maximum(epsilon * np.abs(self.mean), _SMALLEST), 1.0, deviation)
