"""Files to read: the real ones where they are, and MMSA pickles built to the letter."""

import os
import pathlib
import pickle

import numpy as np
import pytest

TEXT, AUDIO, VISION = 50, 12, 9
WIDTHS = {"text": 8, "audio": 5, "vision": 4}


@pytest.fixture(scope="session")
def real_data():
    """The folder with the real data files."""
    beside = pathlib.Path(__file__).parents[3] / "shared" / "data"
    folder = pathlib.Path(os.environ.get("PLUMKERAS_DATA", beside))
    if not (folder / "mosi_text_audio.npz").exists():
        pytest.skip(f"no real data in {folder}; set PLUMKERAS_DATA")
    return folder


def mmsa_split(count, name, *, aligned, seed, kind="mosi"):
    """One split as MMSA stores it: float64, -inf in audio, non-zero tails when unaligned."""
    random = np.random.default_rng([seed, count])
    frames = dict.fromkeys(WIDTHS, TEXT)
    if not aligned:
        frames |= {"audio": AUDIO, "vision": VISION}
    top = 1.0 if kind == "sims" else 3.0
    labels = np.round(random.uniform(-top, top, count), 1)
    words = random.integers(3, TEXT, count)
    text_bert = np.zeros((count, 3, TEXT))
    text_bert[:, 0] = random.integers(1, 30000, (count, TEXT))
    text_bert[:, 1] = np.arange(TEXT) < words[:, None]
    split = {
        "raw_text": np.array([f"sentence {i}" for i in range(count)]),
        "id": [f"{name}video$_${i}" for i in range(count)],
        "text_bert": text_bert,
        "annotations": [("Negative", "Neutral", "Positive")[int(np.sign(x)) + 1] for x in labels],
        "classification_labels": np.sign(labels) + 1,
        "regression_labels": labels,
    }
    for modality, width in WIDTHS.items():
        split[modality] = random.normal(size=(count, frames[modality], width)) + 5.0
    if aligned:
        for modality in WIDTHS:
            split[modality][np.arange(TEXT) >= words[:, None]] = 0.0
    else:
        for modality in ("audio", "vision"):
            lengths = random.integers(1, frames[modality] - 1, count)
            lengths[0] = frames[modality] - 2  # the tail of sample 0 keeps its noise
            split[modality][1:][np.arange(frames[modality]) >= lengths[1:, None]] = 0.0
            split[f"{modality}_lengths"] = lengths.tolist()
    split["audio"][0, 0, 1] = -np.inf
    if kind == "sims":
        for letter in "TAV":
            split[f"regression_labels_{letter}"] = np.clip(labels + 0.1, -1, 1)
    return split


@pytest.fixture
def mmsa_tree():
    """A function that builds the tree of an MMSA pickle."""

    def build(aligned=True, kind="mosi"):
        sizes = {"train": 9, "valid": 4, "test": 5}
        return {
            name: mmsa_split(count, name, aligned=aligned, seed=seed, kind=kind)
            for seed, (name, count) in enumerate(sizes.items())
        }

    return build


@pytest.fixture
def write_pickle(tmp_path):
    """A function that pickles an object into a file whose name says nothing."""

    def write(tree, protocol=4):
        path = tmp_path / "features.dat"
        path.write_bytes(pickle.dumps(tree, protocol=protocol))
        return path

    return write


def npz_fields(count=6, prefix="", seed=0):
    """Fields of the native layout."""
    random = np.random.default_rng(seed)
    lengths = random.integers(1, 8, count)
    text = random.normal(size=(count, 7, 3)).astype("float32")
    text[np.arange(7) >= lengths[:, None]] = 0
    fields = {
        "id": np.array([f"{prefix or 'x'}{i}" for i in range(count)]),
        "raw_text": np.array([f"words {i}" for i in range(count)]),
        "text": text,
        "text_lengths": lengths,
        "audio": random.normal(size=(count, 1, 2)).astype("float32"),
        "audio_lengths": np.ones(count, "int32"),
        "regression_labels": np.linspace(-3, 3, count).astype("float32"),
    }
    return {prefix + field: array for field, array in fields.items()}


@pytest.fixture
def npz_arrays():
    """A function giving the fields of a file with all three splits, or of one without."""

    def build(splits=("train", "valid", "test")):
        if not splits:
            return npz_fields()
        arrays = {}
        for seed, (name, count) in enumerate(zip(splits, (9, 4, 5), strict=False)):
            arrays |= npz_fields(count, f"{name}/", seed)
        return arrays

    return build


@pytest.fixture
def write_npz(tmp_path):
    """A function that writes arrays into a file whose name says nothing."""

    def write(arrays):
        path = tmp_path / "features.bin"
        with path.open("wb") as file:
            np.savez_compressed(file, **arrays)
        return path

    return write
