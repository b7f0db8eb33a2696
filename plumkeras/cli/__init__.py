"""The command line: reads what was asked, refuses what cannot be done, and only then starts a backend."""

import importlib
import logging
import os
import sys
import warnings

from plumkeras.cli.help import complain, filled, listing
from plumkeras.cli.words import UsageError
from plumkeras.nearest import nearest

# The module and function of each command, imported when the command is, and what `plumkeras --help` says of it.
COMMANDS = {
    "train": ("training.run_train", "train both stages, measure valid and test, write a run directory"),
    "evaluate": ("predicting.run_evaluate", "measure a run, or an export of one, on its own data or another file"),
    "predict": ("predicting.run_predict", "write predictions, with each modality's label distribution, to a csv file"),
    "tune": ("searching.run_tune", "search a recipe's hyper-parameters on validation alone"),
    "export": ("exporting.run_export", "write a run as a SavedModel for TensorFlow Serving, with a model card"),
    "inspect": ("features.run_inspect", "show what a feature file holds, and what is wrong with it"),
    "convert": ("features.run_convert", "write a feature file as TFRecord shards, which stream"),
    "extract": ("features.run_extract", "turn sound, transcripts and frames into a feature file"),
    "benchmark": ("benchmarks.run_benchmark", "time training, reading or serving on this machine"),
}


def main(arguments=None):
    """Runs a command line; returns the exit status: 0, 2 for a mistake of the user, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments[:1] == ["help"]:
            arguments = [*arguments[1:], "--help"]
        if not arguments or arguments[0] in ("-h", "--help"):
            print(_overview())
            return 0
        if arguments[0] == "--version":
            import plumkeras

            print(f"plumkeras {plumkeras.__version__}")
            return 0
        return _run(arguments[0], arguments[1:])
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (UsageError, OSError) as error:
        return _refuse(error)
    except KeyboardInterrupt:
        print("plumkeras: interrupted", file=sys.stderr)
        return 130


def _run(command, arguments):
    from plumkeras.recipes.config import ConfigError, TrainingError

    if command not in COMMANDS:
        raise UsageError(f"unknown command {command!r}{_meant(command)}")
    # Late: what reads data imports NumPy.
    from plumkeras.data_pipelines import DataError

    warnings.filterwarnings("ignore", category=UserWarning, module="keras")
    logging.getLogger("tensorflow").addFilter(_is_not_about_tracing)
    module, function = COMMANDS[command][0].split(".")
    try:
        getattr(importlib.import_module(f"plumkeras.cli.{module}"), function)(arguments)
    except (ConfigError, DataError, TrainingError) as error:
        return _refuse(error)
    return 0


def _refuse(error):
    complain(f"plumkeras: error: {' '.join(str(error).split())}")
    return 2


def _meant(command):
    from plumkeras.recipes import recipe_names

    if command in recipe_names():
        return f", which is a recipe; did you mean 'train {command}'?"
    return nearest(command, COMMANDS) or f"; there are {', '.join(COMMANDS)}"


def _overview():
    from plumkeras.recipes import recipe_summaries

    commands = {name: summary for name, (_, summary) in COMMANDS.items()}
    return "\n".join(
        [
            "usage: plumkeras COMMAND ...\n",
            filled("PLUM-Net (AAAI 2026) in Keras 3: sentiment, humor and sarcasm from text, audio and vision."),
            f"\ncommands:\n{listing(commands)}",
            f"\nrecipes, for train and tune:\n{listing(recipe_summaries())}\n",
            filled(
                "A recipe may also be the path of a Python file of yours, or the configuration of a run:\n\n"
                "    plumkeras train --config runs/first/config.json --output runs/second\n\n"
                "`plumkeras help COMMAND` shows the options of a command, with an example; `plumkeras train RECIPE "
                "--help` shows what a recipe sets. To begin, without any data:\n\n"
                "    plumkeras train synthetic --output runs/synthetic"
            ),
        ]
    )


def _is_not_about_tracing(record):
    # Trials and folds are networks of their own, each traced once; TensorFlow takes that for a mistake in a loop.
    return "triggered tf.function retracing" not in record.getMessage()
