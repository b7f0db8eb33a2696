"""Metrics of a whole split, in float64 numpy, with the field's conventions side by side.

`has0` and `non0` are the two ACC-2 conventions of the literature: with neutral samples counted as non-negative, and
without them. MULT and MISA compute F1 with swapped arguments, MAG-BERT takes `>= 0` and leaves neutral samples
out of every metric: their printed figures do not compare with these. CH-SIMS has a scale and bins of its own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

# A variance below this share of the mean square is rounding noise: the input counts as constant and its correlation as
# undefined. Float32 values that differ in their last bit alone are near 1e-14.
CONSTANT = {"float64": 1e-12, "float32": 1e-6}


def sentiment_report(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float | int | None]:
    """Compute the metrics of a sentiment regression over a whole split, in float64.

    The mean absolute error takes raw, unclipped values. `acc7` and `acc5` compare values clipped to
    ±3 and ±2 and rounded half to even. "has0" cuts all samples at `>= 0`; "non0" leaves out samples
    whose label is exactly zero and cuts at `> 0`. F1 is weighted by the support in the labels.

    Args:
        y_true: array `[N]` or `[N, 1]`. The labels, on their data set's scale.
        y_pred: array `[N]` or `[N, 1]`. The predictions.

    Returns:
        A dict with `mae, corr, acc7, acc5, acc2_has0, f1_has0, acc2_non0, f1_non0` (floats,
        accuracy and F1 as fractions of 1) and `n, n_non0` (ints). An undefined value is `None`:
        `corr` where either side is constant, the non0 pair where every label is zero.

    Raises:
        ValueError: the lengths differ, or an argument is not `[N]`, empty or not finite.

    Example:

    >>> sentiment_report([-2.0, 0.0, 1.6], [-1.0, 0.2, 2.4])["acc2_non0"]
    1.0

    Reference: the columns of the paper's Tables 1 and 2; Hazarika et al. 2020 for the two ACC-2 conventions.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    report = {"mae": float(np.mean(np.abs(y_pred - y_true))), "corr": correlation(y_true, y_pred)}
    for name, limit in (("acc7", 3), ("acc5", 2)):
        true, pred = (np.rint(np.clip(values, -limit, limit)) for values in (y_true, y_pred))
        report[name] = float(np.mean(true == pred))
    nonzero = y_true != 0
    for convention, true, pred in (
        ("has0", y_true >= 0, y_pred >= 0),
        ("non0", y_true[nonzero] > 0, y_pred[nonzero] > 0),
    ):
        report[f"acc2_{convention}"] = float(np.mean(true == pred)) if true.size else None
        report[f"f1_{convention}"] = _f1(true, pred)[0] if true.size else None
    return {**report, "n": int(y_true.size), "n_non0": int(nonzero.sum())}


def regression_report(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float | int | None]:
    """Compute the metrics of a regression on a scale without a zero in it, over a whole split, in float64.

    No accuracy is among them: such a scale says nothing of signs or bins.

    Args:
        y_true: array `[N]` or `[N, 1]`. The labels.
        y_pred: array `[N]` or `[N, 1]`. The predictions.

    Returns:
        A dict with `mae, corr, r2` (floats) and `n` (int). `r2` is the coefficient of determination, 1 minus the
        residual sum of squares over that of the labels about their mean; it is `None` where the labels are constant,
        and `corr` where either side is.

    Raises:
        ValueError: the lengths differ, or an argument is not `[N]`, empty or not finite.

    Example:

    >>> regression_report([1.0, 3.0, 5.0], [2.0, 3.0, 4.0])["r2"]
    0.75
    """
    y_true, y_pred = _pair(y_true, y_pred)
    error, spread = y_pred - y_true, y_true - y_true.mean()
    is_constant = spread @ spread <= CONSTANT["float64"] * (y_true @ y_true)
    return {
        "mae": float(np.mean(np.abs(error))),
        "corr": correlation(y_true, y_pred),
        "r2": None if is_constant else float(1 - error @ error / (spread @ spread)),
        "n": int(y_true.size),
    }


# The inner edges of MMSA's bins for SIMS and SIMSv2. A bin is open below and closed above: 0 is negative.
SIMS_EDGES = {"acc2": (0.0,), "acc3": (-0.1, 0.1), "acc5": (-0.7, -0.1, 0.1, 0.7)}


def sims_report(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float | int | None]:
    """Compute the metrics of a sentiment regression on the scale of SIMS and SIMSv2, as MMSA defines them.

    Labels and predictions are clipped to [-1, 1] before anything else. Two classes are cut at 0, with 0 in the
    negative one; three at -0.1 and 0.1; five at -0.7, -0.1, 0.1 and 0.7, a value on a cut belonging to the class
    below. F1 is that of the two classes, weighted by the support in the labels.

    Args:
        y_true: array `[N]` or `[N, 1]`. The labels.
        y_pred: array `[N]` or `[N, 1]`. The predictions.

    Returns:
        A dict with `mae, corr, acc2, f1, acc3, acc5` (floats) and `n` (int). `corr` is `None` where either side is
        constant.

    Raises:
        ValueError: the lengths differ, or an argument is not `[N]`, empty or not finite.

    Example:

    >>> sims_report([-0.8, 0.0, 0.6], [-0.6, 0.1, 1.4])["acc3"]
    1.0

    Reference: `__eval_sims_regression` of MMSA; F1 with the labels first, as it is since 2021-04-28.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    y_true, y_pred = np.clip(y_true, -1, 1), np.clip(y_pred, -1, 1)
    report = {"mae": float(np.mean(np.abs(y_pred - y_true))), "corr": correlation(y_true, y_pred)}
    for name, edges in SIMS_EDGES.items():
        # In float32, which labels come in: its 0.1 is above the float64 one, and would change class.
        true, pred = (
            np.searchsorted(np.float32(edges), values.astype("float32"), side="left") for values in (y_true, y_pred)
        )
        report[name] = float(np.mean(true == pred))
        if name == "acc2":
            report["f1"] = _f1(true, pred)[0]
    return {**report, "n": int(y_true.size)}


def classification_report(y_true: ArrayLike, y_pred: ArrayLike) -> dict[str, float | int | None]:
    """Compute accuracy and F1 of a classification over a whole split.

    Args:
        y_true: int array `[N]`. The class of each sample, from 0.
        y_pred: int array `[N]` of classes, or float array `[N, C]` of probabilities (or any
            scores), of which the largest counts; the first one where several are equal.

    Returns:
        A dict with `accuracy, f1_weighted, f1_macro` (floats) and `n` (int). The macro mean is over
        the classes that occur in `y_true` or among the predictions, as in scikit-learn.

    Raises:
        ValueError: the lengths differ, an argument is empty or not finite, or classes are not
            whole numbers from 0 (below `C`).

    Example:

    >>> classification_report([0, 1], [[0.9, 0.1], [0.2, 0.8]])["accuracy"]
    1.0
    """
    scores = np.asarray(y_pred)
    num_classes = np.inf
    if scores.ndim == 2:
        num_classes = scores.shape[1]
        if num_classes < 2:
            raise ValueError(
                "`y_pred` must be classes [N] or probabilities [N, C] with C of at least 2. "
                f"Received: y_pred.shape={scores.shape}"
            )
        _check_values("y_pred", scores)
        y_pred = np.argmax(scores, axis=1)
    y_true, y_pred = _pair(y_true, y_pred)
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        wrong = (values != np.rint(values)) | (values < 0) | (values >= num_classes)
        if wrong.any():
            raise ValueError(
                f"`{name}` must hold whole class numbers from 0, below the number of columns of "
                f"`y_pred`. Received: {values[wrong][0]} at position {np.flatnonzero(wrong)[0]}"
            )
    weighted, macro = _f1(y_true, y_pred)
    accuracy = float(np.mean(y_true == y_pred))
    return {"accuracy": accuracy, "f1_weighted": weighted, "f1_macro": macro, "n": y_true.size}


def multilabel_report(
    y_true: ArrayLike, y_pred: ArrayLike, label_names: Sequence[str] | None = None
) -> dict[str, float | int | None]:
    """Compute the metrics of a multi-label classification over a whole split, each label at probability 0.5.

    Per label: accuracy; weighted accuracy, `(TP * N / P + TN) / (2 N)` with `P` positive and `N` negative samples, the
    mean of the recalls of both; F1 of the positive class; and F1 of both classes weighted by their support.

    Args:
        y_true: array `[N, L]` of 0 and 1.
        y_pred: array `[N, L]` of probabilities, or of 0 and 1.
        label_names: names of the labels. Defaults to their numbers.

    Returns:
        A dict with `accuracy, wa, f1, f1_weighted` (floats; means over the labels), the same per label, e.g.
        `accuracy_<label>`, and `n` and `undefined_labels` (ints). All but the accuracy is `None` for a label of which
        every sample is positive, or none; the means leave such labels out, and `undefined_labels` counts them.

    Raises:
        ValueError: the shapes differ, or an argument is not `[N, L]`, empty or not finite, or `y_true` has other values
            than 0 and 1.

    Example:

    >>> report = multilabel_report([[1, 0], [0, 1], [1, 0]], [[0.9, 0.2], [0.1, 0.4], [0.7, 0.3]], ["joy", "anger"])
    >>> report["accuracy_joy"], report["wa_anger"], round(report["accuracy"], 3)
    (1.0, 0.5, 0.833)

    Reference: Zadeh et al. 2018 (CMU-MOSEI) for the weighted accuracy.
    """
    y_true, y_pred = np.asarray(y_true, "float64"), np.asarray(y_pred, "float64")
    if y_true.ndim != 2 or y_true.shape != y_pred.shape:
        raise ValueError(
            "`y_true` and `y_pred` must have the same shape [N, L]. "
            f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        )
    for name, values in (("y_true", y_true), ("y_pred", y_pred)):
        _check_values(name, values)
    if (other := y_true[(y_true != 0) & (y_true != 1)]).size:
        raise ValueError(f"`y_true` must hold 0 and 1. Received: {other[0]:g}")
    names = list(label_names or map(str, range(y_true.shape[1])))
    if len(names) != y_true.shape[1]:
        raise ValueError(f"`label_names` must name {y_true.shape[1]} labels. Received: label_names={names}")
    found = {metric: {} for metric in ("accuracy", "wa", "f1", "f1_weighted")}
    for name, true, pred in zip(names, y_true.T > 0.5, y_pred.T > 0.5, strict=True):
        found["accuracy"][name] = float(np.mean(true == pred))
        is_defined = 0 < true.sum() < true.size
        found["wa"][name] = float((np.mean(pred[true]) + np.mean(~pred[~true])) / 2) if is_defined else None
        hits = 2.0 * np.sum(true & pred)
        found["f1"][name] = float(hits / (true.sum() + pred.sum())) if is_defined else None
        found["f1_weighted"][name] = _f1(true, pred)[0] if is_defined else None
    report = {}
    for metric, values in found.items():
        defined = [value for value in values.values() if value is not None]
        report[metric] = float(np.mean(defined)) if defined else None
    for name in names:
        report |= {f"{metric}_{name}": values[name] for metric, values in found.items()}
    undefined = sum(value is None for value in found["wa"].values())
    return {**report, "n": len(y_true), "undefined_labels": undefined}


def _check_values(name, values):
    if values.size == 0:
        raise ValueError(f"`{name}` must not be empty. Received: shape={values.shape}")
    bad = np.flatnonzero(~np.isfinite(values))
    if bad.size:
        received = f"{values.ravel()[bad[0]]} at position {bad[0]}, {bad.size} such values"
        raise ValueError(f"`{name}` must be finite. Received: {received}")


def _numpy_vector(name, values):
    values = np.asarray(values, dtype="float64")
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        raise ValueError(f"`{name}` must have the shape [N]. Received: shape={values.shape}")
    _check_values(name, values)
    return values


def _pair(y_true, y_pred):
    y_true, y_pred = _numpy_vector("y_true", y_true), _numpy_vector("y_pred", y_pred)
    if y_true.shape != y_pred.shape:
        raise ValueError(
            "`y_true` and `y_pred` must have the same length. "
            f"Received: y_true.shape={y_true.shape}, y_pred.shape={y_pred.shape}"
        )
    return y_true, y_pred


def correlation(x: np.ndarray, y: np.ndarray) -> float | None:
    """Pearson's correlation of two float64 arrays `[N]`, or None where one of them is constant."""
    dx, dy = x - x.mean(), y - y.mean()
    if any(d @ d <= CONSTANT["float64"] * (v @ v) for d, v in ((dx, x), (dy, y))):
        return None
    return float(np.clip(dx @ dy / np.sqrt((dx @ dx) * (dy @ dy)), -1.0, 1.0))


def _f1(true, pred):
    """Return the F1 weighted by the support in `true`, and the macro F1."""
    classes = np.union1d(true, pred)
    is_true, is_pred = true == classes[:, None], pred == classes[:, None]
    support = is_true.sum(axis=1)
    # A class of the union occurs on one side at least: the denominator is never zero.
    scores = 2.0 * (is_true & is_pred).sum(axis=1) / (support + is_pred.sum(axis=1))
    return float(scores @ support / support.sum()), float(scores.mean())
