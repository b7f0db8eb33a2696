"""`plumkeras evaluate` and `plumkeras predict`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.cli.data_sets import for_run
from plumkeras.cli.help import complain
from plumkeras.cli.starting import quiet_start
from plumkeras.cli.words import parse


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measures a run, or its export, on one split of a file by the standard metrics.

    plumkeras evaluate runs/mosi --split valid
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, or export."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file; by default the one that the run was trained on."""
    split: str | None = None
    """Split to measure; by default test, or the only one of the file."""
    json: bool = False
    """Print JSON, one line, in place of a table."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes id, prediction and, per modality, the hard and soft prototype label, so that one sees who disagrees.

    plumkeras predict runs/mosi --data new.npz --output predictions.csv
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, or export."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE.csv")]
    """The csv file to write."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file; labels are not needed. By default the one that the run was trained on."""
    split: str | None = None
    """Split to predict; by default test, or the only one of the file."""
    overwrite: bool = False
    """Replace an existing csv file."""


def run_evaluate(arguments):
    options = parse(Evaluate, arguments, "plumkeras evaluate")
    dataset, described = for_run(options.run, options.data)
    from plumkeras.recipes.checks import check_labels, choose_split

    name = choose_split(dataset, options.split)
    check_labels(described, dataset, name)
    from plumkeras.recipes import load_run, predictions, terminal

    with quiet_start():
        network = load_run(options.run).network
    outputs = predictions.predict_split(network, dataset[name])
    reports = {name: predictions.report(dataset, dataset[name].labels, outputs)}
    if options.json:
        _, convention = terminal.metric_rows(reports, network.task)
        found = {"run": str(options.run), "split": name, "metrics": reports[name], "convention": convention}
        print(json.dumps(found, allow_nan=False))
    else:
        terminal.print_metrics(reports, network.task)


def run_predict(arguments):
    options = parse(Predict, arguments, "plumkeras predict")
    from plumkeras.recipes.checks import check_csv_target, choose_split

    check_csv_target(options.output, options.overwrite)
    dataset, _ = for_run(options.run, options.data)
    name = choose_split(dataset, options.split)
    from plumkeras.recipes import load_run, predictions

    with quiet_start():
        run = load_run(options.run)
    for sentence in run.drift(dataset[name]):
        complain(f"plumkeras: warning: {sentence}")
    outputs = predictions.predict_split(run.network, dataset[name])
    predictions.write_csv(options.output, dataset[name].ids, run.network, outputs)
    print(f"{options.output}: {len(dataset[name])} predictions of {name}")
