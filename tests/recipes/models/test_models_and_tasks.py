"""A second model and a third task through every command: nothing outside of them knows which one it is."""

import csv
import dataclasses
import importlib
import inspect
import json

import numpy as np
import pytest

from plumkeras.data_pipelines import Dataset, load, make_synthetic, save_npz
from plumkeras.metrics import multilabel_report
from plumkeras.recipes import ConfigError, find_recipe, load_run
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import NetworkConfig, ObjectiveConfig, from_dict, to_dict, with_values
from plumkeras.recipes.models import MODELS, with_model
from plumkeras.recipes.models.dmd import DMDConfig, DMDObjectiveConfig
from plumkeras.recipes.models.fusion import FusionConfig
from plumkeras.recipes.models.glomo import GLoMoConfig, GLoMoObjectiveConfig
from plumkeras.recipes.models.iccn import ICCNConfig, ICCNObjectiveConfig
from plumkeras.recipes.models.mag import MAGConfig
from plumkeras.recipes.models.misa import MISAConfig, MISAObjectiveConfig
from plumkeras.recipes.models.mmim import MMIMConfig, MMIMObjectiveConfig
from plumkeras.recipes.models.self_mm import SelfMMConfig
from plumkeras.recipes.runs.data_checks import check_dataset, training_warnings
from plumkeras.recipes.runs.train import resolve, train

NAMES = ("happy", "sad", "angry")
SMALL = ["--network.hidden-dim=8", "--training.epochs=2", "--batch-size=16"]
LATE = ["--model", "late_fusion", *SMALL]
FUSION = {"late_fusion": "LateFusion", "early_fusion": "EarlyFusion"}
PLUM = [
    *("--network.hidden-dim=8", "--network.num-heads=2", "--network.num-layers=1", "--batch-size=16"),
    *("--alignment.epochs=1", "--refinement.epochs=1", "--class-weight=balanced"),
]
SIZES = {"train": 48, "valid": 24, "test": 24}
SHAPES = {"feature_dims": {"text": 5, "audio": 3}, "max_lengths": {"text": 4, "audio": 3}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Label sets in splits, `sets.npz`, and in folds, `folds.npz`; and ratings, `ratings.npz`."""
    folder = tmp_path_factory.mktemp("data")
    sets, _ = make_synthetic(SIZES, task="multilabel", num_classes=3, **SHAPES)
    save_npz(Dataset(dict(sets), label_names=NAMES), folder / "sets.npz")
    whole, _ = make_synthetic({"all": 60}, task="multilabel", num_classes=3, **SHAPES)
    split = dataclasses.replace(whole["all"], folds=np.arange(60) % 3)
    save_npz(Dataset({"all": split}, label_names=NAMES), folder / "folds.npz")
    save_npz(make_synthetic(SIZES, **SHAPES)[0], folder / "ratings.npz")
    return folder


@pytest.fixture(scope="module")
def sets_run(folder):
    """A run of PLUM-Net on label sets."""
    line = ["train", "mosi_frozen", "--data", str(folder / "sets.npz"), "--output", str(folder / "sets")]
    assert main([*line, *PLUM]) == 0
    return folder / "sets"


@pytest.fixture(scope="module")
def fusion_runs(folder):
    """Runs of the fusion models on ratings, by model."""
    for model in FUSION:
        line = ["train", "mosi_frozen", "--data", str(folder / "ratings.npz"), "--output", str(folder / model)]
        assert main([*line, "--model", model, *SMALL]) == 0
    return {model: folder / model for model in FUSION}


@pytest.fixture
def late_run(fusion_runs):
    return fusion_runs["late_fusion"]


def rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_on_label_sets(folder, sets_run):
    metrics = json.loads((sets_run / "metrics.json").read_text())
    found = rows(sets_run / "predictions_test.csv")
    truth = load(folder / "sets.npz")["test"].labels
    assert [[int(row[f"label_{name}"]) for name in NAMES] for row in found] == truth.tolist()
    probabilities = np.array([[float(row[f"probability_{name}"]) for name in NAMES] for row in found])
    assert metrics["test"] == pytest.approx(multilabel_report(truth, probabilities, NAMES))
    assert {"accuracy", "wa", "f1", "f1_weighted", "wa_happy", "f1_weighted_angry"} <= metrics["test"].keys()
    assert {"text_soft_label_sad", "audio_hard_label"} <= found[0].keys() and "prediction" not in found[0]
    most = (load(folder / "sets.npz")["train"].labels.mean(axis=0) > 0.5).astype(int)
    baseline = multilabel_report(truth, np.tile(most, (len(truth), 1)), NAMES)
    assert metrics["baseline"]["test"] == pytest.approx(baseline)
    assert (sets_run / "predictions.png").stat().st_size > 1000
    run = load_run(sets_run)
    assert run.class_names == list(NAMES)
    assert run.evaluate() == pytest.approx(metrics["test"])
    assert run.network.prototype_generators.keys() == {"text", "audio"}


def test_label_sets_are_predicted_for_samples_without_labels(folder, sets_run, tmp_path):
    """The names of the labels are the run's, and the columns of the labels are absent."""
    data = load(folder / "sets.npz")
    save_npz(Dataset({"all": dataclasses.replace(data["test"], labels=None)}), tmp_path / "new.npz")
    line = ["predict", str(sets_run), "--data", str(tmp_path / "new.npz")]
    assert main([*line, "--output", str(tmp_path / "p.csv")]) == 0
    for found, expected in zip(rows(tmp_path / "p.csv"), rows(sets_run / "predictions_test.csv"), strict=True):
        assert list(found) == [name for name in expected if not name.startswith("label_")]
        assert [found[f"probability_{name}"] for name in NAMES] == [expected[f"probability_{name}"] for name in NAMES]


def test_evaluating_label_sets(sets_run, folder, capsys):
    assert main(["evaluate", str(sets_run), "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found["metrics"] == pytest.approx(json.loads((sets_run / "metrics.json").read_text())["test"])
    assert "0.5" in found["convention"]
    assert main(["evaluate", str(sets_run)]) == 0
    said = capsys.readouterr().out
    assert "WA angry %" in said and "undefined labels" in said
    other = Dataset(dict(load(folder / "sets.npz")), label_names=("happy", "angry", "sad"))
    save_npz(other, folder / "other.npz", overwrite=True)
    assert main(["evaluate", str(sets_run), "--data", str(folder / "other.npz")]) == 2
    assert "has the labels happy, angry, sad; the network was trained on happy, sad, angry" in capsys.readouterr().err


def test_an_export_of_label_sets(sets_run, folder, tmp_path, capsys):
    assert main(["export", str(sets_run), str(tmp_path / "served")]) == 0
    card = (tmp_path / "served/1/model_card.md").read_text()
    assert "3 labels, of which a sample has any number" in card and "0: class happy of the data" in card
    line = ["predict", str(tmp_path / "served"), "--data", str(folder / "sets.npz")]
    assert main([*line, "--output", str(tmp_path / "p.csv")]) == 0
    for found, expected in zip(rows(tmp_path / "p.csv"), rows(sets_run / "predictions_test.csv"), strict=True):
        for name in NAMES:
            key = f"probability_{name}"
            assert float(found[key]) == pytest.approx(float(expected[key]), abs=1e-5)


def test_folds_of_label_sets_by_early_fusion(folder, tmp_path):
    line = ["train", "mosi_frozen", "--data", str(folder / "folds.npz"), "--output", str(tmp_path / "cv")]
    assert main([*line, "--model", "early_fusion", *SMALL, "--class-weight", "1", "2", "1"]) == 0
    metrics = json.loads((tmp_path / "cv/metrics.json").read_text())
    found = rows(tmp_path / "cv/predictions_test.csv")
    truth = load(folder / "folds.npz")["all"].labels
    probabilities = np.array([[float(row[f"probability_{name}"]) for name in NAMES] for row in found])
    assert metrics["test"] == pytest.approx(multilabel_report(truth, probabilities, NAMES))
    assert metrics["test"]["n"] == 60 and set(metrics["folds"]) == {"0", "1", "2"}
    cross = load_run(tmp_path / "cv")
    assert cross.evaluate()["pooled"] == pytest.approx(metrics["test"])
    assert cross.predict(load(folder / "sets.npz"), "test")["prediction"].shape == (24, 3)


@pytest.mark.parametrize("model", FUSION)
def test_fusion_is_measured_and_predicts(model, fusion_runs, folder, tmp_path, capsys):
    directory = fusion_runs[model]
    metrics = json.loads((directory / "metrics.json").read_text())
    assert {"mae", "corr", "acc7"} <= metrics["test"].keys()
    assert json.loads((directory / "config.json").read_text())["recipe"]["model"] == model
    run = load_run(directory)
    assert type(run.network).__name__ == FUSION[model] and list(run.history) == ["training"]
    assert run.evaluate() == pytest.approx(metrics["test"])
    assert main(["predict", str(directory), "--output", str(tmp_path / "p.csv")]) == 0
    assert list(rows(tmp_path / "p.csv")[0]) == ["id", "label", "prediction"]
    assert run.embeddings() == {"text": {}, "audio": {}}
    capsys.readouterr()


@pytest.mark.parametrize("model", FUSION)
def test_fusion_is_exported(model, fusion_runs, folder, tmp_path):
    assert main(["export", str(fusion_runs[model]), str(tmp_path / "served")]) == 0
    signature = json.loads((tmp_path / "served/1/signature.json").read_text())
    assert set(signature["signatures"]) == {"serving_default", "explain"}
    line = ["predict", str(tmp_path / "served"), "--data", str(folder / "ratings.npz")]
    assert main([*line, "--output", str(tmp_path / "p.csv")]) == 0
    pairs = zip(rows(tmp_path / "p.csv"), rows(fusion_runs[model] / "predictions_test.csv"), strict=True)
    assert all(abs(float(a["prediction"]) - float(b["prediction"])) < 1e-5 for a, b in pairs)


def test_late_fusion_goes_on_and_starts_from_another(late_run, folder, tmp_path, capsys):
    line = ["train", "mosi_frozen", "--data", str(folder / "ratings.npz"), *LATE]
    more = [*line, "--output", str(late_run), "--resume", "--training.epochs=3"]
    assert main(more) == 0
    assert len(load_run(late_run).history["training"]["loss"]) == 3
    begun = [*line, "--output", str(tmp_path / "on"), "--init-from", str(late_run)]
    assert main(begun) == 0
    capsys.readouterr()
    assert main([*begun[:-1], str(late_run), "--overwrite", "--network.hidden-dim=4"]) == 2
    assert "network.hidden_dim is 8 there and 4 here" in capsys.readouterr().err
    plum = ["train", "mosi_frozen", "--data", str(folder / "ratings.npz"), "--output", str(tmp_path / "plum")]
    assert main([*plum, "--init-from", str(late_run)]) == 2
    assert "model is 'late_fusion' there and 'plum_net' here" in capsys.readouterr().err


def test_late_fusion_is_searched(folder, tmp_path, capsys):
    line = ["tune", "mosi_frozen", "--data", str(folder / "ratings.npz"), "--output", str(tmp_path / "search")]
    assert main([*line, *LATE, "--trials", "2"]) == 0
    best = json.loads((tmp_path / "search/best_config.json").read_text())
    assert from_dict(best.get("recipe", best), "best").model == "late_fusion"


def test_another_model_keeps_the_data_handling_and_has_its_own_network():
    recipe = dataclasses.replace(find_recipe("mosi_trimodal"), seed=7, batch_size=48)
    late = with_model(recipe, "late_fusion")
    assert (late.name, late.model, late.seed, late.batch_size) == ("mosi_trimodal", "late_fusion", 7, 48)
    assert late.STAGES == ("training",) and not hasattr(late, "alignment")
    assert with_model(recipe, None) is recipe and with_model(recipe, "plum_net") is recipe
    assert from_dict(to_dict(late), "here") == late
    assert with_values(recipe, {"model": "late_fusion", "training.epochs": 3}).training.epochs == 3
    # A file from before there were models.
    values = to_dict(recipe)
    del values["model"]
    assert from_dict(values, "here") == recipe
    assert with_model(find_recipe("synthetic"), "late_fusion").synthetic == find_recipe("synthetic").synthetic


def test_unknown_models_and_fields_of_another_one(folder, tmp_path, capsys):
    line = ["train", "mosi_frozen", "--data", str(folder / "ratings.npz"), "--output", str(tmp_path / "x")]
    assert main([*line, "--model", "late_fuson"]) == 2
    said = capsys.readouterr().err
    assert "late_fuson" in said and "'late_fusion'" in said and len(said.splitlines()) == 1
    assert main([*line, "--model", "late_fusion", "--alignment.epochs=2"]) == 2
    assert "unknown option --alignment.epochs" in capsys.readouterr().err
    with pytest.raises(ConfigError, match=r"model must be one of plum_net,.*late_fusion.*Received: nope"):
        train("mosi", folder / "ratings.npz", model="nope")
    assert main([*line, "--model", "late_fusion", "--network.hidden-dim=7"]) == 2
    assert "network.hidden_dim must be even. Received: 7" in capsys.readouterr().err
    values = {**to_dict(find_recipe("mosi")), "model": "nope"}
    with pytest.raises(ConfigError, match=f"c.json: unknown model 'nope'; there are {', '.join(MODELS)}"):
        from_dict(values, "c.json")


def test_tasks_that_the_data_are_not_for(folder, capsys):
    recipe, sets = find_recipe("mosi"), load(folder / "sets.npz")
    assert any("is for regression, and the data are for multilabel" in w for w in training_warnings(recipe, sets))
    assert not any("is for" in w for w in training_warnings(recipe, load(folder / "ratings.npz")))
    asked = dataclasses.replace(recipe, task="multilabel")
    assert not any("is for" in w for w in training_warnings(asked, sets))
    with pytest.raises(ConfigError, match="has multilabel labels, and `task` asks for regression"):
        check_dataset(dataclasses.replace(recipe, task="regression"), sets)
    line = ["train", "mosi", "--data", str(folder / "ratings.npz"), "--output", str(folder / "no")]
    assert main([*line, "--task", "ranking"]) == 2
    assert "--task" in capsys.readouterr().err
    assert main([*line, "--label-column", "4"]) == 2
    assert "label column '4': there is one column of labels" in capsys.readouterr().err
    assert main(["inspect", str(folder / "sets.npz"), "--label-column", "sad"]) == 0
    assert "task classification, 2 classes" in capsys.readouterr().out


def test_another_file_is_measured_by_the_task_that_was_learned(sets_run, folder):
    sets = load(folder / "sets.npz")["test"]
    one_hot = sets.take(np.flatnonzero(sets.labels.sum(axis=1) == 1))
    arrays = {f"test/{m}": features for m, features in one_hot.features.items()}
    arrays |= {f"test/{m}_lengths": lengths for m, lengths in one_hot.lengths.items()}
    np.savez(folder / "one_hot.npz", **arrays, **{"test/labels": one_hot.labels})
    assert load(folder / "one_hot.npz").task == "classification"
    assert load_run(sets_run).evaluate(folder / "one_hot.npz")["n"] == len(one_hot)


@pytest.mark.parametrize(
    ("fields", "owner"),
    [
        (NetworkConfig, "plumkeras.models.plum_net.PLUMNet"),
        (ObjectiveConfig, "plumkeras.objectives.alignment.AlignmentObjective"),
        (FusionConfig, "plumkeras.models.late_fusion.LateFusion"),
        (FusionConfig, "plumkeras.models.early_fusion.EarlyFusion"),
        (DMDConfig, "plumkeras.models.dmd.DMD"),
        (DMDObjectiveConfig, "plumkeras.models.dmd.DMDObjective"),
        (GLoMoConfig, "plumkeras.models.glomo.GLoMo"),
        (GLoMoObjectiveConfig, "plumkeras.models.glomo.GLoMoObjective"),
        (ICCNConfig, "plumkeras.models.iccn.ICCN"),
        (ICCNObjectiveConfig, "plumkeras.models.iccn.ICCNObjective"),
        (MAGConfig, "plumkeras.models.mag.MAG"),
        (MISAConfig, "plumkeras.models.misa.MISA"),
        (MISAObjectiveConfig, "plumkeras.models.misa.MISAObjective"),
        (MMIMConfig, "plumkeras.models.mmim.MMIM"),
        (MMIMObjectiveConfig, "plumkeras.models.mmim.MMIMObjective"),
        (SelfMMConfig, "plumkeras.models.self_mm.SelfMM"),
    ],
)
def test_the_defaults_of_a_recipe_are_those_of_the_constructors(fields, owner):
    module, _, name = owner.rpartition(".")
    taken = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    # What is compressed or strided is the recipe's choice by the names of modalities.
    for field in dataclasses.fields(fields):
        if field.name not in ("signed_log1p", "strided", "stride"):
            assert taken[field.name].default == field.default, field.name


def test_class_weights_by_class():
    recipe = find_recipe("mosi")
    values = {**to_dict(recipe), "class_weight": {"0": 1.0, "1": 2.5}}
    assert from_dict(values, "c.json").class_weight == (1.0, 2.5)
    with pytest.raises(ConfigError, match="class_weight must give each class from 0 a weight"):
        from_dict({**values, "class_weight": {"1": 2.5}}, "c.json")
    assert resolve(recipe, {"class_weight": {0: 1, 1: 2.5}, "label_column": 0})[0].class_weight == (1, 2.5)
    for weights in ((), (-1.0, 2.0), (float("nan"), 1.0), (0.0, 0.0)):
        with pytest.raises(ConfigError, match="class_weight must be none, balanced or weights of 0 or more"):
            dataclasses.replace(recipe, class_weight=weights)
