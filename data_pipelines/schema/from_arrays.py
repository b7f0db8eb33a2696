"""Splits and data sets made of a user's own arrays: padding, lengths and ids are added here."""

import numpy as np

from plumkeras.data_pipelines.schema.token_ids import texts_alone
from plumkeras.data_pipelines.schema.validation import DataError, listing, whole_numbers
from plumkeras.nearest import nearest

_FIELDS = ("labels", "ids", "raw_text", "lengths", "folds", "groups")


def split_fields(modalities, lengths=None, labels=None, ids=None, raw_text=None):
    """The arguments of a `Split` that have to be made: `ids`, `features`, `lengths` and `labels`.

    Args:
        modalities: dict by modality of sequences; see `Split.from_arrays`. `<modality>_length` and `<modality>_lengths`
            beside a modality are lengths.
        lengths: dict by modality of `[N]`, or None.
        labels: `[N]` or None.
        ids: `[N]` or None.
        raw_text: `[N]` or None. Without any modality they stand alone, as token ids of which there are none yet.

    Raises:
        DataError: a rank, a width or a number of samples does not fit, or there is neither a modality nor a text.
    """
    given = {m: value for m, value in modalities.items() if value is not None}
    if isinstance(raw_text, str):
        raise DataError("raw_text is a single str; a list of them is expected, one a sample")
    lengths = dict(lengths or {})
    for name in list(given):
        m, mark, _ = name.rpartition("_length")
        if mark and m in given and name in (f"{m}_length", f"{m}_lengths"):
            lengths[m] = given.pop(name)
    if not given and raw_text is None:
        raise DataError("no features; give at least one modality, e.g. text=[...], or raw_text")
    if unknown := [m for m in lengths if m not in given]:
        raise DataError(f"lengths for {unknown[0]!r}, which has no features; there are {listing(given)}")
    features, found = {}, {}
    for m, value in given.items():
        features[m], found[m] = padded(m, value, lengths.get(m))
    if not given:
        features, found = texts_alone(len(raw_text))
    counts = {m: len(array) for m, array in features.items()}
    first, count = next(iter(counts.items()))
    labels = None if labels is None else np.asarray(labels)
    for name, array in (("labels", labels), ("ids", ids)):
        if array is not None:
            counts[name] = len(array)
    for name, other in counts.items():
        if other != count:
            raise DataError(f"{name} has {other} samples, {first} {count}; every array needs one row per sample")
    if labels is not None and labels.dtype.kind not in "iufb":
        try:
            labels = labels.astype("float32")
        except (TypeError, ValueError):
            raise DataError(
                "labels hold something that is not a number; give floats, or class numbers from 0"
            ) from None
    return {
        "ids": np.arange(count).astype(np.str_) if ids is None else ids,
        "features": features,
        "lengths": found,
        "labels": labels,
    }


def padded(name, value, lengths):
    """Sequences as one array: float32 `[N, T, F]`, zero past the lengths, and the lengths int32 `[N]`.

    Args:
        name: str. The modality, for errors.
        value: a list of `[T, F]` arrays (None or empty: missing), `[N, T, F]`, or `[N, F]`.
        lengths: `[N]` or None: every frame counts.

    Raises:
        DataError: a rank, a width or a length does not fit.
    """
    rows = _as_array(value)
    if rows is None:
        rows, own = _joined(name, value)
    else:
        if rows.ndim == 2:
            rows = rows[:, None, :]
        if rows.ndim != 3:
            hint = nearest(name, _FIELDS)
            raise DataError(
                f"{name} has shape {rows.shape}; expected [N, T, F], [N, F] or a list of [T, F] arrays{hint}"
            )
        own = np.full(len(rows), rows.shape[1])
    if lengths is not None:
        lengths = whole_numbers(lengths, f"{name} lengths")
        if lengths.shape != own.shape:
            raise DataError(f"{name} lengths have shape {lengths.shape}; expected one per sample, [{len(own)}]")
        for row in np.flatnonzero((lengths < 0) | (lengths > own))[:1]:
            raise DataError(f"{name} lengths hold {lengths[row]} for sample {row}, which has {own[row]} frames")
        own = lengths
    past = np.arange(rows.shape[1])[None, :] >= own[:, None]
    if rows[past].any():
        rows = np.where(past[:, :, None], np.float32(0), rows)
    return rows, own.astype("int32")


def _as_array(value):
    """The value as a numeric array, or None for a list of sequences."""
    if isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype.kind == "O"):
        return None
    return np.asarray(value, dtype="float32")


def _joined(name, sequences):
    """A list of `[T, F]` or `[F]` (one frame), in which None or an empty array is missing, padded; and the lengths."""
    parts = []
    for position, item in enumerate(sequences):
        try:
            part = np.zeros((0, 0), "float32") if item is None else np.asarray(item, dtype="float32")
        except (TypeError, ValueError):
            hint = "; sentences go into raw_text" if isinstance(item, str) else ""
            raise DataError(f"{name}[{position}] is not an array of numbers; expected [T, F]{hint}") from None
        part = part[None] if part.ndim == 1 and part.size else part
        if part.size and part.ndim != 2:
            hint = nearest(name, _FIELDS)
            raise DataError(f"{name}[{position}] has shape {part.shape}; expected [T, F], one row per frame{hint}")
        parts.append(part if part.size else np.zeros((0, 0), "float32"))
    widths = {part.shape[1]: position for position, part in reversed(list(enumerate(parts))) if len(part)}
    if not widths:
        raise DataError(f"{name} has no frame in any of its {len(parts)} samples; leave it out")
    if len(widths) > 1:
        (width, at), (other, beside) = sorted(widths.items(), key=lambda pair: pair[1])[:2]
        raise DataError(f"{name}[{beside}] is {other} wide and {name}[{at}] {width}; all frames need one width")
    lengths = np.array([len(part) for part in parts])
    rows = np.zeros((len(parts), lengths.max(), next(iter(widths))), "float32")
    for row, part in zip(rows, parts, strict=True):
        row[: len(part)] = part.reshape(len(part), -1) if len(part) else 0
    return rows, lengths
