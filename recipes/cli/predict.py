"""`plumkeras predict`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.data_set import for_run, load_for
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, parse, say, warn
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.runs import cross_validation, run_directory


@dataclasses.dataclass(frozen=True)
class Predict:
    """Predicts texts, or the samples of a feature file.

    Of texts it prints the prediction in front of each; the network must have a text encoder (train --text.encoder).
    Without RUN the one that comes with the package is used. --output writes a csv file instead: id, prediction and each
    modality's hard and soft prototype label, which show where modalities disagree. For a cross-validation, the mean
    over the networks of all folds is given.

        plumkeras predict --text "the plot was thin but I loved it"
        plumkeras predict runs/text --text-file reviews.csv --output predictions.csv
        plumkeras predict runs/mosi --data new.npz --output predictions.csv
    """

    run: Annotated[tyro.conf.Positional[Path | None], tyro.conf.arg(metavar="[RUN]")] = None
    """Run directory, of a cross-validation too; or export. It stands in front of the options."""
    text: Annotated[tuple[str, ...] | None, tyro.conf.arg(metavar="TEXT [TEXT ...]")] = None
    """Texts to predict; - alone reads them from standard input, one a line. Other modalities are missing."""
    text_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Texts to predict: .txt, one a line, or .csv or .tsv with a column of them. A column id is kept."""
    text_column: Annotated[str | None, tyro.conf.arg(metavar="NAME")] = None
    """Column of the texts; by default text, or raw_text."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file; labels are not needed. By default what the run was trained on; an export needs it."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE.csv")] = None
    """The csv file to write; of texts it may be left out."""
    split: str | None = None
    """Split to predict; by default test, or the only one of the file. For the run of a fold as in `evaluate`."""
    overwrite: bool = False
    """Replace an existing csv file."""
    max_bytes: MaxBytes = None


def run_predict(arguments):
    options = parse(Predict, arguments, "plumkeras predict")
    of_texts = options.text is not None or options.text_file is not None
    _check(options, of_texts)
    from plumkeras.recipes.runs.output_checks import check_csv_target

    if options.output is not None:
        check_csv_target(options.output, options.overwrite)
    if of_texts:
        from plumkeras.recipes.cli.predict_texts import predict_texts

        return predict_texts(options)
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


def _check(options, of_texts):
    """Raises `UsageError` for options that do not go together."""
    if not of_texts:
        if options.text_column is not None:
            raise UsageError("--text-column names a column of --text-file; give that too")
        if options.run is None:
            raise UsageError("name a run, or texts to predict: --text or --text-file")
        if options.output is None:
            raise UsageError("--output FILE.csv is needed, the csv file to write")
        return
    given = {
        "--text": options.text is not None,
        "--text-file": options.text_file is not None,
        "--data": options.data is not None,
    }
    several = [name for name, is_given in given.items() if is_given]
    if len(several) > 1:
        raise UsageError(f"{' and '.join(several)} do not go together: what is predicted is one of them")
    for name, value in {"--split": options.split, "--max-bytes": options.max_bytes}.items():
        if value is not None:
            raise UsageError(f"{name} is about --data, and does not go with {several[0]}")
    if options.text_column is not None and options.text_file is None:
        raise UsageError("--text-column names a column of --text-file, and does not go with --text")
    if options.text == ():
        raise UsageError('--text needs a text, as in --text "I loved it"')


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
