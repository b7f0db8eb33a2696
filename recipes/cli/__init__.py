"""The command line: reads what was asked, refuses what cannot be done, and only then starts a backend."""

import importlib
import os
import sys

from plumkeras.nearest import nearest
from plumkeras.recipes import recipe_names, recipe_summaries
from plumkeras.recipes.cli.help import filled, listing

# What `plumkeras --help` says of each command. The module of the same name is imported when it is called.
COMMANDS = {
    "train": "train both stages, measure valid and test, write a run directory",
    "evaluate": "measure a run, or an export of one, on its own data or another file",
    "predict": "write predictions, with each modality's label distribution, to a file",
    "compare": "put runs side by side, with intervals for their differences on the same samples",
    "experiment": "reproduce a table or figure of the paper on your data, over seeds",
    "report": "write a run, a cross-validation, seeds or an experiment as one HTML page",
    "models": "list the models that a recipe can train, with their papers",
    "tune": "search a recipe's hyper-parameters on validation alone",
    "export": "write a run as a SavedModel for TensorFlow Serving, with a model card",
    "inspect": "show what a feature file holds, and what is wrong with it",
    "convert": "write a feature file as shards: .npy files, which stream",
    "extract": "turn sound, transcripts and frames into a feature file",
    "benchmark": "time training, reading or serving on this machine",
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
        return _run(arguments)
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except KeyboardInterrupt as stop:
        print(f"plumkeras: interrupted{f'; {stop}' if str(stop) else ''}", file=sys.stderr)
        return 130


def _run(arguments):
    """Runs a command; returns 0, or 2 after what is wrong was printed."""
    # Late, so that the help is there at once.
    from plumkeras.recipes.cli.parsing import EXPECTED_ERRORS, UsageError, complain
    from plumkeras.recipes.cli.quiet import check_start, quiet

    try:
        if arguments[0] not in COMMANDS:
            raise UsageError(f"unknown command {arguments[0]!r}{_meant(arguments[0])}")
        module = importlib.import_module(f"plumkeras.recipes.cli.{arguments[0]}")
        run = getattr(module, f"run_{arguments[0]}")
        with quiet():
            check_start(arguments)
            run(arguments[1:])
        return 0
    except BrokenPipeError:
        raise
    except SystemExit as stop:  # After help, or an error that tyro printed.
        return stop.code
    except EXPECTED_ERRORS as error:
        complain(f"error: {error}")
        return 2


def _meant(command):
    if command in recipe_names():
        return f", which is a recipe; did you mean 'train {command}'?"
    return nearest(command, COMMANDS) or f"; there are {', '.join(COMMANDS)}"


def _overview():
    return "\n".join(
        [
            "usage: plumkeras COMMAND ...\n",
            filled("PLUM-Net (AAAI 2026) in Keras 3: sentiment, humor and sarcasm from text, audio and vision."),
            f"\ncommands:\n{listing(COMMANDS)}",
            f"\nrecipes, for train and tune:\n{listing(recipe_summaries())}\n",
            filled(
                "A recipe may also be the path of a Python file of yours, or the configuration of a run:\n\n"
                "    plumkeras train --config runs/mosi/config.json --data mosi_text_audio.npz --output runs/again\n\n"
                "`plumkeras help COMMAND` shows the options of a command, with an example; `plumkeras train RECIPE "
                "--help` shows what a recipe sets. To begin, without any data:\n\n"
                "    plumkeras train synthetic --output runs/synthetic"
            ),
        ]
    )
