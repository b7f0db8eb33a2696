"""`plumkeras predict` of texts."""

import sys
from pathlib import Path

from plumkeras.data_pipelines.readers.text_file import decode, lines, read_texts
from plumkeras.recipes.cli.parsing import UsageError, say, warn
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.runs import cross_validation, run_directory

# So many texts at most are predicted in one call, without a graph.
_FEW = 32


def predict_texts(options):
    """Predicts the texts that `Predict` names: prints the predictions, or writes them to a csv file."""
    texts, ids, what = _texts(options)
    from plumkeras.recipes.pretrained import pretrained_folder
    from plumkeras.recipes.runs import predictions
    from plumkeras.recipes.runs.texts import texts_data
    from plumkeras.recipes.views.terminal import print_text_predictions

    directory = pretrained_folder() if options.run is None else options.run
    path = _description_path(directory)
    described, config = run_directory.read_network(path), run_directory.read_config(path)
    dataset = texts_data(path, config, described["feature_dims"], texts, ids, what)
    for sentence in dataset.report.warnings:
        warn(sentence)
    split = dataset["all"]
    run, outputs = _predict(directory, split)
    if options.output is None:
        label_range = (run_directory.read_description(path).get("data") or {}).get("label_range")
        print_text_predictions(split, outputs["prediction"], described["task"], run.class_names, label_range)
        return
    predictions.write_csv(options.output, split, run.network, outputs, run.class_names)
    say(f"{options.output}: predictions of {len(split)} texts")


def _texts(options):
    """The texts, their ids and what these are."""
    if options.text_file is not None:
        return read_texts(options.text_file, options.text_column)
    texts, what = list(options.text), "number"
    if texts == ["-"]:
        texts, what = lines(decode(sys.stdin.buffer.read(), "standard input")), "line"
        if not texts:
            raise UsageError("--text -: standard input holds no text")
    elif options.run is None and run_directory.holds_run(Path(texts[-1])):
        raise UsageError(f"{texts[-1]} is a run, and was read as a text; name it in front of --text")
    return texts, [str(number) for number in range(1, len(texts) + 1)], what


def _description_path(directory):
    from plumkeras.recipes.runs.network_data import description_path

    if cross_validation.is_cross_validation(directory):
        return directory / run_directory.CONFIG
    return description_path(directory)


def _predict(directory, split):
    """A run that says what the outputs are, and the outputs; of a cross-validation the mean over the folds."""
    from plumkeras.recipes import load_run
    from plumkeras.recipes.runs import predictions

    with quiet_start():
        found = load_run(directory)
        runs = [found.run(fold) for fold in found.folds] if cross_validation.is_cross_validation(directory) else [found]
    # An export has a graph already, and is no function.
    few = len(split) <= _FEW and all(callable(run.network) for run in runs)
    predict = predictions.predict_batch if few else predictions.predict_split
    outputs = [predict(run.network, split) for run in runs]
    return runs[0], outputs[0] if len(runs) == 1 else predictions.mean_outputs(outputs)
