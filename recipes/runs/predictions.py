"""Predictions of a network on a split, as arrays, as a csv file and as metrics."""

import itertools
import warnings

import numpy as np

from plumkeras import files
from plumkeras.data_pipelines import data_errors
from plumkeras.data_pipelines.batches.feed import feed
from plumkeras.metrics.reports import classification_report, regression_report, sentiment_report, sims_report
from plumkeras.recipes.views.escaping import for_csv


@data_errors()
def predict_split(network, split, batch_size=256, verbose=0):
    """Every output of the network, in file order: dict of arrays `[N, ...]`."""
    with warnings.catch_warnings():
        # Told by their ids before, see `data_checks`.
        warnings.filterwarnings("ignore", ".* samples lack every modality")
        return network.predict(feed(split.select(network.modalities), batch_size), verbose=verbose)


def report(dataset, labels, outputs):
    """The metrics of a split of a data set, by its task and scale.

    `classification_report`; `sims_report` for labels in [-1, 1], `regression_report` for a range without 0 inside, else
    `sentiment_report`.
    """
    if dataset.task == "classification":
        measure = classification_report
    elif dataset.label_range == (-1.0, 1.0):
        measure = sims_report
    else:
        measure = sentiment_report if has_signs(dataset) else regression_report
    return measure(labels, outputs["prediction"])


def has_signs(dataset) -> bool:
    """Whether the range of a regression's labels has 0 inside, so that their sign says something."""
    low, high = dataset.label_range
    return low < 0 < high


def constant(task, train_labels):
    """What one would predict without features: the median of the training labels, or their most frequent class."""
    return np.median(train_labels) if task == "regression" else np.bincount(train_labels).argmax()


def baseline_report(dataset, train_labels, labels):
    """The same metrics for the constant prediction: what chance gives."""
    return report(dataset, labels, {"prediction": np.full(len(labels), constant(dataset.task, train_labels))})


def class_names(task, num_classes, label_classes="sign3"):
    """Names of the classes `0..C-1` in files and pictures: `negative`, `neutral`, `positive`, or their numbers.

    Args:
        task: `"regression"` or `"classification"`.
        num_classes: int.
        label_classes: the scheme that makes classes of a regression's labels, `objective.label_classes` of a recipe.
    """
    if task == "regression" and label_classes == "sign3":
        return ["negative", "neutral", "positive"]
    return [str(k) for k in range(num_classes)]


def write_csv(path, split, network, outputs, label_classes="sign3"):
    """Writes what a network says of a split, a row a sample.

    The columns: `id`; `label` and `text` where the split has them; `prediction`, the value or the class; in
    classification `probability_<k>`; with prototype labels, per modality, `<modality>_hard_label` (-1: the modality is
    missing) and `<modality>_soft_label_<name>`, see `class_names`. A text that a spreadsheet would take for a formula
    gets an apostrophe in front, see `escaping.for_csv`. An existing file is replaced only once the new one is complete.

    Args:
        path: the file.
        split: `Split`.
        network: what predicted: `task`, `num_classes` and `prototype_generators` are read.
        outputs: dict of arrays, from `predict_split`.
        label_classes: as in `class_names`.
    """
    prediction = outputs["prediction"]
    names = class_names(network.task, network.num_classes, label_classes)
    columns = {"id": split.ids}
    if split.labels is not None:
        columns["label"] = split.labels
    if split.raw_text is not None:
        columns["text"] = split.raw_text
    if network.task == "regression":
        columns["prediction"] = prediction
    else:
        columns["prediction"] = prediction.argmax(axis=1)
        columns.update({f"probability_{k}": prediction[:, k] for k in range(prediction.shape[1])})
    for m in network.prototype_generators:
        columns[f"{m}_hard_label"] = outputs[f"{m}_hard_label"]
        soft = outputs[f"{m}_soft_label"]
        columns.update({f"{m}_soft_label_{name}": soft[:, k] for k, name in enumerate(names)})
    rows = zip(*(_cells(values) for values in columns.values()), strict=True)
    files.write_csv(path, itertools.chain([columns], rows))


def _cells(values):
    values = np.asarray(values)
    # The shortest text that reads back as the same float32.
    if values.dtype.kind == "f":
        return [str(v) for v in values.astype("float32")]
    return [for_csv(v) for v in values.tolist()]


def mean_outputs(outputs: list) -> dict:
    """The mean of several networks' predictions and label distributions; see `CrossValidation.predict`."""
    found = {"prediction": np.mean([one["prediction"] for one in outputs], axis=0)}
    for name in outputs[0]:
        m = name.removesuffix("_present")
        if name == m:
            continue
        found[name] = outputs[0][name]
        if f"{m}_soft_label" in outputs[0]:
            soft = np.mean([one[f"{m}_soft_label"] for one in outputs], axis=0)
            found[f"{m}_soft_label"] = soft
            found[f"{m}_hard_label"] = np.where(found[name], soft.argmax(axis=1), -1).astype("int32")
    return found
