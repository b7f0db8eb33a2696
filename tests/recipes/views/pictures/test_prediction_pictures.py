"""Pictures of predictions, with data at which a drawing could fail."""

import warnings

import numpy as np
import pytest

from plumkeras.recipes.views.pictures import predictions

NAMES = ["negative", "neutral", "positive"]


@pytest.fixture(autouse=True)
def no_warnings():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize("labels", [[0.5], [1.0, 1.0], np.linspace(-3, 3, 5000)])
def test_regression(labels, tmp_path):
    predictions.plot_regression(labels, np.zeros(len(labels)), "a $split$", tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("classes", [2, 40])
def test_confusion_with_a_class_that_never_occurs(classes, tmp_path):
    names = [str(k) for k in range(classes)]
    predictions.plot_confusion([0, 0], [0, classes - 1], names, "test", tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("modalities", [2, 3, 5])
def test_disagreement_where_no_sample_has_both(modalities, tmp_path):
    hard = {f"m_{k}": np.array([-1, k % 3]) if k % 2 else np.array([0, -1]) for k in range(modalities)}
    predictions.plot_disagreement(hard, NAMES, "test", tmp_path / "p.png")
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")


def test_counts_of_a_matrix():
    found = predictions._counts([0, 0, 2], [0, 1, 2], 3)
    assert found.tolist() == [[1, 1, 0], [0, 0, 0], [0, 0, 1]]
