"""MAG: the gate against the authors', frames that go with the text's, and what has none."""

import numpy as np
import pytest
from keras import ops

from plumkeras.layers.adaptation_gate import AdaptationGate, StepsOfText
from plumkeras.models.mag import MAG
from tests.testing.networks import make_inputs, run_layer_test
from tests.testing.objectives import assert_finite_terms, hard_batches
from tests.testing.parity import OUTPUT_TOLERANCE, Fixture, assert_gradients, load_weights, value_and_gradients
from tests.testing.published import WIDTHS, small_network


def test_the_gate_is_the_authors():
    fixture = Fixture("mag")
    layer = AdaptationGate(fixture.config["beta"], name="mag")
    text, *others = (ops.convert_to_tensor(fixture.inputs[m]) for m in ("text", "audio", "vision"))
    others = dict(zip(("audio", "vision"), others, strict=True))
    layer(text, others)
    weights = load_weights(layer, fixture, lambda name: f"mag/{name}")
    gated = ops.convert_to_numpy(layer(text, others))
    np.testing.assert_allclose(gated, fixture.outputs["gated"], **OUTPUT_TOLERANCE)
    slope = ops.convert_to_tensor(np.linspace(-1, 1, gated.size).reshape(gated.shape).astype("float32"))
    total, gradients = value_and_gradients(lambda: ops.sum(layer(text, others) * slope), list(weights.values()))
    np.testing.assert_allclose(total, fixture.losses["total"], rtol=2e-4)
    assert_gradients(dict(zip(weights, gradients, strict=True)), fixture)


def test_the_gate_as_a_layer():
    random = np.random.default_rng(0)
    text, audio = (random.normal(size=(3, 4, width)).astype("float32") for width in (6, 5))
    valid = np.array([[True, True, False, False], [False] * 4, [True] * 4])
    call = {"text": text, "others": {"audio": audio}, "valid": {"audio": valid}}
    run_layer_test(AdaptationGate, {"beta": 0.5, "dropout": 0.0}, call, (3, 4, 6), 6)
    layer = AdaptationGate(1.0)
    found = ops.convert_to_numpy(layer(text, {"audio": audio}, {"audio": valid}))
    plain = ops.convert_to_numpy(layer.norm(text))
    everywhere = ops.convert_to_numpy(layer(text, {"audio": audio}))
    np.testing.assert_allclose(found[~valid], plain[~valid], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[valid], everywhere[valid], rtol=1e-5, atol=1e-6)
    assert np.abs(found[valid] - plain[valid]).max(axis=1).min() > 1e-3


def test_a_shift_is_no_longer_than_beta_times_the_vector():
    layer = AdaptationGate(0.25)
    text, audio = np.full((1, 1, 4), 2.0, "float32"), np.ones((1, 1, 2), "float32")
    layer(text, {"audio": audio})
    for name, values in (("gates", 1.0), ("values", [1000.0, 0, 0, 0])):
        dense = getattr(layer, name)["audio"]
        dense.kernel.assign(ops.zeros(dense.kernel.shape))
        dense.bias.assign(np.broadcast_to(np.float32(values), (4,)))
    shifted = np.array([2.0 + 0.25 * 4.0, 2, 2, 2])
    expected = (shifted - shifted.mean()) / np.sqrt(shifted.var() + 1e-5)
    np.testing.assert_allclose(ops.convert_to_numpy(layer(text, {"audio": audio}))[0, 0], expected, rtol=1e-4)


def test_frames_that_go_with_those_of_the_text():
    audio = np.arange(1, 25, dtype="float32").reshape(4, 6, 1)
    text, text_length = np.zeros((4, 4, 3), "float32"), np.array([4, 3, 4, 2], "int32")
    found, valid = StepsOfText()(audio, np.array([6, 2, 0, 1]), text, text_length)
    assert ops.convert_to_numpy(found)[:, :, 0].tolist() == [[1, 2, 3, 4], [7, 8, 0, 0], [0] * 4, [19, 19, 0, 0]]
    assert ops.convert_to_numpy(valid).astype(int).tolist() == [[1, 1, 1, 1], [1, 1, 0, 0], [0] * 4, [1, 1, 0, 0]]
    found, _ = StepsOfText()(audio[:, :2], np.array([2, 2, 0, 1]), text, text_length)
    assert ops.convert_to_numpy(found)[:2, :, 0].tolist() == [[1, 2, 0, 0], [7, 8, 0, 0]]
    call = {"s": audio, "l": np.array([6, 2, 0, 1], "int32"), "t": text, "tl": text_length}
    run_layer_test(StepsOfText, {}, call, ((4, 4, 1), (4, 4)), 0)


def test_what_is_missing_shifts_nothing():
    network, inputs = small_network("mag"), make_inputs(4, WIDTHS, lengths=[5, 5, 3, 5])
    inputs["audio_length"] = np.array([0, 0, 3, 5], "int32")
    inputs["vision_length"] = np.array([0, 5, 3, 5], "int32")
    before = ops.convert_to_numpy(network(inputs)["prediction"])
    for m in ("audio", "vision"):
        layer = network.get_layer("gate").values[m]
        layer.bias.assign(layer.bias + 1.0)
    after = ops.convert_to_numpy(network(inputs)["prediction"])
    assert after[0] == pytest.approx(before[0], rel=1e-6)
    assert np.abs(after[1:] - before[1:]).min() > 1e-5


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("mag")
    assert_finite_terms(network, network.objective(), *hard_batches()[batch])


@pytest.mark.verify
def test_the_gate_has_the_published_number_of_weights():
    gate = MAG({"text": 768, "audio": 74, "vision": 47}).get_layer("gate")
    assert sum(np.prod(v.shape) for v in gate.trainable_variables) == 1_370_112
