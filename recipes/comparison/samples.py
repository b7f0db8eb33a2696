"""What networks say of the same samples: predictions as run directories keep them, put into one order."""

import csv
import dataclasses
import warnings
from pathlib import Path

import numpy as np

from plumkeras.metrics import report_metrics
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.run import DataWarning
from plumkeras.recipes.views.escaping import from_csv
from plumkeras.tasks import get_task

# By a metric that only the reports of one kind have.
_KINDS = {"acc3": "sims", "r2": "scale", "acc7": "sentiment", "f1_macro": "classification", "wa": "multilabel"}


@dataclasses.dataclass(frozen=True)
class Samples:
    """Labels and decisions of one network, or of the networks of a cross-validation.

    Attributes:
        directory: Path of what predicted.
        split: str.
        kind: of the metrics, as in `plumkeras.metrics.report_metrics`.
        ids: text array `[N]`.
        labels: array `[N]` or `[N, L]`.
        decisions: array of the same shape, as the report takes it: values, classes or probabilities of labels.
        label_names: list of str of several labels, else `None`.
        groups: text array `[N]` where the data file names groups, else `None`.
    """

    directory: Path
    split: str
    kind: str
    ids: np.ndarray
    labels: np.ndarray
    decisions: np.ndarray
    label_names: list | None = None
    groups: np.ndarray | None = None

    def report(self) -> dict:
        """The metrics, as in `metrics.json`; of several labels those of each by its number."""
        return next(iter(report_metrics(self.kind).values())).report(self.labels, self.decisions)


def task_of_kind(kind):
    """The task whose metrics these are."""
    return kind if kind in ("classification", "multilabel") else "regression"


def read_samples(directory, split):
    """What a run, a cross-validation or a reference directory keeps of a split.

    Args:
        directory: path.
        split: `"test"` or `"valid"`.

    Returns:
        `Samples`.

    Raises:
        ConfigError: it is not finished, was not measured on the split, or a file is missing or damaged.
    """
    directory = Path(directory)
    if not run_directory.is_finished(directory):
        raise ConfigError(f"{directory}: is not finished; resume it with plumkeras train --resume")
    report = run_directory.read_metrics(directory / run_directory.METRICS).get(split)
    if not report:
        raise ConfigError(f"{directory}: {split} was not measured; its data have no labels there")
    kind = next((kind for metric, kind in _KINDS.items() if metric in report), None)
    if kind is None:
        raise ConfigError(f"{directory / run_directory.METRICS}: holds no metrics of {split} that are known here")
    path = directory / f"predictions_{split}.csv"
    samples = _read(directory, split, path, kind)
    found = samples.report()
    for metric in report_metrics(kind):
        if not _is_close(found[metric], report.get(metric)):
            warnings.warn(
                f"{path}: gives {metric} {found[metric]} and {run_directory.METRICS} has {report.get(metric)}; one of "
                "them was changed, and the predictions are compared",
                DataWarning,
                stacklevel=2,
            )
            break
    return samples


def _is_close(found, recorded):
    if found is None or recorded is None:
        return found is recorded
    return abs(found - recorded) < 1e-6


def _read(directory, split, path, kind):
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            rows, header = list(reader), reader.fieldnames or []
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as csv: {error}") from None
    if not rows:
        raise ConfigError(f"{path}: holds no sample")
    task, names = get_task(task_of_kind(kind)), None
    if task.label_axes > 1:
        names = [column.removeprefix("label_") for column in header if column.startswith("label_")]
    label_columns = ["label"] if names is None else [f"label_{name}" for name in names]
    predicted = ["prediction"] if names is None else [f"probability_{name}" for name in names]
    if missing := [name for name in ("id", *label_columns, *predicted) if name not in header]:
        raise ConfigError(f"{path}: has no column {missing[0]}")
    dtype = "float32" if kind in ("sentiment", "sims", "scale") else "int32"
    labels = [_numbers(path, rows, name).astype(dtype) for name in label_columns]
    return Samples(
        directory,
        split,
        kind,
        np.array([from_csv(row["id"]) for row in rows]),
        labels[0] if names is None else np.stack(labels, axis=1),
        task.read_prediction({name: _numbers(path, rows, name) for name in predicted}, names),
        names,
    )


def _numbers(path, rows, name):
    """A column as float64 `[N]`."""
    found = np.empty(len(rows))
    for position, row in enumerate(rows):
        try:
            found[position] = row[name]
        except (TypeError, ValueError):
            found[position] = np.nan
        if not np.isfinite(found[position]):
            raise ConfigError(f"{path}: column {name} must hold numbers. Received: {row[name]!r} in row {position + 1}")
    return found


def aligned(first, other):
    """The samples of `other` in the order of `first`.

    Args:
        first, other: `Samples`.

    Returns:
        `Samples`, with the ids and labels of `first`.

    Raises:
        ConfigError: other metrics, samples or labels; names the first difference.
    """
    both = f"{first.directory} and {other.directory}"
    if first.kind != other.kind:
        raise ConfigError(f"{both}: do not compare: the metrics are those of {first.kind} and of {other.kind}")
    if first.label_names != other.label_names:
        raise ConfigError(
            f"{both}: do not compare: the labels are {', '.join(first.label_names)} and {', '.join(other.label_names)}"
        )
    order = slice(None) if np.array_equal(first.ids, other.ids) else _order(first, other, both)
    labels = other.labels[order]
    differs = np.atleast_2d((labels != first.labels).T).any(axis=0)
    for row in np.flatnonzero(differs)[:1]:
        raise ConfigError(
            f"{both}: do not compare: sample {first.ids[row]} has the label {_shown(first.labels[row])} and "
            f"{_shown(labels[row])} ({differs.sum()} such samples)"
        )
    return dataclasses.replace(other, ids=first.ids, labels=first.labels, decisions=other.decisions[order])


def _order(first, other, both):
    """The position in `other` of each sample of `first`."""
    sizes = f"of {len(first.ids)} and {len(other.ids)}"
    for has, lacks in ((first, other), (other, first)):
        only = has.ids[~np.isin(has.ids, lacks.ids)]
        if len(only):
            raise ConfigError(
                f"{both}: do not compare: other samples, {sizes}: {only[0]} is in {has.directory} alone "
                f"({len(only)} such samples)"
            )
    for one in (first, other):
        names, counts = np.unique(one.ids, return_counts=True)
        if (counts > 1).any():
            raise ConfigError(
                f"{both}: do not compare: {one.directory} has several samples with the id {names[counts > 1][0]}, and "
                f"the order or the number of samples differs, {sizes}"
            )
    positions = np.argsort(other.ids)
    return positions[np.searchsorted(other.ids, first.ids, sorter=positions)]


def _shown(label):
    return " ".join(f"{value:g}" for value in np.atleast_1d(label))
