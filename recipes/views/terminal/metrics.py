"""Metrics, with their conventions and numbers of samples."""

from rich.console import Console

from plumkeras.recipes.views.terminal.tables import print_table
from plumkeras.tasks import get_task

# By the metrics of a report: the title of each, and the conventions. `%` at the end: a share of 1, shown as percent.
_SENTIMENT = {
    "mae": "MAE",
    "corr": "Corr",
    "acc7": "ACC-7 %",
    "acc5": "ACC-5 %",
    "acc2_has0": "ACC-2 has0 %",
    "f1_has0": "F1 has0 %",
    "acc2_non0": "ACC-2 non0 %",
    "f1_non0": "F1 non0 %",
    "n": "n",
    "n_non0": "n non0",
}
_SIMS = {
    "mae": "MAE",
    "corr": "Corr",
    "acc5": "ACC-5 %",
    "acc3": "ACC-3 %",
    "acc2": "ACC-2 %",
    "f1": "F1 %",
    "n": "n",
}
_SCALE = {"mae": "MAE", "corr": "Corr", "r2": "R²", "n": "n"}
_CLASSIFICATION = {"accuracy": "accuracy %", "f1_weighted": "F1 weighted %", "f1_macro": "F1 macro %", "n": "n"}
_MULTILABEL = {"accuracy": "accuracy %", "wa": "WA %", "f1": "F1 %", "f1_weighted": "F1 weighted %"}
# By a metric that only reports of one kind have. Runs of version 0.1.0 have `acc7` on a scale without a zero too.
_KINDS = {
    "acc3": (
        _SIMS,
        "SIMS: labels and predictions clipped to ±1; two classes cut at 0, with 0 negative, three at ±0.1, five at "
        "±0.1 and ±0.7; F1 of the two classes, weighted by the labels' support.",
    ),
    "r2": (
        _SCALE,
        "MAE, Corr and R² (1 minus the residual over the total sum of squares) on raw values; the scale has no "
        "zero inside, so no accuracies.",
    ),
    "f1_macro": (
        _CLASSIFICATION,
        "Class of the highest probability; F1 weighted by the labels' support, and its plain mean over classes.",
    ),
    "wa": (
        _MULTILABEL,
        "Each label at probability 0.5, and the plain mean over the labels; WA: mean of the recalls of positives and "
        "negatives; F1 of the positives, and of both weighted by their support; undefined, and left out of the mean, "
        "for a label that no sample or every sample has.",
    ),
    "acc7": (
        _SENTIMENT,
        "MAE and Corr on raw values; ACC-7 and ACC-5 clipped to ±3 and ±2 and rounded half to even; has0: all samples, "
        "cut at >= 0; non0: samples whose label is not 0, cut at > 0; F1 weighted by the labels' support.",
    ),
}


def print_metrics(reports, task, console=None):
    """Prints metrics with their conventions and numbers of samples: a column each, or a row where columns do not fit.

    Args:
        reports: dict from split name to what `predictions.report` gives.
        task: a name of `plumkeras.tasks`.
    """
    console = console or Console()
    rows, convention = metric_rows(reports, task)
    print_table("Metrics", [["", *reports], *rows], console)
    console.print(convention, style="dim")


def short_metrics(report):
    """The first two metrics of a report and the number of samples, a text."""
    first = [f"{key} {value:.3f}" for key, value in report.items() if isinstance(value, float)][:2]
    return f"{', '.join(first)}, n {report['n']}"


def metric_titles(report, task):
    """The titles of a report's metrics, a dict by metric in their usual order, and their conventions, a text.

    Args:
        report: what `predictions.report` gives.
        task: a name of `plumkeras.tasks`.
    """
    usual = {"regression": "acc7", "classification": "f1_macro", "multilabel": "wa"}[task]
    titles, convention = next((kind for key, kind in _KINDS.items() if key in report), _KINDS[usual])
    return (_label_titles(report) if titles is _MULTILABEL else titles), convention


def metric_rows(reports, task):
    """The rows of a table of metrics, each its name and a text per report; and their conventions, a text."""
    # Of the first report: one beside it may be an earlier version's.
    first = next(iter(reports.values()), {})
    titles, convention = metric_titles(first, task)
    if task == "multilabel":
        titles = _label_titles(dict.fromkeys(key for report in reports.values() for key in report))
    rows = [[title, *(_metric(title, report.get(key)) for report in reports.values())] for key, title in titles.items()]
    baseline = f" Baseline: {get_task(task).baseline}." if any("baseline" in r for r in reports) else ""
    return rows, f"{convention}{baseline}"


def _label_titles(keys):
    """The titles of the metrics of several labels: their means, and those of each label."""
    titles = dict(_MULTILABEL)
    for key in keys:
        for metric in sorted(_MULTILABEL, key=len, reverse=True):
            if key.startswith(f"{metric}_") and key not in _MULTILABEL:
                titles[key] = f"{_MULTILABEL[metric].removesuffix(' %')} {key.removeprefix(f'{metric}_')} %"
                break
    return {**titles, "n": "n", "undefined_labels": "undefined labels"}


def _metric(title, value):
    if value is None:
        return "undefined"
    if isinstance(value, int):
        return str(value)
    return f"{100 * value:.1f}" if title.endswith("%") else f"{value:.3f}"
