"""The command line end to end, on generated data."""

import csv
import json

import numpy as np
import pytest

from plumkeras.cli import main
from plumkeras.data_pipelines import Dataset, load, make_synthetic, save_npz


@pytest.fixture(scope="module")
def feature_file(tmp_path_factory):
    """The tiny run's own data, as a file."""
    dataset, _ = make_synthetic({"train": 64, "valid": 32, "test": 32})
    path = tmp_path_factory.mktemp("data") / "features.npz"
    save_npz(dataset, path)
    return path


def _rows(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_train_writes_a_whole_run_directory(tiny_run):
    names = {path.name for path in tiny_run.iterdir()}
    assert names == {
        "config.json",
        "metrics.json",
        "alignment_history.csv",
        "refinement_history.csv",
        "losses.png",
        "network.keras",
        "predictions_valid.csv",
        "predictions_test.csv",
        "logs",
    }
    config = json.loads((tiny_run / "config.json").read_text())
    assert config["recipe"]["network"]["hidden_dim"] == 8 and config["seed"] == 0
    assert len(config["data"]["sha256"]) == 64 and config["versions"]["keras"]
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert set(metrics) == {"valid", "test"}
    assert list(metrics["test"]) == (
        ["mae", "corr", "acc7", "acc5", "acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "n", "n_non0"]
    )
    assert metrics["valid"]["n"] == metrics["test"]["n"] == 32
    assert any((tiny_run / "logs").rglob("events.out.tfevents.*"))


def test_history_has_every_term_and_they_add_up(tiny_run):
    for stage, epochs in (("alignment", 1), ("refinement", 2)):
        rows = _rows(tiny_run / f"{stage}_history.csv")
        assert len(rows) == epochs
        for row in rows:
            for prefix in ("", "val_"):
                terms = [
                    float(v)
                    for k, v in row.items()
                    if k.endswith("_loss") and k != "val_loss" and k.startswith("val_") == (prefix == "val_")
                ]
                assert len(terms) == 10 + (stage == "refinement")
                assert sum(terms) == pytest.approx(float(row[f"{prefix}loss"]), rel=1e-5)


def test_saved_predictions_are_those_of_the_metrics(tiny_run):
    from plumkeras.metrics import sentiment_report

    test = make_synthetic({"train": 64, "valid": 32, "test": 32})[0]["test"]
    rows = _rows(tiny_run / "predictions_test.csv")
    assert [row["id"] for row in rows] == list(test.ids)
    metrics = json.loads((tiny_run / "metrics.json").read_text())["test"]
    measured = sentiment_report(test.labels, np.array([row["prediction"] for row in rows], dtype="float32"))
    assert measured == pytest.approx(metrics, rel=1e-6)
    for m in ("text", "audio", "vision"):
        soft = np.array([[row[f"{m}_soft_label_{k}"] for k in range(3)] for row in rows], dtype="float64")
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(soft.argmax(axis=1), [int(row[f"{m}_hard_label"]) for row in rows])


def test_evaluate_repeats_the_metrics(tiny_run, capsys):
    assert main(["evaluate", str(tiny_run), "--split", "valid"]) == 0
    printed = capsys.readouterr().out
    metrics = json.loads((tiny_run / "metrics.json").read_text())["valid"]
    assert f"{metrics['mae']:.3f}" in printed and "ACC-2 non0" in printed and "n non0" in printed


def test_predict_writes_what_training_wrote(tiny_run, feature_file, tmp_path):
    out = tmp_path / "predictions.csv"
    assert main(["predict", str(tiny_run), "--data", str(feature_file), "--output", str(out)]) == 0
    ours, theirs = _rows(out), _rows(tiny_run / "predictions_test.csv")
    assert [row["id"] for row in ours] == [row["id"] for row in theirs]
    for name in ours[0].keys() - {"id"}:
        np.testing.assert_allclose(
            [float(row[name]) for row in ours], [float(row[name]) for row in theirs], atol=1e-5, err_msg=name
        )


def test_predict_without_labels_and_from_a_single_split(tiny_run, tmp_path):
    test = make_synthetic({"train": 64, "valid": 32, "test": 32})[0]["test"]
    import dataclasses

    path = tmp_path / "new.npz"
    save_npz(Dataset({"valid": dataclasses.replace(test, labels=None)}), path)
    assert main(["predict", str(tiny_run), "--data", str(path), "--output", str(tmp_path / "p.csv")]) == 0
    assert [row["id"] for row in _rows(tmp_path / "p.csv")] == list(test.ids)


def test_load_run_predicts_from_file_dataset_and_arrays(tiny_run, feature_file):
    import plumkeras

    run = plumkeras.load_run(tiny_run)
    dataset = load(feature_file)
    from_file = run.predict(feature_file)
    from_dataset = run.predict(dataset, split="test")
    test = dataset["test"]
    arrays = {**test.features, **{f"{m}_length": lengths for m, lengths in test.lengths.items()}}
    from_arrays = run.predict(arrays)
    written = [float(row["prediction"]) for row in _rows(tiny_run / "predictions_test.csv")]
    for outputs in (from_file, from_dataset, from_arrays):
        np.testing.assert_allclose(outputs["prediction"], written, atol=1e-5)
    assert run.config.network.hidden_dim == 8


def test_lengths_by_another_name_are_refused(tiny_run):
    import plumkeras

    test = make_synthetic({"test": 4})[0]["test"]
    arrays = {**test.features, "text_lengths": test.lengths["text"]}
    with pytest.raises(plumkeras.data_pipelines.DataError, match="text_lengths"):
        plumkeras.load_run(tiny_run).predict(arrays)


def test_same_seed_same_weights_other_seed_others(tmp_path, tiny_options):
    import keras

    def weights(name, *more):
        assert main(["train", "synthetic", "--output", str(tmp_path / name), *tiny_options, *more]) == 0
        network = keras.saving.load_model(tmp_path / name / "network.keras")
        return np.concatenate([np.ravel(w) for w in network.get_weights()])

    short = ["--network.modules", "msa", "--refinement.epochs=1"]
    first, again, other = weights("a", *short), weights("b", *short), weights("c", *short, "--seed=1")
    np.testing.assert_allclose(first, again, atol=1e-5)
    assert np.abs(first - other).max() > 0.01


def test_config_replays_a_run(tiny_run, tmp_path):
    out = tmp_path / "again"
    config = str(tiny_run / "config.json")
    assert main(["train", "--config", config, "--output", str(out), "--network.modules", "msa"]) == 0
    ours, theirs = (json.loads((d / "config.json").read_text())["recipe"] for d in (out, tiny_run))
    assert ours["network"].pop("modules") == ["msa"] and theirs["network"].pop("modules") == ["msa", "psl_tfb", "prm"]
    assert ours == theirs


def test_classification_end_to_end(tmp_path):
    dataset, _ = make_synthetic({"train": 48, "valid": 24, "test": 24}, task="classification", num_classes=4)
    save_npz(dataset, tmp_path / "classes.npz")
    recipe = tmp_path / "mine.py"
    recipe.write_text(
        "from plumkeras.recipes.config import *\n"
        "from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RefinementConfig\n"
        "recipe = RecipeConfig(name='mine', modalities=('audio', 'text'),\n"
        "    network=NetworkConfig(hidden_dim=8, num_layers=1, num_heads=2),\n"
        "    alignment=AlignmentConfig(epochs=1), refinement=RefinementConfig(epochs=1))\n"
    )
    out = tmp_path / "run"
    assert main(["train", str(recipe), "--data", str(tmp_path / "classes.npz"), "--output", str(out)]) == 0
    metrics = json.loads((out / "metrics.json").read_text())["test"]
    assert list(metrics) == ["accuracy", "f1_weighted", "f1_macro", "n"] and metrics["n"] == 24
    row = _rows(out / "predictions_test.csv")[0]
    probabilities = [float(row[f"probability_{k}"]) for k in range(4)]
    assert sum(probabilities) == pytest.approx(1, abs=1e-5)
    assert int(row["prediction"]) == int(np.argmax(probabilities))
    assert "vision_hard_label" not in row and "audio_soft_label_3" in row


def test_inspect_says_what_the_file_holds(feature_file, capsys):
    assert main(["inspect", str(feature_file)]) == 0
    printed = capsys.readouterr().out
    assert "npz" in printed and "vision" in printed and "negative" in printed


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["train", "mosi", "--help"]])
def test_help(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 0 and "usage: plumkeras" in capsys.readouterr().out
