"""Frames standardised within each sample: hand-computed, from arrays and from shards, by a recipe."""

import dataclasses

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, convert, load, normalize_samples, open_shards
from plumkeras.recipes import find_recipe
from plumkeras.recipes.runs.protocol import prepare


@pytest.fixture
def split():
    text = np.random.default_rng(0).normal(3, 2, size=(40, 6, 4))
    lengths = np.arange(40) % 7
    text[np.arange(6) >= lengths[:, None]] = 0
    return Split(
        [f"s{i}" for i in range(40)],
        {"text": text, "audio": np.ones((40, 1, 2))},
        {"text": lengths, "audio": np.ones(40)},
        np.zeros(40),
        context_features={"text": text[::-1]},
        context_lengths={"text": lengths[::-1]},
    )


def test_values_are_those_of_misa(split):
    done = normalize_samples(split, ["text"])
    assert done.features["audio"] is split.features["audio"] and done.features["text"].dtype == np.float32
    for raw, norm, length in zip(split.features["text"], done.features["text"], split.lengths["text"], strict=True):
        valid = raw[:length].astype("float64")
        if length:
            valid = (valid - valid.mean(axis=0)) / (1e-6 + valid.std(axis=0))
        np.testing.assert_allclose(norm[:length], valid, atol=1e-5)
        assert not norm[length:].any()
    np.testing.assert_array_equal(done.context_features["text"], done.features["text"][::-1])
    assert not normalize_samples(split, ["audio"]).features["audio"].any()  # of one frame nothing is left
    with pytest.raises(DataError, match="no modality 'vision' to standardise; it has text, audio"):
        normalize_samples(split, ["vision"])


def test_shards_give_the_same(split, tmp_path):
    pytest.importorskip("tensorflow")
    convert(Dataset({"train": split}), tmp_path / "shards")
    wanted = normalize_samples(load(tmp_path / "shards")["train"], ["text"]).features["text"]
    stored = normalize_samples(open_shards(tmp_path / "shards")["train"], ["text"]).features["text"]
    np.testing.assert_array_equal(np.asarray(stored), wanted)
    np.testing.assert_array_equal(stored[[7, 3], 1:4], wanted[[7, 3], 1:4])
    np.testing.assert_array_equal(stored.take([9, 2])[:], wanted[[9, 2]])


def test_a_recipe_asks_for_it(split):
    recipe = dataclasses.replace(find_recipe("mosi_frozen"), sample_norm=("text",), context_frames=2)
    dataset = Dataset({"train": split})
    joined = prepare(recipe, dataset)["train"]
    done = normalize_samples(split, ["text"])
    # Each by itself, and then the last two of the context's six frames in front.
    np.testing.assert_array_equal(joined.features["text"][5, :2], done.context_features["text"][5, 4:])
    np.testing.assert_array_equal(joined.features["text"][5, 2:7], done.features["text"][5, :5])
    with pytest.raises(DataError, match="no modality 'vision'"):
        prepare(dataclasses.replace(recipe, sample_norm=("vision",)), dataset)
