"""The words on a command line: options, and lines that a command prints."""

import re
import shlex
import shutil
import sys
from typing import Annotated

import tyro

from plumkeras.data_pipelines import DataError
from plumkeras.nearest import nearest
from plumkeras.recipes.cli.help import is_asked, print_help
from plumkeras.recipes.cli.options import options_of
from plumkeras.recipes.config import ConfigError, TrainingError, check_label_range
from plumkeras.recipes.views.escaping import for_terminal
from plumkeras.recipes.views.wrapping import fill, fill_command

_ABBREVIATIONS = {"lr": "learning-rate", "wd": "weight-decay", "bs": "batch-size", "o": "output", "out": "output"}

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


def parse(line, arguments, prog, default=None, headings=None, show_defaults=True):
    """Parses the options of a command by tyro, which prints what is wrong with a value or missing.

    Args:
        line: dataclass of the options.
        arguments: list of str.
        prog: the command as it is typed, for help and errors.
        default: instance of `line` with the default values, or `None`.
        headings, show_defaults: see `print_help`, which `-h` and `--help` end in.

    Raises:
        UsageError: an option is unknown; says which one is near. tyro's suggestions know no short forms, and it gives
            none where a required option is missing too, as it is when that one is misspelt.
        SystemExit: help was asked for (status 0), or tyro printed an error (status 2).
    """
    options = options_of(line, default)
    if is_asked(arguments):
        print_help(line, options, prog, headings or {}, show_defaults)
        raise SystemExit(0)
    _refuse_unknown(options, arguments, prog)
    return tyro.cli(line, prog=prog, args=arguments, **({} if default is None else {"default": default}))


def _refuse_unknown(options, arguments, prog):
    known = [spelling for option in options for spelling in option.spellings]
    for argument in arguments:
        # Not `-inf`, which is a value.
        found = re.match(r"(?:--|-(?=\w(?:=|$)))([A-Za-z][^=]*)", argument)
        if not found or (argument.startswith("--") and found[1].replace("_", "-") in known):
            continue
        name = _ABBREVIATIONS.get(found[1], found[1]).replace("_", "-")
        # A name with dots is also found by its end, the flag by what it turns off.
        hint = re.sub("'([^']+)'", r"--\1", nearest(name, known))
        raise UsageError(f"unknown option {found[0]}{hint} (see {prog} --help)")


def say(line):
    """Prints a line about files of whatever names, wrapped where standard output is a terminal."""
    print(_wrapped(for_terminal(line), sys.stdout))


def note(line):
    """As `say`, on standard error: where standard output is for a program."""
    print(_wrapped(for_terminal(line), sys.stderr), file=sys.stderr)


def warn(sentence):
    """Prints a warning on standard error, as `complain`."""
    complain(f"warning: {sentence}")


def complain(text):
    """Prints text on standard error: one line, wrapped where that is a terminal."""
    print(_wrapped(f"plumkeras: {for_terminal(' '.join(text.split()))}", sys.stderr), file=sys.stderr)


def say_command(intro, command):
    """Prints a command to copy behind what it does; on a terminal on lines of its own, broken at the options."""
    if not sys.stdout.isatty():
        return say(f"{intro} {command}")
    say(intro)
    print(for_terminal(fill_command(command, shutil.get_terminal_size().columns)))


def _wrapped(line, file):
    return fill(line, shutil.get_terminal_size().columns) if file.isatty() else line


def check_max_bytes(value):
    """Raises `UsageError` unless a value of `--max-bytes` is None or positive."""
    if value is not None and value < 1:
        raise UsageError(f"--max-bytes must be at least 1. Received: {value}")


def label_options(options):
    """What the options of a command say of the labels: arguments of `data_pipelines.load`.

    Raises:
        ConfigError: `label_range` isn't two finite numbers, the lower one first.
    """
    check_label_range(options.label_range, "--label-range")
    return {name: getattr(options, name) for name in ("task", "label_column", "label_range")}


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


def resume_command(command, arguments):
    """The command line that resumes what was interrupted."""
    kept = [str(word) for word in arguments if word not in ("--overwrite", "--resume")]
    return shlex.join(["plumkeras", command, *kept, "--resume"])
