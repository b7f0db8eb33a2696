"""`plumkeras compare` and `plumkeras.compare`, on run directories of a few files."""

import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import make_synthetic, save_npz
from plumkeras.metrics import paired_bootstrap, report_metrics
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError

IDS = [f"video{k // 4}[{k % 4}]" for k in range(120)]
LABELS = np.random.default_rng(0).choice(np.arange(-30, 31, 2) / 10, 120).astype("float32")


def predictions(noise, seed=0):
    return (LABELS + np.random.default_rng(seed).normal(0, noise, 120)).astype("float32")


def write_run(path, predicted, labels=LABELS, ids=IDS, kind="sentiment", names=None, sha256="a", split="test"):
    """A run directory with what a comparison reads of it."""
    path.mkdir(parents=True)
    report = next(iter(report_metrics(kind).values())).report(labels, predicted)
    (path / "metrics.json").write_text(json.dumps({"valid": None, "test": None, split: report}))
    (path / "config.json").write_text(json.dumps({"data": {"sha256": sha256}}))
    columns = {"label": labels, "prediction": predicted}
    if names:
        columns = {f"label_{name}": labels[:, k] for k, name in enumerate(names)}
        columns |= {f"probability_{name}": predicted[:, k] for k, name in enumerate(names)}
    with (path / f"predictions_{split}.csv").open("w", newline="") as file:
        rows = zip(ids, *([str(value) for value in column] for column in columns.values()), strict=True)
        csv.writer(file).writerows([["id", *columns], *rows])
    return path


def write_seeds(path, noise, seeds):
    for seed in seeds:
        write_run(path / f"seed_{seed}", predictions(noise, 10 + seed))
    (path / "seeds.json").write_text(json.dumps({"seeds": seeds, "data": {"sha256": "a"}}))
    return path


@pytest.fixture
def two(tmp_path):
    """A run, and a worse one whose samples are in another order."""
    order = np.random.default_rng(1).permutation(120)
    better = write_run(tmp_path / "runs" / "better", predictions(0.5))
    worse = write_run(tmp_path / "runs" / "worse", predictions(0.9, 1)[order], LABELS[order], [IDS[k] for k in order])
    return better, worse


def test_two_runs_of_one_file(two):
    found = plumkeras.compare(list(two))
    assert [run.name for run in found.rows] == ["better", "worse"] and (found.split, found.n) == ("test", 120)
    for run in found.rows:
        recorded = json.loads((run.directory / "metrics.json").read_text())["test"]
        assert {**run.metrics, **{key: run.reports[0][key] for key in ("n", "n_non0")}} == recorded
        assert set(run.std.values()) == {None}
    # Aligned by id: the same as on predictions in the first one's order.
    metric = report_metrics("sentiment")["mae"]
    videos = [name.partition("[")[0] for name in IDS]
    assert found.differences["worse"]["mae"] == paired_bootstrap(
        metric, LABELS, predictions(0.5), predictions(0.9, 1), videos
    )
    assert (found.grouping, found.groups) == ("videos", 30)
    assert found.conclusion("worse", "mae") == found.conclusion("worse", "corr") == "worse"
    turned = plumkeras.compare(list(two), baseline=two[1])
    assert turned.conclusion("better", "mae") == turned.conclusion("better", "corr") == "better"
    assert "better" in turned._repr_html_() and repr(turned) == "<Comparison of worse, better: test, n 120>"


def test_equal_runs_show_no_difference(tmp_path, capsys):
    runs = [str(write_run(tmp_path / name, predictions(0.5, seed))) for name, seed in (("a", 0), ("b", 7))]
    assert main(["compare", *runs]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.count("no difference shown") == 8 and "draws of the 30 videos of 120 samples" in printed
    assert "MAE and Corr on raw values" in printed and "better" not in printed and "worse" not in printed


def test_what_is_printed_and_written(two, tmp_path, capsys):
    def run(*options):
        assert main(["compare", *map(str, two), *options]) == 0
        return capsys.readouterr().out

    found = plumkeras.compare(list(two))
    printed = json.loads(run("--json", "--output", str(tmp_path / "c.json")))
    assert printed == json.loads((tmp_path / "c.json").read_text()) == json.loads(json.dumps(found.to_json()))
    assert printed["differences"]["worse"]["mae"]["conclusion"] == "worse"
    for ending in ("csv", "md", "tex"):
        run("--output", str(tmp_path / f"c.{ending}"))
    rows = list(csv.DictReader((tmp_path / "c.csv").open(newline="")))
    assert len(rows) == 16 and rows[8]["run"] == "worse"
    assert float(rows[8]["low"]) == found.differences["worse"]["mae"].low and rows[0]["low"] == ""
    assert "| ACC-2 non0 % |" in (tmp_path / "c.md").read_text() and "\\toprule" in (tmp_path / "c.tex").read_text()
    before = (tmp_path / "c.md").read_bytes()
    assert main(["compare", str(two[0]), "--output", str(tmp_path / "c.md")]) == 2
    assert "exists" in capsys.readouterr().err and (tmp_path / "c.md").read_bytes() == before
    run("--output", str(tmp_path / "c.md"), "--overwrite")


def test_seeds_are_averaged_and_drawn(tmp_path):
    many = write_seeds(tmp_path / "many", 0.5, [0, 1, 2, 3])
    one = write_run(tmp_path / "one", predictions(0.5))
    found = plumkeras.compare([one, many])
    seeds = [json.loads((many / f"seed_{k}" / "metrics.json").read_text())["test"]["mae"] for k in range(4)]
    assert found.rows[1].metrics["mae"] == pytest.approx(np.mean(seeds))
    assert found.rows[1].std["mae"] == pytest.approx(np.std(seeds, ddof=1))
    difference = found.differences["many"]["mae"]
    assert difference.seeds == (1, 4) and difference.resampled_seeds == (False, True)
    assert "±" in found.table().markdown() and "of the run with 3 or more" in found.interval_tables()[0].notes[0]


def test_one_run_alone_has_intervals(two):
    found = plumkeras.compare(two[0])
    interval = found.rows[0].intervals["mae"]
    assert interval.low < interval.value < interval.high and not found.differences
    assert found.tables()[1].title == "better: intervals on test"


@pytest.mark.parametrize("kind", ["classification", "multilabel", "sims", "scale"])
def test_every_task_has_its_own_metrics(kind, tmp_path):
    rng, names = np.random.default_rng(0), None
    labels = (LABELS / 3 if kind == "sims" else LABELS + 5).astype("float32")
    predicted = [(labels + rng.normal(0, 0.5, 120)).astype("float32") for _ in range(2)]
    if kind == "classification":
        labels, predicted = rng.integers(0, 2, 120), rng.integers(0, 2, (2, 120))
    if kind == "multilabel":
        names = ["joy", "anger"]
        labels, predicted = rng.integers(0, 2, (120, 2)), rng.random((2, 120, 2)).astype("float32")
    runs = [write_run(tmp_path / str(k), one, labels, kind=kind, names=names) for k, one in enumerate(predicted)]
    found = plumkeras.compare(runs)
    assert found.kind == kind and list(found.differences["1"]) == list(report_metrics(kind))
    for run in found.rows:
        recorded = json.loads((run.directory / "metrics.json").read_text())["test"]
        assert run.metrics == {key: recorded[key] for key in run.metrics}
    assert set(found.titles) == {*run.metrics, "n"}


def test_ids_that_name_no_video_are_drawn_alone(tmp_path):
    ids = [str(k) for k in range(120)]
    found = plumkeras.compare([write_run(tmp_path / str(k), predictions(0.5, k), ids=ids) for k in (0, 1)])
    assert (found.grouping, found.groups) == (None, None) and found.differences["1"]["mae"].groups is None


def test_the_same_id_twice_is_told_by_its_position(tmp_path):
    ids = [*IDS[:-1], IDS[0]]
    runs = [write_run(tmp_path / str(k), predictions(0.5, k), ids=ids) for k in (0, 1)]
    assert plumkeras.compare(runs).n == 120
    turned = write_run(tmp_path / "turned", predictions(0.5)[::-1], LABELS[::-1], ids[::-1])
    with pytest.raises(ConfigError, match=r"several samples with the id video0\[0\]"):
        plumkeras.compare([runs[0], turned])


def test_runs_that_do_not_compare_are_named_with_the_first_difference(tmp_path, two):
    first = two[0]
    changed = LABELS.copy()
    changed[[3, 5]] += 1
    fewer = write_run(tmp_path / "fewer", predictions(0.5)[:-2], LABELS[:-2], IDS[:-2])
    relabelled = write_run(tmp_path / "relabelled", predictions(0.5), changed)
    classes = write_run(tmp_path / "classes", np.arange(120) % 2, np.arange(120) % 2, kind="classification")
    for other, told in (
        (fewer, r"video29\[2\] is in .*better alone \(2 such samples\)"),
        (relabelled, r"sample video0\[3\] has the label .* \(2 such samples\)"),
        (classes, "the metrics are those of sentiment and of classification"),
    ):
        with pytest.raises(ConfigError, match=told) as caught:
            plumkeras.compare([first, other])
        assert str(first) in str(caught.value) and str(other) in str(caught.value)


def test_other_data_with_the_same_samples_are_a_note(tmp_path, two):
    other = write_run(tmp_path / "other", predictions(0.6), sha256="b")
    assert plumkeras.compare([*two, other]).notes == (
        "better and other were trained on files that differ; the samples and labels compared are the same.",
    )


def test_predictions_that_are_not_those_of_the_metrics_are_told(two, tmp_path, capsys):
    (two[0] / "predictions_test.csv").write_bytes((two[1] / "predictions_test.csv").read_bytes())
    assert main(["compare", *map(str, two)]) == 0
    assert "metrics.json has" in capsys.readouterr().err


def test_a_search_has_its_validation_objective_and_no_test(tmp_path, two, capsys):
    search = tmp_path / "search"
    search.mkdir()
    described = {"seeds": [0, 1], "data": {"task": "regression", "samples": {"train": 60, "valid": 40}}}
    records = {
        "0": {"objectives": [0.9, 1.1], "reason": None},
        "1": {"objectives": [0.8, 0.8], "reason": None},
        "2": {"objectives": [], "reason": "diverged"},
    }
    (search / "search.json").write_text(json.dumps(described))
    (search / "trials.json").write_text(json.dumps({"oracle": {"records": records}}))
    (found,) = plumkeras.compare([two[0], search]).searches
    assert (found.best, found.best_trial, found.own, found.completed, found.n) == (0.8, 1, 1.0, 2, 40)
    assert found.gain == pytest.approx(0.2) and found.gain_std == pytest.approx(np.std([0.1, 0.3], ddof=1))
    assert main(["compare", str(search)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "validation mean absolute error" in printed and "never of test" in printed and "0.8000" in printed
    (search / "trials.json").write_text("{}")
    with pytest.raises(ConfigError, match="not those of a search"):
        plumkeras.compare(search)


def test_mistakes_are_one_line(tmp_path, two, capsys):
    better = two[0]
    unfinished = write_run(tmp_path / "unfinished", predictions(0.5))
    (unfinished / "metrics.json").unlink()
    broken = write_run(tmp_path / "broken", predictions(0.5))
    (broken / "predictions_test.csv").write_text("id,label,prediction\na,1,2\nb,1,much\n")
    headless = write_run(tmp_path / "headless", predictions(0.5))
    (headless / "predictions_test.csv").write_text("id,label\na,1\n")
    export = tmp_path / "export"
    (export / "1").mkdir(parents=True)
    (export / "1" / "saved_model.pb").touch()
    experiment = tmp_path / "experiment"
    write_seeds(experiment / "row", 0.5, [0])
    (experiment / "experiment.json").write_text("{}")
    empty = tmp_path / "empty"
    empty.mkdir()
    for arguments, told in (
        ([], "needs a run"),
        ([tmp_path / "none"], "there is no such directory"),
        ([empty], "holds no run, cross-validation, seeds, search or export"),
        ([better, better], "is named twice"),
        ([better, unfinished], "is not finished"),
        ([better, broken], "column prediction must hold numbers. Received: 'much' in row 2"),
        ([better, headless], "has no column prediction"),
        ([better, export], "--data PATH"),
        ([experiment], "name the directories of its rows: row"),
        ([better, "--split", "valid"], "valid was not measured"),
        ([better, "--split", "train"], "--data PATH names a file"),
        ([better, "--data", tmp_path / "none.npz"], "holds no finished run: network.keras is missing"),
        ([better, "--output", tmp_path / "c.txt"], "end its name in .json, .csv, .md or .tex"),
        ([better, "--max-bytes", "0"], "--max-bytes must be at least 1"),
    ):
        assert main(["compare", *map(str, arguments)]) == 2
        captured = capsys.readouterr()
        assert told in captured.err and len(captured.err.splitlines()) == 1 and not captured.out, captured.err


def test_networks_are_put_to_a_file(tiny_run, tmp_path, capsys):
    dataset, _ = make_synthetic({"train": 64, "valid": 32, "test": 32})
    save_npz(dataset, tmp_path / "features.npz")
    copied = shutil.copytree(tiny_run, tmp_path / "copied")
    assert main(["compare", str(tiny_run), str(copied), "--data", str(tmp_path / "features.npz"), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    recorded = json.loads((tiny_run / "metrics.json").read_text())["test"]
    assert found["runs"][0]["metrics"] == pytest.approx({key: recorded[key] for key in found["runs"][0]["metrics"]})
    assert found["split"] == "test" and found["data"] == str(tmp_path / "features.npz")
    mae = found["differences"]["copied"]["mae"]
    assert (mae["difference"], mae["conclusion"]) == (0, "no difference shown")
    alone = plumkeras.compare(tiny_run).rows[0]
    assert alone.metrics == {key: recorded[key] for key in alone.metrics}
    valid = plumkeras.compare([plumkeras.load_run(tiny_run), copied], dataset, split="valid")
    assert (valid.split, valid.data, valid.n) == ("valid", "data in memory", 32)


def test_no_backend_is_started_for_predictions_that_are_there(two):
    code = (
        "import sys, plumkeras; plumkeras.compare(sys.argv[1:]); assert not {'keras', 'tensorflow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *map(str, two)], check=True)
