"""What all tables and lines of the terminal share."""

import contextlib

from rich import markup
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from plumkeras.data_pipelines.report import by_field
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


def print_warnings(warnings, console):
    """One line a warning; what is said of several splits, once."""
    for warning in by_field(warnings):
        console.print(f"[yellow]warning:[/yellow] {escape(warning)}")


@contextlib.contextmanager
def counting(title, console=None):
    """A progress bar; yields what is called with how many are done, and of how many."""
    with Progress(console=console or Console(), transient=True) as bar:
        task = bar.add_task(escape(title), total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
