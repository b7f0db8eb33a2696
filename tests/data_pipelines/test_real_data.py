"""The real files, against the figures of their README."""

import numpy as np
import pytest

from plumkeras.data_pipelines import describe, load
from plumkeras.data_pipelines.batches.order import padding_share


@pytest.fixture(scope="module")
def mosi(real_data):
    return load(real_data / "mosi_text_audio.npz")


def test_mosi(mosi, real_data):
    assert {name: len(split) for name, split in mosi.items()} == {
        "train": 1284, "valid": 229, "test": 686,
    }  # fmt: skip
    assert mosi.feature_dims == {"text": 384, "audio": 73} and mosi.report.warnings == []
    assert mosi["train"].ids[0] == "03bSnISJMiM_1"
    with np.load(real_data / "mosi_text_audio.npz") as raw:
        np.testing.assert_array_equal(mosi["test"].features["text"], raw["test/text"].astype("float32"))
        np.testing.assert_array_equal(mosi["test"].lengths["text"], raw["test/text_lengths"])
    found = describe(mosi)
    # The paper's Figure 4.
    assert found["splits"]["train"]["labels"]["classes"] == {
        "negative": 552, "zero": 53, "positive": 679,
    }  # fmt: skip


def test_length_aware_batches_halve_the_padding(mosi):
    aware = padding_share(mosi["train"], 32, modalities=["text"])
    unaware = padding_share(mosi["train"], 32, modalities=["text"], length_aware=False)
    assert aware < 0.36 < 0.6 < unaware


def test_trimodal(real_data):
    dataset = load(real_data / "mosi_trimodal_752.npz")
    assert list(dataset) == ["all"] and len(dataset["all"]) == 752
    assert sorted(set(dataset["all"].folds.tolist())) == [0, 1, 2, 3, 4]
    assert describe(dataset)["constant_features"]["vision"] == 32


def test_word_aligned(real_data):
    dataset = load(real_data / "mosi_word_aligned_229.npz")
    assert dataset.feature_dims == {"text": 384, "audio": 74, "vision": 47}
    lengths = dataset["all"].lengths
    np.testing.assert_array_equal(lengths["text"], lengths["vision"])
    assert lengths["text"][:3].tolist() == [18, 6, 9]
