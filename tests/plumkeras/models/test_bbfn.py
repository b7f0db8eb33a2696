"""BBFN's own: which samples its discriminators learn from, and missing modalities."""

import numpy as np
import pytest
from keras import ops

from plumkeras.layers.gated_complementation import GatedComplementation
from tests.testing.networks import assert_close, make_inputs, run_layer_test, to_numpy
from tests.testing.parity import value_and_gradients
from tests.testing.published import WIDTHS, small_network

Y = np.array([-2.0, 1.0, 0.5, 3.0], "float32")


def terms_of(network, inputs, y=Y, weight=None):
    terms = network.objective(discriminator_weight=1.0).terms(network(inputs), y, weight)
    return {name: float(term) for name, term in terms.items()}


def cross_entropies(network, inputs, other):
    """`[B]`: the mean over layers and both summaries."""
    logits = ops.convert_to_numpy(network(inputs)[f"discriminator_{other}"]).astype("float64")
    of_text = 1 / (1 + np.exp(-logits))
    return -(np.log(1 - of_text[:, :, 0]) + np.log(of_text[:, :, 1])).mean(axis=1) / 2


def test_discriminators_learn_from_samples_that_have_both_modalities():
    network, inputs = small_network("bbfn"), make_inputs(4, WIDTHS)
    inputs |= {"text_length": [5, 0, 3, 2], "audio_length": [4, 2, 0, 1], "vision_length": [0, 3, 0, 2]}
    inputs = {name: np.asarray(array) for name, array in inputs.items()}
    audio, vision = (cross_entropies(network, inputs, m) for m in ("audio", "vision"))
    expected = np.mean([audio[0], audio[3], vision[3]])
    assert terms_of(network, inputs)["discriminator_loss"] == pytest.approx(expected, rel=1e-5)
    weight = np.array([2.0, 1.0, 1.0, 0.0], "float32")
    found = terms_of(network, inputs, weight=weight)["discriminator_loss"]
    assert found == pytest.approx(2 * audio[0], rel=1e-5)


@pytest.mark.parametrize(("missing", "rows"), [("text", 4), ("audio and vision", 4), ("everything", 1)])
@pytest.mark.verify
def test_terms_and_gradients_are_finite_without_a_pair(missing, rows):
    network, inputs = small_network("bbfn"), make_inputs(rows, WIDTHS, lengths=[5] * rows)
    for m in WIDTHS:
        if m in missing or missing == "everything":
            inputs[f"{m}_length"] = np.zeros(rows, "int32")
    objective = network.objective()
    value, gradients = value_and_gradients(
        lambda: sum(objective.terms(network(inputs), Y[:rows]).values()), network.trainable_variables
    )
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)
    assert terms_of(network, inputs, Y[:rows])["discriminator_loss"] == 0


def test_a_missing_modality_is_read_as_nothing():
    """Its frames have no say, its first frame is 0, and the text's are not 0."""
    network, inputs = small_network("bbfn"), make_inputs(4, WIDTHS, lengths=[5] * 4)
    inputs["audio_length"] = np.zeros(4, "int32")
    found = to_numpy(network(inputs))
    assert_close(to_numpy(network({**inputs, "audio": inputs["audio"] + 7})), found, 1e-6)
    width = found["text_from_audio"].shape[-1]
    of_text, of_audio = np.split(found["first_states"][:, : 2 * width], 2, axis=1)
    assert np.all(of_audio == 0) and np.all(np.abs(of_text).max(axis=1) > 0.1)


def test_classes_learn_by_cross_entropy():
    network, inputs = small_network("bbfn", task="classification", num_classes=3), make_inputs(4, WIDTHS)
    y = np.array([0, 2, 1, 1])
    probability = to_numpy(network(inputs))["prediction"][np.arange(4), y]
    assert terms_of(network, inputs, y)["prediction_loss"] == pytest.approx(-np.log(probability).mean(), rel=1e-5)


@pytest.mark.verify
def test_the_life_of_the_layer():
    random = np.random.default_rng(0)
    first, second = (random.normal(size=(4, frames, 8)).astype("float32") for frames in (5, 3))
    lengths = np.array([5, 3, 1, 0], "int32"), np.array([3, 0, 2, 0], "int32")
    # In either layer the discriminator (4), and two targets of attention (8), normalisation (4), feed-forward (4) and
    # gates (4), with the seeds of four dropouts; two dense layers (2), and two GRUs (6), with two seeds each.
    run_layer_test(
        GatedComplementation,
        {
            **{"names": ["text", "audio"], "width": 8, "num_layers": 2, "num_heads": 2, "feed_forward": 12},
            **dict.fromkeys(("attention_dropout", "relu_dropout", "residual_dropout"), 0.1),
        },
        {"first": first, "first_length": lengths[0], "second": second, "second_length": lengths[1]},
        ((4, 5, 8), (4, 3, 8), (4, 2, 2)),
        2 * (4 + 2 * 20) + 2 * 2 + 2 * 6,
        2 * 2 * 4 + 2 * 2,
    )
