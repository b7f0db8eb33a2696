"""`plumkeras evaluate`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.files import write_csv, write_json
from plumkeras.recipes.cli.data_set import for_run, load_for
from plumkeras.recipes.cli.parsing import MaxBytes, note, parse, say, warn
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.runs import cross_validation, run_directory


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """Measures a run, or its export, on one split by the standard metrics.

    For a cross-validation, each fold's network is measured on the samples that it has not seen, and so are all folds
    pooled. On another file (--data), each network is measured on all samples, and so is the mean of their predictions.

        plumkeras evaluate runs/mosi
        plumkeras evaluate runs/mosi --data other.npz --split valid --output other.json
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory, of a cross-validation too; or export."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file; by default what the run was trained on. An export needs it."""
    split: str | None = None
    """Split to measure; by default test, or the only one of the file. For the run of a fold: test, the fold that was
    left out, valid, train or all."""
    json: bool = False
    """Print JSON, one line, in place of a table; nothing else goes to standard output."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the metrics to this file too: .json, the same as --json prints, or .csv, a row for each line of metrics."""
    overwrite: bool = False
    """Replace an existing file."""
    max_bytes: MaxBytes = None


def run_evaluate(arguments):
    options = parse(Evaluate, arguments, "plumkeras evaluate")
    from plumkeras.recipes.runs.output_checks import check_metrics_target

    if options.output is not None:
        check_metrics_target(options.output, options.overwrite)
    measure = _measure_folds if cross_validation.is_cross_validation(options.run) else _measure
    from plumkeras.recipes.views import terminal

    found, rows, task = measure(options, note if options.json else say)
    if found["baseline"] is not None:
        rows[f"{list(rows)[-1]}, baseline"] = found["baseline"]
    _, convention = terminal.metric_rows(rows, task)
    found = {"run": str(options.run), **found, "convention": convention}
    if options.json:
        print(json.dumps(found, allow_nan=False))
    else:
        terminal.print_metrics(rows, task)
    if options.output is None:
        return
    if options.output.suffix.lower() == ".json":
        write_json(options.output, found)
    else:
        _write_csv(options.output, rows)
    (note if options.json else say)(f"Metrics: {options.output}")


def _measure(options, tell):
    """What is told of a run as JSON, the metrics by line of a table, and the task."""
    from plumkeras.recipes.runs.data_checks import check_labels

    dataset, name, described, is_own = for_run(
        options.run, options.data, options.split, options.max_bytes, tell, measured=True
    )
    check_labels(described, dataset, name)
    from plumkeras.recipes import load_run
    from plumkeras.recipes.runs import predictions

    for sentence in dataset.report.warnings:
        warn(sentence)
    with quiet_start():
        run = load_run(options.run)
    outputs = predictions.predict_split(run.network, dataset[name])
    metrics = predictions.report(dataset, dataset[name].labels, outputs["prediction"])
    return _told(dataset, name, metrics, _baseline(run, name) if is_own else None), {name: metrics}, described["task"]


def _measure_folds(options, tell):
    """As `_measure`, of a cross-validation."""
    from plumkeras.recipes import load_run
    from plumkeras.recipes.runs import fold_evaluation

    cross = load_run(options.run)
    path = cross.directory / run_directory.CONFIG
    dataset, is_own = load_for(path, cross.config, options.data, options.max_bytes, tell, measured=True)
    parts, name = fold_evaluation.fold_parts(cross, dataset, options.split, is_own)
    fold_evaluation.check_parts(cross, parts, name)
    for sentence in dict.fromkeys(sentence for part in parts.values() for sentence in part.report.warnings):
        warn(sentence)
    with quiet_start():
        import keras  # noqa: F401 - started here, with what it prints held back
    report = fold_evaluation.measure_parts(cross, parts, name, is_own)
    kind = "pooled" if is_own else "mean"
    title = f"mean of {len(parts)} networks" if not is_own else "pooled" if name == "test" else f"pooled {name}"
    rows = {f"fold {number}": metrics for number, metrics in report["folds"].items()} | {title: report[kind]}
    told = _told(dataset, name, report[kind], _baseline(cross, name) if is_own else None)
    folds = {str(number): metrics for number, metrics in report["folds"].items()}
    return {**told, "of": kind, "folds": folds}, rows, dataset.task


def _told(dataset, name, metrics, baseline):
    return {"data": dataset.path and str(dataset.path), "split": name, "metrics": metrics, "baseline": baseline}


def _baseline(run, name):
    """The metrics of the constant prediction on a split of the run's own data, or None."""
    baseline = run.metrics.get("baseline")
    return baseline.get(name) if isinstance(baseline, dict) else None


def _write_csv(path, rows):
    names = list(next(iter(rows.values())))
    # An undefined value is an empty cell.
    write_csv(path, [["", *names], *([title, *(report.get(name) for name in names)] for title, report in rows.items())])
