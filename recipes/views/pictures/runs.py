"""The pictures of a run's predictions: `predictions.png` and `disagreement.png`."""

from pathlib import Path

from plumkeras.recipes.runs.run_directory import DISAGREEMENT, PREDICTIONS
from plumkeras.recipes.views.pictures import predictions


def write_pictures(directory, split_name, task, labels, predicted, hard_labels, names):
    """Draws the predictions against the labels, and where the modalities disagree.

    Args:
        directory: path of the run.
        split_name: name of the split that was predicted.
        task: a name of `plumkeras.tasks`.
        labels: `[N]` or `[N, L]`, or None: nothing to draw the predictions against.
        predicted: as the labels, values or classes.
        hard_labels: dict by modality of `[N]` classes, -1 where the modality is missing.
        names: names of the classes `0..C-1`.
    """
    directory = Path(directory)
    plot = {"regression": predictions.plot_regression, "multilabel": predictions.plot_labels}.get(task)
    if labels is not None and plot is predictions.plot_regression:
        plot(labels, predicted, split_name, directory / PREDICTIONS)
    elif labels is not None:
        (plot or predictions.plot_confusion)(labels, predicted, names, split_name, directory / PREDICTIONS)
    if len(hard_labels) > 1:
        predictions.plot_disagreement(hard_labels, names, split_name, directory / DISAGREEMENT)
