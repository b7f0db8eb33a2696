"""The label fields of a split: numbers in any wrapping, and classes that contradict their signs."""

import numpy as np

from plumkeras.data_pipelines.readers.shared.fields import LETTERS, is_blank, label_numbers, texts
from plumkeras.data_pipelines.schema.validation import DataError, all_nan, check_complete, whole_numbers

# How deep one number may be wrapped: `[[[x]]]`. A crafted list can hold itself, so there has to be an end.
_MAX_WRAPPING = 4
_MAX_COLUMNS = 4096
_SIGNS = {"negative": 0, "neutral": 1, "positive": 2}
_UNKNOWN, _EMPTY = -1, -2


def label_array(values, where):
    """Labels as numbers `[N]`, or `[N, C]` and `[N, L, 2]` where each sample has several; NaN where one is blank.

    Args:
        values: array, or a list of numbers, arrays or nested lists; axes of size 1 are left out.
        where: str. File, split and field, for errors.
    """
    if isinstance(values, np.ndarray) and values.dtype.kind == "O":
        values = values.tolist()
    if isinstance(values, np.ndarray) and values.ndim > 1 and values.size != len(values):
        if values.dtype.kind not in "iufb":
            raise DataError(f"{where} is of type {values.dtype}; numbers are expected")
        if 0 in values.shape or values.ndim > 3 or (values.ndim == 3 and values.shape[1] != 1 and values.shape[2] != 2):
            raise DataError(f"{where} has shape {values.shape}; [samples, 1, columns] is expected")
        return (values[:, 0] if values.ndim == 3 and values.shape[1] == 1 else values).copy()
    if isinstance(values, (list, tuple)):
        rows = [_row(value) for value in values]
        widths = {len(row) for row in rows if isinstance(row, list)}
        if widths:
            width = max(widths)
            if width > _MAX_COLUMNS:
                raise DataError(f"{where} has {width} columns; at most {_MAX_COLUMNS} are read")
            for position, row in enumerate(rows):
                if not isinstance(row, list) and is_blank(row):
                    rows[position] = [row] * width
                elif not isinstance(row, list) or len(row) != width:
                    count = len(row) if isinstance(row, list) else 1
                    raise DataError(f"{where} holds {count} labels for sample {position}, and {width} for another")
            columns = [label_numbers([row[k] for row in rows], where) for k in range(width)]
            return np.stack(columns, axis=1)
        values = rows
    return label_numbers(values, where)


def _row(value):
    """The number of a row, or the list of its numbers where there are several."""
    for _ in range(_MAX_WRAPPING):
        if isinstance(value, np.ndarray) and value.size:
            if value.size > 1:
                return value.ravel().tolist()
            value = value.flat[0]
        elif isinstance(value, (list, tuple)) and len(value) == 1:
            value = value[0]
        else:
            break
    return list(value) if isinstance(value, (list, tuple)) and len(value) > 1 else value


def split_labels(fields, where, ids, report, split):
    """The labels of one split as its fields hold them.

    Args:
        fields: dict of the split's fields.
        where: str. File and split, for errors.
        ids: text array `[N]`.
        report: Report. Gets a warning where classes contradict the signs of the labels.
        split: str. Named in that warning.

    Returns:
        `(labels, modality_labels)`: the array of a field `labels`, whose kind is not known; float32 `[N]` of
        regression labels, int32 `[N]` where the file has only classes, or `[N, L]` of label sets; None where there are
        none or all are blank. And a dict by modality, or None.

    Raises:
        DataError: some of the labels are blank.
    """
    modality_labels = {
        modality: label_numbers(fields[f"regression_labels_{letter}"], f"{where}/{modality} labels")
        for modality, letter in LETTERS.items()
        if f"regression_labels_{letter}" in fields
    }
    modality_labels = {m: _as_float32(v) for m, v in modality_labels.items()} or None
    if "labels" in fields:
        return label_array(fields["labels"], f"{where}/labels"), modality_labels
    if "multilabel_labels" in fields and "regression_labels" not in fields:
        return label_array(fields["multilabel_labels"], f"{where}/multilabel_labels"), modality_labels
    if "regression_labels" not in fields:
        if "classification_labels" not in fields:
            return None, modality_labels
        field = f"{where}/classification_labels"
        found = label_numbers(fields["classification_labels"], field)
        if all_nan(found):
            return None, modality_labels
        if len(found) == len(ids):
            check_complete(field, found, ids)
        return whole_numbers(found, field), modality_labels
    found = _as_float32(label_numbers(fields["regression_labels"], f"{where}/regression_labels"))
    if all_nan(found):
        return None, modality_labels
    for field in ("classification_labels", "annotations"):
        if field in fields and len(found) == len(ids):
            _compare_signs(fields[field], found, ids, report, split, f"{where}/{field}")
    return found, modality_labels


def _as_float32(values):
    # What overflows becomes infinite, which validation refuses by name.
    with np.errstate(over="ignore"):
        return values.astype("float32")


def _compare_signs(values, found, ids, report, split, where):
    """Warns where classes and labels disagree: the classes of a file aren't to be trusted."""
    if where.endswith("annotations"):
        given, said = _annotated_signs(values, where)
        for sign, what in ((_EMPTY, "are empty"), (_UNKNOWN, "say neither negative, neutral nor positive")):
            rows = np.flatnonzero(given == sign)
            for row in rows[:1]:
                example = f", for one {ids[row]} (sample {row})" if row < len(ids) else ""
                word = f": {said[row]!r:.40}" if sign == _UNKNOWN else ""
                report.warn(f"{split}/annotations: {len(rows)} {what}{example}{word}; they aren't used")
            given[rows] = np.nan
    else:
        given = label_numbers(values, where)
    if len(given) != len(found):
        raise DataError(f"{where} has {len(given)} samples, {split}/regression_labels {len(found)}")
    wrong = np.flatnonzero((given != np.sign(found) + 1) & ~np.isnan(given.astype("float64")))
    if len(wrong):
        row = wrong[0]
        report.warn(
            f"{split}/{where.rpartition('/')[2]}: {len(wrong)} contradict the sign of "
            f"regression_labels, for one {ids[row]}: {values[row]!s:.40} for {found[row]:g}; classes "
            "are derived from regression_labels"
        )


def _annotated_signs(values, where):
    """0, 1, 2 from words (also "weakly positive", as in SIMSv2), NaN where MMSA-FET had none, and the words."""
    if isinstance(values, np.ndarray) and values.ndim == 1:
        values = values.tolist()
    if isinstance(values, (list, tuple)):
        values = ["nan" if isinstance(value, float) and value != value else value for value in values]
        values = ["" if value is None else value for value in values]
    said = texts(values, where)
    words = [text.lower().split() for text in said]
    signs = [np.nan if word == ["nan"] else _SIGNS.get(word[-1], _UNKNOWN) if word else _EMPTY for word in words]
    return np.array(signs, dtype="float64"), said
