"""Labels from 1 to 5: nothing is measured, and nothing learned, by their sign."""

import csv
import dataclasses
import json

import numpy as np
import pytest

from plumkeras.data_pipelines import Dataset, Split, load, save_npz
from plumkeras.recipes import ConfigError, find_recipe, load_run
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import to_dict, with_values
from plumkeras.recipes.models import build_network, with_model
from plumkeras.recipes.runs.label_classes import label_classes_warning, with_label_classes
from plumkeras.recipes.search.plan import SearchOptions, plan
from plumkeras.recipes.views.terminal import metric_rows

RANGE = ["--label-range", "1", "5"]
SMALL = [
    *("--network.hidden-dim=8", "--network.num-heads=2", "--network.num-layers=1", "--batch-size=16"),
    *("--network.modules", "msa", "psl_tfb", "--alignment.epochs=1", "--refinement.epochs=1"),
]


def ratings(labels, label_range=(1, 5)):
    labels = np.asarray(labels, "float32")
    return Dataset(
        {
            name: Split(
                [f"{name}{i}" for i in range(len(labels))],
                {"text": labels[:, None, None] * np.ones(3)},
                {"text": np.ones(len(labels), int)},
                labels,
            )
            for name in ("train", "valid", "test")
        },
        label_range=label_range,
    )


@pytest.mark.parametrize(
    ("labels", "edges"),
    [
        (np.arange(1, 6), (3, 4)),
        (np.linspace(1, 5, 31), None),
        (-np.arange(1, 6), (-3, -2)),
        ([1, 1, 1, 1, 5], (5,)),
        ([4, 5, 5, 5, 5], (5,)),
        ([2, 2, 2, 2, 2], "sign3"),
        ([-1, 1, 2, 3, 4], "sign3"),
        ([0, 1, 2, 3, 4], "sign3"),
    ],
)
def test_classes_are_cut_at_quantiles_where_the_sign_gives_one(labels, edges):
    recipe, dataset = find_recipe("mosi"), ratings(labels, (-9, 9))
    found = with_label_classes(recipe, dataset).objective.label_classes
    said = label_classes_warning(recipe, dataset)
    assert (said is None) == (found == "sign3")
    if edges is not None:
        assert found == edges
    if found != "sign3":
        classes = np.searchsorted(found, np.asarray(labels, "float32"), side="right")
        # No class is empty, and they are as equal as ties allow.
        assert np.bincount(classes).min() > 0
        assert edges is not None or np.ptp(np.bincount(classes)) <= 1


def folds(labels):
    split = ratings(labels)["train"]
    numbers = np.arange(len(split)) % 5
    return Dataset({"all": dataclasses.replace(split, folds=numbers)}, label_range=(1, 5))


def test_folds_share_classes_that_no_label_was_looked_at_for():
    recipe = find_recipe("mosi")
    for labels in ([4, 5, 5, 5, 5] * 3, [1, 2, 3, 4, 5] * 3):
        found = with_label_classes(recipe, folds(labels)).objective.label_classes
        assert found == pytest.approx((7 / 3, 11 / 3))
        assert "thirds of the label range, 2.333 and 3.667" in label_classes_warning(recipe, folds(labels))


def test_a_run_that_was_begun_with_the_sign_is_resumed_with_it(tmp_path):
    recipe, dataset = find_recipe("mosi"), ratings(range(1, 6))
    config = {"recipe": to_dict(recipe)}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert with_label_classes(recipe, dataset, tmp_path) is recipe
    assert with_label_classes(recipe, dataset).objective.label_classes == (3.0, 4.0)


def test_metrics_of_an_earlier_version_are_shown_beside_new_ones():
    old = {"mae": 1.0, "corr": None, "acc7": 0.5, "n": 4}
    new = {"mae": 1.0, "corr": 0.5, "r2": 0.25, "n": 4}
    rows, _ = metric_rows({"test": new, "test, baseline": old}, "regression")
    assert ["R²", "0.250", "undefined"] in rows


def test_classes_that_a_recipe_names_stay():
    recipe = with_values(find_recipe("mosi"), {"objective.label_classes": [2.5]})
    assert with_label_classes(recipe, ratings(range(1, 6))) is recipe


def test_a_search_uses_the_same_classes():
    search = plan(find_recipe("mosi"), ratings(range(1, 6)), SearchOptions(algorithm="random", trials=1))
    assert search.config.objective.label_classes == (3.0, 4.0)


def test_train_evaluate_and_predict(tmp_path, capsys):
    random = np.random.default_rng(0)
    save_npz(ratings(random.integers(1, 6, 32)), tmp_path / "ratings.npz")
    with np.load(tmp_path / "ratings.npz") as file:
        arrays = {name: file[name] for name in file.files if name != "label_range"}
    np.savez(tmp_path / "data.npz", **arrays)
    data, run = str(tmp_path / "data.npz"), str(tmp_path / "run")
    assert main(["train", "mosi", "--data", data, "--output", run, *RANGE, *SMALL]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "the sign of the labels gives one class; classes are cut at quantiles of the training labels" in said
    assert "R²" in said and "ACC" not in said and "acc2" not in said and "F1" not in said
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    edges = config["recipe"]["objective"]["label_classes"]
    assert len(edges) == 2 and set(edges) <= {2.0, 3.0, 4.0, 5.0}
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert list(metrics["test"]) == ["mae", "corr", "r2", "n"]
    # The constant prediction explains nothing.
    assert metrics["baseline"]["valid"]["r2"] <= 0
    assert any("cut at quantiles" in sentence for sentence in metrics["warnings"])
    for name in ("refinement_history.csv", "predictions_test.csv"):
        with (tmp_path / "run" / name).open() as file:
            header = next(csv.reader(file))
        assert not any("acc2" in column or "negative" in column for column in header)
    assert "text_soft_label_2" in header
    # Resumed with the recipe's own classes, it is the same run; measured again, the same metrics.
    assert main(["train", "mosi", "--data", data, "--output", run, "--resume", *RANGE, *SMALL]) == 0
    capsys.readouterr()
    assert main(["evaluate", run, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["metrics"] == pytest.approx(metrics["test"], abs=1e-6)
    assert "no accuracies" in found["convention"]
    loaded = load_run(run)
    assert "R²" in loaded._repr_html_()
    # A split carries no range: the run's own is taken.
    split = load(data, label_range=(1, 5))["test"]
    assert loaded.evaluate(split) == pytest.approx(metrics["test"], abs=1e-6)
    again = str(tmp_path / "again")
    assert main(["train", "mosi", "--data", data, "--output", again, "--init-from", run, *RANGE, *SMALL]) == 0


def test_an_objective_without_classes_is_left_as_it_is():
    recipe = with_model(find_recipe("mosi"), "bbfn")
    assert with_label_classes(recipe, ratings(range(1, 6))) is recipe
    assert label_classes_warning(recipe, ratings(range(1, 6))) is None


def test_predictions_are_squashed_to_the_range_of_the_labels():
    recipe, dataset = with_model(find_recipe("mosi"), "tfn"), ratings(range(1, 6))
    found = with_label_classes(recipe, dataset)
    assert found.network.label_range == (1, 5)
    shape = {"feature_dims": {"text": 3}, "task": "regression", "num_classes": 3}
    assert build_network(found, shape).options["label_range"] == [1, 5]
    for given, built in (((-1.0, 6.0), [-1, 6]), ("none", None)):
        asked = with_values(recipe, {"network.label_range": given})
        assert with_label_classes(asked, dataset) is asked
        assert build_network(asked, shape).options["label_range"] == built
    classes = Dataset({n: dataclasses.replace(s, labels=s.labels.astype(int)) for n, s in dataset.items()})
    assert with_label_classes(recipe, classes).network.label_range == "none"
    with pytest.raises(ConfigError, match=r"network\.label_range must be two finite numbers, the lower one first"):
        with_values(recipe, {"network.label_range": (3.0, 1.0)})
