"""`--max-bytes`: every command that reads data says what it may unfold to, and stops at it in one line."""

import json

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, convert, load, make_synthetic, open_shards, save_npz
from plumkeras.recipes import load_run
from plumkeras.recipes.cli import main


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "data.npz"
    save_npz(make_synthetic({"train": 16, "valid": 8, "test": 8})[0], path)
    return path


def commands(data, run, folder):
    """Each command that reads data, by name."""
    return {
        "inspect": ["inspect", data],
        "convert": ["convert", data, folder / "shards"],
        "extract": ["extract", data, "--output", folder / "more.npz", "--text-encoder", folder],
        "train": ["train", "mosi", "--data", data, "--output", folder / "run"],
        "tune": ["tune", "mosi", "--data", data, "--output", folder / "search"],
        "evaluate": ["evaluate", run, "--data", data],
        "predict": ["predict", run, "--data", data, "--output", folder / "out.csv"],
        "benchmark": ["benchmark", "epoch", "--data", data],
    }


NAMES = tuple(commands(None, None, __import__("pathlib").Path()))


@pytest.mark.parametrize("name", NAMES)
def test_each_command_stops_at_it(data, tiny_run, tmp_path, capsys, name):
    line = [str(word) for word in commands(data, tiny_run, tmp_path)[name]]
    assert main([*line, "--max-bytes", "1000"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1
    assert f"error: {data}: " in said and "unfolds to more than 1000 bytes" in said and "--max-bytes N" in said
    assert main([*line, "--max-bytes", "0"]) == 2
    assert "--max-bytes must be at least 1. Received: 0" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_it_raises_the_limit(tmp_path, capsys):
    """A sparse data set that unfolds to more than 1 GB is refused, and read where that is asked for."""
    path = tmp_path / "zeros.npz"
    np.savez_compressed(path, text=np.zeros((9, 500, 1000), "float32"), text_lengths=np.full(9, 500))
    assert main(["inspect", str(path), "--json", "--max-bytes", "20000000"]) == 2
    assert "unfolds to more than 20000000 bytes" in capsys.readouterr().err
    assert main(["inspect", str(path), "--json", "--max-bytes", "60000000"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"]["all"]["samples"] == 9


def test_in_python(data, tiny_run, tmp_path):
    for read in (
        lambda: load(data, max_bytes=1000),
        lambda: convert(data, tmp_path / "shards", max_bytes=1000),
        lambda: load_run(tiny_run).predict(data, max_bytes=1000),
    ):
        with pytest.raises(DataError, match=r"data\.npz: .* unfolds to more than 1000 bytes.*max_bytes=N in Python"):
            read()
    convert(data, tmp_path / "shards")
    for read in (load, open_shards):
        with pytest.raises(DataError, match=r"shards/.* unfolds to more than 1000 bytes"):
            read(tmp_path / "shards", max_bytes=1000)
        read(tmp_path / "shards")
