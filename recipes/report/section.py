"""The parts of a page: a section, which may be left out, and a table."""

import csv
import dataclasses

from plumkeras.recipes.config import ConfigError


class LeftOut(Exception):
    """Why a section of a page is left out."""


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        header: list of text.
        rows: list of lists of text; the first of each row heads it.
        notes: list of sentences under it.
    """

    header: list
    rows: list
    notes: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(frozen=True)
class Section:
    """What a template shows under a heading.

    Attributes:
        name: of the section, for links.
        title: its heading.
        values: what is shown; None where it is left out.
        left_out: why it is left out, or None.
    """

    name: str
    title: str
    values: object = None
    left_out: str | None = None


def section(name, title, build, *arguments) -> Section:
    """A section of what `build(*arguments)` returns, left out where the files of the run do not give it."""
    try:
        return Section(name, title, build(*arguments))
    except (LeftOut, ConfigError) as error:
        told = str(error)
    except OSError as error:
        told = f"a file cannot be read: {error.strerror or error}"
    except (LookupError, TypeError, ValueError, AttributeError, csv.Error) as error:
        told = f"a file of the run is damaged: {type(error).__name__}: {error}"
    return Section(name, title, left_out=" ".join(told.split())[:400])
