"""The command line: reads what was asked, refuses what cannot be done, and only then starts a backend."""

import os
import sys

from plumkeras.cli.benchmarks import run_benchmark
from plumkeras.cli.exporting import run_export
from plumkeras.cli.features import run_convert, run_extract, run_inspect
from plumkeras.cli.predicting import run_evaluate, run_predict
from plumkeras.cli.searching import run_tune
from plumkeras.cli.starting import check_start, quiet
from plumkeras.cli.training import run_train
from plumkeras.cli.words import EXPECTED_ERRORS, UsageError
from plumkeras.recipes import recipe_names
from plumkeras.recipes.escaping import for_terminal

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
COMMANDS = {
    "train": run_train,
    "evaluate": run_evaluate,
    "predict": run_predict,
    "tune": run_tune,
    "export": run_export,
    "inspect": run_inspect,
    "convert": run_convert,
    "extract": run_extract,
    "benchmark": run_benchmark,
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
        if arguments[0] not in COMMANDS:
            raise UsageError(f"unknown command {arguments[0]!r}; there are {', '.join(COMMANDS)}")
        with quiet():
            check_start(arguments)
            COMMANDS[arguments[0]](arguments[1:])
        return 0
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except EXPECTED_ERRORS as error:
        print(f"plumkeras: error: {for_terminal(' '.join(str(error).split()))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("plumkeras: interrupted", file=sys.stderr)
        return 130
