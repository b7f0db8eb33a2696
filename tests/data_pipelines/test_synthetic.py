import doctest
import math
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import norm

from plumkeras.data_pipelines import synthetic
from plumkeras.data_pipelines.synthetic import make_synthetic

SMALL = {"train": 40, "valid": 10}
LARGE = {"train": 3000, "test": 3000}
MODALITIES = ("text", "audio", "vision")


def same_truth(a, b):
    for name in a:
        for key, value in a[name].items():
            pairs = [(value[m], b[name][key][m]) for m in value] if isinstance(value, dict) else []
            pairs = pairs or [(value, b[name][key])]
            if not all(np.array_equal(x, y) for x, y in pairs):
                return False
    return True


def same_features(a, b):
    return all(np.array_equal(a[s].features[m], b[s].features[m]) for s in a for m in a.modalities)


def pooled(split, modality):
    """Mean over the valid frames, with a column of ones."""
    sums = split.features[modality].sum(axis=1, dtype="float64")
    return np.column_stack([sums / split.lengths[modality][:, None], np.ones(len(split))])


def fitted(train_x, train_y, test_x):
    ridge = train_x.T @ train_x + 1e-3 * np.eye(train_x.shape[1])
    return test_x @ np.linalg.solve(ridge, train_x.T @ train_y)


def r2(y, prediction):
    return 1 - np.mean((y - prediction) ** 2) / np.var(y)


def shares(classes, count):
    return np.bincount(classes, minlength=count) / len(classes)


def test_default_set_obeys_the_schema():
    dataset, truth = make_synthetic()
    assert {name: len(split) for name, split in dataset.items()} == synthetic.NUM_SAMPLES
    assert dataset.feature_dims == synthetic.FEATURE_DIMS and dataset.modalities == MODALITIES
    assert dataset.task == "regression" and dataset.label_range == (-3.0, 3.0)
    for name, split in dataset.items():
        assert split.modality_labels is None and split.raw_text is None and split.folds is None
        assert set(truth[name]) == {
            *("common", "private", "signal", "private_class"),
            *("label_class", "label_latent", "label_noise"),
        }
        for modality in MODALITIES:
            array, lengths = split.features[modality], split.lengths[modality]
            longest = synthetic.MAX_LENGTHS[modality]
            assert array.dtype == np.float32 and lengths.dtype == np.int32
            assert array.shape == (len(split), longest, synthetic.FEATURE_DIMS[modality])
            assert lengths.min() >= math.ceil(longest / 3) and lengths.max() == longest
            past = np.arange(longest) >= lengths[:, None]
            assert not array[past].any()
            assert (array[~past] != 0).all()
    ids = np.concatenate([split.ids for split in dataset.values()])
    assert len(set(ids)) == len(ids) and not dataset.report.warnings


def test_seed_and_map_seed():
    first, truth = make_synthetic(SMALL, seed=3)
    again, truth_again = make_synthetic(SMALL, seed=3)
    assert same_features(first, again) and same_truth(truth, truth_again)
    other, other_truth = make_synthetic(SMALL, seed=4)
    assert not same_features(first, other) and not same_truth(truth, other_truth)
    world, world_truth = make_synthetic(SMALL, seed=3, map_seed=1)
    assert not same_features(first, world) and same_truth(truth, world_truth)
    # No split repeats another's draws.
    assert not np.array_equal(truth["train"]["common"][:10], truth["valid"]["common"])


def test_map_is_the_same_for_another_seed_and_another_set_of_modalities():
    train, train_truth = make_synthetic({"train": 2000}, seed=0)
    test, test_truth = make_synthetic({"test": 1000}, seed=9, feature_dims={"audio": 12})
    other, other_truth = make_synthetic({"test": 1000}, seed=9, map_seed=1)

    def score(dataset, truth):
        prediction = fitted(
            pooled(train["train"], "audio"),
            train_truth["train"]["signal"]["audio"],
            pooled(dataset["test"], "audio"),
        )
        return r2(truth["test"]["signal"]["audio"], prediction)

    assert score(test, test_truth) > 0.6
    assert score(other, other_truth) < 0.3


@pytest.mark.parametrize("num_classes", [3, 7])
def test_regression_truth_follows_from_the_latents(num_classes):
    strengths, weights = {"text": 0.5, "audio": 1.5, "vision": 0.0}, {"text": 0.2, "audio": 0.6}
    dataset, truth = make_synthetic(
        {"train": 300},
        num_classes=num_classes,
        relative_strength=strengths,
        label_weights=weights,
        label_noise=0.4,
        seed=5,
    )
    truth = truth["train"]
    low, high = norm.ppf(0.43), norm.ppf(0.48)

    def label(latent):
        if low < latent <= high:
            return 0.0
        if latent > high:
            return min(max(round((1.5 * (latent - high) + 0.1) / 0.2), 1), 15) * 0.2
        return max(min(round((1.5 * (latent - low) - 0.1) / 0.2), -1), -15) * 0.2

    def class_of(value):
        return int(np.sign(value)) + 1 if num_classes == 3 else round(value) + 3

    spread = math.sqrt(1 + (0.2 * 0.5) ** 2 + (0.6 * 1.5) ** 2)
    for i in range(300):
        common = truth["common"][i]
        private = {m: truth["private"][m][i] for m in MODALITIES}
        latent = (common + 0.2 * private["text"] + 0.6 * private["audio"]) / spread
        assert truth["label_latent"][i] == pytest.approx(latent)
        noisy = (latent + 0.4 * truth["label_noise"][i]) / math.sqrt(1.16)
        assert dataset["train"].labels[i] == pytest.approx(label(noisy), abs=1e-6)
        assert truth["label_class"][i] == class_of(label(noisy))
        for m in MODALITIES:
            assert truth["signal"][m][i] == pytest.approx(common + private[m])
            own = truth["signal"][m][i] / math.sqrt(1 + strengths[m] ** 2)
            assert truth["private_class"][m][i] == class_of(label(own))
    assert not truth["private"]["vision"].any()
    assert (dataset["train"].labels == 0).any()  # The narrow bin was exercised.


def test_classification_truth_follows_from_the_latents():
    dataset, truth = make_synthetic(
        {"train": 400}, task="classification", num_classes=4, class_balance=(0.1, 0.2, 0.3, 0.4)
    )
    truth, edges = truth["train"], norm.ppf([0.1, 0.3, 0.6])
    latent = truth["common"] + sum(truth["private"][m] for m in MODALITIES) / 3
    expected = (latent[:, None] / math.sqrt(1 + 3 * (0.5 / 3) ** 2) > edges).sum(axis=1)
    np.testing.assert_array_equal(dataset["train"].labels, expected)
    np.testing.assert_array_equal(truth["label_class"], expected)
    for m in MODALITIES:
        own = (truth["common"] + truth["private"][m]) / math.sqrt(1.25)
        np.testing.assert_array_equal(truth["private_class"][m], (own[:, None] > edges).sum(1))
    assert dataset.task == "classification" and dataset.num_classes == 4


def test_features_show_the_signal_and_nothing_else():
    dataset, truth = make_synthetic(LARGE, relative_strength=1.0)
    for m in MODALITIES:
        train, test = pooled(dataset["train"], m), pooled(dataset["test"], m)
        signal = truth["test"]["signal"][m]
        assert r2(signal, fitted(train, truth["train"]["signal"][m], test)) > 0.7, m
        private = truth["test"]["private"][m]
        guess = fitted(train, truth["train"]["private"][m], test)
        # The signal holds the private latent, so there is a correlation; given it, none is left.
        assert np.corrcoef(guess, private)[0, 1] > 0.4
        basis = np.vander(signal, 6)  # The map is not linear: take out a polynomial.
        rest = [v - basis @ np.linalg.lstsq(basis, v, rcond=None)[0] for v in (guess, private)]
        assert abs(np.corrcoef(*rest)[0, 1]) < 0.06, m
        for other in set(MODALITIES) - {m}:
            guess = fitted(train, truth["train"]["private"][other], test)
            assert abs(np.corrcoef(guess, truth["test"]["private"][other])[0, 1]) < 0.06


def test_latents_have_their_distributions():
    strengths = {"text": 0.3, "audio": 1.0, "vision": 2.0}
    _, truth = make_synthetic({"train": 20000}, feature_dims={"text": 1, "audio": 1, "vision": 1},
                              max_lengths=1, relative_strength=strengths)  # fmt: skip
    truth = truth["train"]
    assert truth["common"].std() == pytest.approx(1, rel=0.03)
    for m, strength in strengths.items():
        assert truth["private"][m].std() == pytest.approx(strength, rel=0.03)
    together = np.corrcoef([truth["common"], *truth["private"].values(), truth["label_noise"]])
    assert np.abs(together - np.eye(5)).max() < 0.03


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_strength_zero_makes_private_classes_the_labels_class(task):
    _, truth = make_synthetic({"train": 500}, task=task, relative_strength=0.0)
    for m in MODALITIES:
        np.testing.assert_array_equal(truth["train"]["private_class"][m], truth["train"]["label_class"])
    _, truth = make_synthetic({"train": 500}, task=task, relative_strength=0.5)
    for m in MODALITIES:
        agreement = np.mean(truth["train"]["private_class"][m] == truth["train"]["label_class"])
        assert 0.6 < agreement < 0.95


def test_all_modalities_say_more_about_the_label_than_one():
    _, truth = make_synthetic(LARGE, relative_strength=1.0)

    def score(modalities):
        columns = [np.column_stack([truth[s]["signal"][m] for m in modalities]) for s in ("train", "test")]
        prediction = fitted(columns[0], truth["train"]["label_latent"], columns[1])
        return r2(truth["test"]["label_latent"], prediction)

    assert score(MODALITIES) > 0.99  # By default the label latent is the mean of the signals.
    assert max(score([m]) for m in MODALITIES) < 0.75


def test_label_weights_choose_who_carries_the_private_signal():
    _, truth = make_synthetic({"train": 5000}, label_weights={"text": 2.0}, relative_strength=0.5)
    truth = truth["train"]
    correlation = {m: np.corrcoef(truth["label_latent"], truth["private"][m])[0, 1] for m in MODALITIES}
    # w r = 1: half of the label's variance is private, and all of it is text's.
    assert correlation["text"] == pytest.approx(math.sqrt(0.5), abs=0.03)
    assert max(abs(correlation["audio"]), abs(correlation["vision"])) < 0.05


def test_regression_labels_look_like_mosi():
    dataset, truth = make_synthetic({"train": 20000}, feature_dims={"text": 1}, max_lengths=1)
    labels = dataset["train"].labels.astype("float64")
    steps = labels * 5
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-5)
    assert labels.min() == -3 and labels.max() == 3
    np.testing.assert_allclose(shares(truth["train"]["label_class"], 3), synthetic.SIGN_SHARES, atol=0.012)
    np.testing.assert_array_equal(np.sign(labels) + 1, truth["train"]["label_class"])
    assert labels.std() == pytest.approx(1.45, abs=0.05)


@pytest.mark.parametrize("label_noise", [0.0, 1.0])
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_class_balance_holds_with_and_without_label_noise(task, label_noise):
    balance = (0.15, 0.25, 0.6)
    _, truth = make_synthetic(
        {"train": 20000}, task=task, feature_dims={"text": 1, "audio": 1}, max_lengths=1,
        class_balance=balance, label_noise=label_noise, relative_strength=1.0,
    )  # fmt: skip
    np.testing.assert_allclose(shares(truth["train"]["label_class"], 3), balance, atol=0.012)
    for classes in truth["train"]["private_class"].values():
        np.testing.assert_allclose(shares(classes, 3), balance, atol=0.012)


def test_frame_noise_is_of_the_given_size():
    quiet, _ = make_synthetic(SMALL, noise=0.0)
    loud, truth = make_synthetic(SMALL, noise={"text": 0.5, "audio": 2.0, "vision": 0.0})
    for m, size in (("text", 0.5), ("audio", 2.0), ("vision", 0.0)):
        a, b = quiet["train"], loud["train"]
        np.testing.assert_array_equal(a.lengths[m], b.lengths[m])
        valid = np.arange(a.features[m].shape[1]) < a.lengths[m][:, None]
        assert (b.features[m] - a.features[m])[valid].std() == pytest.approx(size, rel=0.05)
        for row, length in zip(a.features[m], a.lengths[m], strict=True):
            assert (row[:length] == row[0]).all()
    clean, _ = make_synthetic({"train": 5000}, noise=0.0, relative_strength=0.0)
    for m in MODALITIES:  # Unit variance per feature: `noise` is the noise-to-signal ratio.
        np.testing.assert_allclose(clean["train"].features[m][:, 0].std(axis=0), 1, atol=0.1)
    assert same_truth(make_synthetic(SMALL)[1], truth)  # Options leave other draws alone.


def test_label_noise_changes_labels_and_not_private_classes():
    clean, truth = make_synthetic({"train": 3000}, label_noise=0.0)
    noisy, noisy_truth = make_synthetic({"train": 3000}, label_noise=1.0)
    assert same_features(clean, noisy)
    for m in MODALITIES:
        np.testing.assert_array_equal(truth["train"]["private_class"][m], noisy_truth["train"]["private_class"][m])
    labels = (clean["train"].labels, noisy["train"].labels)
    assert np.corrcoef(*labels)[0, 1] == pytest.approx(math.sqrt(0.5), abs=0.04)
    np.testing.assert_array_equal(np.sign(labels[1]) + 1, noisy_truth["train"]["label_class"])


def test_missing_modalities():
    rates = {"text": 0.0, "audio": 0.3, "vision": 0.6}
    options = {"feature_dims": {"text": 2, "audio": 2, "vision": 2}, "max_lengths": 3}
    dataset, truth = make_synthetic({"train": 5000}, missing_rate=rates, **options)
    split = dataset["train"]
    for m, rate in rates.items():
        absent = split.lengths[m] == 0
        assert absent.mean() == pytest.approx(rate, abs=0.03)
        assert not split.features[m][absent].any()
    full, full_truth = make_synthetic({"train": 5000}, **options)
    np.testing.assert_array_equal(full["train"].labels, split.labels)
    assert same_truth(truth, full_truth)
    present = split.lengths["vision"] > 0
    np.testing.assert_array_equal(split.features["vision"][present], full["train"].features["vision"][present])


def test_no_sample_loses_everything_unless_allowed():
    options = {"feature_dims": {"text": 2, "audio": 2}, "max_lengths": 3, "missing_rate": 0.6}
    for allow, share in ((False, 0.0), (True, 0.36)):
        dataset, _ = make_synthetic({"train": 5000}, allow_all_missing=allow, **options)
        absent = {m: dataset["train"].lengths[m] == 0 for m in ("text", "audio")}
        assert (absent["text"] & absent["audio"]).mean() == pytest.approx(share, abs=0.03)
        for m in absent:  # Half of the samples given back have this modality again.
            expected = 0.6 if allow else 0.6 - 0.36 / 2
            assert absent[m].mean() == pytest.approx(expected, abs=0.03)
    dataset, _ = make_synthetic({"train": 50}, feature_dims={"text": 2}, missing_rate=1.0, allow_all_missing=True)
    assert not dataset["train"].features["text"].any()


def test_one_frame_and_other_modality_names():
    dataset, truth = make_synthetic({"all": 6}, feature_dims={"text": 3, "touch": 2}, max_lengths=1)
    assert dataset.modalities == ("text", "touch")
    assert dataset["all"].features["touch"].shape == (6, 1, 2)
    assert (dataset["all"].lengths["touch"] == 1).all()
    assert set(truth["all"]["private"]) == {"text", "touch"}


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"num_samples": {"dev": 5}}, "`num_samples`.*train, valid, test.*dev"),
        ({"num_samples": {"train": 0}}, "`num_samples`.*0 for 'train'"),
        ({"task": "ranking"}, "`task`.*'ranking'"),
        ({"num_classes": 5}, "`num_classes`.*3 or 7.*5"),
        ({"task": "classification", "num_classes": 1}, "`num_classes`.*1"),
        ({"feature_dims": {}}, "`feature_dims`"),
        ({"feature_dims": {"text": 2.5}}, "`feature_dims`.*2.5 for 'text'"),
        ({"max_lengths": {"text": 4}}, "`max_lengths`.*exactly.*text, audio, vision"),
        ({"max_lengths": 0}, "`max_lengths`.*0"),
        ({"relative_strength": -0.5}, "`relative_strength`.*-0.5"),
        ({"relative_strength": {"text": 1.0, "smell": 1.0}}, "`relative_strength`.*smell"),
        ({"noise": float("nan")}, "`noise`.*nan"),
        ({"label_noise": -1}, "`label_noise`.*-1"),
        ({"label_weights": {"smell": 1.0}}, "`label_weights`.*smell"),
        ({"label_weights": {"text": "a"}}, "`label_weights`.*'a'"),
        ({"class_balance": (0.5, 0.5)}, "`class_balance`.*3 positive shares"),
        ({"class_balance": (0.5, 0.5, 0.5)}, "`class_balance`.*adding up to 1"),
        ({"class_balance": (0.5, 0.5, 0.0)}, "`class_balance`.*positive"),
        ({"missing_rate": 1.5}, "`missing_rate`.*1.5"),
        ({"missing_rate": 1.0}, "`missing_rate`.*allow_all_missing"),
        ({"feature_dims": {"text": 2}, "missing_rate": 0.2}, "`missing_rate`.*allow_all_missing"),
        ({"seed": -1}, "`seed`.*-1"),
        ({"map_seed": 0.5}, "`map_seed`.*0.5"),
    ],
)
def test_errors_name_the_argument_and_the_value(options, match):
    with pytest.raises(ValueError, match=match):
        make_synthetic(**options)


def test_import_starts_no_backend():
    code = (
        "import sys; import plumkeras.data_pipelines.synthetic as s; s.make_synthetic({'train': 2}); "
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=600)


def test_docstring_example_runs():
    result = doctest.testmod(synthetic)
    assert result.attempted == 2 and result.failed == 0
