"""Training by folds: who tests, validates and trains, what is pooled, and what stays when a run is gone on with."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, make_synthetic, save_npz
from plumkeras.metrics.reports import sentiment_report, sims_report
from plumkeras.recipes import find_recipe, load_run
from plumkeras.recipes.cli import main
from plumkeras.recipes.runs.fold_runs import FoldWarning, fold_part
from plumkeras.recipes.runs.protocol import fold_dataset, fold_masks, fold_numbers, prepare

# The stem and the head alone: what is tested here is which samples go where.
OPTIONS = ["--modalities", "text", "--network.modules", "--network.hidden-dim=8", "--network.num-heads=2"]


def folded(count=40, folds=(0, 1, 2, 4)):
    """A data set with folds out of order and a number left out, two samples of a video in a row."""
    split = make_synthetic({"train": count}, feature_dims={"text": 4}, seed=5)[0]["train"]
    chosen = np.repeat(np.random.default_rng(0).choice(folds, count // 2), 2)
    return Dataset({"all": dataclasses.replace(split, folds=chosen)})


def test_each_sample_is_tested_once_and_validated_once():
    dataset = folded()
    assert fold_numbers(dataset) == [0, 1, 2, 4]
    masks = {number: fold_masks(dataset, number) for number in fold_numbers(dataset)}
    for name in ("test", "valid"):
        np.testing.assert_array_equal(np.sum([m[name] for m in masks.values()], axis=0), 1)
    for number, mask in masks.items():
        np.testing.assert_array_equal(sum(m.astype(int) for m in mask.values()), 1)
        assert set(dataset["all"].folds[mask["test"]]) == {number}
    # The next fold validates; behind the last comes the first.
    assert set(dataset["all"].folds[masks[2]["valid"]]) == {4}
    assert set(dataset["all"].folds[masks[4]["valid"]]) == {0}


def test_a_fold_is_a_data_set_of_its_own():
    dataset = folded()
    parts = {number: fold_dataset(dataset, number) for number in fold_numbers(dataset)}
    for number, part in parts.items():
        for name, mask in fold_masks(dataset, number).items():
            assert part[name].ids.tolist() == dataset["all"].ids[mask].tolist()
            np.testing.assert_array_equal(part[name].features["text"], dataset["all"].features["text"][mask])
            assert part[name].folds is None


@pytest.mark.parametrize(
    ("folds", "message"), [(None, "neither train, valid and test splits nor folds"), ([0, 1] * 5, "has 2 folds")]
)
def test_what_cannot_be_cross_validated_is_refused(tmp_path, capsys, folds, message):
    split = make_synthetic({"train": 10}, feature_dims={"text": 4})[0]["train"]
    save_npz(Dataset({"all": dataclasses.replace(split, folds=folds)}), tmp_path / "data.npz")
    arguments = ["train", "mosi_frozen", "--data", str(tmp_path / "data.npz"), "--output", str(tmp_path / "run")]
    assert main(arguments) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    dataset = folded()
    save_npz(dataset, folder / "data.npz")
    command = ["train", "mosi_frozen", "--data", str(folder / "data.npz"), "--output", str(folder / "run"), *OPTIONS]
    command += ["--refinement.epochs=1"]
    assert main(command) == 0
    return dataset, folder / "run", command


def _rows(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_predictions_are_pooled_in_file_order(run):
    dataset, directory, _ = run
    split, metrics = dataset["all"], json.loads((directory / "metrics.json").read_text())
    for name in ("test", "valid"):
        pooled = _rows(directory / f"predictions_{name}.csv")
        assert [row["id"] for row in pooled] == split.ids.tolist()
        for number in fold_numbers(dataset):
            own = _rows(directory / f"fold_{number}" / f"predictions_{name}.csv")
            assert [pooled[i] for i in np.flatnonzero(fold_masks(dataset, number)[name])] == own
        predicted = np.array([row["prediction"] for row in pooled]).astype("float32")
        assert metrics[name] == pytest.approx(sentiment_report(split.labels, predicted), nan_ok=True)
    assert list(metrics["folds"]) == ["0", "1", "2", "4"]
    assert sum(fold["n"] for fold in metrics["folds"].values()) == metrics["test"]["n"] == 40


def test_resuming_trains_only_the_folds_that_are_not_finished(run, capsys):
    _, directory, command = run
    before = {path: path.read_bytes() for path in directory.glob("fold_*/network.keras")}
    metrics = (directory / "metrics.json").read_text()
    (directory / "metrics.json").unlink()
    assert main([*command, "--resume"]) == 0
    assert {path: path.read_bytes() for path in directory.glob("fold_*/network.keras")} == before and len(before) == 4
    assert (directory / "metrics.json").read_text() == metrics
    printed = capsys.readouterr().out
    assert "pooled" in printed and "fold 4" in printed and "Stage 2" not in printed


def test_a_fold_of_an_earlier_version_is_pooled_with_the_others(run, tmp_path):
    """Version 0.1.0 wrote neither labels beside the predictions, nor a baseline, nor the kept epoch."""
    _, directory, command = run
    copy = shutil.copytree(directory, tmp_path / "copy")
    metrics = json.loads((copy / "metrics.json").read_text())
    (copy / "metrics.json").unlink()
    for name in ("valid", "test"):
        path = copy / "fold_0" / f"predictions_{name}.csv"
        rows = _rows(path)
        path.write_text(
            "".join(f"{row['id']},{row['prediction']}\n" for row in [{"id": "id", "prediction": "prediction"}, *rows])
        )
    old = json.loads((copy / "fold_0" / "metrics.json").read_text())
    (copy / "fold_0" / "metrics.json").write_text(
        json.dumps({name: old[name] for name in ("valid", "test", "warnings")})
    )
    assert main([*command, "--output", str(copy), "--resume"]) == 0
    found = json.loads((copy / "metrics.json").read_text())
    assert found["test"] == metrics["test"] and found["baseline"] == metrics["baseline"]
    assert found["best_epoch"] == {**metrics["best_epoch"], "0": None}
    assert list(_rows(copy / "predictions_test.csv")[0]) == ["id", "prediction"]


def test_a_cross_validation_is_measured_on_its_own_data(run, tmp_path, capsys):
    """Pooled and by fold, as when it was trained; of another file, the mean of the networks."""
    _, directory, command = run
    kept = json.loads((directory / "metrics.json").read_text())
    assert main(["evaluate", str(directory), "--json", "--output", str(tmp_path / "metrics.csv")]) == 0
    captured = capsys.readouterr()
    told = json.loads(captured.out)
    assert "the run's own (same SHA-256)" in captured.err and command[3] in captured.err
    assert told["of"] == "pooled" and told["split"] == "test"
    for number, metrics in kept["folds"].items():
        assert told["folds"][number] == pytest.approx(metrics, abs=1e-5, nan_ok=True)
    assert told["metrics"] == pytest.approx(kept["test"], abs=1e-5)
    rows = _rows(tmp_path / "metrics.csv")
    assert [row[""] for row in rows] == ["fold 0", "fold 1", "fold 2", "fold 4", "pooled", "pooled, baseline"]
    assert float(rows[-2]["mae"]) == told["metrics"]["mae"]
    assert told["baseline"] == kept["baseline"]["test"] and float(rows[-1]["mae"]) == told["baseline"]["mae"]
    assert load_run(directory).evaluate(split="valid")["pooled"] == pytest.approx(kept["valid"], abs=1e-5)

    save_npz(folded(count=12), tmp_path / "other.npz")
    assert main(["evaluate", str(directory), "--data", str(tmp_path / "other.npz")]) == 0
    assert "mean of 4 networks" in capsys.readouterr().out
    assert main(["evaluate", str(directory), "--split", "train"]) == 2
    assert "test and valid are measured" in capsys.readouterr().err


def test_a_cross_validation_predicts_the_mean_and_says_so(run, tmp_path, capsys):
    dataset, directory, _ = run
    split = dataclasses.replace(dataset["all"], folds=None, labels=None)
    save_npz(Dataset({"all": split}), tmp_path / "new.npz")
    line = ["predict", str(directory), "--data", str(tmp_path / "new.npz"), "--output", str(tmp_path / "p.csv")]
    assert main(line) == 0
    captured = capsys.readouterr()
    assert "40 predictions of all, the mean over the networks of 4 folds" in captured.out and not captured.err
    each = [load_run(directory / f"fold_{n}").predict(Dataset({"all": split}))["prediction"] for n in (0, 1, 2, 4)]
    written = [float(row["prediction"]) for row in _rows(tmp_path / "p.csv")]
    assert written == pytest.approx(np.mean(each, axis=0), abs=1e-5)
    assert main(["predict", str(directory), "--output", str(tmp_path / "own.csv")]) == 0
    assert "most of which were trained on these samples" in capsys.readouterr().err
    assert len(_rows(tmp_path / "own.csv")) == 40


def test_a_cross_validation_that_is_not_finished_is_refused(run, tmp_path, capsys):
    copy = shutil.copytree(run[1], tmp_path / "copy")
    (copy / "metrics.json").unlink()
    assert main(["evaluate", str(copy)]) == 2
    assert "not finished; resume it with plumkeras train --resume" in capsys.readouterr().err


def test_a_recipe_puts_context_in_front_or_refuses(run):
    dataset, _, _ = run
    recipe = dataclasses.replace(find_recipe("mosi_frozen"), context_frames=2)
    with pytest.raises(DataError, match="no context"):
        prepare(recipe, dataset)
    with_context = Split(
        ["a"],
        {"text": np.ones((1, 2, 3))},
        {"text": [2]},
        [1.0],
        context_features={"text": np.full((1, 4, 3), 7.0)},
        context_lengths={"text": [4]},
    )
    prepared = prepare(recipe, Dataset({"train": with_context}))["train"]
    assert prepared.features["text"][0, :, 0].tolist() == [7, 7, 1, 1] and prepared.lengths["text"].tolist() == [4]


def test_a_data_set_of_sims_gets_its_metrics(capsys):
    from plumkeras.recipes.runs.predictions import report
    from plumkeras.recipes.views.terminal import print_metrics

    split = make_synthetic({"train": 12}, feature_dims={"text": 4})[0]["train"]
    labels = (split.labels / 3).astype("float32")
    dataset = Dataset({"train": dataclasses.replace(split, labels=labels)}, label_range=(-1, 1), metric_report="sims")
    predicted = labels[::-1].copy()
    print_metrics({"test": report(dataset, labels, predicted)}, "regression")
    printed = capsys.readouterr().out
    assert "ACC-3 %" in printed and "SIMS" in printed and "has0" not in printed
    assert report(dataset, labels, predicted) == sims_report(labels, predicted)


@pytest.fixture
def fold_run(run, tmp_path):
    """A copy of the run of fold 0."""
    return shutil.copytree(run[1] / "fold_0", tmp_path / "fold_0")


def test_a_fold_run_is_measured_on_the_samples_that_it_has_not_seen(run, fold_run, capsys):
    dataset, _, command = run
    described = json.loads((fold_run / "config.json").read_text())["fold"]
    assert described == {"test": [0], "valid": [1], "train": [2, 4]}
    test = json.loads((fold_run / "metrics.json").read_text())["test"]
    count = int((dataset["all"].folds == 0).sum())
    # The file is the fold's own, although the fold is known by its samples.
    for more in ([], ["--data", command[3]], ["--data", command[3], "--split", "test"]):
        assert main(["evaluate", str(fold_run), *more]) == 0
        printed = capsys.readouterr().out
        assert f"test is {count} of 40 samples, fold 0, which was left out" in " ".join(printed.split())
        assert f"{test['mae']:.3f}" in printed
    assert main(["evaluate", str(fold_run), "--data", command[3], "--split", "train"]) == 0
    trained = int(np.isin(dataset["all"].folds, [2, 4]).sum())
    assert f"train is {trained} of 40 samples, for the run of fold 0, trained on" in " ".join(
        capsys.readouterr().out.split()
    )
    assert main(["evaluate", str(fold_run), "--data", command[3], "--split", "all"]) == 0
    assert f"of which the network was trained on {trained} and its epoch chosen on" in capsys.readouterr().err
    assert main(["evaluate", str(fold_run), "--data", command[3], "--split", "tset"]) == 2
    assert "no split 'tset'; for the run of fold 0 it has train, valid, test and all" in capsys.readouterr().err


def test_predictions_of_a_fold_run_say_which_part_they_are_of(run, fold_run, tmp_path, capsys):
    dataset, _, command = run
    assert main(["predict", str(fold_run), "--data", command[3], "--output", str(tmp_path / "p.csv")]) == 0
    # The same samples; the last digit of a prediction is not the same in every process.
    told, kept = (
        [line.split(",") for line in f.read_text().splitlines()[1:]]
        for f in (tmp_path / "p.csv", fold_run / "predictions_test.csv")
    )
    assert [row[0] for row in told] == [row[0] for row in kept]
    assert [float(row[1]) for row in told] == pytest.approx([float(row[1]) for row in kept], abs=1e-6)
    count = int((dataset["all"].folds == 0).sum())
    assert f"test is {count} of 40 samples, fold 0" in " ".join(capsys.readouterr().out.split())
    loaded = load_run(fold_run)
    with pytest.warns(FoldWarning, match=f"test is {count} of 40"):
        assert len(loaded.predict(dataset)["prediction"]) == count
    with pytest.warns(FoldWarning, match="trained on"):
        assert len(loaded.predict(dataset, split="all")["prediction"]) == 40
    # A file without folds is something to predict, all of it.
    alone = Dataset({"all": dataclasses.replace(dataset["all"], folds=None)})
    assert fold_part(fold_run / "config.json", alone) == (alone, None)


def test_a_fold_run_of_version_0_1_0_is_known_by_its_samples(run, fold_run):
    dataset, path = run[0], fold_run / "config.json"
    values = json.loads(path.read_text())
    del values["fold"]
    path.write_text(json.dumps(values))
    part, told = fold_part(path, dataset)
    assert part["test"].ids.tolist() == dataset["all"].ids[dataset["all"].folds == 0].tolist()
    assert "fold 0, which was left out" in told
    other = folded(count=38)
    assert fold_part(path, other) == (other, None)


@pytest.mark.parametrize("fold", [3, {"test": []}, {"test": ["<b>"], "valid": [1], "train": [2]}, {"test": [0]}])
def test_a_damaged_fold_is_one_line(run, fold_run, capsys, fold):
    path = fold_run / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "fold": fold}))
    assert main(["evaluate", str(fold_run), "--data", run[2][3]]) == 2
    assert "config.json: field fold must hold" in capsys.readouterr().err
