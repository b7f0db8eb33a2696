"""Lines that fit a terminal. Imports nothing that takes time."""

import re
import textwrap


def fill(text: str, width: int) -> str:
    """Text wrapped between words; a path stays whole, so that it can be copied."""
    return textwrap.fill(text, width, break_long_words=False, break_on_hyphens=False)


def fill_command(command: str, width: int, indent: int = 2) -> str:
    """A command of a shell, broken in front of its options, so that it can be copied; indented."""
    first, *options = re.split(" (?=-)", command)
    lines = [" " * indent + first]
    for option in options:
        if len(lines[-1]) + len(option) + 3 <= width:
            lines[-1] += f" {option}"
        else:
            lines.append(" " * (indent + 4) + option)
    return " \\\n".join(lines)
