"""The picture of a data set, for every shape of one."""

import warnings

import matplotlib.image
import numpy as np
import pytest

from plumkeras.data_pipelines import Dataset, Split, describe
from plumkeras.recipes.views.pictures.data_sets import plot_description


def _split(count, modalities, labels):
    random = np.random.default_rng(count)
    features = {m: random.normal(size=(count, 4, 3)).astype("float32") for m in modalities}
    lengths = {m: random.integers(0, 5, count) for m in modalities}
    for m in modalities:
        features[m][np.arange(4) >= lengths[m][:, None]] = 0
    return Split([f"s{i}" for i in range(count)], features, lengths, labels)


def _draw(dataset, path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_description(describe(dataset), path)
    picture = matplotlib.image.imread(path)
    assert picture.shape[0] > 900 and picture.shape[1] > 900
    return picture


@pytest.mark.parametrize("modalities", [["text"], ["text", "audio"], ["text", "audio", "vision", "hcf"]])
@pytest.mark.parametrize("task", ["regression", "classification", None])
def test_draws(modalities, task, tmp_path):
    labels = {"regression": np.linspace(-3, 3, 9), "classification": np.arange(9) % 3, None: None}[task]
    dataset = Dataset({"train": _split(9, modalities, labels), "test": _split(9, modalities, labels)})
    picture = _draw(dataset, tmp_path / "picture.png")
    # The training split's colour stands in every row of panels.
    blue = np.all(np.abs(picture[..., :3] - np.array([0, 0x72, 0xB2]) / 255) < 0.02, axis=-1)
    rows = np.flatnonzero(blue.any(axis=1)) / len(picture)
    assert (rows < 0.33).any() and ((rows > 0.36) & (rows < 0.62)).any() and (rows > 0.7).any()


def test_wider_for_more_modalities(tmp_path):
    widths = [
        _draw(Dataset({"all": _split(5, names, None)}), tmp_path / "p.png").shape[1]
        for names in ("ab", "abcd", "abcdefghi")
    ]
    assert widths[0] < widths[1] < widths[2] < 2500


@pytest.mark.parametrize("path", ["a$b$.npz", "特徴.npz", "x" * 300, None])
def test_any_name(path, tmp_path):
    _draw(Dataset({"all": _split(5, ["te$x$t"], None)}, path=path), tmp_path / "picture.png")


def test_nothing_to_show(tmp_path):
    """Constant columns, no valid frame, values that aren't finite, one sample, hundreds of classes."""
    features = {"text": np.ones((1, 1, 1)), "audio": np.zeros((1, 2, 2)), "vision": np.full((1, 1, 2), np.nan)}
    lengths = {"text": [1], "audio": [0], "vision": [1]}
    _draw(Dataset({"train": Split(["a"], features, lengths, [0.0])}), tmp_path / "picture.png")
    _draw(Dataset({"train": _split(300, ["text"], np.arange(300))}), tmp_path / "picture.png")
