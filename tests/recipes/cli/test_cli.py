"""The command line end to end, on generated data."""

import csv
import dataclasses
import importlib
import io
import json

import numpy as np
import pytest
from rich.console import Console

import plumkeras
from plumkeras.data_pipelines import Dataset, Split, convert, describe, load, make_synthetic, save_npz
from plumkeras.data_pipelines.schema.report import Report
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import TrainingError
from plumkeras.recipes.runs.data_checks import data_warnings
from plumkeras.recipes.views import terminal


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
        "fingerprint.json",
        "network.keras",
        "predictions_valid.csv",
        "predictions_test.csv",
        "predictions.png",
        "disagreement.png",
        "report.html",
        "timings.json",
        "checkpoint.npz",
        "logs",
    }
    config = json.loads((tiny_run / "config.json").read_text())
    assert config["recipe"]["network"]["hidden_dim"] == 8 and config["seed"] == 0
    assert len(config["data"]["sha256"]) == 64 and config["versions"]["keras"]
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert set(metrics) == {"valid", "test", "baseline", "best_epoch", "parameters", "warnings"}
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
    np.testing.assert_array_equal(np.array([row["label"] for row in rows], "float32"), test.labels)
    metrics = json.loads((tiny_run / "metrics.json").read_text())["test"]
    measured = sentiment_report(test.labels, np.array([row["prediction"] for row in rows], dtype="float32"))
    assert measured == pytest.approx(metrics, rel=1e-6)
    for m in ("text", "audio", "vision"):
        columns = [f"{m}_soft_label_{name}" for name in ("negative", "neutral", "positive")]
        soft = np.array([[row[column] for column in columns] for row in rows], dtype="float64")
        np.testing.assert_allclose(soft.sum(axis=1), 1, atol=1e-5)
        np.testing.assert_array_equal(soft.argmax(axis=1), [int(row[f"{m}_hard_label"]) for row in rows])


def test_a_run_tells_how_it_was_and_what_chance_gives(tiny_run):
    found = json.loads((tiny_run / "metrics.json").read_text())
    data = make_synthetic({"train": 64, "valid": 32, "test": 32})[0]
    for name in ("valid", "test"):
        chance = np.abs(data[name].labels - np.median(data["train"].labels)).mean()
        assert found["baseline"][name]["mae"] == pytest.approx(chance, rel=1e-6) and found["baseline"][name]["n"] == 32
    losses = [float(row["val_prediction_loss"]) for row in _rows(tiny_run / "refinement_history.csv")]
    assert found["best_epoch"] == 1 + int(np.argmin(losses))
    assert [row["epoch"] for row in _rows(tiny_run / "refinement_history.csv")] == ["1", "2"]
    assert found["parameters"] == plumkeras.load_run(tiny_run).network.count_params()
    seconds = json.loads((tiny_run / "timings.json").read_text())["epoch_seconds"]
    assert [len(seconds[stage]) for stage in ("alignment", "refinement")] == [1, 2]
    for name in ("losses.png", "predictions.png", "disagreement.png"):
        assert (tiny_run / name).read_bytes().startswith(b"\x89PNG")


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


def test_inspect_as_json_and_as_a_picture(feature_file, tmp_path, capsys):
    picture = tmp_path / "picture.png"
    assert main(["inspect", str(feature_file), "--json", "--plot", str(picture)]) == 0
    assert json.loads(capsys.readouterr().out) == describe(load(feature_file))
    assert picture.read_bytes().startswith(b"\x89PNG")
    # Neither a file that is there nor one of another kind is written.
    for options, told in ((["--plot", str(picture)], "--overwrite"), (["--plot", str(tmp_path / "p.jpg")], ".png")):
        before = picture.read_bytes()
        assert main(["inspect", str(feature_file), *options]) == 2
        captured = capsys.readouterr()
        assert told in captured.err and not captured.out and picture.read_bytes() == before
    assert main(["inspect", str(feature_file), "--plot", str(picture), "--overwrite"]) == 0
    assert str(picture) in capsys.readouterr().out.replace("\n", "")


def test_inspect_leaves_shards_in_their_files(feature_file, tmp_path, capsys, monkeypatch):
    convert(feature_file, tmp_path / "shards")
    monkeypatch.setattr("plumkeras.data_pipelines.loading.load", None)  # whoever loaded would fail
    assert main(["inspect", str(tmp_path / "shards"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["format"] == "shards" and found["source"]["format"] == "npz"
    assert main(["inspect", str(tmp_path / "shards")]) == 0
    assert "converted from format npz" in capsys.readouterr().out


def test_inspect_finds_a_damaged_shard(feature_file, tmp_path, capsys):
    """Of every split, though the columns of the training split alone are described."""
    convert(feature_file, tmp_path / "shards")
    shard = tmp_path / "shards" / "test-features-text.npy"
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    shard.write_bytes(data)
    assert main(["inspect", str(tmp_path / "shards")]) == 2
    assert "test-features-text.npy: damaged" in capsys.readouterr().err


def test_everything_that_a_file_may_hold_is_printed():
    random = np.random.default_rng(0)
    text, labels = random.normal(size=(6, 2, 3)), np.array([-1, -0.5, 0, 0.25, 0.5, 1])
    split = Split(
        [f"{video}_{clip}" for video in "ab" for clip in range(3)],
        {"text": text},
        {"text": np.full(6, 2)},
        labels,
        modality_labels={"text": labels**3},
        raw_text=["words"] * 6,
        folds=[0, 0, 1, 1, 1, 1],
        context_features={"text": text},
        context_lengths={"text": [2, 1, 0, 0, 0, 0]},
    )
    report = Report()
    report.record_cleaning("all", "text", {"nan": 3, "inf": 2, "overflow": 0, "padding_frames": 0})
    console = Console(width=200, file=io.StringIO())
    terminal.print_description(describe(Dataset({"all": split}, label_range=(-1, 1), report=report)), console)
    printed = console.file.getvalue()
    correlation = np.corrcoef(labels, labels**3)[0, 1]
    for said in (
        "labels in [-1, 1]",
        "6 of 6 have raw text; 2 have a context; 2 videos; folds: 0: 2, 1: 4",
        f"{correlation:.3f}",
        "Context",
        "cleaned in all, text: 3 nan, 2 inf",
        "warning: all/fold: 1 of 2 videos are in several folds",
    ):
        assert said in printed


def test_training_says_what_inspect_warns_about(tmp_path, capsys, monkeypatch):
    """Of the modalities in use, and not what the recipe deals with."""
    dataset, _ = make_synthetic({"train": 64, "valid": 32, "test": 32})
    for split in dataset.values():
        split.features["text"][..., 1] = np.arange(split.features["text"].shape[1]) < split.lengths["text"][:, None]
        for m in ("audio", "vision"):
            split.features[m][...] *= 1e5
    save_npz(dataset, tmp_path / "features.npz")
    warnings = describe(dataset)["warnings"]
    assert len(warnings) == 3 and all("magnitudes" in w for w in warnings[1:])

    def said(*options):
        console = Console(width=300, file=io.StringIO())
        recipe = find_recipe("mosi")
        for field, value in options:
            recipe = dataclasses.replace(recipe, **{field: value})
        dataset = load(tmp_path / "features.npz")
        terminal.print_data(dataset, data_warnings(recipe, dataset), console)
        printed = console.file.getvalue()
        return [warning for warning in warnings if f"warning: {warning}" in printed]

    # `mosi` compresses audio.
    assert said() == [warnings[0], warnings[2]]
    assert said(("modalities", ("text", "audio"))) == [warnings[0]]

    def stop(*arguments, **options):
        raise TrainingError("far enough")

    monkeypatch.setattr(importlib.import_module("plumkeras.recipes.runs.training"), "train_run", stop)
    data = ["--data", str(tmp_path / "features.npz"), "--output", str(tmp_path / "run")]
    assert main(["train", "mosi", *data]) == 2
    captured = capsys.readouterr()
    assert "far enough" in captured.err and warnings[0] in " ".join(captured.out.split())


@pytest.mark.parametrize("arguments", [[], ["--help"], ["train", "--help"], ["train", "mosi", "--help"]])
def test_help(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 0 and "usage: plumkeras" in capsys.readouterr().out
