"""Fields that come as rows: ids of several parts, labels of several columns, classes written as numbers."""

import numpy as np

from plumkeras.data_pipelines.containers.pickles.values import LongText, as_text
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.readers.shared.names import is_ragged
from plumkeras.data_pipelines.schema.validation import DataError

# UR-FUNNY (V1 and V2) and MUStARD as MISA and MultiBench write them.
_HUMOR_WIDTHS = {"audio": (81,), "vision": (75, 371)}
_MAX_PARTS = 8


def are_rows(values):
    """Whether ids come as rows (`[N, 1]` or `[N, 3]`) and not one by one."""
    if isinstance(values, np.ndarray) and (values.ndim > 1 or values.dtype.kind != "O"):
        return values.ndim > 1
    return is_ragged(values) and len(values) > 0 and isinstance(values[0], (list, tuple, np.ndarray))


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


def is_humor(widths):
    """Whether feature widths (dict by modality) are those of UR-FUNNY and MUStARD."""
    known = [widths[modality] in wanted for modality, wanted in _HUMOR_WIDTHS.items() if modality in widths]
    return bool(known) and all(known)
