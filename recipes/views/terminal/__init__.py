"""What a person reads on the terminal: tables of metrics, data sets, benchmarks and searches."""

from plumkeras.recipes.views.terminal.benchmarks import (
    print_benchmark,
    print_data_benchmark,
    print_models_benchmark,
    print_serving_benchmark,
    print_step_benchmark,
)
from plumkeras.recipes.views.terminal.comparison import print_comparison
from plumkeras.recipes.views.terminal.data_sets import print_conversion, print_data, print_description, print_extraction
from plumkeras.recipes.views.terminal.metrics import metric_rows, metric_titles, print_metrics, short_metrics
from plumkeras.recipes.views.terminal.runs import print_run
from plumkeras.recipes.views.terminal.search import print_search, print_trial
from plumkeras.recipes.views.terminal.tables import counting, print_line, print_result, print_results
from plumkeras.recipes.views.terminal.texts import print_text_predictions

__all__ = [
    "counting",
    "metric_rows",
    "metric_titles",
    "print_benchmark",
    "print_comparison",
    "print_conversion",
    "print_data",
    "print_data_benchmark",
    "print_description",
    "print_extraction",
    "print_line",
    "print_metrics",
    "print_models_benchmark",
    "print_result",
    "print_results",
    "print_run",
    "print_search",
    "print_serving_benchmark",
    "print_step_benchmark",
    "print_text_predictions",
    "print_trial",
    "short_metrics",
]
