"""The metrics of the reports as functions of sums over samples.

A resample of the samples is then a vector of counts, and thousands of resamples are one product of matrices.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from plumkeras.metrics import reports


@dataclasses.dataclass(frozen=True)
class SumMetric:
    """A metric of a report: `value` of the sums of `terms` over samples is, up to rounding, what the report says.

    Attributes:
        name: str. Its name in the report.
        report: callable from labels and predictions to the report, a dict.
        terms: callable from labels and predictions to a float64 array `[N, K]`.
        value: callable from sums `[..., K]` to values `[...]`; NaN where the metric is undefined.
        lower_is_better: bool.
    """

    name: str
    report: Callable
    terms: Callable
    value: Callable
    lower_is_better: bool = False

    def __call__(self, labels, predictions) -> float | None:
        return self.report(labels, predictions)[self.name]


def report_metrics(kind: str) -> dict[str, SumMetric]:
    """The metrics of a report, by name; of several labels their means.

    Args:
        kind: `"sentiment"`, `"sims"`, `"scale"` (`regression_report`), `"classification"` (of decisions, not of
            probabilities) or `"multilabel"`.

    Raises:
        KeyError: there is no such report.
    """
    report, metrics = _KINDS[kind]
    return {
        name: SumMetric(name, report, terms, value, lower_is_better=name == "mae")
        for name, (terms, value) in metrics.items()
    }


# === Shares and means ===


def _mean_of(per_sample, counted=None):
    """Terms of the mean of `per_sample(labels, predictions)` over the samples that `counted(labels)` has."""

    def terms(labels, predictions):
        rows = np.ones(len(labels)) if counted is None else np.asarray(counted(labels), "float64")
        return np.stack([per_sample(labels, predictions) * rows, rows], axis=1)

    return terms, lambda sums: _ratio(sums[..., 0], sums[..., 1])


def _ratio(above, below):
    return np.divide(above, below, out=np.full(np.shape(above), np.nan), where=below > 0)


def _error(labels, predictions):
    return np.abs(predictions.astype("float64") - labels)


def _same(classes):
    """Whether label and prediction fall into the same class of `classes(values)`."""
    return lambda labels, predictions: classes(labels) == classes(predictions)


def _rounded(limit):
    return lambda values: np.rint(np.clip(values, -limit, limit))


def _clipped(values):
    return np.clip(values, -1, 1)


def _sims_class(name):
    edges = np.float32(reports.SIMS_EDGES[name])
    return lambda values: np.searchsorted(edges, _clipped(values).astype("float32"), side="left")


def _at_least_zero(values):
    return values >= 0


def _above_zero(values):
    return values > 0


def _is_nonzero(labels):
    return labels != 0


# === Correlation and R2 ===


def _moments(values):
    """Terms of the variance: values about the mean of all, which cancel less, their squares and those of the values."""
    values = values.astype("float64")
    centred = values - values.mean()
    return centred, [centred, centred * centred, values * values]


def _variance(count, centred, squares, raw_squares):
    """The sum of squares about a resample's own mean; NaN where it is constant, as `reports.correlation` has it."""
    spread = squares - _ratio(centred * centred, count)
    return np.where(spread > reports.CONSTANT["float64"] * np.maximum(raw_squares, squares), spread, np.nan)


def _correlation_terms(labels, predictions):
    (x, of_x), (y, of_y) = _moments(labels), _moments(predictions)
    return np.stack([np.ones(len(x)), *of_x, *of_y, x * y], axis=1)


def _correlation(sums):
    count, x, xx, raw_x, y, yy, raw_y, xy = np.moveaxis(sums, -1, 0)
    variances = _variance(count, x, xx, raw_x) * _variance(count, y, yy, raw_y)
    return np.clip((xy - _ratio(x * y, count)) / np.sqrt(variances), -1.0, 1.0)


def _determination_terms(labels, predictions):
    error = _error(labels, predictions)
    return np.stack([np.ones(len(labels)), *_moments(labels)[1], error * error], axis=1)


def _determination(sums):
    count, y, yy, raw_y, squared_error = np.moveaxis(sums, -1, 0)
    return 1 - squared_error / _variance(count, y, yy, raw_y)


# === F1 ===


def _class_terms(classes, counted=None):
    """Terms of F1: for each class, whether label, prediction and both are of it, among the samples of `counted`."""

    def terms(labels, predictions):
        true, predicted = classes(labels), classes(predictions)
        every = np.union1d(true, predicted)[:, None]
        is_true, is_predicted = true == every, predicted == every
        found = np.concatenate([is_true, is_predicted, is_true & is_predicted]).T.astype("float64")
        return found if counted is None else found * counted(labels)[:, None]

    return terms


def _scores(sums):
    """Of each class the number of labels, and F1; NaN for a class that occurs on neither side."""
    true, predicted, both = np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, 0)
    return true, _ratio(2 * both, true + predicted)


def _weighted_f1(sums):
    support, scores = _scores(sums)
    return _ratio((np.nan_to_num(scores) * support).sum(axis=-1), support.sum(axis=-1))


def _macro_f1(sums):
    return _mean_of_defined(_scores(sums)[1])


def _mean_of_defined(values):
    defined = ~np.isnan(values)
    return _ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype("float64"))


def _identity(values):
    return values


# === Several labels ===


def _label_terms(labels, predictions):
    true, predicted = labels > 0.5, predictions > 0.5
    return np.concatenate([np.ones((len(true), 1)), true, predicted, true & predicted], axis=1).astype("float64")


def _over_labels(value):
    """The mean over the labels for which `value` of their counts is defined; counts are of all, TP, FP, FN and TN."""

    def mean(sums):
        count = sums[..., :1]
        true, predicted, both = np.moveaxis(sums[..., 1:].reshape(*sums.shape[:-1], 3, -1), -2, 0)
        neither = count - true - predicted + both
        return _mean_of_defined(value(both, predicted - both, true - both, neither))

    return mean


def _label_accuracy(tp, fp, fn, tn):
    return _ratio(tp + tn, tp + fp + fn + tn)


def _label_wa(tp, fp, fn, tn):
    return (_ratio(tp, tp + fn) + _ratio(tn, fp + tn)) / 2


def _label_f1(tp, fp, fn, tn):
    return np.where((tp + fn > 0) & (fp + tn > 0), _ratio(2 * tp, 2 * tp + fp + fn), np.nan)


def _label_f1_weighted(tp, fp, fn, tn):
    positives, negatives = tp + fn, fp + tn
    scores = _ratio(2 * tp, positives + tp + fp) * positives + _ratio(2 * tn, negatives + tn + fn) * negatives
    return np.where((positives > 0) & (negatives > 0), _ratio(scores, positives + negatives), np.nan)


_CORRELATION = (_correlation_terms, _correlation)
_CLASSES = _class_terms(_identity)
_KINDS = {
    "sentiment": (
        reports.sentiment_report,
        {
            "mae": _mean_of(_error),
            "corr": _CORRELATION,
            "acc7": _mean_of(_same(_rounded(3))),
            "acc5": _mean_of(_same(_rounded(2))),
            "acc2_has0": _mean_of(_same(_at_least_zero)),
            "f1_has0": (_class_terms(_at_least_zero), _weighted_f1),
            "acc2_non0": _mean_of(_same(_above_zero), _is_nonzero),
            "f1_non0": (_class_terms(_above_zero, _is_nonzero), _weighted_f1),
        },
    ),
    "sims": (
        reports.sims_report,
        {
            "mae": _mean_of(lambda labels, predictions: _error(_clipped(labels), _clipped(predictions))),
            "corr": (lambda labels, p: _correlation_terms(_clipped(labels), _clipped(p)), _correlation),
            "acc2": _mean_of(_same(_sims_class("acc2"))),
            "f1": (_class_terms(_sims_class("acc2")), _weighted_f1),
            "acc3": _mean_of(_same(_sims_class("acc3"))),
            "acc5": _mean_of(_same(_sims_class("acc5"))),
        },
    ),
    "scale": (
        reports.regression_report,
        {"mae": _mean_of(_error), "corr": _CORRELATION, "r2": (_determination_terms, _determination)},
    ),
    "classification": (
        reports.classification_report,
        {
            "accuracy": _mean_of(_same(_identity)),
            "f1_weighted": (_CLASSES, _weighted_f1),
            "f1_macro": (_CLASSES, _macro_f1),
        },
    ),
    "multilabel": (
        reports.multilabel_report,
        {
            "accuracy": (_label_terms, _over_labels(_label_accuracy)),
            "wa": (_label_terms, _over_labels(_label_wa)),
            "f1": (_label_terms, _over_labels(_label_f1)),
            "f1_weighted": (_label_terms, _over_labels(_label_f1_weighted)),
        },
    ),
}
