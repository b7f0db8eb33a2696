"""Trains every fold of a data set and pools what the networks say of the samples that they did not see."""

import csv
import types
from pathlib import Path

import keras
import numpy as np

from plumkeras.files import write_csv, write_json
from plumkeras.recipes.report import report_or_warn
from plumkeras.recipes.runs import predictions, resuming, run_directory
from plumkeras.recipes.runs.data_checks import check_dataset
from plumkeras.recipes.runs.earlier_network import recorded_source
from plumkeras.recipes.runs.protocol import describe_fold, fold_dataset, fold_masks, fold_numbers
from plumkeras.recipes.runs.stages import network_shape
from plumkeras.recipes.runs.training import opened, train_run
from plumkeras.recipes.views.pictures.runs import write_pictures
from plumkeras.tasks import get_task


def fold_directory(directory, number):
    """The run directory of a fold."""
    return Path(directory) / f"fold_{number}"


def cross_validate(
    config,
    dataset,
    directory,
    verbose=1,
    resume=False,
    overwrite=True,
    warnings=None,
    callbacks=None,
    init_from=None,
    change=None,
):
    """For each fold: test it, validate on the next, train on the rest. Each is a run directory, `fold_<k>`.

    Args:
        config, directory, verbose, resume, overwrite, warnings, callbacks, init_from: as in `training.train_run`.
        dataset: `Dataset` whose split `all` has `folds`.
        change: callable from the data set of a fold to the one that is trained on, or None.

    Returns:
        Dict of what `metrics.json` holds: `test` and `valid`, the metrics of all folds' predictions pooled (every
        sample is tested once and validated once); `baseline`, the same for the constants of the folds' training labels;
        `folds`, by number the `test` metrics of each; `best_epoch`, by number; `parameters`, of one network; and
        `warnings`.

    Raises:
        As `training.train_run`.
    """
    directory = Path(directory)
    numbers = fold_numbers(dataset)
    for number in numbers:
        check_dataset(config, fold_dataset(dataset, number))
    with opened(config, dataset, directory, resume, overwrite, warnings) as (config, warnings):
        how = {"callbacks": callbacks, "init_from": init_from, "change": change}
        return _cross_validate(config, dataset, directory, numbers, verbose, resume, warnings, **how)


def _cross_validate(config, dataset, directory, numbers, verbose, resume, warnings, callbacks, init_from, change):
    if resume and run_directory.holds_run(directory):
        resuming.check_same(directory, config, dataset, keras.backend.backend())
        resuming.raise_epochs(directory, config)
        init_from = recorded_source(directory, init_from)
        run_directory.clear_partial_files(directory)
    else:
        shape = network_shape(config, fold_dataset(dataset, numbers[0]))
        run_directory.start(directory, config, dataset, types.SimpleNamespace(**shape), warnings, None, init_from)
    task = get_task(dataset.task)
    constants = {name: np.empty(dataset["all"].labels.shape) for name in ("valid", "test")}
    finished = {}
    for number in numbers:
        if verbose:
            print(f"Fold {number} ({numbers.index(number) + 1} of {len(numbers)})", flush=True)
        fold = fold_dataset(dataset, number)
        if change is not None:
            fold = change(fold)
        described = describe_fold(dataset, number)
        where = fold_directory(directory, number)
        options = {"resume": True, "fold": described, "callbacks": callbacks, "init_from": init_from}
        finished[str(number)] = train_run(config, fold, where, verbose, **options)
        for name, values in constants.items():
            values[fold_masks(dataset, number)[name]] = task.constant(fold["train"].labels)
        if callbacks or config.devices > 1:
            # What was compiled for the fold, and is not shared, would be kept to the end otherwise.
            keras.utils.clear_session()
    metrics = {name: _pool(config, directory, dataset, numbers, name) for name in ("valid", "test")}
    metrics["baseline"] = {
        name: predictions.report(dataset, dataset["all"].labels, values) for name, values in constants.items()
    }
    metrics["folds"] = {number: found["test"] for number, found in finished.items()}
    # Runs of version 0.1.0 say neither.
    metrics["best_epoch"] = {number: found.get("best_epoch") for number, found in finished.items()}
    metrics["parameters"] = next(iter(finished.values())).get("parameters")
    metrics["warnings"] = warnings
    write_json(directory / run_directory.METRICS, metrics)
    report_or_warn(directory)
    return metrics


def _pool(config, directory, dataset, numbers, name):
    """Puts the folds' predictions together in the order of the file, and measures them."""
    rows, header = [None] * len(dataset["all"]), None
    for number in numbers:
        with (fold_directory(directory, number) / f"predictions_{name}.csv").open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            found, names = list(reader), reader.fieldnames
        # Folds that version 0.1.0 has trained lack some columns.
        header = names if header is None else [column for column in header if column in names]
        for position, row in zip(np.flatnonzero(fold_masks(dataset, number)[name]), found, strict=True):
            rows[position] = row
    rows = [[row[column] for column in header] for row in rows]
    write_csv(directory / f"predictions_{name}.csv", [header, *rows])
    columns = dict(zip(header, np.array(rows).T, strict=True))
    task, labels = get_task(dataset.task), dataset["all"].labels
    shape = network_shape(config, dataset)
    names = predictions.class_names(dataset, shape["num_classes"], config.label_classes)
    predicted = task.read_prediction(columns, names)
    if name == "test":
        hard = {c.removesuffix("_hard_label"): v.astype(int) for c, v in columns.items() if c.endswith("_hard_label")}
        write_pictures(directory, name, dataset.task, labels, task.decide(predicted), hard, names)
    return predictions.report(dataset, labels, predicted)
