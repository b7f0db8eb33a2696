"""Text from files (ids, names, messages) made harmless for where it goes: a terminal, Markdown or a csv file."""

import re
import unicodedata

_FORMULA = re.compile("[=+\\-@\t\r\uff1d\uff0b\uff0d\uff20]")
# Ids of videos begin with a minus often enough; without an operator, a bracket or a bar there is nothing to execute.
_ID = re.compile(r"-[\w.$\[\]-]*[^\W\d][\w.$\[\]-]*")
_MARKDOWN = re.compile(r"([\\`*\[\]|~]|(?<!\w)_|_(?!\w))")
# Letters of some scripts are joined and kept apart by these two.
_JOINERS = "\u200c\u200d"


def for_terminal(text):
    """The text without what a terminal would act on: control characters and marks of direction become `\\x1b`, say.

    Line breaks and tabs stay.
    """
    return "".join(_visible(character) if _acts(character) else character for character in str(text))


def for_markdown(text):
    """The text on one line, with what Markdown or HTML would act on escaped."""
    line = " ".join(for_terminal(text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _MARKDOWN.sub(r"\\\1", line)


def for_csv(value):
    """A cell: text that a spreadsheet would take for a formula gets an apostrophe in front; see `from_csv`.

    That is text that begins with `=`, `+`, `-`, `@`, a tab or a carriage return, unless it is a number, or a minus and
    then only letters, digits and `_ . $ [ ] -`, as in ids of videos. Text that begins with an apostrophe gets another
    one. What is no text stays as it is.
    """
    if not isinstance(value, str):
        return value
    return f"'{value}" if value.startswith("'") or _is_formula(value) else value


def from_csv(cell):
    """The text that `for_csv` made a cell of."""
    return cell.removeprefix("'")


def _is_formula(text):
    if not _FORMULA.match(text) or _ID.fullmatch(text):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return text != text.strip()


def _acts(character):
    return character not in f"\n\t{_JOINERS}" and unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _visible(character):
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"
