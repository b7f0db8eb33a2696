"""Reference rows: what a constant, ridge and logistic regression are fitted on, chosen by, and write."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, load, make_synthetic
from plumkeras.data_pipelines.features import cleaning
from plumkeras.recipes import ConfigError, find_recipe
from plumkeras.recipes.experiments import reference_fits
from plumkeras.recipes.experiments.pooled_features import pooled_features
from plumkeras.recipes.experiments.references import fit_reference, is_written, reference_kinds, write_reference
from plumkeras.recipes.runs import predictions
from plumkeras.recipes.runs.protocol import fold_dataset, fold_masks

CONFIG = find_recipe("mosi_frozen")
SIZES = {"train": 60, "valid": 24, "test": 24}


def generated(task="regression", sizes=SIZES, missing_rate=0.2):
    shapes = {"feature_dims": {"text": 5, "audio": 3}, "max_lengths": {"text": 4, "audio": 3}}
    return make_synthetic(sizes, task=task, num_classes=3, missing_rate=missing_rate, **shapes)[0]


def folded(task="regression"):
    split = generated(task, {"all": 60})["all"]
    return Dataset({"all": dataclasses.replace(split, folds=np.random.default_rng(0).permutation(60) % 3)})


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_pooled_features_by_hand(monkeypatch):
    train = {"text": [[[1.0], [3.0]], [[6.0]], [[4.0], [4.0]]], "audio": [[[np.e - 1]], None, [[1 - np.e]]]}
    other = {"text": [None, [[8.0], [0.0]]], "audio": [[[0.0]], None]}
    dataset = Dataset.from_arrays(train={**train, "labels": [1.0, 2, 3]}, test={**other, "labels": [1.0, 2]})
    # Means 2, 6, 4; of audio 1 and -1, and one sample lacks it.
    spread = np.sqrt(8 / 3)
    expected = {
        "train": [[-2 / spread, 1, 0], [2 / spread, 0, 1], [0, -1, 0]],
        "test": [[0, 0, 0], [0, 0, 1]],
    }
    for block in (cleaning.BLOCK_BYTES, 1):
        monkeypatch.setattr(cleaning, "BLOCK_BYTES", block)
        found = pooled_features(dataset, ("text", "audio"), compressed=("audio",))
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_a_feature_that_is_constant_in_training_is_not_divided():
    dataset = Dataset.from_arrays(train={"text": [[[7.0]], [[7.0]]]}, valid={"text": [[[9.0]]]})
    assert pooled_features(dataset, ("text",))["valid"].tolist() == [[2.0]]


def test_ridge_is_the_closed_form():
    dataset = generated()
    found = fit_reference("ridge", CONFIG, dataset, trials=1)
    alpha = np.sqrt(1e5)
    assert found.chosen == {"alpha": pytest.approx(alpha, rel=1e-5)}
    features = pooled_features(dataset, ("text", "audio"), ("audio",))
    x, y = features["train"], dataset["train"].labels
    weights = np.linalg.solve(
        (x - x.mean(axis=0)).T @ (x - x.mean(axis=0)) + alpha * np.eye(x.shape[1]),
        (x - x.mean(axis=0)).T @ (y - y.mean()),
    )
    for name in ("valid", "test"):
        expected = (features[name] - x.mean(axis=0)) @ weights + y.mean()
        np.testing.assert_allclose(found.predictions[name], expected, atol=1e-5)
        mae = np.mean(np.abs(expected - dataset[name].labels))
        assert found.metrics[name]["mae"] == pytest.approx(mae, abs=1e-5)
    # A flag for each modality that training samples lack.
    assert found.metrics["parameters"] == 5 + 3 + 2 + 1


def test_ridge_on_text_alone():
    dataset = generated(missing_rate=0.0)
    found = fit_reference("ridge_text", CONFIG, dataset, trials=3)
    alone = fit_reference("ridge", dataclasses.replace(CONFIG, modalities=("text",)), dataset, trials=3)
    assert found.metrics == alone.metrics and found.metrics["parameters"] == 6


def test_the_setting_is_chosen_on_validation_alone():
    rng = np.random.default_rng(0)
    x = rng.uniform(-1, 1, (90, 1, 2)).astype("float32")
    y = (x[:, 0] @ [1.0, -2.0]).astype("float32")

    def fitted(valid, test):
        parts = {"train": (x[:30], y[:30]), "valid": (x[30:60], valid), "test": (x[60:], test)}
        dataset = Dataset({n: Split.from_arrays(text=f, labels=labels) for n, (f, labels) in parts.items()})
        return fit_reference("ridge", CONFIG, dataset, trials=4)

    same, reversed_ = fitted(y[30:60], y[60:]), fitted(-y[30:60], y[60:])
    assert same.chosen == {"alpha": 1.0} and reversed_.chosen == {"alpha": 1e5}
    losses = [trial["loss"] for trial in same.trials]
    assert [trial["alpha"] for trial in same.trials] == pytest.approx([1e5, 10 ** (10 / 3), 10 ** (5 / 3), 1], rel=1e-5)
    assert losses == sorted(losses, reverse=True) and losses[-1] == pytest.approx(same.metrics["valid"]["mae"])
    assert fitted(y[30:60], -y[60:]).trials == same.trials


@pytest.mark.parametrize("task", ["regression", "classification", "multilabel"])
@pytest.mark.parametrize("data", [generated, folded])
def test_a_constant_has_the_metrics_of_the_baseline(task, data):
    metrics = fit_reference("constant", CONFIG, data(task)).metrics
    assert metrics["valid"] == metrics["baseline"]["valid"] and metrics["test"] == metrics["baseline"]["test"]
    assert metrics["parameters"] == 0


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_logistic_regression_predicts_the_shares_of_what_it_was_fitted_on(task):
    """Its intercept is free, so the mean probability of each class is its share, whatever `C`."""
    dataset = generated(task)
    dataset = Dataset({"train": dataset["train"], "valid": dataset["train"]})
    found = fit_reference("logistic", CONFIG, dataset, trials=3)
    labels = dataset["train"].labels
    shares = labels.mean(axis=0) if labels.ndim > 1 else np.bincount(labels) / len(labels)
    np.testing.assert_allclose(found.predictions["valid"].mean(axis=0), shares, atol=1e-3)
    assert found.chosen == {"C": 10.0}
    probability = found.predictions["valid"].astype("float64")
    if labels.ndim > 1:
        loss = -np.mean(labels * np.log(probability) + (1 - labels) * np.log(1 - probability))
    else:
        loss = -np.mean(np.log(probability[np.arange(len(labels)), labels]))
    assert found.trials[-1]["loss"] == pytest.approx(loss, abs=1e-5)
    assert found.metrics["test"] is None and found.metrics["parameters"] == 3 * (5 + 3 + 2 + 1)


def test_a_label_that_every_training_sample_has():
    dataset = generated("multilabel")
    train = dataclasses.replace(dataset["train"], labels=np.maximum(dataset["train"].labels, [[0, 1, 0]]))
    found = fit_reference("logistic", CONFIG, dataset.replace({**dataset, "train": train}), trials=2)
    assert np.all(found.predictions["test"][:, 1] == 1) and found.metrics["parameters"] == 2 * 11


@pytest.mark.parametrize(("kind", "task"), [("ridge", "regression"), ("logistic", "classification")])
def test_folds_are_fitted_each_for_itself_and_pooled(kind, task):
    dataset = folded(task)
    found = fit_reference(kind, CONFIG, dataset, trials=3)
    labels = dataset["all"].labels
    for number in range(3):
        fold = fold_dataset(dataset, number)
        alone = fit_reference(kind, CONFIG, fold, trials=3)
        assert found.chosen[str(number)] == alone.chosen and found.trials[str(number)] == alone.trials
        assert found.metrics["folds"][str(number)] == alone.metrics["test"]
        for name, mask in list(fold_masks(dataset, number).items())[1:]:
            np.testing.assert_array_equal(found.predictions[name][mask], alone.predictions[name])
    for name in ("valid", "test"):
        assert found.metrics[name] == predictions.report(dataset, labels, found.predictions[name])
    assert found.metrics["test"]["n"] == 60


@pytest.mark.parametrize(("kind", "task"), [("ridge_text", "regression"), ("logistic", "classification")])
@pytest.mark.parametrize("data", [generated, folded])
def test_what_is_written(kind, task, data, tmp_path):
    dataset = data(task)
    reference = fit_reference(kind, CONFIG, dataset, trials=2)
    assert not is_written(tmp_path / "row", kind, CONFIG, dataset, trials=2)
    metrics = write_reference(tmp_path / "row", reference, CONFIG, dataset)
    assert json.loads((tmp_path / "row/metrics.json").read_text()) == metrics
    assert {"valid", "test", "baseline", "parameters", "warnings"} <= metrics.keys()
    described = json.loads((tmp_path / "row/reference.json").read_text())
    assert described["kind"] == kind and described["chosen"] == reference.chosen
    assert described["trials"] == reference.trials and described["data"]["task"] == task
    split = dataset["all" if data is folded else "test"]
    found = rows(tmp_path / "row/predictions_test.csv")
    assert [row["id"] for row in found] == split.ids.tolist()
    columns = ["prediction"] if task == "regression" else ["prediction", *(f"probability_{k}" for k in range(3))]
    assert list(found[0]) == ["id", "label", *columns]
    values = np.array([[row[name] for name in columns[-3:]] for row in found], "float32")
    np.testing.assert_array_equal(values.squeeze(), reference.predictions["test"])


def test_a_finished_reference_stays_and_another_is_refused(tmp_path):
    dataset = generated()
    write_reference(tmp_path / "row", fit_reference("ridge", CONFIG, dataset, trials=2), CONFIG, dataset)
    before = {path: path.read_bytes() for path in (tmp_path / "row").iterdir()}
    again = dataclasses.replace(fit_reference("ridge", CONFIG, dataset, trials=2), metrics={"valid": {"mae": 0.0}})
    assert write_reference(tmp_path / "row", again, CONFIG, dataset)["valid"]["mae"] > 0
    # What changes a network alone makes no other reference.
    other_seed = dataclasses.replace(CONFIG, name="mine", seed=3)
    assert is_written(tmp_path / "row", "ridge", other_seed, dataset, trials=2)
    for said, kind, config, data, trials in (
        ("kind is 'ridge', and now it is 'constant'", "constant", CONFIG, dataset, 2),
        ("budget is 2, and now it is 3", "ridge", CONFIG, dataset, 3),
        ("modalities", "ridge", dataclasses.replace(CONFIG, modalities=("text",)), dataset, 2),
        ("data_sha256", "ridge", CONFIG, generated(missing_rate=0.0), 2),
    ):
        with pytest.raises(ConfigError, match=f"row: holds a reference whose {said}"):
            write_reference(tmp_path / "row", fit_reference(kind, config, data, trials), config, data)
    assert {path: path.read_bytes() for path in (tmp_path / "row").iterdir()} == before
    # Killed before the end, it is written again.
    (tmp_path / "row/metrics.json").unlink()
    assert not is_written(tmp_path / "row", "ridge", CONFIG, dataset, trials=2)
    write_reference(tmp_path / "row", fit_reference("ridge", CONFIG, dataset, trials=2), CONFIG, dataset)
    assert (tmp_path / "row/metrics.json").read_bytes() == before[tmp_path / "row/metrics.json"]
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes/mine.txt").write_text("keep")
    with pytest.raises(ConfigError, match="notes: is not empty and holds no reference"):
        is_written(tmp_path / "notes", "ridge", CONFIG, dataset)


def test_a_test_split_without_labels_is_predicted(tmp_path):
    dataset = generated()
    dataset = dataset.replace({**dataset, "test": dataclasses.replace(dataset["test"], labels=None)})
    metrics = write_reference(tmp_path / "row", fit_reference("ridge", CONFIG, dataset), CONFIG, dataset)
    assert metrics["test"] is None and list(metrics["baseline"]) == ["valid"]
    assert list(rows(tmp_path / "row/predictions_test.csv")[0]) == ["id", "prediction"]


def test_kinds_and_budgets_that_there_are_not():
    assert reference_kinds("regression", ("text", "audio")) == ("constant", "ridge", "ridge_text")
    assert reference_kinds("classification", ("text",)) == ("constant", "logistic") == reference_kinds("multilabel")
    assert reference_kinds("regression", ("text", "audio"), of_token_ids=True) == ("constant",)
    with pytest.raises(
        ConfigError, match=r"kind must be one of constant, ridge, ridge_text for regression.*: logistic"
    ):
        fit_reference("logistic", CONFIG, generated())
    with pytest.raises(ConfigError, match=r"trials must be 1 or more. Received: 0"):
        fit_reference("ridge", CONFIG, generated(), trials=0)
    unlabelled = Dataset({"train": dataclasses.replace(generated()["train"], labels=None)})
    with pytest.raises(DataError, match="no split 'valid'"):
        fit_reference("ridge", CONFIG, unlabelled)


def test_ridge_on_the_text_of_cmu_mosi(real_data):
    found = fit_reference("ridge_text", CONFIG, load(real_data / "mosi_text_audio.npz"), trials=3)
    assert found.metrics["valid"]["mae"] < 0.95 < 1.4 < found.metrics["baseline"]["valid"]["mae"]
    assert found.metrics["parameters"] == 385


def test_a_class_that_no_sample_has_keeps_its_column():
    labels = np.tile([0, 2], 10)
    predict, _, _ = reference_fits._fit_classes(labels[:, None] - 1.0, labels, 0, 1.0)
    found = predict(np.array([[-1.0], [1.0]]))
    assert found.shape == (2, 3) and not found[:, 1].any() and found.argmax(axis=1).tolist() == [0, 2]
