"""A data set whose labels have a range of their own: `label_range` of a recipe, `--label-range` of the commands."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, extraction, load, open_shards, save_npz
from plumkeras.recipes import find_recipe, load_run
from plumkeras.recipes.cli import data_set, main
from plumkeras.recipes.config import ConfigError, RecipeConfig
from plumkeras.recipes.runs import resuming, run_directory
from plumkeras.recipes.runs.protocol import fold_dataset

RANGE = ["--label-range", "-3", "3"]
SMALL = [
    *("--network.hidden-dim=8", "--network.num-layers=1", "--network.num-heads=2", "--network.modules"),
    *("--batch-size=8", "--alignment.epochs=1", "--refinement.epochs=1"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An MMSA-FET tree with labels per modality, all of them in [-3, 3]."""
    folder, random = tmp_path_factory.mktemp("fet"), np.random.default_rng(0)
    with (folder / "label.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(("video_id", "clip_id", "text", "label", "label_T", "label_A", "label_V", "mode"))
        for mode, count in (("train", 16), ("valid", 8), ("test", 8)):
            for clip in range(count):
                label = 3 - 6 * clip / (count - 1)
                table.writerow((mode, clip, "words", label, label, -label, label / 2, mode))
                path = folder / "audio" / mode / f"{clip}.npy"
                path.parent.mkdir(parents=True, exist_ok=True)
                np.save(path, random.normal(size=(2 + clip % 3, 4)) + label)
    return folder


def test_without_it_the_file_is_refused_and_the_option_named(folder, tmp_path, capsys):
    for arguments in (
        ["inspect", str(folder)],
        ["convert", str(folder), str(tmp_path / "shards")],
        ["train", "mosi", "--data", str(folder), "--output", str(tmp_path / "run")],
    ):
        assert main(arguments) == 2
        said = capsys.readouterr().err
        assert "outside the label range [-1, 1]" in said and "--label-range" in said
    assert not any(tmp_path.iterdir())


def test_inspect_and_convert(folder, tmp_path, capsys):
    assert main(["inspect", str(folder), "--json", *RANGE]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["label_range"] == [-3, 3] and found["splits"]["train"]["labels"]["max"] == 3
    shards = tmp_path / "shards"
    assert main(["convert", str(folder), str(shards), *RANGE]) == 0
    # The shards keep it: nobody has to say it again.
    assert json.loads((shards / "schema.json").read_text())["label_range"] == [-3, 3]
    assert open_shards(shards).label_range == load(shards).label_range == (-3, 3)
    assert main(["inspect", str(shards), "--json", "--label-range", "-4", "4"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["label_range"] == [-4, 4]


def test_a_run_keeps_it(folder, tmp_path, capsys):
    run = tmp_path / "run"
    command = ["train", "mosi", "--data", str(folder), "--output", str(run), *SMALL]
    assert main([*command, *RANGE]) == 0
    config = json.loads((run / "config.json").read_text())
    assert config["recipe"]["label_range"] == config["data"]["label_range"] == [-3, 3]
    # Metrics of [-3, 3], not those of SIMS.
    assert "acc7" in json.loads((run / "metrics.json").read_text())["test"]
    assert main(["evaluate", str(run), "--data", str(folder)]) == 0
    assert main(["predict", str(run), "--data", str(folder), "--output", str(tmp_path / "p.csv")]) == 0
    with (tmp_path / "p.csv").open(newline="") as file:
        written = [float(row["prediction"]) for row in csv.DictReader(file)]
    np.testing.assert_allclose(load_run(run).predict(folder)["prediction"], written, atol=1e-5)
    capsys.readouterr()
    assert main([*command, "--resume", "--label-range", "-4", "4"]) == 2
    said = capsys.readouterr().err
    assert "label_range has changed" in said and "[-3.0, 3.0]" in said and "[-4.0, 4.0]" in said


def test_folds_keep_it(tmp_path):
    split = Split(
        [f"v{k}" for k in range(9)], {"text": np.ones((9, 2, 3))}, {"text": np.full(9, 2)}, np.linspace(-1, 1, 9),
        folds=np.arange(9) % 3,
    )  # fmt: skip
    save_npz(Dataset({"all": split}, label_range=(-1, 1)), tmp_path / "folds.npz")
    recipe = find_recipe("mosi_frozen")
    assert data_set.read_for_training(tmp_path / "folds.npz", recipe).label_range == (-1, 1)
    dataset = data_set.read_for_training(tmp_path / "folds.npz", dataclasses.replace(recipe, label_range=(-2, 2)))
    assert dataset.label_range == fold_dataset(dataset, 1).label_range == (-2, 2)


def test_extract_takes_it_for_a_data_set_with_texts(folder, monkeypatch):
    class Encoder:
        def __init__(self, folder):
            pass

        def encode(self, texts, *arguments, **options):
            return np.ones((len(texts), 1, 5), "float32"), np.ones(len(texts), "int32"), 0

    monkeypatch.setattr(extraction.extracting, "TextEncoder", Encoder)
    options = extraction.TextOptions(text_encoder="any")
    with pytest.raises(DataError, match="outside the label range"):
        extraction.extract(folder, text_options=options)
    dataset = extraction.extract(folder, text_options=options, label_range=(-3, 3)).dataset
    assert dataset.label_range == (-3, 3) and dataset.feature_dims == {"text": 5, "audio": 4}


def test_an_older_run_without_the_field(tiny_run, tiny_options, tmp_path, capsys):
    """Its config.json loads, compares equal, and is gone on with."""
    run = shutil.copytree(tiny_run, tmp_path / "run")
    path = run / "config.json"
    values = json.loads(path.read_text())
    assert values["recipe"].pop("label_range") is None
    path.write_text(json.dumps(values))
    recipe = run_directory.read_config(path)
    assert recipe == run_directory.read_config(tiny_run / "config.json") and recipe.label_range is None
    dataset = data_set.read_for_training(None, recipe)
    resuming.check_same(run, recipe, dataset)
    with pytest.raises(ConfigError, match=r"label_range has changed: .* has None, and now it is \[-4, 4\]"):
        resuming.check_same(run, dataclasses.replace(recipe, label_range=(-4, 4)), dataset)
    assert main(["train", "synthetic", "--output", str(run), *tiny_options, "--resume"]) == 0
    assert "this run is finished" in " ".join(capsys.readouterr().out.split())
    assert load_run(run).config == recipe


@pytest.mark.parametrize("label_range", [(3, -3), (1, 1), (0, float("inf")), (float("nan"), 1), (1,), (1, 2, 3)])
def test_what_is_no_range(label_range):
    with pytest.raises(ConfigError, match=r"label_range must be two finite numbers, the lower one first. Received: "):
        RecipeConfig(name="mine", label_range=label_range)
