"""Networks that earlier releases saved load and put out the same. `testing/release_networks.py` adds a release's."""

from pathlib import Path

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.models.plum_net import PLUMNet
from tests.testing.networks import assert_close, to_numpy

FILES = sorted((Path(__file__).parent / "releases").glob("*.keras"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_file_of_an_earlier_release_loads(path):
    network = keras.saving.load_model(path)
    assert type(network) is PLUMNet
    with np.load(path.with_suffix(".npz")) as file:
        inputs = {key.removeprefix("input/"): file[key] for key in file.files if key.startswith("input/")}
        expected = {key.removeprefix("output/"): file[key] for key in file.files if key.startswith("output/")}
    assert_close(to_numpy(network(inputs)), expected, 1e-5)


def test_this_release_has_its_files():
    assert [p.stem for p in FILES if p.stem.startswith(f"{plumkeras.__version__}_")] == [
        f"{plumkeras.__version__}_classification",
        f"{plumkeras.__version__}_regression",
    ]
