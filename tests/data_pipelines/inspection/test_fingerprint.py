"""Statistics of the training features, and what is told of features unlike them; silence where nothing is wrong."""

import dataclasses
import json
import re

import numpy as np
import pytest

from plumkeras.data_pipelines import Dataset, Split, convert, load, make_synthetic, open_shards, save_npz
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.inspection.fingerprint import drift, fingerprint
from plumkeras.data_pipelines.inspection.known_files import KNOWN_FILES
from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers


def make_split(count=300, seed=0, frames=9, width=40, offset=0.0):
    """Columns of means and deviations of their own; each sample has a level of its own; one in ten is missing."""
    columns, random = np.random.default_rng(7), np.random.default_rng([seed, 1])
    mean, std = columns.normal(offset, 6, width), columns.uniform(0.5, 4, width)
    level = random.normal(size=(count, 1, width))
    x = (mean + std * (0.8 * level + 0.6 * random.normal(size=(count, frames, width)))).astype("float32")
    lengths = random.integers(1, frames + 1, count)
    lengths[::10] = 0
    x[np.arange(frames) >= lengths[:, None]] = 0
    ids = [f"{seed}_{i}" for i in range(count)]
    return Split(ids, {"audio": x}, {"audio": lengths}, random.uniform(-3, 3, count))


@pytest.fixture(scope="module")
def known():
    return fingerprint(make_split())


@pytest.mark.parametrize("block_bytes", [1, 20_000, 1 << 23])
@pytest.mark.parametrize("offset", [0.0, 3e5])
def test_statistics_are_those_of_the_valid_frames(monkeypatch, block_bytes, offset):
    """Also far from zero, and whatever is read at a time."""
    monkeypatch.setattr(cleaning, "BLOCK_BYTES", block_bytes)
    split = make_split(60, offset=offset)
    x, lengths = split.features["audio"].astype("float64"), split.lengths["audio"]
    frames = x[np.arange(9) < lengths[:, None]]
    found = fingerprint(split)["modalities"]["audio"]
    assert (found["width"], found["samples"], found["frames"]) == (40, 54, lengths.sum())
    assert found["missing"] == pytest.approx(0.1) and found["mean_length"] == lengths.sum() / 54
    np.testing.assert_allclose(found["mean"], frames.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["std"], frames.std(axis=0), rtol=1e-4)
    has = lengths > 0
    residual = x.sum(axis=1)[has] - lengths[has, None] * frames.mean(axis=0)
    np.testing.assert_allclose(found["sample_std"], residual.std(axis=0) / found["mean_length"], rtol=1e-3)


def test_the_standard_error_is_that_of_repeated_samples():
    """Frames of a sample resemble each other: the mean of all frames varies far more than independent frames would."""
    means = [fingerprint(make_split(100, seed))["modalities"]["audio"]["mean"] for seed in range(100)]
    found = fingerprint(make_split(100))["modalities"]["audio"]
    error = np.array(found["sample_std"]) / np.sqrt(found["samples"])
    assert np.median(error / np.std(means, axis=0)) == pytest.approx(1, abs=0.12)
    assert np.median(error) > 1.5 * np.median(np.array(found["std"]) / np.sqrt(found["frames"]))


def test_of_a_data_set_the_training_split_counts_and_shards_give_the_same(tmp_path):
    dataset = make_synthetic({"train": 40, "test": 20})[0]
    save_npz(dataset, tmp_path / "data.npz")
    convert(tmp_path / "data.npz", tmp_path / "shards")
    found = fingerprint(load(tmp_path / "data.npz"), ["text"])
    assert found["split"] == "train" and found["samples"] == 40 and list(found["modalities"]) == ["text"]
    assert found["source"]["format"] == "npz" and found["source"]["known_file"] is None
    stored = fingerprint(open_shards(tmp_path / "shards"), ["text"])
    assert stored["modalities"] == found["modalities"] and stored["source"] == found["source"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["modalities"] == fingerprint(dataset["train"], ["text"])["modalities"]


def test_a_modality_that_is_missing_everywhere():
    split = make_split(30)
    nothing = dataclasses.replace(split, features={"audio": 0 * split.features["audio"]}, lengths={"audio": [0] * 30})
    found = fingerprint(nothing)
    json.dumps(found, allow_nan=False)
    assert found["modalities"]["audio"]["missing"] == 1
    assert drift(found, split) == [] and drift(found, nothing) == []
    assert drift(fingerprint(split), nothing) == [
        "audio: every sample lacks it; in training 10 % of the samples did",
    ]


@pytest.mark.parametrize("count", [1, 2, 5, 20, 50, 400])
def test_other_samples_of_the_kind_are_silent(known, count):
    for seed in range(1, 26):
        assert drift(known, make_split(count, seed)) == []


def changed(split, change):
    """The split with its features changed, zero past the lengths."""
    features = {}
    for m, x in split.features.items():
        new = np.asarray(change(x), "float32")
        features[m] = np.where(np.arange(x.shape[1])[None, :, None] < split.lengths[m][:, None, None], new, 0)
    return dataclasses.replace(split, features=features)


CHANGES = {
    "ten times": (lambda x: 10 * x, r"spread (9|10)\.?\d* times"),
    "a tenth": (lambda x: x / 10, r"spread 0\.(09|1)\d* times"),
    "almost nothing": (lambda x: x / 1e4, "spread less than a hundredth"),
    "columns rolled": (lambda x: np.roll(x, 1, axis=2), "another order"),
    "columns reversed": (lambda x: x[:, :, ::-1], "another order"),
    "zeros": (lambda x: 0 * x, "every frame is zero"),
    "constant": (lambda x: 0 * x + 1, "spread less"),
    "shifted": (lambda x: x + 2 * x.std((0, 1)), "standard deviations from"),
    "standardised": (lambda x: (x - x.mean((0, 1))) / x.std((0, 1)), "standard deviations from|do not follow"),
    "another extractor": (lambda x: np.random.default_rng(9).normal(1, 2, x.shape), "do not follow"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_other_features_are_told(known, change):
    apply, told = CHANGES[change]
    found = drift(known, changed(make_split(200, 3), apply))
    assert len(found) == 1 and found[0].startswith("audio: ")
    assert re.search(told, found[0])


def test_too_few_samples_tell_nothing_but_zeros(known):
    few = make_split(12, 3)
    assert drift(known, changed(few, lambda x: 10 * x)) == []
    assert drift(known, changed(few, lambda x: 0 * x)) == ["audio: every frame is zero"]


def test_frames_cut_in_another_way_are_told(known):
    long = make_split(100, 2, frames=60)
    (told,) = drift(known, long)
    assert re.match(r"audio: samples have (29|3\d)\.\d frames on average, in training 5\.", told)


def test_columns_that_are_constant_in_training_take_no_part():
    split = changed(make_split(), lambda x: np.where(np.arange(40) < 30, 4.0, x))
    assert drift(fingerprint(split), changed(make_split(200, 3), lambda x: np.where(np.arange(40) < 30, 9e5, x))) == []
    flat = changed(make_split(), lambda x: 0 * x + 4)
    assert drift(fingerprint(flat), make_split(100, 1)) == []


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_generated_splits_are_silent_and_their_corruptions_told(task):
    for seed in range(3):
        dataset = make_synthetic({"train": 256, "valid": 64, "test": 64}, seed=seed, task=task)[0]
        found = fingerprint(dataset)
        assert [drift(found, split) for split in dataset.values()] == [[], [], []]
        for change in (lambda x: 10 * x, lambda x: x / 10, lambda x: 0 * x):
            assert len(drift(found, changed(dataset["test"], change))) == 3


def _real_sets(folder):
    yield load(folder / "mosi_text_audio.npz")
    dataset = load(folder / "mosi_trimodal_752.npz")
    for number in fold_numbers(dataset):
        yield fold_dataset(dataset, number)


def test_real_splits_are_silent_and_their_corruptions_told(real_data):
    """Valid and test are of other speakers than the training split, and so are a dozen samples of one video."""
    random = np.random.default_rng(0)
    for dataset in _real_sets(real_data):
        found = fingerprint(dataset)
        for split in dataset.values():
            assert drift(found, split) == []
        test = dataset["test"]
        for count in (1, 3, 10, 20, 30, 50):
            for start in range(0, len(test) - count, 7):
                assert drift(found, test.take(np.arange(start, start + count))) == []
            assert drift(found, test.take(random.choice(len(test), count, replace=False))) == []
        for change in (
            *(lambda x: 10 * x, lambda x: x / 10, lambda x: 0 * x),
            *(lambda x: np.roll(x, 1, axis=2), lambda x: x[:, :, ::-1]),
            lambda x: np.random.default_rng(1).normal(size=x.shape),
        ):
            told = drift(found, changed(test, change))
            assert [sentence.split(":")[0] for sentence in told] == list(dataset.modalities)


def test_a_published_file_is_named():
    digest, file = next(iter(KNOWN_FILES.items()))
    dataset = Dataset({"train": make_split(20)}, sha256=digest, format=file.format)
    assert fingerprint(dataset)["source"] == {"format": file.format, "sha256": digest, "known_file": file.name}
