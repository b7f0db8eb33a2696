"""The one place where sizes, lengths, labels and ids of a data set are checked."""

import numpy as np

from plumkeras.data_pipelines.schema.report import shared_ids
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.features import DataError, check_finite, check_lengths, listing, whole_numbers
from plumkeras.tasks import get_task, task_of

__all__ = ["MODALITIES", "SPLITS", "DataError", "check_lengths", "listing", "validate", "whole_numbers"]

MODALITIES = ("text", "audio", "vision")
METRIC_REPORTS = ("sentiment", "sims", "scale")
SPLITS = ("train", "valid", "test", "all")
# The names that splits go by in files of others.
SPLIT_ALIASES = {"train": "train", "valid": "valid", "dev": "valid", "val": "valid", "test": "test"}
# How many samples an error names.
_NAMED = 5
# What tells token ids from vectors: real vectors are no whole numbers of this size.
_TOKEN_ID = 1000
_TOKEN_ROWS = 64
# Of frames, and of columns. What has more isn't features, and the statistics of a column take many times its bytes.
_MAX_SIDE = 1_000_000


def validate(dataset):
    """Checks everything that training and scoring rely on; duplicate ids go to the report.

    Raises:
        DataError: naming the file, split, field, sample and value.
    """
    where = dataset.path or "The data set"
    if not dataset:
        raise DataError(f"{where}: holds no split; known are {listing(SPLITS)}")
    if dataset.metric_report not in (None, *METRIC_REPORTS):
        raise DataError(f"{where}: metric_report is {dataset.metric_report!r:.40}; known are {listing(METRIC_REPORTS)}")
    first_name, first = next(iter(dataset.items()))
    for name, split in dataset.items():
        if name not in SPLITS:
            raise DataError(f"{where}: unknown split {name!r}; known are {listing(SPLITS)}")
        _check_sizes(f"{where}: {name}", split)
        for modality in split.features.keys() ^ first.features.keys():
            lacking, having = (first_name, name) if modality in split.features else (name, first_name)
            raise DataError(
                f"{where}: {lacking} has no {modality}, which {having} has; every split needs the same modalities"
            )
        for modality in split.features:
            width, wanted = split.features[modality].shape[2], first.features[modality].shape[2]
            if width != wanted:
                raise DataError(f"{where}: {name}/{modality} is {width} wide, {first_name}/{modality} {wanted}")
        _check_labels(f"{where}: {name}", split, dataset)
    _report_duplicates(dataset)


def _check_sizes(where, split):
    count = len(split.ids)
    if split.ids.ndim != 1:
        raise DataError(f"{where}/id has shape {split.ids.shape}; one id per sample is expected")
    if count == 0:
        raise DataError(f"{where} is empty: 0 samples")
    if not split.features:
        raise DataError(f"{where} has no features; known modalities are {listing(MODALITIES)}")
    if set(split.lengths) != set(split.features):
        raise DataError(f"{where} has features for {listing(split.features)} but lengths for {listing(split.lengths)}")
    context = _context_of(where, split)
    for field, array in {**split.features, **context}.items():
        if array.ndim != 3:
            raise DataError(f"{where}/{field} has shape {array.shape}; [samples, frames, width] is expected")
        if 0 in array.shape[1:] and not isinstance(array, TokenIds):
            raise DataError(f"{where}/{field} has shape {array.shape}: nothing in it")
        check_sides(array.shape, f"{where}/{field}")
        if isinstance(array, np.ndarray):  # Of what stays in files nothing is read; `convert` has checked it.
            check_token_ids(f"{where}/{field}", field, array, [m for m in split.features if m != "text"])
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
        if array is not None and array.ndim != 1 and not (field == "labels" and array.ndim == 2 and array.shape[1] > 1):
            raise DataError(f"{where}/{field} has shape {array.shape}; one per sample is expected")
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


class TokenIdsError(DataError):
    """Token ids are in the place of text vectors.

    Args:
        where: str. File, split and field.
        others: iterable of str. The modalities that can be read without them.
    """

    def __init__(self, where, others=()):
        self.others = tuple(others)
        without = f"; the others alone are read with modalities={self.others}" if self.others else ""
        super().__init__(
            f"{where} holds token ids, not feature vectors; encode the text first: plumkeras extract FILE "
            f"--text-encoder DIR --output NEW.npz makes vectors of its raw_text{without}"
        )


def check_token_ids(where, field, array, others):
    """Refuses token ids `[N, L]` or `[N, L, 1]`, or MMSA's `[N, 3, L]` of ids, mask and segments, as text vectors."""
    if field.removeprefix("context_") != "text":
        return
    rows = np.asarray(array[:_TOKEN_ROWS])
    if 1 in array.shape[1:]:
        tokens = rows.reshape(len(rows), -1)
    elif array.shape[1] == 3 and np.isin(rows[:, 1:], (0, 1)).all():
        tokens = rows[:, 0]
    else:
        return
    is_whole = (tokens >= 0).all() and (tokens == np.floor(tokens)).all()
    if is_whole and _TOKEN_ID <= tokens.max(initial=0) < np.inf:
        raise TokenIdsError(where, others)


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


def _check_labels(where, split, dataset):
    for modality, values in (split.modality_labels or {}).items():
        _check_regression(f"{where}/{modality} labels", values, split.ids, dataset.label_range)
    if split.labels is None:
        return
    task, given = get_task(dataset.task), get_task(task_of(split.labels))
    if task is not given:
        raise DataError(
            f"{where}/labels are {given.labels_are}, but the task is {task.name}; every split needs the same kind of "
            "label"
        )
    field = f"{where}/{task.name}_labels"
    if task.name == "regression":
        _check_regression(field, split.labels, split.ids, dataset.label_range)
        return
    check_complete(field, split.labels, split.ids)
    task.check_values(split.labels, None, field, split.ids)
    if split.labels.ndim == 2:
        _check_label_names(field, split.labels.shape[1], dataset)


def _check_label_names(field, width, dataset):
    names, wanted = dataset.label_names, dataset.num_classes
    if width != wanted:
        raise DataError(f"{field} has {width} columns, and other splits have {wanted}")
    if names is None:
        return
    if len(names) != width or len(set(names)) != width:
        raise DataError(f"{field} has {width} columns; label_names must be as many different names: {listing(names)}")
    for name in names:
        # `f1_weighted_x` is the weighted F1 of x.
        if name == "weighted" or name.startswith("weighted_"):
            raise DataError(f"{field}: a label cannot be called {name!r}, which is how metrics are called; rename it")


def _check_regression(where, labels, ids, label_range):
    check_complete(where, labels, ids)
    check_finite(labels, ids, where)
    if label_range is None:
        return
    low, high = label_range
    # float16 and float32 files round the ends of the range.
    for row in np.flatnonzero((labels < low - 1e-3) | (labels > high + 1e-3))[:1]:
        raise DataError(
            f"{where} holds {labels[row]:g} for sample {ids[row]}, outside the label range [{low:g}, {high:g}]; "
            "another is set by `label_range`, --label-range on the command line"
        )


def all_nan(labels):
    """Whether labels are all NaN: the samples have none."""
    return labels.dtype.kind == "f" and labels.size > 0 and bool(np.isnan(labels).all())


def check_complete(where, labels, ids):
    """Raises `DataError` when some of the labels `[N]` or `[N, L]` are NaN."""
    rows = np.flatnonzero(np.isnan(labels.astype("float64")).reshape(len(labels), -1).any(axis=1))
    if len(rows):
        named = listing(ids[rows[:_NAMED]]) + (", ..." if len(rows) > _NAMED else "")
        raise DataError(
            f"{where}: {len(rows)} of {len(labels)} samples have no label (nan or blank): {named}; give them labels or "
            "leave them out; a split whose labels are all blank is read as unlabelled"
        )


def _report_duplicates(dataset):
    for name, split in dataset.items():
        values, counts = np.unique(split.ids, return_counts=True)
        if len(values) < len(split):
            dataset.report.warn(f"{name}/id: {len(split) - len(values)} duplicate ids, for one {values[counts > 1][0]}")
    for first, second, count, example in shared_ids(dataset):
        dataset.report.warn(
            f"{count} ids are both in {first} and in {second}, for one {example}: samples leak between splits"
        )
