"""`plumkeras predict`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.data_set import for_run, load_for
from plumkeras.recipes.cli.parsing import MaxBytes, parse, say, warn
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.runs import cross_validation, run_directory


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes id, prediction and each modality's hard and soft prototype label, which show where modalities disagree.

    For a cross-validation, writes the mean over the networks of all folds.

        plumkeras predict runs/mosi --data new.npz --output predictions.csv
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, of a cross-validation too; or export."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE.csv")]
    """The csv file to write."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file; labels are not needed. By default what the run was trained on; an export needs it."""
    split: str | None = None
    """Split to predict; by default test, or the only one of the file. For the run of a fold as in `evaluate`."""
    overwrite: bool = False
    """Replace an existing csv file."""
    max_bytes: MaxBytes = None


def run_predict(arguments):
    options = parse(Predict, arguments, "plumkeras predict")
    from plumkeras.recipes.runs.output_checks import check_csv_target

    check_csv_target(options.output, options.overwrite)
    if cross_validation.is_cross_validation(options.run):
        return _predict_folds(options)
    dataset, name, _, _ = for_run(options.run, options.data, options.split, options.max_bytes)
    from plumkeras.recipes import load_run
    from plumkeras.recipes.runs import predictions

    for sentence in dataset.report.warnings:
        warn(sentence)
    with quiet_start():
        run = load_run(options.run)
    for sentence in run.drift(dataset[name]):
        warn(sentence)
    outputs = predictions.predict_split(run.network, dataset[name])
    predictions.write_csv(options.output, dataset[name], run.network, outputs, run.class_names)
    say(f"{options.output}: {len(dataset[name])} predictions of {name}")


def _predict_folds(options):
    from plumkeras.recipes import load_run
    from plumkeras.recipes.runs import fold_evaluation, predictions

    cross = load_run(options.run)
    dataset, _ = load_for(cross.directory / run_directory.CONFIG, cross.config, options.data, options.max_bytes)
    if cross_validation.has_folds(dataset):
        warn(cross_validation.mean_of_seen(cross, dataset))
    parts, name = fold_evaluation.fold_parts(cross, dataset, options.split)
    first = next(iter(parts))
    split = parts[first][name]
    for sentence in parts[first].report.warnings:
        warn(sentence)
    with quiet_start():
        run = cross.run(first)
    for sentence in run.drift(split):
        warn(sentence)
    outputs = predictions.mean_outputs(list(fold_evaluation.predict_folds(cross, parts, name).values()))
    predictions.write_csv(options.output, split, run.network, outputs, run.class_names)
    say(f"{options.output}: {len(split)} predictions of {name}, the mean over the networks of {len(parts)} folds")
