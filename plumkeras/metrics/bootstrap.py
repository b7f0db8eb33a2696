"""Bootstrap intervals of metrics, and of the difference between two predictions of the same samples.

Samples are drawn anew, with replacement, the same ones for both predictions; or whole groups of them, such as videos,
whose samples are alike. Intervals are percentiles of what the metric is on the draws.

A mean over three or more seeds has the seeds drawn anew too, for each side on its own: S - 1 of S, so that the variance
of their mean is estimated without bias. With fewer seeds an interval is about these networks alone.

References: Efron & Tibshirani 1993, chapter 13 (percentile intervals); Koehn 2004 (pairs); Davison & Hinkley 1997,
section 3.8, and Cameron, Gelbach & Miller 2008 (groups); McCarthy & Snowden 1985 (S - 1 of S).
"""

import dataclasses
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike

from plumkeras.arguments import known_arguments_only
from plumkeras.metrics.sums import SumMetric

# Seeds are drawn anew from this number on, unless a caller says otherwise.
SEEDS_TO_RESAMPLE = 3
# Differences of a smaller share of the metric come from the rounding of predictions in float32.
_ROUNDING = 1e-6
# Counts of this many numbers are made at a time.
_BLOCK = 2**22


@known_arguments_only()
@dataclasses.dataclass(frozen=True)
class BootstrapInterval:
    """A metric with its interval.

    Attributes:
        value: float, the mean over seeds; `None` where it is undefined.
        low, high: floats, the ends of the interval; `None` where there is none.
        level: float, the share of the draws that lies in it.
        n: int, samples.
        groups: int, groups that were drawn; `None`: samples were.
        seeds: int.
        resampled_seeds: whether the seeds were drawn anew too.
        resamples: int, draws.
        undefined: int, draws on which the metric was undefined, and which were left out.
    """

    value: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    groups: int | None
    seeds: int
    resampled_seeds: bool
    resamples: int
    undefined: int


@known_arguments_only()
@dataclasses.dataclass(frozen=True)
class PairedDifference:
    """The difference in a metric between two predictions of the same samples, with its interval.

    Attributes:
        first, second: floats, the metric of each, the mean over its seeds; `None` where it is undefined.
        difference: float, `second - first`, or `None`.
        low, high: floats, the ends of the interval of the difference; `None` where there is none.
        level: float, the share of the draws that lies in it.
        n: int, samples.
        groups: int, groups that were drawn; `None`: samples were.
        seeds: ints, how many of the first and of the second.
        resampled_seeds: bools, whether those of the first and of the second were drawn anew too.
        resamples: int, draws.
        undefined: int, draws on which the metric was undefined, and which were left out.
    """

    first: float | None
    second: float | None
    difference: float | None
    low: float | None
    high: float | None
    level: float
    n: int
    groups: int | None
    seeds: tuple[int, int]
    resampled_seeds: tuple[bool, bool]
    resamples: int
    undefined: int

    @property
    def is_shown(self) -> bool:
        """Whether the interval leaves out 0, and the difference is more than rounding."""
        if self.low is None or abs(self.difference) <= _ROUNDING * max(abs(self.first), abs(self.second)):
            return False
        return self.low > 0 or self.high < 0


def paired_bootstrap(
    metric: Callable,
    labels: ArrayLike,
    first: ArrayLike,
    second: ArrayLike,
    groups: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    resample_seeds: bool | None = None,
) -> PairedDifference:
    """Compares two predictions of the same samples by a metric.

    Args:
        metric: callable from labels and predictions to a float, or `None` where it is undefined. One of
            `report_metrics` takes milliseconds; any other is called once for each draw and seed.
        labels: array `[N]` or `[N, L]`.
        first, second: predictions, of the labels' shape; of several seeds with an axis in front, `[S, N]` or
            `[S, N, L]`. The metric of a side is the mean of its seeds' metrics.
        groups: array `[N]` or None. What each sample belongs to, such as its video; whole groups are drawn.
        resamples: int. Draws. Defaults to `2000`.
        seed: int. Of the draws.
        level: float between 0 and 1. Defaults to `0.95`.
        resample_seeds: whether seeds are drawn too, of each side that has two or more. None: of each side that has
            three or more.

    Returns:
        `PairedDifference`.

    Raises:
        ValueError: shapes do not fit, there are fewer than two samples or groups, or an argument is out of its range.

    Example:

    >>> import numpy as np
    >>> from plumkeras.metrics import report_metrics
    >>> labels = np.linspace(-3, 3, 200)
    >>> shift = np.where(np.arange(200) % 2, 0.4, 0.5)
    >>> found = paired_bootstrap(report_metrics("sentiment")["mae"], labels, labels + shift, labels + 0.2)
    >>> round(found.difference, 3), found.is_shown
    (-0.25, True)
    """
    sides = (("first", first), ("second", second))
    values, drawn, facts = _bootstrap(metric, labels, sides, groups, resamples, seed, level, resample_seeds)
    seeds, resampled_seeds = facts.pop("seeds"), facts.pop("resampled_seeds")
    difference = None if None in values else values[1] - values[0]
    low, high, undefined = _interval(drawn[1] - drawn[0], level, difference)
    return PairedDifference(
        *values, difference, low, high, seeds=seeds, resampled_seeds=resampled_seeds, undefined=undefined, **facts
    )


def bootstrap_interval(
    metric: Callable,
    labels: ArrayLike,
    predictions: ArrayLike,
    groups: ArrayLike | None = None,
    resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
    resample_seeds: bool | None = None,
) -> BootstrapInterval:
    """The interval of a metric of one prediction.

    Args:
        predictions: as `first` of `paired_bootstrap`.
        metric, labels, groups, resamples, seed, level, resample_seeds: as in `paired_bootstrap`.

    Returns:
        `BootstrapInterval`.

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    sides = (("predictions", predictions),)
    (value,), (drawn,), facts = _bootstrap(metric, labels, sides, groups, resamples, seed, level, resample_seeds)
    (seeds,), (resampled_seeds,) = facts.pop("seeds"), facts.pop("resampled_seeds")
    low, high, undefined = _interval(drawn, level, value)
    return BootstrapInterval(
        value, low, high, seeds=seeds, resampled_seeds=resampled_seeds, undefined=undefined, **facts
    )


def _bootstrap(metric, labels, sides, groups, resamples, seed, level, resample_seeds):
    """The metric of each side, its values `[R]` on the draws, and the facts that a result states."""
    labels = np.asarray(labels)
    if labels.ndim not in (1, 2) or len(labels) < 2:
        raise ValueError(
            f"`labels` must have the shape [N] or [N, L] with N of at least 2. Received: labels.shape={labels.shape}"
        )
    if resamples < 1:
        raise ValueError(f"`resamples` must be at least 1. Received: resamples={resamples!r}")
    if not 0 < level < 1:
        raise ValueError(f"`level` must be between 0 and 1. Received: level={level!r}")
    units, count = _units(groups, len(labels))
    predictions = [_by_seed(name, given, labels) for name, given in sides]
    of_samples, of_seeds = map(np.random.default_rng, np.random.SeedSequence(seed).spawn(2))
    values = [_mean([metric(labels, one) for one in by_seed]) for by_seed in predictions]
    evaluators = [[_evaluator(metric, labels, one, units, count) for one in by_seed] for by_seed in predictions]
    drawn = [np.empty((len(by_seed), resamples)) for by_seed in predictions]
    for start in range(0, resamples, block := max(1, _BLOCK // count)):
        rows = slice(start, min(start + block, resamples))
        counts = _draw(count, rows.stop - rows.start, of_samples)
        for found, by_seed in zip(drawn, evaluators, strict=True):
            for number, evaluate in enumerate(by_seed):
                found[number, rows] = evaluate(counts)
    least = {None: SEEDS_TO_RESAMPLE, True: 2, False: np.inf}[resample_seeds]
    resampled = tuple(len(found) >= least for found in drawn)
    means = [_mean_over_seeds(found, of_seeds if drew else None) for found, drew in zip(drawn, resampled, strict=True)]
    facts = {
        "level": level,
        "n": len(labels),
        "groups": None if groups is None else count,
        "seeds": tuple(map(len, drawn)),
        "resampled_seeds": resampled,
        "resamples": resamples,
    }
    return values, means, facts


def _units(groups, n):
    """The number of the group of each sample, `None` where each is its own; and how many there are."""
    if groups is None:
        return None, n
    groups = np.asarray(groups)
    if groups.shape != (n,):
        raise ValueError(f"`groups` must name a group for each of {n} labels. Received: groups.shape={groups.shape}")
    names, units = np.unique(groups, return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"`groups` must hold two groups or more. Received: {names[0]!r} alone")
    return units.reshape(-1), len(names)


def _by_seed(name, predictions, labels):
    """The predictions with the axis of seeds."""
    predictions = np.asarray(predictions)
    by_seed = predictions[None] if predictions.shape == labels.shape else predictions
    if by_seed.shape[1:] != labels.shape or not len(by_seed):
        raise ValueError(
            f"`{name}` must have the shape of the labels, {labels.shape}, or an axis of seeds in front. "
            f"Received: {name}.shape={predictions.shape}"
        )
    return by_seed


def _draw(count, rows, generator):
    """How often each of `count` is drawn when `count` are drawn with replacement: float64 `[rows, count]`."""
    drawn = generator.integers(count, size=(rows, count)) + count * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * count).reshape(rows, count).astype("float64")


def _evaluator(metric, labels, predictions, units, count):
    """A function from counts `[R, count]` to the metric `[R]` on these draws, NaN where it is undefined."""
    if isinstance(metric, SumMetric):
        sums = metric.terms(labels, predictions)
        if units is not None:
            sums = np.stack([np.bincount(units, column, minlength=count) for column in sums.T], axis=1)

        def evaluate(counts):
            # What is undefined somewhere is NaN there.
            with np.errstate(invalid="ignore", divide="ignore"):
                return metric.value(counts @ sums)

        return evaluate

    def evaluate_each(counts):
        found = []
        for row in counts.astype("int64"):
            taken = np.repeat(np.arange(len(labels)), row if units is None else row[units])
            found.append(metric(labels[taken], predictions[taken]))
        return np.array([np.nan if value is None else value for value in found], "float64")

    return evaluate_each


def _mean_over_seeds(values, generator):
    """The mean `[R]` of values `[S, R]`; with a generator, of S - 1 seeds drawn for each column."""
    seeds, resamples = values.shape
    if generator is None:
        return values.mean(axis=0)
    picked = generator.integers(seeds, size=(seeds - 1, resamples))
    return np.take_along_axis(values, picked, axis=0).mean(axis=0)


def _mean(values):
    return None if any(value is None for value in values) else float(np.mean(values))


def _interval(drawn, level, value):
    """The ends of the interval, `None` where nothing was defined, and the number of draws that were left out."""
    defined = drawn[~np.isnan(drawn)]
    undefined = len(drawn) - len(defined)
    if value is None or not len(defined):
        return None, None, undefined
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high), undefined
