"""The words on a command line: options, and what is wrong with them in one line."""

import contextlib
import io
import re
import shlex
import sys
from typing import Annotated

import tyro

from plumkeras.data_pipelines import DataError
from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.escaping import for_terminal

MaxBytes = Annotated[
    int | None,
    tyro.conf.arg(
        metavar="N",
        help="Bytes that the data may take in memory, unpacked and padded; by default the larger of 1 GB and 100 times "
        "the size of the file or folder. Raise it only for a file that you trust.",
    ),
]
"""The option `--max-bytes` of a command that reads data."""


class UsageError(Exception):
    """The words on the command line are off."""


# What ends a command with one line.
EXPECTED_ERRORS = (UsageError, ConfigError, DataError, TrainingError, OSError)


def parse(line, arguments, prog, default=None):
    """Parses the options of a command; a mistake becomes one line in place of tyro's box."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(line, prog=prog, args=arguments, **({} if default is None else {"default": default}))
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(f"{_one_line(said.getvalue())} (see {prog} --help)") from None


def say(line):
    """Prints a line about files of whatever names."""
    print(for_terminal(line))


def warn(sentence):
    """Prints a warning, one line on standard error."""
    print(f"plumkeras: warning: {for_terminal(' '.join(str(sentence).split()))}", file=sys.stderr)


def check_max_bytes(value):
    """Raises `UsageError` unless a value of `--max-bytes` is None or positive."""
    if value is not None and value < 1:
        raise UsageError(f"--max-bytes must be at least 1. Received: {value}")


def take(arguments, option):
    """Removes `option VALUE` or `option=VALUE` from the arguments and returns the value, or None."""
    for index, argument in enumerate(arguments):
        if argument == option:
            if index + 1 == len(arguments):
                raise UsageError(f"{option} needs a value")
            del arguments[index]
            return arguments.pop(index)
        if argument.startswith(f"{option}="):
            return arguments.pop(index).split("=", 1)[1]
    return None


def resuming(command, arguments):
    """The command line that goes on with what was interrupted."""
    kept = [str(word) for word in arguments if word not in ("--overwrite", "--resume")]
    return shlex.join(["plumkeras", command, *kept, "--resume"])


def _one_line(box):
    """The message in a box of tyro's, and the option it thinks was meant."""
    lines = [re.sub("[│╭╮╰╯─]", "", line).strip() for line in box.splitlines()]
    # The first line is the title of the box, which the message repeats.
    lines = [line for line in lines if line.strip("-") and not line.endswith(("--help", "For full helptext, run:"))][1:]
    end = next((i for i, line in enumerate(lines) if line in ("Perhaps you meant:", "Argument helptext:")), len(lines))
    message = " ".join(lines[:end])
    if "Perhaps you meant:" in lines[end : end + 1]:
        message += f"; did you mean {lines[end + 1].split()[0]}?"
    return message
