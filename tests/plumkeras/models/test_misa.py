"""MISA's losses between modalities, where a batch is hard on them; its size."""

import numpy as np
import pytest
from keras import ops

from plumkeras.models.misa import MISA
from tests.testing.networks import make_data
from tests.testing.objectives import assert_finite_terms, hard_batches, subset
from tests.testing.published import WIDTHS, small_network


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("misa")
    terms = assert_finite_terms(network, network.objective(), *hard_batches()[batch])
    if batch == "all missing":
        assert terms["difference_loss"] == terms["reconstruction_loss"] == 0
        assert terms["similarity_loss"] < 1e-4
    if batch == "equal samples":
        assert terms["difference_loss"] < 1e-3


def test_samples_without_a_modality_or_weight_are_no_part_of_the_losses():
    network, (inputs, y) = small_network("misa"), make_data(8, widths=WIDTHS)
    objective = network.objective(difference_weight=0.5, similarity_weight=2.0)
    inputs = {name: np.full(8, 5) if name.endswith("_length") else array for name, array in inputs.items()}
    inputs["audio_length"][6:] = inputs["vision_length"][6:] = 0

    def terms(inputs, y, weight=None):
        found = objective.terms(network(inputs), y, weight)
        return {name: float(ops.convert_to_numpy(value)) for name, value in found.items()}

    # Text alone is left of the last two, so that the losses of two modalities are those of the others.
    weight = np.array([1, 1, 1, 1, 1, 1, 0, 0], "float32")
    weighted, alone = terms(inputs, y, weight), terms(subset(inputs, slice(6)), y[:6])
    for name in ("difference_loss", "similarity_loss", "reconstruction_loss"):
        assert weighted[name] == pytest.approx(alone[name], rel=1e-5), name
    whole = terms(inputs, y)
    assert whole["similarity_loss"] == pytest.approx(alone["similarity_loss"], rel=1e-5)
    assert whole["difference_loss"] != pytest.approx(alone["difference_loss"], rel=1e-3)
    assert whole["prediction_loss"] == pytest.approx(
        float(np.mean((ops.convert_to_numpy(network(inputs)["prediction"]) - y) ** 2)), rel=1e-5
    )


def test_what_a_missing_modality_holds_says_nothing():
    """Its tokens are read by none: a network whose private layer of it has other weights predicts the same."""
    network, (inputs, _) = small_network("misa"), make_data(4, widths=WIDTHS)
    inputs["audio_length"] = np.array([0, 0, 5, 5], "int32")
    before = ops.convert_to_numpy(network(inputs)["prediction"])
    layer = network.get_layer("audio_private")
    layer.bias.assign(layer.bias + 1.0)
    after = ops.convert_to_numpy(network(inputs)["prediction"])
    np.testing.assert_allclose(after[:2], before[:2], rtol=1e-6)
    assert np.abs(after[2:] - before[2:]).min() > 1e-4


def test_text_can_be_read_as_the_other_modalities_are():
    network = MISA({"text": 4, "audio": 3}, width=4, feed_forward=8, text_pooling="lstm")
    assert network.get_layer("text_lstm_2").units == 4
    with pytest.raises(ValueError, match=r"`text_pooling` must be one of.*Received: text_pooling='max'"):
        MISA({"text": 4, "audio": 3}, text_pooling="max")


@pytest.mark.verify
def test_it_has_the_published_number_of_weights():
    assert MISA({"text": 768, "audio": 5, "vision": 20}).count_params() - 2 * (768 + 5 + 20) == 1_134_045
