"""Fields that several layouts share: ids, texts, lengths, labels, folds.

Each function takes the values as a file gives them and `where`, which names file, split and field
in its errors.
"""

import math

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.containers.pickles.values import LongText, as_text
from plumkeras.data_pipelines.schema.validation import (
    DataError,
    check_sides,
    listing,
    whole_numbers,
)

# The letters that MMSA's files put after a label field.
LETTERS = {"text": "T", "audio": "A", "vision": "V"}
LABEL_FIELDS = (
    "regression_labels",
    "classification_labels",
    "annotations",
    *(f"{kind}_labels_{x}" for kind in ("regression", "classification") for x in "TAV"),
)
_MAX_ID = 1024
_MAX_ID_ARRAY = 16 << 20
# What is paid for a sample and a text: the time that each takes in all that is done later.
_BYTES_PER_SAMPLE, _BYTES_PER_TEXT = 512, 128


def pick_modalities(available, wanted, where):
    """The modalities to read, in the order asked for.

    Args:
        available: iterable of str, what the file has.
        wanted: iterable of str, or None for everything.

    Raises:
        DataError: the file lacks one that is expected, or has none.
    """
    available = tuple(available)
    if not available:
        raise DataError(f"{where} has no features; known modalities are text, audio, vision")
    if wanted is None:
        return available
    for modality in wanted:
        if modality not in available:
            raise DataError(f"{where} has no modality {modality!r}; it has {listing(available)}")
    return tuple(wanted)


def texts(values, where):
    """Strings, bytes or whole numbers as a list of str."""
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise DataError(f"{where} has shape {values.shape}; one per sample is expected")
        values = values.tolist()
    if not isinstance(values, (list, tuple)):
        raise DataError(f"{where} is a {type(values).__name__}; a list is expected")
    spend(_BYTES_PER_TEXT * len(values), where)
    result = []
    for position, value in enumerate(values):
        if isinstance(value, (str, bytes)):
            spend(len(value), where)
            result.append(as_text(value))
        elif isinstance(value, LongText):
            raise DataError(f"{where} holds a text of {len(value.view)} bytes at position {position}")
        elif isinstance(value, (int, np.integer)):
            result.append(str(value))
        else:
            raise DataError(f"{where} holds a {type(value).__name__} at position {position}; a text is expected")
    return result


def ids(values, where):
    """Ids as a numpy text array `[N]`, unchanged."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.ndim == 1:
        names, longest = values, values.dtype.itemsize // 4
    else:
        names = texts(values, where)
        longest = max(map(len, names), default=0)
        if longest > _MAX_ID:
            raise DataError(f"{where} holds an id of {longest} characters; at most {_MAX_ID} are read")
    # An array of texts gives each the room of the longest.
    if longest * len(names) > _MAX_ID_ARRAY:
        raise DataError(f"{where} holds {len(names)} ids of up to {longest} characters: too many to be ids")
    pay_for_samples(len(names), where)
    return np.array(names, dtype=np.str_)


def pay_for_samples(count, where):
    """Takes samples off the budget, whatever their features are: compressed, a sample can be a few bits."""
    spend(_BYTES_PER_SAMPLE * count, where)


def raw_text(values, where):
    """Texts as an array `[N]`; of objects when they come as a list, since lengths vary widely."""
    if isinstance(values, np.ndarray) and values.dtype.kind == "U" and values.ndim == 1:
        spend(values.nbytes, where)
        return values.copy()
    result = texts(values, where)
    array = np.empty(len(result), dtype=object)
    array[:] = result
    return array


def numbers(values, where):
    """Numbers, also as a list or with axes of size one, as a new array `[N]`."""
    if isinstance(values, (list, tuple)):
        flat = [v.item() if isinstance(v, np.ndarray) and v.size == 1 else v for v in values]
        flat = [v[0] if isinstance(v, (list, tuple)) and len(v) == 1 else v for v in flat]
        for position, value in enumerate(flat):
            if not isinstance(value, (int, float, np.number, np.bool_)):
                raise DataError(f"{where} holds a {type(value).__name__} at position {position}; a number is expected")
        values = np.array(flat)
        if values.dtype.kind == "O":
            raise DataError(f"{where} holds a number that no float can hold")
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        return numbers(values.ravel().tolist(), where)
    if not isinstance(values, np.ndarray) or values.dtype.kind not in "iufb":
        kind = getattr(values, "dtype", type(values).__name__)
        raise DataError(f"{where} is of type {kind}; numbers are expected")
    if values.ndim == 0 or values.size != len(values):
        raise DataError(f"{where} has shape {values.shape}; one per sample is expected")
    return values.reshape(len(values)).copy()


def label_numbers(values, where):
    """As `numbers`, with NaN for what is blank: None, an empty text or list."""
    if isinstance(values, np.ndarray) and values.dtype.kind in "SU" and not np.char.strip(values).astype(bool).any():
        values = np.full(values.shape, math.nan)
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.ravel().tolist()
    if isinstance(values, (list, tuple)):
        values = [math.nan if is_blank(value) else value for value in values]
    return numbers(values, where)


def is_blank(value):
    """Whether a label is None, or an empty text or list, also in a list of its own."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, (str, bytes)):
        return not value.strip()
    return value is None or (isinstance(value, (list, tuple)) and not value)


def lengths(values, where):
    """Lengths as int32 `[N]`."""
    return whole_numbers(numbers(values, where), where)


def check_features(shape, dtype, where):
    """Raises `DataError` unless an array can be features: numbers, `[N, T, F]` or `[N, F]`."""
    if dtype.kind not in "iufb":
        raise DataError(f"{where} is of type {dtype}; features are numbers")
    if len(shape) not in (2, 3):
        raise DataError(f"{where} has shape {tuple(shape)}; [samples, frames, width] or [samples, width] is expected")
    # Without a byte behind it such a shape can have any number of samples.
    if 0 in shape[1:]:
        raise DataError(f"{where} has shape {tuple(shape)}: nothing in it")
    check_sides(shape, where)
