"""Tables and lines of the terminal."""

import contextlib

from rich import markup
from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from plumkeras.data_pipelines.schema.report import by_field
from plumkeras.recipes.views.escaping import for_terminal


def escape(text):
    """Text from a file as rich prints it: nothing in it is markup, or a control character."""
    return markup.escape(for_terminal(text))


def make_table(title, *columns):
    """An empty table; its first column is aligned left, the others right."""
    table = Table(title=escape(title), title_justify="left", title_style="bold", header_style="bold")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    return table


def print_table(title, rows, console):
    """Prints a table, or where that is too wide its transpose, in as few tables as fit; no value is broken.

    Args:
        title: text.
        rows: lists of texts, the first of them the header.
        console: rich `Console`, whose width counts.
    """
    for number, (header, *body) in enumerate(_parts(rows, console.width)):
        table = make_table(f"{title}, continued" if number else title, *map(escape, header))
        for row in body:
            table.add_row(*map(escape, row))
        console.print(table)


def _parts(rows, width):
    """The tables to print, each a header and its rows."""
    if _width(rows) <= width:
        return [rows]
    names, *columns = rows
    for count in range(1, len(columns) + 1):
        size = -(-len(columns) // count)
        groups = [columns[start : start + size] for start in range(0, len(columns), size)]
        parts = [list(zip(names, *group, strict=True)) for group in groups]
        if all(_width(part) <= width for part in parts):
            break
    return parts


def _width(rows):
    """The width of a table of these texts in which no cell is folded."""
    columns = zip(*rows, strict=True)
    return sum(max(map(cell_len, column)) + 3 for column in columns) + 1


def print_result(table, console=None):
    """Prints a `ResultTable` with its notes."""
    console = console or Console()
    print_table(table.title, [table.header, *table.texts()], console)
    for note in table.notes:
        console.print(escape(note), style="dim", highlight=False)


def print_results(results, console=None):
    """Prints the first table and the findings of a `results.json`; its page has the rest.

    Args:
        results: dict, as `experiments.results.Results.write` writes it.
    """
    console = console or Console()
    table = results["tables"][0]
    print_table(table["title"], [table["header"], *table["rows"]], console)
    for note in table["notes"]:
        console.print(escape(note), style="dim", highlight=False)
    for sentence in results["findings"]:
        console.print(escape(f"- {sentence}"), highlight=False)


def print_line(text, console=None):
    """Prints a line of plain text as it is; wrapped where it goes to a terminal."""
    console = console or Console()
    console.print(escape(text), highlight=False, soft_wrap=not console.is_terminal)


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
