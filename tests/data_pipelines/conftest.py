"""Files to read, written where a test says: MMSA's pickles, and the native layout."""

import pickle

import numpy as np
import pytest

from tests.testing.dataset_pickles import mmsa_split
from tests.testing.npz_files import npz_fields


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
