"""`plumkeras evaluate` and `plumkeras predict`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.cli.data_sets import for_run
from plumkeras.cli.starting import quiet_start
from plumkeras.cli.words import MaxBytes, parse, say, warn


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The standard metrics of a run, or of its export, on one split of a file."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, or export."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file. Not needed for a run of `synthetic`."""
    split: str = "test"
    """Split to measure. For the run of a fold: test, the fold that was left out, valid, train or all."""
    max_bytes: MaxBytes = None


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes id, prediction and, per modality, the hard and soft prototype label, so that one sees who disagrees."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, or export."""
    output: Path
    """The csv file to write."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file; labels are not needed. Not needed for a run of `synthetic`."""
    split: str | None = None
    """Split to predict; by default test, or the only one of the file. For the run of a fold as in `evaluate`."""
    overwrite: bool = False
    """Replace an existing csv file."""
    max_bytes: MaxBytes = None


def run_evaluate(arguments):
    options = parse(Evaluate, arguments, "plumkeras evaluate")
    dataset, name, described = for_run(options.run, options.data, options.split, options.max_bytes)
    from plumkeras.recipes.checks import check_labels

    check_labels(described, dataset, name)
    split = dataset[name]
    from plumkeras.recipes import load_run, predictions, terminal

    for sentence in dataset.report.warnings:
        warn(sentence)
    with quiet_start():
        network = load_run(options.run).network
    outputs = predictions.predict_split(network, split)
    terminal.print_metrics({name: predictions.report(dataset, split.labels, outputs)}, network.task)


def run_predict(arguments):
    options = parse(Predict, arguments, "plumkeras predict")
    from plumkeras.recipes.checks import check_csv_target

    check_csv_target(options.output, options.overwrite)
    dataset, name, _ = for_run(options.run, options.data, options.split, options.max_bytes)
    from plumkeras.recipes import load_run, predictions

    for sentence in dataset.report.warnings:
        warn(sentence)
    with quiet_start():
        run = load_run(options.run)
    for sentence in run.drift(dataset[name]):
        warn(sentence)
    outputs = predictions.predict_split(run.network, dataset[name])
    predictions.write_csv(options.output, dataset[name], run.network, outputs, run.config.objective.label_classes)
    say(f"{options.output}: {len(dataset[name])} predictions of {name}")
