"""The one place where sizes, lengths, labels and ids of a data set are checked."""

import numpy as np

from plumkeras.data_pipelines.report import shared_ids

MODALITIES = ("text", "audio", "vision")
SPLITS = ("train", "valid", "test", "all")
# Of frames, and of columns. What has more isn't features, and the statistics of a column take many times its bytes.
_MAX_SIDE = 1_000_000


class DataError(ValueError):
    """A file, or a part of it, isn't what it has to be. Names the file, the field and the value."""


def listing(names):
    """Names for an error message."""
    return ", ".join(str(name) for name in names) or "none"


def validate(dataset):
    """Checks everything that training and scoring rely on; duplicate ids go to the report.

    Raises:
        DataError: naming the file, split, field, sample and value.
    """
    where = dataset.path or "The data set"
    if not dataset:
        raise DataError(f"{where}: holds no split; known are {listing(SPLITS)}")
    first_name, first = next(iter(dataset.items()))
    for name, split in dataset.items():
        if name not in SPLITS:
            raise DataError(f"{where}: unknown split {name!r}; known are {listing(SPLITS)}")
        _check_sizes(f"{where}: {name}", split)
        for modality in {*first.features, *split.features}:
            if modality not in split.features or modality not in first.features:
                lacking, having = (name, first_name)
                if modality in split.features:
                    lacking, having = having, lacking
                raise DataError(
                    f"{where}: {lacking} has no {modality}, which {having} has; every split needs the same modalities"
                )
            width, wanted = split.features[modality].shape[2], first.features[modality].shape[2]
            if width != wanted:
                raise DataError(f"{where}: {name}/{modality} is {width} wide, {first_name}/{modality} {wanted}")
        _check_labels(f"{where}: {name}", split, dataset)
    _report_duplicates(dataset)


def _check_sizes(where, split):
    count = len(split.ids)
    if split.ids.ndim != 1:
        raise DataError(f"{where}/id has shape {split.ids.shape}; one id per sample is wanted")
    if count == 0:
        raise DataError(f"{where} is empty: 0 samples")
    if not split.features:
        raise DataError(f"{where} has no features; known modalities are {listing(MODALITIES)}")
    if set(split.lengths) != set(split.features):
        raise DataError(f"{where} has features for {listing(split.features)} but lengths for {listing(split.lengths)}")
    context = _context_of(where, split)
    for field, array in {**split.features, **context}.items():
        if array.ndim != 3:
            raise DataError(f"{where}/{field} has shape {array.shape}; [samples, frames, width] is wanted")
        if 0 in array.shape[1:]:
            raise DataError(f"{where}/{field} has shape {array.shape}: nothing in it")
        check_sides(array.shape, f"{where}/{field}")
    for position, name in enumerate(split.ids):
        try:
            str(name).encode()
        except UnicodeEncodeError:
            raise DataError(f"{where}/id holds {str(name)!a} at position {position}, which is no text") from None
    fields = {f"{m}_lengths": array for m, array in split.lengths.items()}
    fields |= {f"{m} labels": array for m, array in (split.modality_labels or {}).items()}
    fields |= {"labels": split.labels, "raw_text": split.raw_text, "fold": split.folds, "group": split.groups}
    fields |= {f"context_{m}_lengths": array for m, array in (split.context_lengths or {}).items()}
    fields["context_raw_text"] = split.context_raw_text
    for field, array in fields.items():
        if array is not None and array.ndim != 1:
            raise DataError(f"{where}/{field} has shape {array.shape}; one per sample is wanted")
    for field, array in {**split.features, **context, **fields}.items():
        if array is not None and len(array) != count:
            raise DataError(f"{where}/{field} has {len(array)} samples, {where}/id {count}")
    for modality, lengths in split.lengths.items():
        check_lengths(lengths, split.features[modality].shape[1], split.ids, f"{where}/{modality}_lengths")
    for modality, lengths in (split.context_lengths or {}).items():
        frames = split.context_features[modality].shape[1]
        check_lengths(lengths, frames, split.ids, f"{where}/context_{modality}_lengths")
    if split.folds is not None and split.folds.min() < 0:
        raise DataError(f"{where}/fold holds {split.folds.min()}; folds count from 0")


def check_sides(shape, where):
    """Raises `DataError` where an array `[N, T, F]` or `[N, F]` has more frames or columns than any features."""
    if max(shape[1:], default=0) > _MAX_SIDE:
        raise DataError(f"{where} has shape {tuple(shape)}; at most {_MAX_SIDE} frames and columns are read")


def _context_of(where, split):
    """The context's arrays by field name, known to go with the features."""
    context, lengths = split.context_features or {}, split.context_lengths or {}
    if set(context) != set(lengths):
        raise DataError(f"{where} has context for {listing(context)} but its lengths for {listing(lengths)}")
    for modality, array in context.items():
        if modality not in split.features:
            raise DataError(f"{where} has context for {modality}, but features for {listing(split.features)}")
        width = split.features[modality].shape[-1]
        if array.ndim == 3 and array.shape[2] != width:
            raise DataError(f"{where}/context_{modality} is {array.shape[2]} wide, {modality} {width}")
    return {f"context_{modality}": array for modality, array in context.items()}


def check_lengths(lengths, frames, ids, where):
    """Raises `DataError` unless every length `[N]` is within `0..frames`."""
    for row in np.flatnonzero((lengths < 0) | (lengths > frames))[:1]:
        raise DataError(f"{where} holds {lengths[row]} for sample {ids[row]!s}; the array has {frames} frames")


def _check_labels(where, split, dataset):
    for modality, values in (split.modality_labels or {}).items():
        _check_regression(f"{where}/{modality} labels", values, split.ids, dataset.label_range)
    if split.labels is None:
        return
    is_whole = split.labels.dtype.kind == "i"
    if is_whole != (dataset.task == "classification"):
        kinds = {True: "class numbers", False: "real numbers"}
        raise DataError(
            f"{where}/labels are {kinds[is_whole]}, but the task is {dataset.task}; "
            "every split needs the same kind of label"
        )
    if is_whole:
        for row in np.flatnonzero(split.labels < 0)[:1]:
            raise DataError(
                f"{where}/classification_labels holds {split.labels[row]} "
                f"for sample {split.ids[row]}; classes count from 0"
            )
    else:
        _check_regression(f"{where}/regression_labels", split.labels, split.ids, dataset.label_range)


def _check_regression(where, labels, ids, label_range):
    for row in np.flatnonzero(~np.isfinite(labels))[:1]:
        raise DataError(f"{where} holds {labels[row]} for sample {ids[row]}")
    if label_range is None:
        return
    low, high = label_range
    # float16 and float32 files round the ends of the range.
    for row in np.flatnonzero((labels < low - 1e-3) | (labels > high + 1e-3))[:1]:
        raise DataError(
            f"{where} holds {labels[row]:g} for sample {ids[row]}, outside the label range [{low:g}, {high:g}]; "
            "another is set by `label_range`, --label-range on the command line"
        )


def _report_duplicates(dataset):
    for name, split in dataset.items():
        values, counts = np.unique(split.ids, return_counts=True)
        if len(values) < len(split):
            dataset.report.warn(f"{name}/id: {len(split) - len(values)} duplicate ids, for one {values[counts > 1][0]}")
    for first, second, count, example in shared_ids(dataset):
        dataset.report.warn(
            f"{count} ids stand both in {first} and in {second}, for one {example}: samples leak between splits"
        )


def whole_numbers(values, where):
    """`values` as an int32 array.

    Raises:
        DataError: one of them isn't a whole number, or doesn't fit.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iufb":
        raise DataError(f"{where} is of type {array.dtype}; whole numbers are wanted")
    if array.dtype == np.int32:
        return array
    wide = array.astype("float64")
    wrong = ~np.isfinite(wide) | (wide != np.floor(wide)) | (np.abs(wide) >= 2**31)
    for position in np.flatnonzero(wrong)[:1]:
        raise DataError(f"{where} holds {array.ravel()[position]} at position {position}; whole numbers are wanted")
    return array.astype("int32")
