"""CubeMLP's own: the fixed number of frames, and what is past a sample's length."""

import numpy as np
import pytest

from plumkeras.models.cubemlp import CubeMLP
from tests.testing.networks import assert_close, make_inputs, to_numpy
from tests.testing.parity import value_and_gradients
from tests.testing.published import WIDTHS, small_network

FRAMES = 7


def test_the_cube_holds_the_frames_of_each_sample_and_then_zeros():
    network, inputs = small_network("cubemlp"), make_inputs(8, WIDTHS)
    cube = to_numpy(network(inputs))["cube_input"]
    assert cube.shape == (8, FRAMES, len(WIDTHS), 4)
    for at, m in enumerate(WIDTHS):
        valid = np.arange(FRAMES)[None, :] < inputs[f"{m}_length"][:, None]
        assert np.all(cube[:, :, at][~valid] == 0)
        # Of a rectified layer some frames are 0.
        assert np.mean(np.any(cube[:, :, at][valid] != 0, axis=-1)) > 0.5


def test_of_longer_sequences_the_first_frames_are_read():
    network = small_network("cubemlp")
    inputs = make_inputs(8, WIDTHS, frames=12)
    cut = {name: a[:, :FRAMES] if a.ndim == 3 else np.minimum(a, FRAMES) for name, a in inputs.items()}
    assert_close({name: a for name, a in to_numpy(network(inputs)).items()}, to_numpy(network(cut)), 1e-6)


@pytest.mark.parametrize("lengths", [[0], [0, 0, 0], [3, 3, 3]])
@pytest.mark.verify
def test_gradients_are_finite_for_nothing_and_for_equal_rows(lengths):
    network, inputs = small_network("cubemlp"), make_inputs(len(lengths), WIDTHS, lengths=lengths)
    for m in WIDTHS:
        inputs[m][:] = 1.0
    objective, y = network.objective(), np.zeros(len(lengths), "float32")
    value, gradients = value_and_gradients(
        lambda: sum(objective.terms(network(inputs), y).values()), network.trainable_variables
    )
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


def test_batches_of_unknown_length():
    """As `tf.data` has them."""
    import tensorflow as tf

    network, inputs = small_network("cubemlp"), make_inputs(8, WIDTHS)
    specs = {
        name: tf.TensorSpec([None, None, a.shape[2]] if a.ndim == 3 else [None], a.dtype) for name, a in inputs.items()
    }
    traced = tf.function(lambda x: network(x)["prediction"], input_signature=[specs], autograph=False)
    found = traced({name: tf.constant(a) for name, a in inputs.items()})
    assert_close({"prediction": to_numpy(found)}, {"prediction": to_numpy(network(inputs))["prediction"]}, 1e-5)


def test_one_modality_alone_is_a_cube():
    network = small_network("cubemlp", widths={"audio": 5})
    found = to_numpy(network(make_inputs(6, {"audio": 5})))
    assert found["cube_output"].shape[2] == 1 and np.ptp(found["prediction"]) > 1e-4


def test_a_wide_vector_goes_through_a_hidden_layer():
    options = {"width": 4, "frames": 7, "time_sizes": (6,), "channel_sizes": (8,)}
    wide = CubeMLP(WIDTHS, **options, time_pooling="concatenate")
    assert wide.get_layer("head_dense").kernel.shape == (3 * 6 * 8, 128)
    assert "head_dense" not in [layer.name for layer in CubeMLP(WIDTHS, **options).layers]


@pytest.mark.parametrize(
    "sizes", [{"time_sizes": (4,)}, {"time_hidden": (3, 3, 3)}, {"time_sizes": (), "channel_sizes": ()}]
)
def test_sizes_that_do_not_fit_are_refused(sizes):
    with pytest.raises(ValueError, match="each list of sizes must have one for every block"):
        CubeMLP(WIDTHS, **sizes)
