"""Fields that come as rows: ids of several parts, labels of several columns, classes written as numbers."""

import numpy as np

from plumkeras.data_pipelines.containers.pickles.values import LongText, as_text
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.schema.validation import DataError

# UR-FUNNY (V1 and V2) and MUStARD as MISA and MultiBench write them.
_HUMOR_WIDTHS = {"audio": (81,), "vision": (75, 371)}
_CLASSES = ({0.0, 1.0}, {-1.0, 1.0})
# How deep one number may be wrapped: `[[[x]]]`. A crafted list can hold itself, so there has to be an end.
_MAX_WRAPPING = 4
_MAX_PARTS = 8


def are_rows(values):
    """Whether ids come as rows (`[N, 1]` or `[N, 3]`) and not one by one."""
    if isinstance(values, np.ndarray) and (values.ndim > 1 or values.dtype.kind != "O"):
        return values.ndim > 1
    return (
        isinstance(values, (list, tuple, np.ndarray))
        and len(values) > 0
        and isinstance(values[0], (list, tuple, np.ndarray))
    )


def row_ids(values, where):
    """Ids as a text array `[N]`; the parts of a row (video, start, end) joined by `_`."""
    if isinstance(values, np.ndarray) and values.ndim:
        values = values.reshape(len(values), -1).tolist() if values.size else []
    if not isinstance(values, (list, tuple)):
        raise DataError(f"{where} is a {type(values).__name__}; a list is expected")
    names = []
    for position, row in enumerate(values):
        count = row.size if isinstance(row, np.ndarray) else len(row) if isinstance(row, (list, tuple)) else 1
        if not 1 <= count <= _MAX_PARTS:
            raise DataError(f"{where} holds {count} parts at position {position}; 1 or 3 are expected")
        if isinstance(row, np.ndarray):
            row = row.ravel().tolist()
        row = row if isinstance(row, (list, tuple)) else [row]
        names.append("_".join(_part(part, where, position) for part in row))
    return fields.ids(names, where)


def _part(part, where, position):
    if isinstance(part, (str, bytes, LongText)):
        return as_text(part)
    if isinstance(part, (float, np.floating)):
        return str(int(part)) if float(part).is_integer() else str(part)
    if isinstance(part, (int, np.integer)):
        return str(part)
    raise DataError(f"{where} holds a {type(part).__name__} at position {position}; a text is expected")


def first_column(values, where, report, field):
    """Labels `[N]` from `[N]`, `[N, 1]`, `[N, 1, 1]`, or the first column of `[N, 1, 7]`.

    Args:
        values: array, or a list of numbers, arrays or nested lists.
        where: str. Names the field in errors.
        report: Report. Says it where there are more columns than the one that is used.
        field: str. Names the field there.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.tolist()
    if isinstance(values, (list, tuple)):
        values, widest = _unwrap(values)
    elif isinstance(values, np.ndarray) and values.ndim == 3 and values.shape[1] != 1:
        raise DataError(f"{where} has shape {values.shape}; [samples, 1, columns] is expected")
    elif isinstance(values, np.ndarray) and 2 <= values.ndim <= 3 and values.size:
        values = values.reshape(len(values), -1)
        values, widest = values[:, 0], values.shape[1]
    else:
        widest = 1
    if widest > 1:
        report.warn(f"{field}: {widest} columns, of which the first (sentiment) is used")
    return fields.label_numbers(values, where)


def _unwrap(values):
    firsts, widest = [], 1
    for value in values:
        for _ in range(_MAX_WRAPPING):
            if isinstance(value, np.ndarray) and value.size:
                widest = max(widest, value.size)
                value = value.flat[0]
            elif isinstance(value, (list, tuple)) and value:
                widest = max(widest, len(value))
                value = value[0]
        firsts.append(value)
    return firsts, widest


def is_humor(widths):
    """Whether feature widths (dict by modality) are those of UR-FUNNY and MUStARD."""
    known = [widths[modality] in wanted for modality, wanted in _HUMOR_WIDTHS.items() if modality in widths]
    return bool(known) and all(known)


def as_classes(labels, is_certain, label_range, report):
    """Labels that take two values only, as the classes 0 and 1.

    Args:
        labels: dict by split of arrays `[N]`.
        is_certain: bool. Whether the data set is known to be one of two classes. Elsewhere two values are
            a guess, which the report gets, and `label_range` rules it out.
        label_range: pair of floats or None, as the user gave it.
        report: Report.

    Returns:
        A dict by split of arrays `[N]`, NaN where the labels are, or None where these are no classes.
    """
    whole = np.concatenate([values.astype("float64") for values in labels.values()]) if labels else np.zeros(0)
    found = set(np.unique(whole[~np.isnan(whole)]).tolist())
    # A `found` of one value fits the first pair or, being -1, the second.
    pair = next((pair for pair in _CLASSES if found and found <= pair), None)
    if pair is None:
        return None
    if not is_certain:
        if len(found) < 2 or label_range is not None:
            return None
        report.warn(
            f"labels: only {min(pair):g} and {max(pair):g} occur, so they are taken as the classes 0 and 1, which is "
            "a guess; with a label_range they are read as regression labels"
        )
    return {split: np.where(np.isnan(values), np.nan, values > 0) for split, values in labels.items()}
