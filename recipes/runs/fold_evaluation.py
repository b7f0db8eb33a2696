"""The networks of a cross-validation put to data: each to its own unseen samples, or all of them to new ones."""

import numpy as np

from plumkeras.data_pipelines import DataError
from plumkeras.recipes.runs import predictions, run_directory
from plumkeras.recipes.runs.data_checks import check_labels
from plumkeras.recipes.runs.network_data import split_for
from plumkeras.recipes.runs.own_data import is_own


def fold_parts(cross, dataset, split=None, pooled=False):
    """What to put to the network of each fold, as it reads it.

    Args:
        cross: `CrossValidation`.
        dataset: `Dataset`, as loaded.
        split: name of the split, or None: `test`, the only one there is, or all samples of a file with folds.
        pooled: whether the data set is the cross-validation's own, and every fold gets its own part, `test` or `valid`.

    Returns:
        Dict by fold of `Dataset`s with one split each, and the name of that split.

    Raises:
        DataError: there is no such split, a width differs, or the data set has none of the modalities.
    """
    if pooled and split not in (None, "test", "valid"):
        raise DataError(f"{cross.directory}: of a cross-validation, test and valid are measured, not {split!r}")
    if not pooled and split is None and "all" in dataset:
        split = "all"
    widths = run_directory.read_network(cross.directory / run_directory.CONFIG)["feature_dims"]
    parts = {}
    for number in cross.folds:
        path = cross.directory / f"fold_{number}" / run_directory.CONFIG
        # New data are the same for every network, whatever folds they have.
        if pooled or not parts:
            part, name, _ = split_for(path, cross.config, widths, dataset, split)
        parts[number] = part
    return parts, name


def predict_folds(cross, parts, name, batch_size=256):
    """What each network says of its part: dict by fold of dicts of arrays."""
    return {
        number: predictions.predict_split(cross.run(number).network, part[name], batch_size)
        for number, part in parts.items()
    }


def check_parts(cross, parts, name):
    """Raises `DataError` unless every part has labels that the networks can be measured against."""
    described = run_directory.read_network(cross.directory / run_directory.CONFIG)
    for part in parts.values():
        check_labels(described, part, name)


def measure_parts(cross, parts, name, pooled) -> dict:
    """The metrics of what `fold_parts` returns; see `evaluate_folds`."""
    outputs = predict_folds(cross, parts, name)
    labels = {number: part[name].labels for number, part in parts.items()}
    found = {"folds": {n: predictions.report(parts[n], labels[n], outputs[n]["prediction"]) for n in parts}}
    first = next(iter(parts))
    if pooled:
        predicted = np.concatenate([one["prediction"] for one in outputs.values()])
        every = np.concatenate(list(labels.values()))
        found["pooled"] = predictions.report(parts[first], every, predicted)
    else:
        mean = predictions.mean_outputs(list(outputs.values()))
        found["mean"] = predictions.report(parts[first], labels[first], mean["prediction"])
    return found


def evaluate_folds(cross, dataset, split=None) -> dict:
    """Measures a cross-validation, on its own data or on others.

    Args:
        cross: `CrossValidation`.
        dataset: `Dataset`, as loaded, with labels.
        split: name of the split, as in `fold_parts`.

    Returns:
        Dict with `split`; `folds`, the metrics by fold; and of its own data `pooled`, the metrics of the predictions
        for samples that the network had not seen, or of others `mean`, those of the mean prediction.

    Raises:
        DataError: as `fold_parts`; or there are no labels, or those of another task.
    """
    pooled = is_own(cross.directory / run_directory.CONFIG, cross.config, dataset)
    parts, name = fold_parts(cross, dataset, split, pooled)
    check_parts(cross, parts, name)
    return {"split": name, **measure_parts(cross, parts, name, pooled)}
