"""The command line on real CMU-MOSI features."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest

from plumkeras.recipes.cli import main

SHORT = ["--network.hidden-dim=16", "--network.num-heads=2", "--alignment.epochs=1", "--refinement.epochs=3"]
SHORT += ["--alignment.learning-rate=0.002", "--refinement.learning-rate=0.002"]


@pytest.fixture(scope="module")
def mosi_run(real_data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("mosi") / "run"
    data = str(real_data / "mosi_text_audio.npz")
    assert main(["train", "mosi_frozen", "--data", data, "--output", str(directory), *SHORT]) == 0
    return directory


def test_a_short_run_is_above_chance(mosi_run):
    metrics = json.loads((mosi_run / "metrics.json").read_text())
    assert metrics["valid"]["n"] == 229 and metrics["test"]["n"] == 686 and metrics["test"]["n_non0"] == 656
    # The training labels' median reaches MAE 1.42 on valid; nothing is asked of the test split.
    assert metrics["valid"]["mae"] < 1.15 and metrics["valid"]["corr"] > 0.5


def test_predictions_keep_the_ids_of_the_file(mosi_run, real_data):
    with np.load(real_data / "mosi_text_audio.npz") as file:
        ids = file["test/id"]
    with open(mosi_run / "predictions_test.csv", newline="") as file:
        assert [row["id"] for row in csv.DictReader(file)] == list(ids)


def test_a_text_network_runs_on_the_richer_file(mosi_run, real_data, tmp_path):
    data, out = str(real_data / "mosi_text_audio.npz"), tmp_path / "text"
    options = [*SHORT, "--modalities", "text", "--network.modules", "msa", "--refinement.epochs=1"]
    assert main(["train", "mosi_frozen", "--data", data, "--output", str(out), *options]) == 0
    assert main(["predict", str(out), "--data", data, "--output", str(tmp_path / "p.csv"), "--split", "valid"]) == 0
    # And on a file with folds in place of splits, which has a third modality.
    trimodal = str(real_data / "mosi_trimodal_752.npz")
    assert main(["predict", str(out), "--data", trimodal, "--output", str(tmp_path / "q.csv")]) == 0
    assert len((tmp_path / "q.csv").read_text().splitlines()) == 1 + 752


def test_a_file_with_folds_is_cross_validated(real_data, tmp_path, capsys):
    data, run = str(real_data / "mosi_trimodal_752.npz"), tmp_path / "run"
    options = ["--modalities", "text", "--network.modules", "--network.hidden-dim=8", "--network.num-heads=2"]
    options += ["--refinement.epochs=1", "--refinement.learning-rate=1e-2"]
    assert main(["train", "mosi_frozen", "--data", data, "--output", str(run), *options]) == 0
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["test"]["n"] == metrics["valid"]["n"] == 752
    assert [fold["n"] for fold in metrics["folds"].values()] == [155, 147, 147, 146, 157]
    assert metrics["test"]["corr"] > 0.2  # Far above chance, far below what training to the end gives.
    assert "pooled" in capsys.readouterr().out


def test_inspect(real_data, capsys):
    assert main(["inspect", str(real_data / "mosi_text_audio.npz")]) == 0
    printed = capsys.readouterr().out
    assert "1284" in printed and "552" in printed and "52 videos" in printed
    assert "3 of 384 feature columns never change: 127, 223, 319" in printed


@pytest.mark.verify
def test_memory_while_training(real_data, tmp_path):
    """At most three times the decoded size on top of the framework: the same run on a twentieth of the data."""
    from plumkeras.data_pipelines import Dataset, load, save_npz

    dataset = load(real_data / "mosi_text_audio.npz")
    decoded = sum(a.nbytes for split in dataset.values() for a in split.features.values())
    small = {name: split.take(np.arange(len(split) // 20)) for name, split in dataset.items()}
    save_npz(Dataset(small), tmp_path / "small.npz")

    def peak(data, name):
        arguments = ["train", "mosi_frozen", "--data", str(data), "--output", str(tmp_path / name), *SHORT]
        code = (
            "import resource, sys; from plumkeras.recipes.cli import main; assert main(sys.argv[1:]) == 0; "
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024)"
        )
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        return int(done.stdout.splitlines()[-1])

    extra = peak(real_data / "mosi_text_audio.npz", "whole") - peak(tmp_path / "small.npz", "part")
    print(f"decoded {decoded / 2**20:.0f} MiB, on top of the framework {extra / 2**20:.0f} MiB")
    assert extra <= 3 * decoded
