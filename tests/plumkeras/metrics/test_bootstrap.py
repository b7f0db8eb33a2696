"""Bootstrap intervals, against the theory where there is one, and the metrics as functions of sums."""

import numpy as np
import pytest

from plumkeras.metrics import bootstrap_interval, paired_bootstrap, report_metrics
from plumkeras.metrics.bootstrap import SEEDS_TO_RESAMPLE

MAE = report_metrics("sentiment")["mae"]


def of_kind(kind, n, rng):
    """Labels and predictions of `n` samples, with ties, zeros and constant parts."""
    if kind == "classification":
        return rng.integers(0, 4, n), rng.integers(0, 5, n)
    if kind == "multilabel":
        return (rng.random((n, 5)) < 0.3).astype("int32"), rng.random((n, 5)).astype("float32")
    labels = np.clip(np.rint(rng.normal(0, 1.5, n) / 0.2) * 0.2, -3, 3)
    predictions = np.where(rng.random(n) < 0.2, 0, labels + rng.normal(size=n))
    scale, shift = {"sentiment": (1, 0), "sims": (1 / 3, 0), "scale": (1, 4)}[kind]
    return tuple((scale * values + shift).astype("float32") for values in (labels, predictions))


@pytest.mark.parametrize("kind", ["sentiment", "sims", "scale", "classification", "multilabel"])
def test_a_metric_of_sums_is_that_of_the_report_on_every_resample(kind):
    rng, undefined = np.random.default_rng(0), 0
    for n in (2, 3, 6, 40) * 8:
        labels, predictions = of_kind(kind, n, rng)
        drawn = rng.integers(n, size=n)
        counts = np.bincount(drawn, minlength=n)[None].astype("float64")
        for name, metric in report_metrics(kind).items():
            expected = metric(labels[drawn], predictions[drawn])
            with np.errstate(invalid="ignore", divide="ignore"):
                found = metric.value(counts @ metric.terms(labels, predictions))
            undefined += expected is None
            assert found == pytest.approx([np.nan if expected is None else expected], abs=1e-12, nan_ok=True), name
    # A class or a sign that a resample lacks is what sums get wrong first.
    assert undefined > 0 or kind == "classification"


def test_the_interval_of_a_mean_difference_is_that_of_normal_theory():
    rng = np.random.default_rng(1)
    first, second = np.abs(rng.normal(1.0, 0.3, 500)), np.abs(rng.normal(0.98, 0.3, 500))
    found = paired_bootstrap(MAE, np.zeros(500), first, second, resamples=20000)
    difference = second - first
    margin = 1.96 * difference.std(ddof=1) / np.sqrt(500)
    assert found.difference == pytest.approx(difference.mean())
    assert (found.low, found.high) == pytest.approx(
        (difference.mean() - margin, difference.mean() + margin), abs=0.05 * margin
    )
    assert (found.n, found.groups, found.seeds, found.undefined) == (500, None, (1, 1), 0)


def test_any_function_gives_what_its_sums_give():
    labels, first = of_kind("sentiment", 60, np.random.default_rng(2))
    second, groups = first + np.float32(0.3), np.arange(60) // 4
    for name in ("mae", "corr", "f1_non0"):
        metric = report_metrics("sentiment")[name]
        by_sums = paired_bootstrap(metric, labels, first, second, groups, resamples=50)
        by_calls = paired_bootstrap(lambda *given, m=metric: m(*given), labels, first, second, groups, resamples=50)
        assert (by_sums.low, by_sums.high) == pytest.approx((by_calls.low, by_calls.high), abs=1e-12)


def covered(draw, truth, **options):
    """In how many of 200 experiments the interval holds the truth; `draw` makes one from a generator."""
    rng = np.random.default_rng(3)
    found = [paired_bootstrap(MAE, *draw(rng), resamples=300, **options) for _ in range(200)]
    return sum(one.low <= truth <= one.high for one in found) / len(found)


def test_intervals_hold_the_truth_as_often_as_they_say():
    def draw(rng):
        return np.zeros(60), rng.uniform(0, 2, 60), rng.uniform(0.5, 2.5, 60)

    assert 0.91 < covered(draw, 0.5) < 0.98


def test_samples_of_a_video_are_drawn_together():
    rng, videos = np.random.default_rng(4), np.repeat(np.arange(30), 8)

    def draw(rng):
        return np.zeros(240), np.repeat(rng.uniform(0, 2, 30), 8), np.repeat(rng.uniform(0, 2, 30), 8)

    labels, first, second = draw(rng)
    alone = paired_bootstrap(MAE, labels, first, second)
    together = paired_bootstrap(MAE, labels, first, second, groups=videos)
    # Eight copies of a sample say no more than one: the interval is the square root of 8 wider.
    assert (together.high - together.low) / (alone.high - alone.low) == pytest.approx(np.sqrt(8), rel=0.1)
    assert together.groups == 30 and together.difference == alone.difference
    assert covered(draw, 0.0, groups=videos) > 0.88 > 0.7 > covered(draw, 0.0)


def test_seeds_are_drawn_where_there_are_enough():
    def draw(rng, seeds=5):
        """Networks of one method differ far more than samples do."""
        sides = (np.abs(rng.normal(2, 0.3, (seeds, 1)) + rng.normal(0, 0.05, (seeds, 40))) for _ in range(2))
        return np.zeros(40), *sides

    assert covered(draw, 0.0) > 0.8 > 0.5 > covered(draw, 0.0, resample_seeds=False)
    labels, first, second = draw(np.random.default_rng(5), SEEDS_TO_RESAMPLE)
    found = paired_bootstrap(MAE, labels, first, second[:2])
    assert found.resampled_seeds == (True, False) and found.seeds == (3, 2)
    assert paired_bootstrap(MAE, labels, first, second[:2], resample_seeds=True).resampled_seeds == (True, True)
    assert found.first == np.mean([MAE(labels, one) for one in first])


def test_equal_predictions_show_no_difference_and_unequal_ones_do():
    labels = np.linspace(-3, 3, 50)
    same = paired_bootstrap(MAE, labels, labels + 0.5, labels + 0.5)
    assert (same.low, same.high, same.is_shown) == (0, 0, False)
    assert paired_bootstrap(MAE, labels, labels + 0.5, labels + 0.1).is_shown
    rounded = paired_bootstrap(MAE, labels, labels + 0.5, labels + 0.5 + 1e-8)
    assert rounded.low > 0 and not rounded.is_shown


def test_what_is_undefined_is_left_out_and_counted():
    corr = report_metrics("sentiment")["corr"]
    labels, predictions = np.array([0.0, 0.0, 0.0, 1.0]), np.array([0.1, 0.3, 0.0, 0.9])
    found = bootstrap_interval(corr, labels, predictions, resamples=4000)
    assert found.undefined / 4000 == pytest.approx(0.75**4 + 0.25**4, abs=0.03) and found.low < found.value
    constant = paired_bootstrap(corr, labels, predictions, np.ones(4))
    assert (constant.second, constant.difference, constant.low, constant.is_shown) == (None, None, None, False)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"first": np.zeros(5)}, "`first`"),
        ({"second": np.zeros((2, 3, 4))}, "`second`"),
        ({"labels": np.zeros(1)}, "at least 2"),
        ({"groups": np.zeros(4)}, "two groups or more"),
        ({"groups": [1, 2]}, "each of 4 labels"),
        ({"resamples": 0}, "`resamples`"),
        ({"level": 95}, "`level`"),
    ],
)
def test_bad_arguments_are_named(given, told):
    fitting = {"labels": np.zeros(4), "first": np.zeros(4), "second": np.zeros(4)}
    with pytest.raises(ValueError, match=told):
        paired_bootstrap(MAE, **{**fitting, **given})
