"""Metrics, with their conventions and numbers of samples."""

from rich.console import Console

from plumkeras.recipes.views.terminal.tables import print_table

_REGRESSION = {
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
_CONVENTIONS = {
    "regression": "MAE and Corr on raw values; ACC-7 and ACC-5 clipped to ±3 and ±2 and rounded half to even; has0: "
    "all samples, cut at >= 0; non0: samples whose label is not 0, cut at > 0; F1 weighted by the labels' support.",
    "sims": "SIMS: labels and predictions clipped to ±1; two classes cut at 0, with 0 negative, three at ±0.1, five at "
    "±0.1 and ±0.7; F1 of the two classes, weighted by the labels' support.",
    "scale": "MAE, Corr and R² (1 minus the residual over the total sum of squares) on raw values; the scale has no "
    "zero inside, so no accuracies.",
    "classification": "Class of the highest probability; F1 weighted by the labels' support, and its plain "
    "mean over classes.",
}


def print_metrics(reports, task, console=None):
    """Prints metrics with their conventions and numbers of samples: a column each, or a row where columns do not fit.

    Args:
        reports: dict from split name to what `predictions.report` gives.
        task: `"regression"` or `"classification"`.
    """
    console = console or Console()
    rows, convention = metric_rows(reports, task)
    print_table("Metrics", [["", *reports], *rows], console)
    console.print(convention, style="dim")


def short_metrics(report):
    """The first two metrics of a report and the number of samples, a text."""
    first = [f"{key} {value:.3f}" for key, value in report.items() if isinstance(value, float)][:2]
    return f"{', '.join(first)}, n {report['n']}"


def metric_rows(reports, task):
    """The rows of a table of metrics, each its name and a text per report; and their conventions, a text."""
    keys = set().union(*reports.values())
    kind = "sims" if "acc3" in keys else "scale" if "r2" in keys else task
    names = {"regression": _REGRESSION, "sims": _SIMS, "scale": _SCALE, "classification": _CLASSIFICATION}[kind]
    rows = [[title, *(_metric(key, report.get(key)) for report in reports.values())] for key, title in names.items()]
    baseline = " Baseline: the training labels' " + ("median." if task == "regression" else "most frequent class.")
    return rows, f"{_CONVENTIONS[kind]}{baseline if any('baseline' in r for r in reports) else ''}"


def _metric(key, value):
    if value is None:
        return "undefined"
    if key in ("n", "n_non0"):
        return str(value)
    return f"{value:.3f}" if key in ("mae", "corr", "r2") else f"{100 * value:.1f}"
