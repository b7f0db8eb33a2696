"""`evaluate` and `predict` on the data that a run was trained on."""

import csv
import json
import shutil

import pytest

from plumkeras.data_pipelines import Dataset, load, make_synthetic, save_npz
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs.own_data import own_data
from plumkeras.recipes.runs.run_directory import read_config
from plumkeras.recipes.synthetic import generate


@pytest.fixture
def run_of_a_file(tiny_run, tmp_path):
    """The tiny run as if its data had been read from a file, with a baseline in its metrics; and that file."""
    run, data = shutil.copytree(tiny_run, tmp_path / "run"), tmp_path / "features.npz"
    save_npz(generate(read_config(run / "config.json").synthetic)[0], data)
    config, metrics = (json.loads((run / name).read_text()) for name in ("config.json", "metrics.json"))
    config["data"] |= {"path": str(data), "sha256": load(data).sha256}
    metrics["baseline"] = {"test": {**metrics["test"], "mae": 1.25}}
    (run / "config.json").write_text(json.dumps(config))
    (run / "metrics.json").write_text(json.dumps(metrics))
    return run, data


def test_evaluate_takes_the_runs_own_data(run_of_a_file, tmp_path, capsys):
    run, data = run_of_a_file
    kept = json.loads((run / "metrics.json").read_text())
    assert main(["evaluate", str(run), "--output", str(tmp_path / "told.csv")]) == 0
    printed = capsys.readouterr().out
    assert f"Data: {data}, the run's own (same SHA-256)" in printed
    assert "test, baseline" in printed and "1.250" in printed and "Metrics: " in printed
    with (tmp_path / "told.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row[""] for row in rows] == ["test", "test, baseline"] and float(rows[1]["mae"]) == 1.25
    assert float(rows[0]["mae"]) == pytest.approx(kept["test"]["mae"], rel=1e-4)


def test_own_data_that_are_gone_or_changed_are_refused(run_of_a_file, capsys):
    run, data = run_of_a_file
    save_npz(make_synthetic({"train": 64, "valid": 32, "test": 32}, seed=1)[0], data, overwrite=True)
    assert main(["evaluate", str(run)]) == 2
    told = capsys.readouterr().err
    assert "has changed since the run was trained on it" in told and "give --data PATH" in told
    data.unlink()
    assert main(["predict", str(run), "--output", str(run / "new.csv")]) == 2
    assert f"its data are not at {data} any more; give --data PATH" in capsys.readouterr().err


def test_an_export_needs_the_path_of_the_data(tmp_path):
    """It must not name the machine that it was made on."""
    (tmp_path / "plumkeras.json").write_text(json.dumps({"data": {"path": "features.npz", "sha256": "0"}}))
    with pytest.raises(ConfigError, match=r"only the name of its run's data, features\.npz; give `data`"):
        own_data(tmp_path / "plumkeras.json", find_recipe("mosi"))


def test_a_run_of_the_synthetic_recipe_generates_its_data(tiny_run, capsys):
    assert main(["evaluate", str(tiny_run), "--split", "valid"]) == 0
    kept = json.loads((tiny_run / "metrics.json").read_text())["valid"]
    printed = capsys.readouterr().out
    assert "Data: generated as for the run" in printed and f"{kept['mae']:.3f}" in printed


def test_evaluate_measures_the_only_split_and_prints_json_alone(tiny_run, tmp_path, capsys):
    test, path = make_synthetic({"test": 32})[0]["test"], tmp_path / "flat.npz"
    save_npz(Dataset({"all": test}), path)
    output = ["--output", str(tmp_path / "told.json")]
    assert main(["evaluate", str(tiny_run), "--data", str(path), "--json", *output]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == json.loads((tmp_path / "told.json").read_text())
    assert told["split"] == "all" and told["metrics"]["n"] == 32 and "non0" in told["convention"]
    # The baseline is of the run's own data.
    assert told["data"] == str(path) and told["baseline"] is None


def test_metrics_are_written_as_json_or_csv_alone(tiny_run, tmp_path, capsys):
    assert main(["evaluate", str(tiny_run), "--output", str(tmp_path / "told.txt")]) == 2
    assert "end its name in .json or .csv" in capsys.readouterr().err
    (tmp_path / "told.json").write_text("mine")
    assert main(["evaluate", str(tiny_run), "--output", str(tmp_path / "told.json")]) == 2
    assert "add --overwrite" in capsys.readouterr().err and (tmp_path / "told.json").read_text() == "mine"
