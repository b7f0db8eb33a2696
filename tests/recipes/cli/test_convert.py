"""`plumkeras convert`, and what the other commands make of its folders."""

import json
import re

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, convert, describe, load, make_synthetic, open_shards, save_npz
from plumkeras.recipes import load_run
from plumkeras.recipes.benchmarks.training import benchmark_data
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import NetworkConfig, RecipeConfig
from plumkeras.recipes.runs.provenance import samples_sha256
from plumkeras.recipes.runs.training import train_run

SMALL = [
    *("--network.hidden-dim=8", "--network.num-heads=2", "--network.modules", "msa", "--batch-size=8"),
    *("--alignment.epochs=1", "--refinement.epochs=1"),
]


@pytest.fixture
def source(tmp_path):
    save_npz(make_synthetic({"train": 40, "valid": 12, "test": 12})[0], tmp_path / "data.npz")
    return tmp_path / "data.npz"


def test_convert_and_inspect(source, tmp_path, capsys):
    folder = tmp_path / "shards"
    assert main(["convert", str(source), str(folder)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"train 40, valid 12, test 12 samples in 13 files, 0\.\d MB", printed)
    assert main(["inspect", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert "format shards" in printed and load(folder).sha256 in "".join(printed.split())
    before = (folder / "schema.json").read_bytes()
    for arguments, said in (
        ([str(source), str(folder)], "exists already"),
        ([str(source), str(tmp_path)], "holds other files"),
        ([str(tmp_path / "none.npz"), str(tmp_path / "x")], "there is no such file"),
    ):
        assert main(["convert", *arguments]) == 2
        error = capsys.readouterr().err
        assert said in error and "Traceback" not in error
    assert (folder / "schema.json").read_bytes() == before and not (tmp_path / "x").exists()
    assert main(["convert", str(source), str(folder), "--overwrite"]) == 0
    assert (folder / "schema.json").read_bytes() == before


def test_convert_says_what_inspect_says(source, tmp_path, capsys):
    """What was cleaned, and every warning: of loading, of writing, and about the features."""
    with np.load(source) as file:
        arrays = dict(file)
    arrays["train/audio"][0, 0, :2] = [np.nan, np.inf]
    arrays["valid/text"][1, 0, 0] = 1e9
    arrays["train/vision"][..., 1] = 0
    arrays["test/id"][0] = arrays["train/id"][0]
    np.savez(tmp_path / "spoiled.npz", **arrays)
    description = describe(load(tmp_path / "spoiled.npz"))
    assert len(description["warnings"]) == 4
    assert main(["convert", str(tmp_path / "spoiled.npz"), str(tmp_path / "shards")]) == 0
    printed = "".join(capsys.readouterr().out.split())
    said = [f"warning: {warning}" for warning in description["warnings"]]
    said += ["cleaned in train, audio: 1 nan, 1 inf", "cleaned in valid, text: 1 overflow"]
    for line in said:
        assert printed.count("".join(line.split())) == 1, line
    assert describe(open_shards(tmp_path / "shards"))["warnings"] == description["warnings"]


def test_a_run_from_shards_is_that_from_the_file(source, tmp_path, capsys):
    folder = tmp_path / "shards"
    convert(source, folder)
    for name, data in (("file", source), ("folder", folder)):
        assert main(["train", "mosi", "--data", str(data), "--output", str(tmp_path / name), *SMALL]) == 0
    for file in ("metrics.json", "predictions_test.csv", "refinement_history.csv"):
        assert (tmp_path / "file" / file).read_bytes() == (tmp_path / "folder" / file).read_bytes()
    capsys.readouterr()
    # Damage that is found while batches are read is one line too.
    shard = folder / "test-features-text.npy"
    data = bytearray(shard.read_bytes())
    data[-100] ^= 1
    shard.write_bytes(data)
    assert main(["evaluate", str(tmp_path / "file"), "--data", str(folder)]) == 2
    error = capsys.readouterr().err
    assert "test-features-text.npy: damaged" in error and "Traceback" not in error
    run = load_run(tmp_path / "file")
    with pytest.raises(DataError, match=r"test-features-text.npy: damaged"):
        run.predict(open_shards(folder))
    damaged = Dataset(
        {"train": open_shards(folder)["test"], "valid": load(source)["valid"], "test": load(source)["test"]}
    )
    with pytest.raises(DataError, match=r"test-features-text.npy: damaged"):
        train_run(run.config, damaged, tmp_path / "damaged")
    assert not (tmp_path / "damaged").exists()


def test_data_without_a_hash_are_known_by_their_samples(source, tmp_path):
    convert(source, tmp_path / "shards")
    stored, loaded = open_shards(tmp_path / "shards"), load(source)
    assert samples_sha256(stored) == samples_sha256(loaded)
    assert samples_sha256(Dataset({"train": stored["train"]})) != samples_sha256(loaded)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "x.npz"], "unknown option --data"),
        (["--samples=0"], "--samples must be at least 1"),
        (["--recipe", "nonesuch"], "unknown recipe 'nonesuch'"),
    ],
)
def test_benchmark_data_is_refused(arguments, said, capsys):
    assert main(["benchmark", "data", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_benchmark_epoch_needs_data(capsys):
    assert main(["benchmark", "epoch"]) == 2
    assert "--data PATH" in capsys.readouterr().err


@pytest.mark.verify
def test_benchmark_data(tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "small.py"
    recipe.write_text(
        "from plumkeras.recipes.config import NetworkConfig, RecipeConfig\n"
        "recipe = RecipeConfig(name='small', batch_size=32, network=NetworkConfig(8, 1, 2, modules=('msa',)))\n"
    )
    config = RecipeConfig(name="small", batch_size=32, network=NetworkConfig(8, 1, 2, modules=("msa",)))
    lines = []
    samples = 3200  # 561 MB of features: memory that grew with them would show
    result = benchmark_data(config, samples, folder=tmp_path, rounds=2, progress=lines.append)
    assert result["samples"] == samples and result["sample_bytes"] == 50 * (768 + 74 + 35) * 4
    assert result["conversion"]["samples"] == result["reading"]["samples"] == samples
    assert len(result["reading"]["all_seconds"]) == 2
    for part in ("conversion", "reading", "training"):
        facts = result[part]
        assert facts["samples_per_second"] == pytest.approx(facts["samples"] / facts["seconds"])
    memory = result["peak_memory"]
    assert 0 < memory["whole"] < memory["tenth"] + 300e6
    assert len(lines) == 6 and sorted(path.name for path in tmp_path.iterdir()) == ["small.py"]
    json.dumps(result)
    assert main(["benchmark", "data", "--samples=64", "--rounds=1", "--recipe", str(recipe)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert re.search(r"reading is \d+\.\d times as fast as training", printed)
    assert re.search(
        r"peak memory of an epoch from shards: \d+ MB, on a tenth of the samples \d+ MB: [+-]\d+ MB", printed
    )


def test_the_generated_data_are_mosei_sized(tmp_path):
    from plumkeras.recipes.benchmarks.training import _generate

    _generate(tmp_path / "generated.npz", 130)
    train = load(tmp_path / "generated.npz")["train"]
    assert {m: array.shape for m, array in train.features.items()} == {
        "text": (130, 50, 768),
        "audio": (130, 50, 74),
        "vision": (130, 50, 35),
    }
    assert all((lengths == 50).all() for lengths in train.lengths.values())
    assert len(np.unique(train.features["text"][:, 0, 0])) == 130 and abs(train.features["audio"].std() - 1) < 0.01
