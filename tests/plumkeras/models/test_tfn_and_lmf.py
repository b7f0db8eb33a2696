"""TFN's and LMF's own: missing modalities, statistics of batches, the range of the labels, few modalities."""

import keras
import numpy as np
import pytest

from plumkeras.models.lmf import LMF
from plumkeras.models.tfn import TFN
from plumkeras.trainers import PredictionTrainer
from tests.testing.networks import assert_close, make_data, make_inputs, to_numpy
from tests.testing.parity import value_and_gradients
from tests.testing.published import WIDTHS, small_network


def moving_statistics(network):
    return {v.path: np.array(keras.ops.convert_to_numpy(v)) for v in network.variables if "/moving_" in v.path}


def test_a_missing_modality_is_in_no_product():
    """What is left is what the others' product holds: of the tensor, the entries of the missing one's 1."""
    network, inputs = small_network("tfn"), make_inputs(6, WIDTHS, lengths=[5] * 6)
    inputs["vision_length"] = np.array([0] * 3 + [5] * 3, "int32")
    found = to_numpy(network(inputs))
    tensor = found["fusion"].reshape(6, 1 + 3, 1 + 3, 1 + 4)  # Audio, vision, text.
    assert np.all(tensor[:3, :, 1:] == 0) and np.any(tensor[3:, :, 1:] != 0)
    ones = [np.concatenate([np.ones((6, 1)), found[f"{m}_vector"]], axis=1) for m in ("audio", "text")]
    np.testing.assert_allclose(tensor[:, :, 0], np.einsum("bi,bj->bij", *ones), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["tfn", "lmf"])
def test_training_moves_the_statistics_and_evaluation_does_not(name):
    """Towards the mean over the samples that have the modality."""
    network = small_network(name, widths={"audio": 5, "text": 6})
    x, y = make_data(8, widths={"audio": 5, "text": 6})
    trainer = PredictionTrainer(network)
    network.adapt(x)
    trainer.compile(keras.optimizers.SGD(0.0))
    trainer.evaluate(x, y, batch_size=8, verbose=0)
    assert set(np.concatenate(list(moving_statistics(network).values()))) == {0.0, 1.0}
    trainer.fit(x, y, batch_size=8, epochs=1, verbose=0)
    layer = network.get_layer("audio_standardization")
    frames, length = to_numpy(layer(x["audio"], x["audio_length"])), x["audio_length"]
    means = np.stack([row[:n].mean(axis=0) for row, n in zip(frames, length, strict=True) if n])
    found = moving_statistics(network)
    np.testing.assert_allclose(found["audio_vector/norm/moving_mean"], 0.1 * means.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found["audio_vector/norm/moving_variance"], 0.9 + 0.1 * means.var(axis=0), atol=1e-5)


@pytest.mark.parametrize("name", ["tfn", "lmf"])
@pytest.mark.parametrize("lengths", [[0], [3], [0, 0, 0], [3, 3, 3]])
def test_gradients_in_training_are_finite_for_nothing_and_for_equal_rows(name, lengths):
    network, inputs = small_network(name), make_inputs(len(lengths), WIDTHS, lengths=lengths)
    for m in WIDTHS:
        inputs[m][:] = 1.0
    objective, y = network.objective(), np.ones(len(lengths), "float32")
    value, gradients = value_and_gradients(
        lambda: sum(objective.terms(network(inputs, training=True), y).values()), network.trainable_variables
    )
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


def test_a_regression_keeps_to_the_range_of_its_labels():
    inputs = make_inputs(8, WIDTHS)
    free = to_numpy(small_network("tfn", label_range=None)(inputs))["prediction"]
    for low, high in ((-3.0, 3.0), (1.0, 5.0)):
        found = to_numpy(small_network("tfn", label_range=(low, high))(inputs))["prediction"]
        np.testing.assert_allclose(found, low + (high - low) / (1 + np.exp(-free)), rtol=1e-5)
    # Probabilities are squashed by their own function alone.
    options = {"task": "multilabel", "num_classes": 3}
    probabilities = [small_network("tfn", **options, label_range=r)(inputs)["prediction"] for r in (None, (0, 9))]
    assert_close(*({"prediction": to_numpy(p)} for p in probabilities), 1e-6)


@pytest.mark.parametrize("name", ["tfn", "lmf"])
@pytest.mark.parametrize("modalities", [("text",), ("audio", "vision"), ("vision", "text")])
def test_any_number_of_modalities(name, modalities):
    widths = {m: WIDTHS[m] for m in modalities}
    found = to_numpy(small_network(name, widths=widths)(make_inputs(6, widths)))
    assert np.ptp(found["prediction"]) > 1e-4


def test_widths_by_modality():
    network = TFN(WIDTHS, width={"audio": 2, "vision": 7}, text_width=6, text_out=4)
    assert [network.output[f"{m}_vector"].shape[1] for m in WIDTHS] == [4, 2, 7]
    assert network.output["fusion"].shape[1] == 3 * 8 * 5
    assert LMF(WIDTHS, text_width=6).output["text_vector"].shape[1] == 3
