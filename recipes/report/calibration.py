"""Calibration: how far predicted probabilities, or values, are what the labels say on average."""

import dataclasses

import numpy as np

# Half the width of a 95 % interval, in standard errors of a mean.
_NORMAL = 1.96


@dataclasses.dataclass(frozen=True)
class Bins:
    """Bins of predictions.

    Attributes:
        low, high: `[B]`, the least and the largest prediction of each bin, or its edges.
        count: `[B]` int, samples in each.
        predicted: `[B]`, mean prediction.
        true: `[B]`, mean of what is true of them: the label, or 1 where the prediction is right.
        interval: `[B]`, half of the 95 % interval of `true`; NaN in a bin of one sample. None: of probabilities.
    """

    low: np.ndarray
    high: np.ndarray
    count: np.ndarray
    predicted: np.ndarray
    true: np.ndarray
    interval: np.ndarray | None = None

    @property
    def error(self) -> float:
        """The expected calibration error: mean distance of `predicted` and `true`, weighted by the samples."""
        return float(np.sum(self.count * np.abs(self.predicted - self.true)) / self.count.sum())


def probability_bins(probabilities, happened, bins=10) -> Bins:
    """Bins of equal width of probabilities in [0, 1]; empty bins are left out.

    Args:
        probabilities: `[N]`.
        happened: `[N]` bool, whether what was predicted with this probability is true.
        bins: number of bins.
    """
    probabilities, happened = np.asarray(probabilities, "float64"), np.asarray(happened, "float64")
    places = np.clip(np.floor(probabilities * bins).astype(int), 0, bins - 1)
    count = np.bincount(places, minlength=bins)
    used = np.flatnonzero(count)
    mean = [np.bincount(places, values, minlength=bins)[used] / count[used] for values in (probabilities, happened)]
    return Bins(used / bins, (used + 1) / bins, count[used], *mean)


def value_bins(predicted, labels, bins=10) -> Bins:
    """Bins of equally many samples by predicted value, ten samples or more each where there are as many.

    Args:
        predicted, labels: `[N]`.
        bins: number of bins, at most.
    """
    order = np.argsort(predicted, kind="stable")
    parts = np.array_split(order, int(np.clip(len(order) // 10, 1, bins)))
    errors = [_NORMAL * np.std(labels[p], ddof=1) / np.sqrt(len(p)) if len(p) > 1 else np.nan for p in parts]
    return Bins(
        low=np.array([predicted[p].min() for p in parts]),
        high=np.array([predicted[p].max() for p in parts]),
        count=np.array([len(p) for p in parts]),
        predicted=np.array([predicted[p].mean() for p in parts]),
        true=np.array([labels[p].mean() for p in parts]),
        interval=np.array(errors),
    )
