"""What a recipe takes from the labels: classes where their sign gives one class, as of 1 to 5, and their range."""

import dataclasses
from pathlib import Path

import numpy as np

from plumkeras.recipes.runs import run_directory
from plumkeras.tasks import get_task

_CLASSES = 3


def with_label_classes(config, dataset, resumed=None):
    """A recipe whose `label_classes` make several classes of the labels, and whose predictions keep to their range.

    Contrast, prototypes and branches need classes. Where `"sign3"` gives one, since all labels have the same sign, they
    are cut at quantiles of the training labels instead, into three classes as equal as ties allow. Folds share their
    classes and have no training labels in common: there the label range is cut into three equal parts.

    A network that squashes its predictions to the range of the labels is told which one that is.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset`.
        resumed: directory of the run that is resumed, or None. One that was begun with `"sign3"` keeps it.

    Returns:
        `RecipeConfig`, the same one where nothing has to change.
    """
    config = _with_label_range(config, dataset)
    edges, _ = _edges(config, dataset)
    if edges is None:
        return config
    if resumed is not None:
        then = run_directory.read_config(Path(resumed) / run_directory.CONFIG)
        if then.label_classes == config.label_classes:
            return config
    return dataclasses.replace(config, objective=dataclasses.replace(config.objective, label_classes=edges))


def _with_label_range(config, dataset):
    if getattr(config.network, "label_range", None) != "labels":
        return config
    known = dataset.label_range if dataset.task == "regression" else None
    label_range = "none" if known is None else tuple(known)
    return dataclasses.replace(config, network=dataclasses.replace(config.network, label_range=label_range))


def label_classes_warning(config, dataset) -> str | None:
    """The sentence about classes that are not those of the sign, or None."""
    edges, cut = _edges(config, dataset)
    if edges is None:
        return None
    said = " and ".join(f"{edge:.4g}" for edge in edges)
    return (
        f"the sign of the labels gives one class; classes are cut at {cut}, {said} (set objective.label_classes for "
        "others)"
    )


def _edges(config, dataset):
    """The edges of the classes, a tuple, and what they are; or None and None."""
    split = dataset.get("train", dataset.get("all"))
    if (
        dataset.task is None
        or get_task(dataset.task).has_classes
        or config.label_classes != "sign3"
        or not hasattr(getattr(config, "objective", None), "label_classes")
        or split is None
    ):
        return None, None
    labels = split.labels
    if labels is None or len(np.unique(np.sign(labels))) > 1 or np.ptp(labels) == 0:
        return None, None
    if "train" not in dataset:
        low, high = dataset.label_range
        edges = np.linspace(low, high, _CLASSES + 1)[1:-1]
        return tuple(edges.tolist()), "thirds of the label range"
    # Labels themselves, so that no edge falls between two that are equal in float32. An edge at the lowest label would
    # leave the class below it empty.
    edges = np.unique(np.quantile(labels, np.arange(1, _CLASSES) / _CLASSES, method="higher"))
    edges = edges[edges > labels.min()]
    if not edges.size:
        edges = np.unique(labels)[1:2]
    return tuple(float(edge) for edge in edges), "quantiles of the training labels"
