"""Several seeds of one recipe as one thing."""

import csv
import dataclasses
import json
import statistics

import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import Dataset, make_synthetic, save_npz
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.jobs import DataSource, Job, run_job
from plumkeras.recipes.runs.seed_tables import summarise

# A network that is compiled in no time.
FIELDS = {
    "network": {"hidden_dim": 8, "num_heads": 2, "modules": (), "signed_log1p": ()},
    "refinement": {"epochs": 2},
    "batch_size": 16,
    "verbose": 0,
    "jobs": 1,
}


def contents(directory):
    """The bytes of every file below a directory, by path."""
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def data():
    return make_synthetic({"train": 32, "valid": 16, "test": 12}, seed=1)[0]


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    return plumkeras.train("mosi", data, tmp_path_factory.mktemp("seeds") / "runs", seeds=[3, 1], **FIELDS)


def test_means_and_deviations_are_those_of_the_runs(runs, data):
    maes = [runs.run(seed).metrics["test"]["mae"] for seed in (3, 1)]
    assert maes[0] != maes[1] and runs.seeds == (3, 1)
    assert runs.metrics["test"]["mae"] == pytest.approx(statistics.fmean(maes))
    assert runs.metrics["std"]["test"]["mae"] == pytest.approx(statistics.stdev(maes))
    assert runs.metrics["test"]["n"] == 12 and "n" not in runs.metrics["std"]["test"]
    alone = plumkeras.train("mosi", data, seed=1, **{k: v for k, v in FIELDS.items() if k != "jobs"})
    assert alone.metrics["test"] == runs.run(1).metrics["test"]


def test_predictions_are_the_mean_over_the_networks(runs, data):
    each = [runs.run(seed).predict(data)["prediction"] for seed in runs.seeds]
    np.testing.assert_allclose(runs.predict(data)["prediction"], np.mean(each, axis=0), rtol=1e-6)


def test_the_table_says_samples_seeds_and_conventions(runs, capsys):
    runs.summary()
    said = " ".join(capsys.readouterr().out.split())
    assert "mean ± std" in said and "seed 3" in said and "baseline" in said
    assert "ddof 1" in said and "cut at >= 0" in said and "n non0" in said
    with (runs.directory / "metrics.csv").open(newline="") as file:
        header, mean, *_ = csv.reader(file)
    assert float(mean[header.index("MAE std")]) == runs.metrics["std"]["test"]["mae"]
    assert repr(runs).startswith("<SeedRuns mosi, 2 seeds: mean test mae ")


def test_resuming_leaves_finished_runs_and_adds_seeds(runs, data):
    before = contents(runs.directory / "seed_3")
    more = plumkeras.train("mosi", data, runs.directory, seeds=[3, 4], resume=True, **FIELDS)
    assert more.seeds == (3, 4) and list(more.metrics["seeds"]) == ["3", "4"]
    assert contents(runs.directory / "seed_3") == before and (runs.directory / "seed_1").is_dir()
    again = plumkeras.train("mosi", data, runs.directory, seeds=[3, 1], resume=True, **FIELDS)
    assert again.metrics == runs.metrics


def test_a_run_that_is_not_finished_is_trained_and_the_others_are_not(runs, data):
    metrics, before = (runs.directory / "seed_1" / run_directory.METRICS), contents(runs.directory / "seed_3")
    known = metrics.read_text()
    metrics.unlink()
    (runs.directory / run_directory.METRICS).unlink()
    with pytest.raises(ConfigError, match="not all finished; resume them"):
        plumkeras.load_run(runs.directory)
    plumkeras.train("mosi", data, runs.directory, seeds=[3, 1], resume=True, **FIELDS)
    assert metrics.read_text() == known and contents(runs.directory / "seed_3") == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"seeds": [0, 0]}, "each once"),
        ({"seeds": []}, "one or more"),
        ({"seeds": [-1]}, "whole numbers from 0"),
        ({"seeds": [0], "seed": 1}, "choose one"),
        ({"jobs": 2}, "give seeds too"),
        ({"seeds": [0], "jobs": 2, "callbacks": []}, "callbacks work in this process alone"),
    ],
)
def test_what_does_not_fit_is_refused(data, options, said):
    with pytest.raises(ConfigError, match=said):
        plumkeras.train("mosi", data, **options)


def test_runs_of_other_settings_are_not_mixed(runs, data):
    before = contents(runs.directory)
    with pytest.raises(ConfigError, match="already holds runs of several seeds; choose another"):
        plumkeras.train("mosi", data, runs.directory, seeds=[3], **FIELDS)
    with pytest.raises(ConfigError, match="batch_size has changed"):
        plumkeras.train("mosi", data, runs.directory, seeds=[3], resume=True, **{**FIELDS, "batch_size": 8})
    with pytest.raises(ConfigError, match="holds no run"):
        plumkeras.train("mosi", data, runs.directory, overwrite=True)
    assert contents(runs.directory) == before


def test_overwriting_clears_the_runs_and_keeps_other_files(data, tmp_path):
    small = {**FIELDS, "refinement": {"epochs": 1}}
    plumkeras.train("mosi", data, tmp_path, seeds=[0, 1], **small)
    (tmp_path / "seed_1" / "mine.txt").write_text("mine")
    found = plumkeras.train("mosi", data, tmp_path, seeds=[0], overwrite=True, **small)
    assert found.seeds == (0,)
    assert [path.name for path in (tmp_path / "seed_1").iterdir() if path.name != ".lock"] == ["mine.txt"]


def test_folds_times_seeds(tmp_path):
    split = make_synthetic({"all": 24}, seed=2)[0]["all"]
    folds = Dataset({"all": dataclasses.replace(split, folds=np.arange(24) % 3)})
    small = {**FIELDS, "refinement": {"epochs": 1}}
    found = plumkeras.train("mosi", folds, tmp_path / "folds", seeds=[0, 1], **small)
    assert found.run(0).folds == (0, 1, 2) and found.metrics["test"]["n"] == 24
    assert (tmp_path / "folds" / "seed_1" / "fold_2" / "network.keras").is_file()


def test_an_undefined_metric_has_no_mean():
    found = summarise({"0": {"valid": None, "test": {"corr": None, "n": 2}}, "1": {"test": {"corr": 0.5, "n": 2}}})
    assert found["test"] == {"corr": None, "n": 2} and found["std"]["test"] == {"corr": None}
    assert found["valid"] is None


def test_the_command_line_refuses_seed_with_seeds_and_jobs_without(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert main(["train", "synthetic", "--output", out, "--seeds", "0", "--seed", "1"]) == 2
    assert "--seed is one run and --seeds several" in capsys.readouterr().err
    assert main(["train", "synthetic", "--output", out, "--jobs", "2"]) == 2
    assert "they go with --seeds" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_description_names_what_was_run(runs):
    described = json.loads((runs.directory / run_directory.SEEDS).read_text())
    assert described["seeds"] == [3, 1] and described["recipe"]["name"] == "mosi"
    assert described["data"]["samples"] == {"train": 32, "valid": 16, "test": 12}


def test_a_file_that_has_changed_is_read_again(tmp_path):
    path, config = tmp_path / "data.npz", find_recipe("mosi")
    source = DataSource(str(path))
    for count in (12, 14):
        save_npz(make_synthetic({"train": count, "valid": 8, "test": 8}, seed=1)[0], path, overwrite=True)
        assert len(source.read(config)["train"]) == count
    job = Job(config, source, tmp_path / "run", sha256="another")
    with pytest.raises(ConfigError, match=r"data\.npz: the data have changed since this was begun"):
        run_job(job)
    assert not (tmp_path / "run").exists()
