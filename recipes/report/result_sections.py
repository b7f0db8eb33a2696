"""Sections on what a run measured: metrics, true against predicted, and calibration."""

import itertools

import numpy as np

from plumkeras.recipes.report import calibration, figures
from plumkeras.recipes.report.disagreement import class_name
from plumkeras.recipes.report.section import LeftOut, Table
from plumkeras.recipes.views.terminal import metric_rows
from plumkeras.tasks import get_task

# A matrix of more classes cannot be read.
_MAX_CLASSES = 24


def metrics_table(metrics, task, further=None) -> Table:
    """The metrics of `valid` and `test`, each beside its baseline, with the convention.

    Args:
        metrics: what `metrics.json` holds.
        task: a name of `plumkeras.tasks`.
        further: dict from title to report, of more columns.

    Raises:
        LeftOut: nothing was measured.
    """
    baseline, reports = metrics.get("baseline") or {}, {}
    for name in ("test", "valid"):
        if metrics.get(name):
            reports[name] = metrics[name]
            if baseline.get(name):
                reports[f"{name}, baseline"] = baseline[name]
    reports.update(further or {})
    if not reports:
        raise LeftOut("nothing was measured")
    rows, convention = metric_rows(reports, task)
    notes = [convention]
    if not baseline:
        notes.append("There is no baseline: this run is of an earlier version.")
    return Table(["metric", *reports], rows, notes)


def true_against_predicted(predictions) -> dict:
    """Regression: a scatter plot and the error by label; classes: the confusion matrix; labels: counts of each."""
    if predictions.labels is None:
        raise LeftOut(f"the samples of {predictions.split} have no labels")
    show = {"regression": _scatter, "classification": _confusion, "multilabel": _counts}[predictions.task]
    return {"split": predictions.split, "n": len(predictions.ids), **show(predictions)}


def _scatter(p):
    edges, names = _label_bins(p.labels)
    errors = np.abs(p.predicted - p.labels)
    places = np.digitize(p.labels, edges[1:-1])
    used = np.unique(places)
    counts = [int(np.sum(places == k)) for k in used]
    means = [errors[places == k].mean() for k in used]
    shown = [names[k] for k in used]
    rows = [[name, f"{mean:.3f}", str(n)] for name, mean, n in zip(shown, means, counts, strict=True)]
    return {
        "kind": "regression",
        "scatter": figures.scatter(p.labels, p.predicted, "scatter", "Predictions against true labels"),
        "many": len(p.labels) > figures.MAX_POINTS,
        "errors": figures.error_bars(used, means, counts, shown, "errors", "Mean absolute error by true label"),
        "table": Table(["true label", "mean |error|", "n"], rows),
    }


def _label_bins(labels):
    """Edges of bins of labels, and a name of each: one around each whole number, or seven of equal width."""
    low, high = float(labels.min()), float(labels.max())
    first, last = int(np.rint(low)), int(np.rint(high))
    if 2 <= last - first <= 12:
        return np.arange(first, last + 2) - 0.5, [str(k) for k in range(first, last + 1)]
    edges = np.linspace(low, high if high > low else low + 1, 8)
    return edges, [f"{(a + b) / 2:.2g}" for a, b in itertools.pairwise(edges)]


def _confusion(p):
    size = len(p.names)
    if size > _MAX_CLASSES:
        raise LeftOut(f"a matrix of {size} classes cannot be read; predictions_{p.split}.csv holds every sample")
    true, predicted = p.labels.astype(int), p.predicted.astype(int)
    if min(true.min(), predicted.min()) < 0 or max(true.max(), predicted.max()) >= size:
        raise ValueError(f"a class is not one of {size}")
    counts = np.zeros((size, size), int)
    np.add.at(counts, (true, predicted), 1)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = [class_name(p.names, k) for k in range(size)]
    rows = [
        (names[k], [(int(counts[k, j]), f"{100 * shares[k, j]:.0f}", *_shade(shares[k, j])) for j in range(size)])
        for k in range(size)
    ]
    return {"kind": "classification", "names": names, "matrix": rows}


def _shade(share):
    """Colours of a cell and of its text: white to dark blue, whose contrast is at least 4.5 everywhere."""
    mixed = [round(255 + (dark - 255) * share) for dark in (0, 75, 117)]
    return f"rgb({mixed[0]}, {mixed[1]}, {mixed[2]})", "#fff" if share > 0.7 else "#000"


def _counts(p):
    rows = []
    for k, name in enumerate(p.names):
        true, predicted = p.labels[:, k] > 0.5, p.predicted[:, k] > 0.5
        both = int(np.sum(true & predicted))
        rows.append(
            [
                name,
                *(str(int(values.sum())) for values in (true, predicted)),
                str(both),
                *(f"{100 * both / n:.1f}" if n else "undefined" for n in (predicted.sum(), true.sum())),
                str(len(true)),
            ]
        )
    header = ["label", "have it", "predicted", "both", "precision %", "recall %", "n"]
    return {"kind": "multilabel", "table": Table(header, rows, ["A label is predicted at a probability above 0.5."])}


def calibration_of(predictions) -> dict:
    """Classes and labels: a reliability diagram with the calibration error; regression: mean label by prediction."""
    p = predictions
    if p.labels is None:
        raise LeftOut(f"the samples of {p.split} have no labels")
    if not get_task(p.task).has_classes:
        return {"split": p.split, **_value_calibration(p)}
    if p.probabilities is None:
        raise LeftOut(f"predictions_{p.split}.csv holds no probabilities: this run is of an earlier version")
    return {"split": p.split, **(_label_calibration(p) if p.task == "multilabel" else _class_calibration(p))}


def _value_calibration(p):
    bins = calibration.value_bins(p.predicted, p.labels)
    told = "Mean true label by prediction"
    rows = [
        [f"{low:.2f} to {high:.2f}", f"{predicted:.3f}", f"{true:.3f}", _half(half), str(n)]
        for low, high, predicted, true, half, n in zip(
            bins.low, bins.high, bins.predicted, bins.true, bins.interval, bins.count, strict=True
        )
    ]
    return {
        "kind": "regression",
        "figure": figures.reliability(bins, "calibration", told, ("prediction", "mean true label")),
        "table": Table(["predictions", "mean prediction", "mean true label", "±", "n"], rows),
    }


def _half(value):
    return "undefined" if np.isnan(value) else f"{value:.3f}"


def _class_calibration(p):
    bins = calibration.probability_bins(p.probabilities.max(axis=1), p.predicted == p.labels)
    drawn = figures.reliability(
        bins, "calibration", "Accuracy by predicted probability", ("probability of the predicted class", "accuracy")
    )
    return {
        "kind": "classification",
        "figure": drawn,
        "table": _bin_table(bins, "accuracy %"),
        "error": f"{100 * bins.error:.1f}",
        "n": len(p.ids),
    }


def _label_calibration(p):
    bins = calibration.probability_bins(p.probabilities.ravel(), p.labels.ravel() > 0.5)
    drawn = figures.reliability(
        bins, "calibration", "Share of samples with a label by its probability", ("probability", "share with the label")
    )
    each = [calibration.probability_bins(p.probabilities[:, k], p.labels[:, k] > 0.5) for k in range(len(p.names))]
    rows = [[name, f"{100 * one.error:.1f}", str(len(p.ids))] for name, one in zip(p.names, each, strict=True)]
    return {
        "kind": "multilabel",
        "figure": drawn,
        "table": _bin_table(bins, "share with the label %"),
        "error": f"{100 * bins.error:.1f}",
        "n": p.labels.size,
        "labels": Table(["label", "ECE %", "n"], rows),
    }


def _bin_table(bins, happened):
    rows = [
        [f"{low:.1f} to {high:.1f}", f"{100 * predicted:.1f}", f"{100 * true:.1f}", str(n)]
        for low, high, predicted, true, n in zip(
            bins.low, bins.high, bins.predicted, bins.true, bins.count, strict=True
        )
    ]
    return Table(["probability", "mean probability %", happened, "n"], rows)
