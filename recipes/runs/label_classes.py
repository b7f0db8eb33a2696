"""Classes of regression labels on a scale whose sign gives one class, as 1 to 5 has."""

import dataclasses

import numpy as np

_CLASSES = 3


def with_label_classes(config, dataset):
    """A recipe whose `label_classes` make several classes of the training labels.

    Contrast, prototypes and branches need classes. Where `"sign3"` gives one, since all training labels have the same
    sign, they are cut at quantiles of the training labels instead, into three classes as equal as ties allow.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset`. Folds are left alone: each is cut at quantiles of what it is trained on.

    Returns:
        `RecipeConfig`, the same one where nothing has to change.
    """
    edges = _quantile_edges(config, dataset, dataset.get("train"))
    if edges is None:
        return config
    return dataclasses.replace(config, objective=dataclasses.replace(config.objective, label_classes=edges))


def label_classes_warning(config, dataset) -> str | None:
    """The sentence about classes that are cut at quantiles, or None."""
    edges = _quantile_edges(config, dataset, dataset.get("train", dataset.get("all")))
    if edges is None:
        return None
    said = " and ".join(f"{edge:g}" for edge in edges)
    return (
        f"the sign of the training labels gives one class; classes are cut at quantiles of the training labels, {said} "
        "(set objective.label_classes for others)"
    )


def _quantile_edges(config, dataset, split):
    if dataset.task != "regression" or config.objective.label_classes != "sign3" or split is None:
        return None
    labels = split.labels
    if labels is None or len(np.unique(np.sign(labels))) > 1:
        return None
    # Labels themselves, so that no edge falls between two that are equal in float32. An edge at the lowest label would
    # leave the class below it empty.
    edges = np.unique(np.quantile(labels, np.arange(1, _CLASSES) / _CLASSES, method="higher"))
    above = np.unique(labels[labels > labels.min()])
    edges = edges[edges > labels.min()] if (edges > labels.min()).any() else above[:1]
    return tuple(float(edge) for edge in edges) or None
