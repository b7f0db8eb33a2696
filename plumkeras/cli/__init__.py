"""The command line: reads what was asked, refuses what cannot be done, and only then starts a backend."""

import importlib
import os
import sys

from plumkeras.nearest import nearest
from plumkeras.recipes import recipe_names

SUMMARY = """\
usage: plumkeras COMMAND ...

PLUM-Net (AAAI 2026) in Keras 3: sentiment, humor and sarcasm from text, audio and vision.

commands:
  train RECIPE --data PATH --output DIR    train both stages, measure valid and test, write a run directory
  evaluate RUN --data PATH                 the standard metrics of a run, or of an export, on a split of a file
  predict RUN --data PATH --output CSV     predictions with each modality's label distribution
  tune RECIPE --data PATH --output DIR     search a recipe's hyper-parameters on validation alone
  export RUN DIR                           a SavedModel for TensorFlow Serving, with a model card
  inspect PATH                             what a feature file holds, and what is wrong with it
  convert PATH DIR                         write a feature file as TFRecord shards, which stream
  extract CLIPS --output FILE.npz          features of sound, transcripts and frames, as a native file
  benchmark epoch --data PATH              time an epoch with length-aware batches against padded ones
  benchmark data                           measure conversion, reading and memory on generated data of MOSEI's size
  benchmark serve                          latency of a served network beside the network itself, and a load test

recipes: {recipes}, or the path of a recipe file
`plumkeras COMMAND --help` shows the options; `plumkeras train RECIPE --help` those of a recipe.
"""
# Module and function of each command; the module is imported when it is asked for.
COMMANDS = {
    "train": ("training", "run_train"),
    "evaluate": ("predicting", "run_evaluate"),
    "predict": ("predicting", "run_predict"),
    "tune": ("searching", "run_tune"),
    "export": ("exporting", "run_export"),
    "inspect": ("features", "run_inspect"),
    "convert": ("features", "run_convert"),
    "extract": ("features", "run_extract"),
    "benchmark": ("benchmarks", "run_benchmark"),
}


def main(arguments=None):
    """Runs a command line; returns the exit status: 0, 2 for a mistake of the user, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(SUMMARY.format(recipes=", ".join(recipe_names())), end="")
            return 0
        if arguments[0] == "--version":
            import plumkeras

            print(f"plumkeras {plumkeras.__version__}")
            return 0
        return _run(arguments)
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt as stop:
        print(f"plumkeras: interrupted{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        return 130


def _run(arguments):
    """Runs a command; returns 0, or 2 after the one line that says what is wrong."""
    # Late, so that the help is there at once.
    from plumkeras.cli.starting import check_start, quiet
    from plumkeras.cli.words import EXPECTED_ERRORS, UsageError
    from plumkeras.recipes.escaping import for_terminal

    try:
        if arguments[0] not in COMMANDS:
            hint = nearest(arguments[0], COMMANDS) or f"; there are {', '.join(COMMANDS)}"
            raise UsageError(f"unknown command {arguments[0]!r}{hint}")
        module, function = COMMANDS[arguments[0]]
        run = getattr(importlib.import_module(f"plumkeras.cli.{module}"), function)
        with quiet():
            check_start(arguments)
            run(arguments[1:])
        return 0
    except BrokenPipeError:
        raise
    except EXPECTED_ERRORS as error:
        print(f"plumkeras: error: {for_terminal(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
