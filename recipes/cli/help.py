"""What `--help` prints, wrapped at the terminal's width."""

import argparse
import inspect
import shutil
import textwrap
import typing

from plumkeras.recipes.views.wrapping import fill_command

if typing.TYPE_CHECKING:
    from plumkeras.recipes.cli.options import Option


def print_help(
    line: type, options: "list[Option]", prog: str, headings: dict[type, str], show_defaults: bool = True
) -> None:
    """Prints the help of a command.

    Args:
        line: dataclass; its docstring describes the command, with examples as paragraphs of their own.
        options: list of Option.
        prog: the command as it is typed.
        headings: dict from a base class of `line` to the heading of its fields.
        show_defaults: whether to show default values.
    """
    arguments = [option for option in options if option.positional]
    named = [option for option in options if not option.positional]
    needed = [*(o.metavar for o in arguments), *(f"--{o.name} {o.metavar}" for o in named if o.required)]
    parser = argparse.ArgumentParser(
        usage=" ".join([prog, *needed, "[options]"]),
        description=filled(inspect.getdoc(line)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
    )
    groups = {}
    for option in arguments:
        group = _group(parser, groups, "arguments")
        group.add_argument(option.name, metavar=option.metavar, help=_text(option, False))
    for option in named:
        heading = option.section or headings.get(option.owner)
        title, owner = (f"{heading} options", option.owner) if heading else ("options", None)
        group = _group(parser, groups, title, owner)
        value = {"metavar": option.metavar} if option.metavar else {"action": "store_true"}
        group.add_argument(f"--{_name(option, bool(heading))}", help=_text(option, show_defaults), **value)
    print(parser.format_help(), end="")


def _group(parser, groups, title, owner=None):
    if title not in groups:
        groups[title] = parser.add_argument_group(title, owner and filled(inspect.getdoc(owner), 2))
    return groups[title]


def _name(option, has_no):
    section, dot, last = option.name.rpartition(".")
    # What a recipe turns on can be turned off.
    return f"{section}{dot}[no-]{last}" if option.is_flag and has_no else option.name


def _text(option, show_defaults):
    value = option.default
    if option.required:
        note = "" if option.positional else "(required)"
    elif show_defaults and value not in (None, ()) and value is not False:
        note = f"(default: {_plain(value)})"
    else:
        note = ""
    # argparse fills in what is behind a percent sign.
    return f"{option.text} {note}".strip().replace("%", "%%")


def _plain(value):
    if value is True:
        return "on"
    return " ".join(map(str, value)) if isinstance(value, (tuple, list)) else str(value)


def width() -> int:
    """The longest line of help, as argparse has it: two below the terminal's."""
    return max(24, shutil.get_terminal_size().columns - 2)


def filled(text: str, indent: int = 0) -> str:
    """Text wrapped at the terminal's width by paragraphs; one may hold commands, one a line."""
    parts = []
    for paragraph in text.split("\n\n"):
        if paragraph.lstrip().startswith("plumkeras "):
            parts.append("\n".join(fill_command(line.strip(), width()) for line in paragraph.splitlines()))
        else:
            parts.append(textwrap.fill(" ".join(paragraph.split()), width() - indent))
    return "\n\n".join(parts)


def listing(rows: dict[str, str]) -> str:
    """Names with a text beside each, the text wrapped in its own column."""
    column = 4 + max(map(len, rows))
    return "\n".join(
        textwrap.fill(
            text,
            max(column + 20, width()),
            initial_indent=f"  {name}".ljust(column),
            subsequent_indent=" " * column,
        )
        for name, text in rows.items()
    )


def is_asked(arguments: list[str]) -> bool:
    """Whether the line asks for help."""
    return bool({"-h", "--help"} & set(arguments))
