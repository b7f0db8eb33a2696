"""A finished run, in a few lines."""

from rich.console import Console
from rich.markup import escape

from plumkeras.features import width_words
from plumkeras.recipes.views.terminal.metrics import print_metrics


def print_run(run, console=None):
    """The recipe, the network's size, and the metrics with their conventions.

    Args:
        run: `Run`.
    """
    console = console or Console()
    widths = ", ".join(f"{m} {width_words(width)}" for m, width in run.network.feature_dims.items())
    size = f"{run.network.count_params():,} parameters" if hasattr(run.network, "count_params") else "an export"
    console.print(f"Recipe {escape(run.config.name)}, seed {run.config.seed}; {size}; widths: {escape(widths)}")
    measured = {name: run.metrics[name] for name in ("valid", "test") if run.metrics.get(name)}
    print_metrics(measured, run.network.task, console)
