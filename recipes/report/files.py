"""What a report reads of a run's files."""

import csv
import dataclasses
from pathlib import Path

import numpy as np

from plumkeras.recipes.models import STAGE_TITLES
from plumkeras.recipes.report.section import LeftOut
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.views.escaping import from_csv
from plumkeras.tasks import get_task

# More classes than that are a damaged file.
_MAX_CLASSES = 10_000


@dataclasses.dataclass(frozen=True)
class Predictions:
    """A `predictions_<split>.csv`.

    Attributes:
        split: name of the split.
        task: a name of `plumkeras.tasks`.
        names: of the classes or labels.
        ids: list of text.
        texts: list of text, or None.
        labels: `[N]`, of several labels `[N, L]`, or None.
        predicted: `[N]` values or classes, of several labels `[N, L]` of 0 and 1.
        probabilities: `[N, C]` or `[N, L]`, or None: a regression, or a file without these columns.
        hard: dict by modality of `[N]` classes, -1 where the modality is missing.
        soft: dict by modality of distributions `[N, C]`; a modality without these columns is left out.
    """

    split: str
    task: str
    names: list
    ids: list
    texts: list | None
    labels: np.ndarray | None
    predicted: np.ndarray
    probabilities: np.ndarray | None
    hard: dict
    soft: dict


def read_predictions(directory, metrics) -> Predictions:
    """The predictions of `test`, or of `valid` where `test` was not measured.

    Raises:
        LeftOut: there are none.
        ConfigError, ValueError, KeyError: a file is damaged.
    """
    directory = Path(directory)
    split = "test" if metrics.get("test") or not metrics.get("valid") else "valid"
    path = directory / f"predictions_{split}.csv"
    if not path.is_file():
        raise LeftOut(f"{path.name} is missing")
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        header, *rows = csv.reader(file)
    if not rows:
        raise LeftOut(f"{path.name} holds no samples")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    described = run_directory.read_network(directory / run_directory.CONFIG)
    task = get_task(described["task"])
    if not 1 <= described["num_classes"] <= _MAX_CLASSES:
        raise ValueError(f"num_classes is {described['num_classes']}")
    config = run_directory.read_config(directory / run_directory.CONFIG)
    names = task.class_names(described["num_classes"], config.label_classes, described["label_names"])
    modalities = [m for m in described["feature_dims"] if f"{m}_hard_label" in columns]
    several = task.label_axes == 2
    return Predictions(
        split=split,
        task=task.name,
        names=names,
        ids=[from_csv(cell) for cell in columns["id"]],
        texts=[from_csv(cell) for cell in columns["text"]] if "text" in columns else None,
        labels=_several(columns, "label", names) if several else _numbers(columns, "label"),
        predicted=_predicted(columns, task, names),
        probabilities=_several(columns, "probability", names),
        hard={m: _numbers(columns, f"{m}_hard_label").astype(int) for m in modalities},
        soft={m: soft for m in modalities if (soft := _several(columns, f"{m}_soft_label", names)) is not None},
    )


def _predicted(columns, task, names):
    if task.label_axes == 2:
        return task.decide(_several(columns, "probability", names))
    return _numbers(columns, "prediction")


def _numbers(columns, name):
    return np.array(columns[name], "float64") if name in columns else None


def _several(columns, prefix, names):
    """`[N, C]` of the columns `<prefix>_<name>`, or None unless all are there."""
    if not all(f"{prefix}_{name}" in columns for name in names):
        return None
    return np.stack([_numbers(columns, f"{prefix}_{name}") for name in names], axis=1)


def read_histories(directory) -> dict:
    """The histories of a run: dict by stage of dicts by quantity of `[epochs]`; `epoch` counts from 1."""
    found = {}
    for stage in STAGE_TITLES:
        path = Path(directory) / f"{stage}_history.csv"
        if not path.is_file():
            continue
        with path.open(newline="", encoding="utf-8", errors="replace") as file:
            rows = list(csv.reader(file))
        if len(rows) < 2:
            continue
        values = np.array([[float(cell or "nan") for cell in row] for row in rows[1:]], "float64").T
        history = dict(zip(rows[0], values, strict=True))
        # Version 0.1.0 counted epochs from 0.
        history["epoch"] = np.arange(1, len(rows))
        found[stage] = history
    if not found:
        raise LeftOut("there is no history of a stage")
    return found
