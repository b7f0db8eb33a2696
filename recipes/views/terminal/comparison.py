"""Runs side by side."""

from rich.console import Console

from plumkeras.recipes.views.terminal.tables import escape, print_table


def print_comparison(comparison, console=None):
    """The metrics of the runs, the differences from the first with their intervals, and the searches.

    Args:
        comparison: `recipes.comparison.Comparison`.
    """
    console = console or Console()
    for sentence in comparison.notes:
        console.print(escape(sentence), highlight=False)
    told = set()
    for table in comparison.tables():
        print_table(table.title, [table.header, *table.texts()], console)
        for note in table.notes:
            if note not in told:
                console.print(escape(note), style="dim", highlight=False)
        told.update(table.notes)
