"""What all tables and lines of the terminal share."""

import contextlib

from rich import markup
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from plumkeras.recipes.escaping import for_terminal


def escape(text):
    """Text from a file as rich prints it: nothing in it is markup, or a control character."""
    return markup.escape(for_terminal(text))


def make_table(title, *columns):
    """An empty table; its first column is aligned left, the others right."""
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def table_width(rows):
    """The columns that a table of these texts, its header among them, takes where no cell is folded."""
    columns = list(zip(*rows, strict=True))
    return sum(max(map(len, column)) + 3 for column in columns) + 1


def print_warnings(warnings, console):
    """One line a warning."""
    for warning in warnings:
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")


@contextlib.contextmanager
def counting(title, console=None):
    """A progress bar; yields what is called with how many are done, and of how many."""
    with Progress(console=console or Console(), transient=True) as bar:
        task = bar.add_task(escape(title), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
