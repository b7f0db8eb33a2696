"""A network with a text encoder inside trains alike on every backend, and on two devices as on one."""

import numpy as np
import pytest

from plumkeras.data_pipelines import save_npz
from tests.equality.test_backends import TOLERANCES
from tests.testing.probes import STAGES, differences, excess
from tests.testing.text_encoders import make_data, write_encoder

pytest.importorskip("keras_hub", reason="the extra `text` is not installed")
# JAX compiles an encoder's steps for half a minute and more.
pytestmark = pytest.mark.verify
# A correlation is near 0 here.
SHARED = {**TOLERANCES, "steps": 1e-5, "prototypes": 1e-6}
# An epoch's last batch, of 11 rows, is divided unevenly: see `test_replicas.FULL`.
FULL = np.arange(6) % 3 < 2


@pytest.fixture(scope="session")
def texts(tmp_path_factory):
    """The paths of the case `text`."""
    folder = tmp_path_factory.mktemp("texts")
    save_npz(make_data(train=43, valid=21), folder / "data.npz")
    return {"data": str(folder / "data.npz"), "encoder": str(write_encoder(folder / "encoder"))}


@pytest.fixture(scope="session")
def text_reference(probed, texts):
    return probed("tensorflow_text", "tensorflow", cases=["text"], texts=texts)


def found(probed, reference, texts, backend, devices=1):
    name = f"{backend}_{devices}_text"
    return probed(name, backend, cases=["text"], texts=texts, devices=devices, initial=str(reference.path))


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_backends_agree(probed, text_reference, texts, backend):
    run = found(probed, text_reference, texts, backend)
    for stage in STAGES:
        assert not excess(differences(run, text_reference, "text", stage), TOLERANCES), stage


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_equal_one(probed, text_reference, texts, backend):
    """The gradient of the embeddings comes by tokens, which the two have unequal numbers of."""
    reference = text_reference if backend == "tensorflow" else found(probed, text_reference, texts, backend)
    run = found(probed, text_reference, texts, backend, devices=2)
    for stage in STAGES:
        assert not excess(differences(run, reference, "text", stage, steps=FULL), SHARED), stage


def test_there_is_something_to_agree_on(text_reference):
    """The encoder's weights, its embeddings among them, go by far more than the tolerances."""
    initial, paths = text_reference.group("text", "initial"), text_reference.facts["text"]["paths"]
    for stage in STAGES:
        weights = text_reference.group("text", stage, "weights")
        moved = {paths[int(name)]: np.abs(weights[name] - initial[name]).max() for name in weights}
        of_encoder = {
            path: change for path, change in moved.items() if "transformer_layer" in path or "embedding" in path
        }
        assert moved["token_embedding/embeddings"] > 5 * TOLERANCES["weights"]
        assert sum(change > 5 * TOLERANCES["weights"] for change in of_encoder.values()) > len(of_encoder) / 2
