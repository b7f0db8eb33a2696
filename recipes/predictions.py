"""Predictions of a network on a split, as arrays, as a csv file and as metrics."""

import csv
import warnings
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import data_errors
from plumkeras.recipes.escaping import for_csv
from plumkeras.recipes.feed import feed
from plumkeras.reports import classification_report, sentiment_report, sims_report


@data_errors()
def predict_split(network, split, batch_size=256, verbose=0):
    """Every output of the network, in file order: dict of arrays `[N, ...]`."""
    with warnings.catch_warnings():
        # Told by their ids before, see `checks`.
        warnings.filterwarnings("ignore", ".* samples lack every modality")
        return network.predict(feed(split.select(network.modalities), batch_size), verbose=verbose)


def report(dataset, labels, outputs):
    """The metrics of a split of a data set, by its task and scale: `classification_report`, `sims_report` for labels in
    [-1, 1], else `sentiment_report`."""
    if dataset.task == "classification":
        measure = classification_report
    else:
        measure = sims_report if dataset.label_range == (-1.0, 1.0) else sentiment_report
    return measure(labels, outputs["prediction"])


def constant(task, train_labels):
    """What one would predict without features: the median of the training labels, or their most frequent class."""
    return np.median(train_labels) if task == "regression" else np.bincount(train_labels).argmax()


def baseline_report(dataset, train_labels, labels):
    """The same metrics for the constant prediction: what chance gives."""
    return report(dataset, labels, {"prediction": np.full(len(labels), constant(dataset.task, train_labels))})


def write_csv(path, ids, network, outputs):
    """Writes `id, prediction` and, in classification, `probability_<k>`; then each modality's label distribution.

    Regression: `prediction` is the value. Classification: the class. With prototype labels, per modality
    `<modality>_hard_label` (-1: the modality is missing) and `<modality>_soft_label_<k>`. An id that a spreadsheet
    would take for a formula gets an apostrophe in front, see `escaping.for_csv`. An existing file is replaced only once
    the new one is complete.
    """
    prediction = outputs["prediction"]
    columns = {"id": ids}
    if network.task == "regression":
        columns["prediction"] = prediction
    else:
        columns["prediction"] = prediction.argmax(axis=1)
        columns.update({f"probability_{k}": prediction[:, k] for k in range(prediction.shape[1])})
    for m in network.prototype_generators:
        columns[f"{m}_hard_label"] = outputs[f"{m}_hard_label"]
        soft = outputs[f"{m}_soft_label"]
        columns.update({f"{m}_soft_label_{k}": soft[:, k] for k in range(soft.shape[1])})
    path = Path(path)
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*(_cells(values) for values in columns.values()), strict=True))
    partial.replace(path)


def _cells(values):
    values = np.asarray(values)
    # The shortest text that reads back as the same float32.
    if values.dtype.kind == "f":
        return [str(v) for v in values.astype("float32")]
    return [for_csv(v) for v in values.tolist()]
