import json

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score

from plumkeras import metrics
from plumkeras.metrics.reports import sims_report

UNEVEN = (1, 7, 32, 3, 20, 1)
REPORT_KEYS = [
    "mae",
    "corr",
    "acc7",
    "acc5",
    "acc2_has0",
    "f1_has0",
    "acc2_non0",
    "f1_non0",
    "n",
    "n_non0",
]


def mosi_like(n=64, seed=0):
    """Labels in steps of 0.2 with exact zeros, predictions with exact zeros and half values."""
    rng = np.random.default_rng(seed)
    y = np.clip(np.rint(rng.normal(0.2, 1.5, n) / 0.2) * 0.2, -3, 3)
    p = y + rng.normal(0, 1.0, n)
    p[::9] = 0.0
    p[1::11] = np.rint(p[1::11]) + 0.5
    return y.astype("float32"), p.astype("float32")


def stream(metric, *arrays, sizes=UNEVEN, weight=None):
    start = 0
    for size in sizes:
        part = slice(start, start + size)
        metric.update_state(*(a[part] for a in arrays), sample_weight=None if weight is None else weight[part])
        start += size
    assert start == len(arrays[0])
    return ops.convert_to_numpy(metric.result())


def all_scalar_metrics():
    return [
        metrics.PearsonCorrelation(),
        metrics.RoundedAccuracy(),
        metrics.RoundedAccuracy(limit=2),
        *(metrics.SentimentAccuracy(convention=c) for c in ("has0", "non0")),
        *(metrics.SentimentF1(convention=c) for c in ("has0", "non0")),
    ]


def test_report_agrees_with_sklearn_and_scipy():
    y, p = mosi_like(301)
    report = metrics.sentiment_report(y, p)
    assert list(report) == REPORT_KEYS
    y, p = y.astype("float64"), p.astype("float64")
    keep = y != 0
    assert 0 < keep.sum() < y.size
    expected = {
        "mae": np.mean(np.abs(p - y)),
        "corr": pearsonr(y, p)[0],
        "acc7": accuracy_score(np.round(np.clip(y, -3, 3)), np.round(np.clip(p, -3, 3))),
        "acc5": accuracy_score(np.round(np.clip(y, -2, 2)), np.round(np.clip(p, -2, 2))),
        "acc2_has0": accuracy_score(y >= 0, p >= 0),
        "f1_has0": f1_score(y >= 0, p >= 0, average="weighted"),
        "acc2_non0": accuracy_score(y[keep] > 0, p[keep] > 0),
        "f1_non0": f1_score(y[keep] > 0, p[keep] > 0, average="weighted"),
        "n": y.size,
        "n_non0": keep.sum(),
    }
    for key, value in expected.items():
        assert report[key] == pytest.approx(value, abs=1e-12), key
    # Swapped F1 arguments are the classical fault; this sample tells them apart.
    assert report["f1_has0"] != pytest.approx(f1_score(p >= 0, y >= 0, average="weighted"), abs=1e-6)
    json.dumps(report, allow_nan=False)
    assert metrics.sentiment_report(y[:, None], p) == report


def test_report_rounds_half_to_even_and_clips_only_the_classes():
    assert metrics.sentiment_report([0, 2, 2, 0], [0.5, 1.5, 2.5, -0.5])["acc7"] == 1.0
    report = metrics.sentiment_report([3.0, -3.0], [9.0, -2.2])
    assert report["mae"] == pytest.approx(3.4)
    assert (report["acc7"], report["acc5"]) == (0.5, 1.0)


def test_report_zero_predictions_count_as_positive_only_in_has0():
    report = metrics.sentiment_report([1.0, -1.0, 0.0], [0.0, 0.0, 0.0])
    assert report["acc2_has0"] == pytest.approx(2 / 3)
    assert report["acc2_non0"] == 0.5  # 0 > 0 is false: right for the negative label.
    assert report["f1_non0"] == pytest.approx(f1_score([1, 0], [0, 0], average="weighted"))


def test_report_undefined_values_are_none():
    report = metrics.sentiment_report([0.0, 0.0, 0.0], [0.1, -1.0, 2.0])
    assert report["n_non0"] == 0
    assert report["acc2_non0"] is None and report["f1_non0"] is None and report["corr"] is None
    assert report["acc2_has0"] == pytest.approx(2 / 3)
    assert metrics.sentiment_report([1.0, 2.0, 0.5], [0.1, 0.1, 0.1])["corr"] is None
    assert metrics.sentiment_report([1.0], [2.0])["corr"] is None
    assert metrics.sentiment_report([1.0, 2.0], [0.1, 0.1001])["corr"] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "match"),
    [
        ([1.0, 2.0], [1.0], r"`y_true` and `y_pred`.*\(2,\).*\(1,\)"),
        ([], [], "`y_true` must not be empty"),
        ([1.0, 2.0], [1.0, np.nan], "`y_pred` must be finite.*nan at position 1"),
        ([np.inf], [1.0], "`y_true` must be finite.*inf"),
        ([1.0, 2.0], [[1.0, 2.0], [1.0, 2.0]], r"`y_pred`.*\[N\].*\(2, 2\)"),
    ],
)
def test_report_errors_name_the_argument_and_the_value(y_true, y_pred, match):
    with pytest.raises(ValueError, match=match):
        metrics.sentiment_report(y_true, y_pred)


def test_sims_report_agrees_with_mmsa_s_definition():
    """Its bins written out: open below, closed above."""
    rng = np.random.default_rng(3)
    y = np.round(rng.uniform(-1, 1, 200), 1).astype("float32")
    p = np.clip(y + rng.normal(0, 0.4, 200), -1.5, 1.5).astype("float32")
    p[:4] = [0.1, -0.1, 0.7, -0.7]
    report = sims_report(y, p)
    assert list(report) == ["mae", "corr", "acc2", "f1", "acc3", "acc5", "n"] and report["n"] == 200
    true, pred = np.clip(y, -1, 1), np.clip(p, -1, 1)
    assert report["mae"] == pytest.approx(np.mean(np.abs(pred - true)))
    assert report["mae"] < np.mean(np.abs(p - y)) - 1e-3
    assert report["corr"] == pytest.approx(pearsonr(true, pred)[0])
    for name, edges in (
        ("acc2", [-1.01, 0.0, 1.01]),
        ("acc3", [-1.01, -0.1, 0.1, 1.01]),
        ("acc5", [-1.01, -0.7, -0.1, 0.1, 0.7, 1.01]),
    ):
        binned = [np.zeros(200, int), np.zeros(200, int)]
        for out, values in zip(binned, (true, pred), strict=True):
            for k in range(len(edges) - 1):
                out[(values > np.float32(edges[k])) & (values <= np.float32(edges[k + 1]))] = k
        assert report[name] == pytest.approx(accuracy_score(*binned))
        if name == "acc2":
            assert report["f1"] == pytest.approx(f1_score(*binned, average="weighted"))


def test_sims_report_by_hand():
    """Zero is negative, a value on a cut belongs below, labels come first in F1, values are clipped."""
    assert sims_report([0.0, 0.2], [-0.2, 0.4])["acc2"] == 1.0
    assert sims_report([0.0, 0.2], [0.0, 0.4])["acc2"] == 1.0
    for convert in (list, np.float32, np.float64):
        report = sims_report(convert([0.1, -0.1, 0.7, -0.7]), convert([0.05, -0.2, 0.6, -0.8]))
        assert (report["acc3"], report["acc5"]) == (1.0, 1.0)
    assert sims_report([1.0, -1.0], [3.0, -7.0])["mae"] == 0.0
    # F1 is 0.8 for the negative class and 2/3 for the other; the labels have three and one of them.
    assert sims_report([-1.0, -1.0, -0.4, 0.4], [-1.0, -0.2, 0.6, 0.2])["f1"] == pytest.approx(
        0.75 * 0.8 + 0.25 * 2 / 3
    )
    assert sims_report([0.2, 0.2], [0.1, 0.3])["corr"] is None
    with pytest.raises(ValueError, match="`y_pred` must be finite"):
        sims_report([0.1], [np.nan])


def test_classification_report_agrees_with_sklearn():
    rng = np.random.default_rng(1)
    y = rng.choice(4, 97, p=[0.5, 0.3, 0.2, 0.0])  # Class 3 never true, sometimes predicted.
    scores = rng.random((97, 5)) * [1, 1, 1, 0.7, 0]  # Class 4 on neither side.
    scores[np.arange(97), y] += 0.4
    report = metrics.classification_report(y, scores)
    pred = scores.argmax(1)
    assert set(report) == {"accuracy", "f1_weighted", "f1_macro", "n"} and report["n"] == 97
    assert report["accuracy"] == pytest.approx(accuracy_score(y, pred))
    for average in ("weighted", "macro"):
        expected = f1_score(y, pred, average=average, zero_division=0)
        assert report[f"f1_{average}"] == pytest.approx(expected)
    assert metrics.classification_report(y, pred) == report
    json.dumps(report)


@pytest.mark.parametrize(
    ("y_true", "y_pred", "match"),
    [
        ([0, 1], [0], "same length"),
        ([0, 5], [[0.1, 0.9], [0.2, 0.8]], "`y_true`.*5.0 at position 1"),
        ([0, -1], [0, 1], "`y_true`.*-1.0"),
        ([0, 1], [0.3, 0.7], "`y_pred`.*0.3"),
        ([0, 1], [[0.3], [0.7]], r"`y_pred`.*\(2, 1\)"),
        ([0, 1], [[0.3, 0.7], [np.nan, 0.1]], "`y_pred` must be finite"),
        ([], [], "empty"),
    ],
)
def test_classification_report_errors(y_true, y_pred, match):
    with pytest.raises(ValueError, match=match):
        metrics.classification_report(y_true, y_pred)


def test_streams_equal_the_report_over_uneven_batches():
    y, p = mosi_like()
    report = metrics.sentiment_report(y, p)
    for metric in all_scalar_metrics():
        value = stream(metric, y, p)
        assert value.dtype == np.float32 and value.shape == ()
        assert value == pytest.approx(report[metric.name], abs=1e-6), metric.name
        # Reset forgets; the extra axis on either side changes nothing.
        for true, pred in ((y[:, None], p), (y, p[:, None]), (y[:, None], p[:, None])):
            metric.reset_state()
            assert stream(metric, true, pred) == pytest.approx(value, abs=1e-6)


def test_default_names_are_the_report_keys():
    assert [m.name for m in all_scalar_metrics()] == (
        ["corr", "acc7", "acc5", "acc2_has0", "acc2_non0", "f1_has0", "f1_non0"]
    )
    assert metrics.SentimentAccuracy().name == "acc2_non0"
    assert metrics.SentimentF1().name == "f1_non0"


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 2**31), st.lists(st.integers(1, 40), min_size=1, max_size=4))
def test_batch_cut_does_not_matter(seed, sizes):
    y, p = mosi_like(sum(sizes), seed)
    report = metrics.sentiment_report(y, p)
    for metric in all_scalar_metrics():
        value = stream(metric, y, p, sizes=sizes)
        if report[metric.name] is None:
            assert np.isnan(value)
        else:
            assert value == pytest.approx(report[metric.name], abs=1e-5)


def test_integer_weights_repeat_samples_and_zero_leaves_out():
    y, p = mosi_like()
    weight = np.random.default_rng(3).integers(0, 4, y.size)
    report = metrics.sentiment_report(np.repeat(y, weight), np.repeat(p, weight))
    for metric in all_scalar_metrics():
        assert stream(metric, y, p, weight=weight) == pytest.approx(report[metric.name], abs=1e-6)
        metric.reset_state()
        value = stream(metric, y, p, weight=weight[:, None].astype("float32"))
        assert value == pytest.approx(report[metric.name], abs=1e-6)


@pytest.mark.parametrize("offset", [0.0, 100.0, -1000.0])
def test_pearson_keeps_five_digits_under_an_offset(offset):
    if offset and keras.backend.backend() == "jax":
        pytest.skip("JAX has no float64 by default; the docstring says what that costs")
    y, p = mosi_like(64)
    y, p = (y + np.float32(offset)), (p + np.float32(offset))
    expected = pearsonr(y.astype("float64"), p.astype("float64"))[0]
    assert stream(metrics.PearsonCorrelation(), y, p) == pytest.approx(expected, abs=1e-5)


def test_pearson_is_not_the_mean_over_batches():
    y, p = mosi_like()
    batches = [pearsonr(y[i : i + 8], p[i : i + 8])[0] for i in range(0, 64, 8)]
    value = stream(metrics.PearsonCorrelation(), y, p)
    assert abs(value - np.mean(batches)) > 1e-3
    assert value == pytest.approx(pearsonr(y, p)[0], abs=1e-6)


def test_pearson_of_a_constant_is_nan():
    y, _ = mosi_like()
    # Fractional weights make the sums inexact, and rounding must not pass for variance.
    weight = np.random.default_rng(0).random(y.size)
    for constant in [0.0, 0.1, 123.4, *np.random.default_rng(1).normal(0, 3, 30)]:
        p = np.full_like(y, constant)
        assert np.isnan(stream(metrics.PearsonCorrelation(), y, p, weight=weight)), constant
        assert np.isnan(stream(metrics.PearsonCorrelation(), p, y, weight=weight)), constant
        assert metrics.sentiment_report(y, p)["corr"] is None


def test_nothing_that_counts_is_nan():
    for metric in all_scalar_metrics():
        assert np.isnan(metric.result()), metric.name
    zeros, p = np.zeros(64, "float32"), mosi_like()[1]
    assert np.isnan(stream(metrics.SentimentAccuracy("non0"), zeros, p))
    assert np.isnan(stream(metrics.SentimentF1("non0"), zeros, p))
    assert stream(metrics.SentimentF1("has0"), zeros, p) == pytest.approx(
        f1_score(zeros >= 0, p >= 0, average="weighted"), abs=1e-6
    )


def test_streamed_half_values_round_to_even():
    metric = metrics.RoundedAccuracy()
    metric.update_state([0.0, 2.0, 2.0, 0.0, 3.0], [0.5, 1.5, 2.5, -0.5, 3.5])
    assert float(metric.result()) == 1.0


def test_sums_are_float32_whatever_the_precision():
    ones = np.ones(300, "float32")
    try:
        keras.config.set_floatx("float16")
        metric = metrics.SentimentAccuracy("has0", dtype="bfloat16")
    finally:
        keras.config.set_floatx("float32")
    for _ in range(10):  # bfloat16 cannot count beyond 256, float16 beyond 2048.
        metric.update_state(ones, ops.cast(ones, "bfloat16"))
    assert keras.backend.standardize_dtype(metric.confusion.dtype) == "float32"
    assert float(ops.sum(metric.confusion)) == 3000.0


def test_config_round_trip():
    made = [*all_scalar_metrics(), metrics.ClassCentroids(3, 4, name="prototypes")]
    for metric in made:
        config = keras.saving.serialize_keras_object(metric)
        assert config["registered_name"].startswith("plumkeras>")
        again = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
        assert type(again) is type(metric)
        assert again.get_config() == metric.get_config()
        for name in ("limit", "convention", "num_classes", "dim"):
            assert getattr(again, name, None) == getattr(metric, name, None)
    assert metrics.RoundedAccuracy.from_config({"limit": 2}).name == "acc5"


def test_errors_of_the_metrics():
    with pytest.raises(ValueError, match=r"`convention`.*'non1'"):
        metrics.SentimentAccuracy(convention="non1")
    for limit in (0, 2.5, True):
        with pytest.raises(ValueError, match="`limit`"):
            metrics.RoundedAccuracy(limit=limit)
    with pytest.raises(ValueError, match=r"`y_pred`.*\(4, 2\)"):
        metrics.SentimentF1().update_state(np.zeros(4), np.zeros((4, 2)))
    with pytest.raises(ValueError, match=r"`dim`.*0"):
        metrics.ClassCentroids(2, 0)
    with pytest.raises(ValueError, match=r"`embeddings`.*\[N, 3\].*\(4, 2\)"):
        metrics.ClassCentroids(2, 3).update_state(np.zeros(4), np.zeros((4, 2)))


def test_centroids_are_the_class_means():
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 3, 64)  # Class 3 of four is never seen.
    embeddings = rng.normal(5.0, 1.0, (64, 6)).astype("float32")
    expected = np.zeros((4, 6))
    for k in range(3):
        expected[k] = embeddings[labels == k].mean(0)
    embeddings[labels == -1] = np.nan  # An ignored row must not reach the sums.
    metric = metrics.ClassCentroids(num_classes=4, dim=6)
    np.testing.assert_allclose(stream(metric, labels, embeddings), expected, atol=1e-5)
    counts = ops.convert_to_numpy(metric.counts)
    np.testing.assert_array_equal(counts, [*np.bincount(labels[labels >= 0]), 0])

    weight = rng.random(64).astype("float32")
    metric.reset_state()
    assert not ops.convert_to_numpy(metric.sums).any()
    result = stream(metric, labels[:, None], embeddings, weight=weight)
    own = labels == 1
    expected = np.average(embeddings[own], axis=0, weights=weight[own])
    np.testing.assert_allclose(result[1], expected, atol=1e-5)


def test_centroids_ignore_labels_out_of_range():
    metric = metrics.ClassCentroids(num_classes=2, dim=1)
    metric.update_state([0, 2, 1, -1], [[1.0], [np.nan], [3.0], [70.0]])
    np.testing.assert_allclose(ops.convert_to_numpy(metric.result()), [[1.0], [3.0]])


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_metrics_inside_fit_and_evaluate(policy):
    y, p = mosi_like(50)
    inputs = keras.Input((1,))
    # The identity, so that the predictions are known; frozen by a zero learning rate.
    outputs = keras.layers.Dense(1, kernel_initializer="ones", dtype=policy)(inputs)
    model = keras.Model(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.0), "mae", metrics=all_scalar_metrics(), jit_compile=True)
    history = model.fit(p[:, None], y, batch_size=16, verbose=0, shuffle=False).history
    logs = model.evaluate(p[:, None], y, batch_size=7, verbose=0, return_dict=True)
    predictions = model.predict(p[:, None], verbose=0).astype("float32")
    report = metrics.sentiment_report(y, predictions)
    for metric in all_scalar_metrics():
        assert logs[metric.name] == pytest.approx(report[metric.name], abs=1e-6), metric.name
        assert history[metric.name][0] == pytest.approx(report[metric.name], abs=1e-6)
