"""What the benchmark compares; how fast it is, a test does not ask."""

import re

from plumkeras.data_pipelines import make_dataset, make_synthetic, save_npz
from plumkeras.recipes.cli import main


def test_the_padded_kind_pads_to_the_frames_of_the_file():
    train = make_synthetic({"train": 64})[0]["train"]
    for inputs, _ in make_dataset(train, training=True, length_aware=False):
        assert all(inputs[m].shape[1] == train.features[m].shape[1] for m in train.modalities)


def test_benchmark_prints_both_kinds(tmp_path, capsys):
    save_npz(make_synthetic({"train": 48, "valid": 8, "test": 8})[0], tmp_path / "data.npz")
    recipe = tmp_path / "small.py"
    recipe.write_text(
        "from plumkeras.recipes.config import NetworkConfig, RecipeConfig\n"
        "recipe = RecipeConfig(name='small', batch_size=16, network=NetworkConfig(8, 1, 2, modules=('msa',)))\n"
    )
    assert (
        main(["benchmark", "epoch", "--data", str(tmp_path / "data.npz"), "--recipe", str(recipe), "--rounds=1"]) == 0
    )
    printed = capsys.readouterr().out
    assert "length-aware" in printed and re.search(r"length-aware is \d+\.\d\d times as fast", printed)


def test_an_epoch_of_each_model_is_timed_beside_the_recipes_own(tmp_path, capsys):
    save_npz(make_synthetic({"train": 32, "valid": 16, "test": 16})[0], tmp_path / "data.npz")
    recipe = tmp_path / "small.py"
    recipe.write_text(
        "from plumkeras.recipes.models.fusion import FusionConfig, FusionRecipeConfig\n"
        "recipe = FusionRecipeConfig(name='small', model='late_fusion', network=FusionConfig(8))\n"
    )
    line = ["benchmark", "models", "--data", str(tmp_path / "data.npz"), "--recipe", str(recipe), "--rounds=1"]
    assert main([*line, "--models", "early_fusion"]) == 0
    rows = [row for row in capsys.readouterr().out.splitlines() if row.startswith("│")]
    assert re.search(r"late fusion .* 1\.00 ", rows[0]) and re.search(r"early fusion .*\d+\.\d\d ", rows[1])
    assert main([*line, "--models", "early"]) == 2
    assert "model must be one of" in " ".join(capsys.readouterr().err.split())
