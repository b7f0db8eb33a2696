"""Trains every fold of a data set and pools what the networks say of the samples that they did not see."""

import csv
import types
from pathlib import Path

import keras
import numpy as np

from plumkeras.recipes import predictions, run_directory
from plumkeras.recipes.checks import check_dataset, check_output, training_warnings
from plumkeras.recipes.protocol import describe_fold, fold_dataset, fold_masks, fold_numbers
from plumkeras.recipes.train import network_shape, train


def fold_directory(directory, number):
    """The run directory of a fold."""
    return Path(directory) / f"fold_{number}"


def cross_validate(config, dataset, directory, verbose=1, resume=False, overwrite=True, warnings=None, callbacks=None):
    """For each fold: test it, validate on the next, train on the rest. Each is a run directory, `fold_<k>`.

    Args:
        config, directory, verbose, resume, overwrite, warnings, callbacks: as in `train`.
        dataset: `Dataset` whose split `all` has `folds`.

    Returns:
        Dict of what `metrics.json` holds: `test` and `valid`, the metrics of all folds' predictions pooled (every
        sample is tested once and validated once), and `folds`, by number the `test` metrics of each; and `baseline`.

    Raises:
        As `train`.
    """
    directory = Path(directory)
    numbers = fold_numbers(dataset)
    for number in numbers:
        check_dataset(config, fold_dataset(dataset, number))
    with run_directory.locked(directory):
        if not overwrite:
            check_output(directory, overwrite, resume)
        if warnings is None:
            warnings = training_warnings(config, dataset)
        return _cross_validate(config, dataset, directory, numbers, verbose, resume, warnings, callbacks)


def _cross_validate(config, dataset, directory, numbers, verbose, resume, warnings, callbacks):
    if resume and run_directory.holds_run(directory):
        run_directory.check_same(directory, config, dataset, keras.backend.backend())
        run_directory.clear_partial_files(directory)
    else:
        shape = network_shape(config, fold_dataset(dataset, numbers[0]))
        run_directory.start(directory, config, dataset, types.SimpleNamespace(**shape), warnings)
    constants = np.empty(len(dataset["all"]))
    for number in numbers:
        if verbose:
            print(f"Fold {number} ({numbers.index(number) + 1} of {len(numbers)})", flush=True)
        fold = fold_dataset(dataset, number)
        described = describe_fold(dataset, number)
        where = fold_directory(directory, number)
        train(config, fold, where, verbose, resume=True, fold=described, callbacks=callbacks)
        constants[fold_masks(dataset, number)["test"]] = predictions.constant(dataset.task, fold["train"].labels)
        # What was compiled for the fold would be kept to the end otherwise.
        keras.utils.clear_session()
    metrics = {name: _pool(directory, dataset, numbers, name) for name in ("valid", "test")}
    metrics["folds"] = {
        str(number): run_directory.read_metrics(fold_directory(directory, number) / run_directory.METRICS)["test"]
        for number in numbers
    }
    metrics["warnings"] = warnings
    run_directory.write_json(directory / run_directory.METRICS, metrics)
    return {**metrics, "baseline": predictions.report(dataset, dataset["all"].labels, {"prediction": constants})}


def _pool(directory, dataset, numbers, name):
    """Puts the folds' predictions together in the order of the file, and measures them."""
    rows = [None] * len(dataset["all"])
    for number in numbers:
        with (fold_directory(directory, number) / f"predictions_{name}.csv").open(newline="", encoding="utf-8") as file:
            header, *found = csv.reader(file)
        for position, row in zip(np.flatnonzero(fold_masks(dataset, number)[name]), found, strict=True):
            rows[position] = row
    path = directory / f"predictions_{name}.csv"
    partial = run_directory.partial_path(path)
    with partial.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    partial.replace(path)
    kind = "float32" if dataset.task == "regression" else "int32"
    predicted = np.array([row[header.index("prediction")] for row in rows]).astype(kind)
    return predictions.report(dataset, dataset["all"].labels, {"prediction": predicted})
