"""Predictions of a network on a split, as arrays, as a csv file and as metrics."""

import itertools
import warnings

import numpy as np

from plumkeras import files
from plumkeras.data_pipelines import data_errors
from plumkeras.data_pipelines.batches.feed import feed
from plumkeras.features import input_name, reads_text
from plumkeras.recipes.views.escaping import for_csv
from plumkeras.tasks import get_task


def predict_split(network, split, batch_size=256, verbose=0):
    """Every output of the network, in file order: dict of arrays `[N, ...]`."""
    # Late: it starts a backend.
    from plumkeras.devices import without_graph_rewriting

    back = None
    if reads_text(network.feature_dims) and len(split) > batch_size:
        # An encoder takes most of the time, and longer for every token: texts of like length share a batch.
        order = np.argsort(split.lengths["text"], kind="stable")
        split, back = split.take(order), np.argsort(order)
    batches = feed(split.select(network.modalities), batch_size)
    with warnings.catch_warnings(), data_errors(batches), without_graph_rewriting():
        # Told by their ids before, see `data_checks`.
        warnings.filterwarnings("ignore", ".* samples lack every modality")
        outputs = network.predict(batches, verbose=verbose)
    return outputs if back is None else {name: values[back] for name, values in outputs.items()}


def predict_batch(network, split):
    """As `predict_split`, of few samples: the network is called once, without the second or so of tracing a graph."""
    from keras import ops

    inputs = {}
    for m in network.modalities:
        features = split.features[m]
        inputs[input_name(m, features.shape[2])] = np.asarray(features)
        inputs[f"{m}_length"] = split.lengths[m]
    return {name: ops.convert_to_numpy(value) for name, value in network(inputs).items()}


def report(dataset, labels, prediction):
    """The metrics of a prediction of a split of a data set, see `plumkeras.tasks.Task.report`."""
    return get_task(dataset.task).report(labels, prediction, dataset)


def baseline_report(dataset, train_labels, labels):
    """The same metrics for the constant prediction: what chance gives."""
    constant = get_task(dataset.task).constant(train_labels)
    return report(dataset, labels, np.repeat(np.asarray(constant)[None], len(labels), axis=0))


def class_names(dataset, num_classes, label_classes="sign3"):
    """Names of the classes of contrast and prototypes in files and pictures, see `plumkeras.tasks.Task.class_names`."""
    return get_task(dataset.task).class_names(num_classes, label_classes, dataset.label_names)


def write_csv(path, split, network, outputs, names):
    """Writes what a network says of a split, a row a sample.

    The columns: `id`; `label` (of several, `label_<name>`) and `text` where the split has them; `prediction`, the value
    or the class; in classification `probability_<k>`, of several labels `probability_<name>` alone; with prototype
    labels, per modality, `<modality>_hard_label` (-1: the modality is missing) and `<modality>_soft_label_<name>`. A
    text that a spreadsheet would take for a formula gets an apostrophe in front, see `escaping.for_csv`. An existing
    file is replaced only once the new one is complete.

    Args:
        path: the file.
        split: `Split`.
        network: what predicted: `task`, `num_classes` and `prototype_generators` are read.
        outputs: dict of arrays, from `predict_split`.
        names: of the classes, from `class_names`.
    """
    task = get_task(network.task)
    columns = {"id": split.ids}
    # Labels of another task are not what was predicted.
    if split.labels is not None and split.labels.ndim == task.label_axes:
        columns |= task.label_columns(split.labels, names)
    if split.raw_text is not None:
        columns["text"] = split.raw_text
    columns |= task.prediction_columns(outputs["prediction"], names)
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
