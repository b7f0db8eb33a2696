"""What the labels of a file are: the one rule of all readers, and what the user says in its place."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.validation import DataError, all_nan, check_complete, listing, whole_numbers
from plumkeras.tasks import get_task

# The columns of CMU-MOSEI's labels, `All Labels`.
MOSEI_COLUMNS = ("sentiment", "happy", "sad", "anger", "surprise", "disgust", "fear")
_PAIRS = ({0.0, 1.0}, {-1.0, 1.0})
_MAX_CLASSES = 1000
# What `labelled` is told of a file of SIMS.
SIMS = {"label_range": (-1.0, 1.0), "metric_report": "sims"}


@dataclasses.dataclass(frozen=True)
class LabelRequest:
    """What the user says of the labels.

    Args:
        task: a name of `plumkeras.tasks`, or None: what the file is.
        column: name or number (from 0) of one of several columns of labels, or None.
        label_range: pair of floats or None.

    Raises:
        ValueError: there is no such task.
    """

    task: str | None = None
    column: int | str | None = None
    label_range: tuple[float, float] | None = None

    def __post_init__(self):
        if self.task is not None:
            get_task(self.task)


ANY = LabelRequest()


def labelled(splits, request, report, path, *, declared=False, certain=False, names=None, label_range=None, **options):
    """The data set of splits whose labels are as the file has them.

    The rule, where the user names no task: what a field's name declares; else, of several columns, `[N, L, 2]` is
    multi-label, one-hot rows are classes, other rows of 0 and 1 are multi-label, and of CMU-MOSEI's seven the first is
    the sentiment; of one column, whole numbers from 0, or -1 and 1, are classes, and others a regression.

    Args:
        splits: dict of `Split`.
        request: `LabelRequest`.
        report: Report. Says what was guessed.
        path: str. The file.
        declared: bool. Whether the field's name says what the labels are, of which their type speaks.
        certain: bool. Whether the data set is known to be one of two classes.
        names: names of the columns, or None.
        label_range: pair of floats or None. The file's own; the user's counts more.
        **options: other arguments of `Dataset`.

    Raises:
        DataError: the labels are not of the task, or it cannot be told which of several columns is meant.
    """
    found = {name: split.labels for name, split in splits.items() if split.labels is not None}
    # What the file says of its metrics goes with its own range.
    is_own_range = request.label_range in (None, label_range)
    label_range = request.label_range or label_range
    task, label_names = request.task, None
    if found:
        reading = _Reading(path, found, request, report, names)
        task, labels = reading.settle(declared, certain, label_range is not None)
        splits = dict(splits)
        for name, values in labels.items():
            typed = _typed(values, task, f"{path}: {name}", splits[name].ids)
            splits[name] = dataclasses.replace(splits[name], labels=typed)
        label_names = reading.names if task == "multilabel" else None
        if all(split.labels is None for split in splits.values()):
            task = request.task
    if task not in (None, "regression"):
        label_range = None
    if task not in (None, "regression") or not is_own_range:
        options.pop("metric_report", None)
    options |= {"task": task, "label_range": label_range, "label_names": label_names}
    dataset = Dataset(splits, report=report, path=path, **options)
    dataset.task_is_guessed = bool(found) and not declared and request.task is None
    return dataset


def check_as_stored(dataset, request):
    """Raises `DataError` where the user asks for other labels of shards than those that were converted."""
    if request.column is not None or request.task not in (None, dataset.task):
        raise DataError(
            f"{dataset.path}: holds {dataset.task or 'no'} labels; shards keep what was converted: convert the source "
            "again with --task or --label-column"
        )


def _typed(labels, task, where, ids):
    """The labels of a split in the type of their task, or None where all are blank."""
    if all_nan(labels):
        return None
    if task == "regression":
        return labels.astype("float32")
    if len(labels) == len(ids):
        check_complete(f"{where}/{task}_labels", labels, ids)
    return whole_numbers(labels, f"{where}/{task}_labels")


class _Reading:
    """Which column is meant, and what the task is.

    Args:
        path, request, report, names: as in `labelled`.
        found: dict by split of labels.
    """

    def __init__(self, path, found, request, report, names):
        self.path, self.request, self.report = path, request, report
        self.found = found
        shapes = {labels.shape[1:] for labels in found.values()}
        if len(shapes) > 1:
            said = listing(f"{' x '.join(map(str, labels.shape))} in {name}" for name, labels in found.items())
            raise DataError(f"{path}: the labels differ in shape: {said}")
        self.shape = next(iter(shapes))
        self.names = tuple(names) if names is not None and self.shape and len(names) == self.shape[0] else None
        if self.names is None and self.shape == (len(MOSEI_COLUMNS),) and not _is_binary(found):
            self.names = MOSEI_COLUMNS

    def settle(self, declared, certain, has_range):
        """The name of the task, and the labels by split: numbers, NaN where they are blank."""
        if self.shape:
            if declared and self.request.task is None and self.request.column is None:
                return "multilabel", self.found
            if self.request.column is None:
                task = self._columns()
                if task is not None:
                    return task, self.found
            else:
                self._take(self._column(self.request.column))
        elif self.request.column not in (None, 0, "0", *(self.names or ())):
            raise DataError(f"{self.path}: label column {self.request.column!r}: there is one column of labels")
        if self.request.task == "multilabel":
            raise DataError(f"{self.path}: the labels are one column; multilabel needs several of 0 and 1, [N, L]")
        if self.request.task is not None:
            return self.request.task, self._as(self.request.task)
        if declared:
            kinds = {labels.dtype.kind == "f" for labels in self.found.values()}
            # Of both kinds: left as they are, and refused by the data set, which says what split differs.
            return ("regression" if True in kinds else "classification", self.found) if len(kinds) == 1 else (None, {})
        return self._guess(certain, has_range)

    def _column(self, column):
        names = self.names or ()
        if column in names:
            return names.index(column)
        width = self.shape[0]
        if str(column).isdecimal() and int(column) < width:
            return int(column)
        there = listing(names) if names else f"0 to {width - 1}"
        raise DataError(f"{self.path}: label column {column!r}: there are {width} columns, {there}")

    def _take(self, column):
        if len(self.shape) == 2:
            self._check_pairs()
        place = (slice(None), column, 1) if len(self.shape) == 2 else (slice(None), column)
        self.found = {name: labels[place] for name, labels in self.found.items()}

    def _columns(self):
        """The task of several columns; None where one of them was taken."""
        if len(self.shape) == 2:
            return self._pairs()
        width, task = self.shape[0], self.request.task
        values = np.concatenate([labels.astype("float64") for labels in self.found.values()])
        values = values[~np.isnan(values).any(axis=1)]
        is_binary = _is_binary(self.found)
        is_one_hot = is_binary and bool((values.sum(axis=1) == 1).all())
        # By its name, in whatever place; CMU-MOSEI's files without names have it first.
        named = [str(name).lower() for name in self.names or ()]
        sentiment = named.index("sentiment") if "sentiment" in named and not is_binary else None
        if task == "multilabel":
            if sentiment is not None:
                self.report.warn(f"labels: of {width} columns all but sentiment, where above 0, are labels")
                self.names = tuple(np.delete(self.names, sentiment).tolist())
                self.found = {name: np.delete(labels, sentiment, axis=1) for name, labels in self.found.items()}
                values = np.delete(values, sentiment, axis=1)
            for wrong in values[(values < 0) | np.isinf(values)][:1]:
                raise DataError(f"{self.path}: the labels hold {wrong:g}; multilabel takes 0 and 1, or strengths")
            self.found = {name: _where(labels, labels > 0) for name, labels in self.found.items()}
            return task
        if (task == "classification" or task is None) and is_one_hot:
            self.report.warn(f"labels: {width} one-hot columns, read as classes; as labels by --task multilabel")
            self.found = {name: _where(labels, labels.argmax(axis=1)) for name, labels in self.found.items()}
            return "classification"
        if task is None and is_binary:
            self.report.warn(f"labels: {width} columns of 0 and 1, read as labels of which a sample has any number")
            return "multilabel"
        if sentiment is not None and task in (None, "regression"):
            place = "first (sentiment)" if sentiment == 0 else "one called sentiment"
            self.report.warn(f"labels: {width} columns, of which the {place} is used")
            self._take(sentiment)
            return None
        columns = f", {listing(self.names)}" if self.names else ""
        raise DataError(
            f"{self.path}: the labels have {width} columns{columns}; choose one by --label-column, label_column=..., "
            "or read all of them by --task multilabel, task='multilabel'"
        )

    def _pairs(self):
        """Labels `[N, L, 2]`, of each label whether the sample lacks it and whether it has it."""
        if self.request.task not in (None, "multilabel"):
            shape = f"[N, {self.shape[0]}, 2]"
            raise DataError(f"{self.path}: labels {shape} are multi-label; read them by --task multilabel")
        self._check_pairs()
        if self.request.task is None:
            self.report.warn(f"labels: {self.shape[0]} labels, each 0 or 1, read as labels of which a sample has any")
        self.found = {name: _where(labels[:, :, 1], labels[:, :, 1]) for name, labels in self.found.items()}
        return "multilabel"

    def _check_pairs(self):
        for name, labels in self.found.items():
            if not _is_binary({name: labels}):
                raise DataError(f"{self.path}: {name}/labels of shape {labels.shape} hold other numbers than 0 and 1")

    def _as(self, task):
        """One column as the task that was asked for."""
        if task == "regression":
            return self.found
        pair = _values(self.found)
        if pair == _PAIRS[1]:
            return {name: _where(labels, labels > 0) for name, labels in self.found.items()}
        for wrong in [value for value in sorted(pair) if value < 0 or not value.is_integer()][:1]:
            raise DataError(f"{self.path}: the labels hold {wrong:g}; classification takes whole numbers from 0")
        return self.found

    def _guess(self, certain, has_range):
        values = _values(self.found)
        # One value fits the first pair or, being -1, the second.
        pair = next((pair for pair in _PAIRS if values and values <= pair), None)
        is_typed = all(labels.dtype.kind in "iub" for labels in self.found.values())
        counts = not has_range and values and min(values) == 0 and all(value.is_integer() for value in values)
        if pair is not None and (certain or (len(values) > 1 and not has_range)):
            if not certain and not is_typed:
                self._tell(f"only {min(pair):g} and {max(pair):g} occur, so they are taken as the classes 0 and 1")
            return "classification", {name: _where(labels, labels > 0) for name, labels in self.found.items()}
        if counts and len(values) > 1 and max(values) < _MAX_CLASSES:
            if not is_typed:
                self._tell(f"only whole numbers from 0 to {max(values):g} occur, so they are taken as classes")
            return "classification", self.found
        return "regression", self.found

    def _tell(self, what):
        self.report.warn(
            f"labels: {what}, which is a guess; with a label_range or --task regression they are read as regression "
            "labels"
        )


def _is_binary(found):
    """Whether labels are 0 and 1 alone, but for blanks."""
    return _values(found) <= {0.0, 1.0}


def _values(found):
    """The different values of labels, a set; without blanks."""
    whole = np.concatenate([labels.astype("float64") for labels in found.values()])
    return set(np.unique(whole[~np.isnan(whole)]).tolist())


def _where(labels, values):
    """New values `[N, ...]` of labels: NaN for the rows that are blank."""
    blank = np.isnan(labels.astype("float64")).reshape(len(labels), -1).any(axis=1)
    if not blank.any():
        return np.asarray(values, dtype="int64")
    return np.where(blank.reshape(-1, *[1] * (np.ndim(values) - 1)), np.nan, values)
