"""What is GLoMo's own: parts of a sequence, the mixture of experts and their balance, weights of the modalities."""

import numpy as np
import pytest
from keras import ops

from plumkeras.layers.adaptive_max_pool import AdaptiveMaxPool
from plumkeras.layers.modality_attention import ModalityAttention
from plumkeras.layers.sparse_mixture import SparseMixture
from plumkeras.models.glomo import GLoMo, _squared_variation
from tests.testing.networks import make_data, make_inputs, run_layer_test
from tests.testing.objectives import assert_finite_terms, hard_batches, subset
from tests.testing.parity import OUTPUT_TOLERANCE, Fixture, load_weights
from tests.testing.parity_cases import CASES
from tests.testing.published import WIDTHS, small_network


def numpy_of(tensors):
    return [ops.convert_to_numpy(tensor) for tensor in tensors]


def test_parts_of_every_length():
    sequence = np.random.default_rng(0).normal(-5, 1, (8, 7, 2)).astype("float32")
    found = ops.convert_to_numpy(AdaptiveMaxPool(3)(sequence, np.arange(8)))
    assert (found[0] == 0).all()
    for length in range(1, 8):
        for i in range(3):
            part = sequence[length, int(np.floor(i * length / 3)) : int(np.ceil((i + 1) * length / 3))]
            np.testing.assert_allclose(found[length, i], part.max(axis=0), rtol=1e-6)
    call = {"sequence": sequence, "length": np.arange(8, dtype="int32")}
    run_layer_test(AdaptiveMaxPool, {"bins": 3}, call, (8, 3, 2), 0)


def test_mixture_in_training_is_the_fixtures():
    fixture = Fixture("glomo")
    network = CASES["glomo"](fixture).network
    load_weights(network, fixture)
    outputs = network(fixture.inputs)
    expected = fixture.group("training")
    for m in network.modalities:
        flat = ops.reshape(outputs[f"{m}_local_input"], (4, -1))
        noise = ops.convert_to_tensor(expected[f"{m}_noise"])
        local, gates, load = network.get_layer(f"{m}_mixture")(flat, noise)
        np.testing.assert_allclose(ops.convert_to_numpy(local), expected[f"{m}_local"], **OUTPUT_TOLERANCE)
        np.testing.assert_allclose(
            ops.convert_to_numpy(ops.sum(load, axis=0)), expected[f"{m}_load"], **OUTPUT_TOLERANCE
        )
        balance = 0.01 * (_squared_variation(ops.sum(gates, axis=0)) + _squared_variation(ops.sum(load, axis=0)))
        assert float(balance) == pytest.approx(float(expected[f"{m}_balance"]), rel=2e-4)
        used = ops.sum(outputs[f"{m}_load"], axis=0)
        assert ops.convert_to_numpy(used).tolist() == fixture.outputs[f"{m}_load_evaluation"].tolist()
        gates = ops.convert_to_numpy(outputs[f"{m}_gates"])
        np.testing.assert_allclose(gates, fixture.outputs[f"{m}_gates_evaluation"], **OUTPUT_TOLERANCE)
    terms = network.objective().terms(outputs, fixture.label)
    for m in network.modalities:
        expected_balance = float(fixture.losses[f"balance_evaluation_{m}"])
        assert float(terms[f"{m}_balance_loss"]) == pytest.approx(expected_balance, rel=2e-4)


def test_mixture_as_a_layer():
    vector = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
    shapes = ((5, 4), (5, 4), (5, 4))
    run_layer_test(SparseMixture, {"width": 4, "num_experts": 4, "top_k": 2}, {"vector": vector}, shapes, 18, 1)
    layer = SparseMixture(4, num_experts=4, top_k=2)
    _, gates, load = numpy_of(layer(vector))
    np.testing.assert_array_equal(gates, [[0.5, 0.5, 0, 0]] * 5)
    np.testing.assert_array_equal(load, [[1, 1, 0, 0]] * 5)
    noisy = [numpy_of(layer(vector, training=True)) for _ in range(2)]
    assert (noisy[0][1] != noisy[1][1]).any()
    for _, gates, load in noisy:
        assert ((gates > 0).sum(axis=1) == 2).all() and np.abs(gates.sum(axis=1) - 1).max() < 1e-6
        assert ((load > 0) & (load < 1)).all()
    with pytest.raises(ValueError, match=r"`top_k` must be 1 or more and below `num_experts`"):
        SparseMixture(4, num_experts=2, top_k=2)


def test_large_answers_of_experts_do_not_overflow():
    layer = SparseMixture(3, num_experts=3, top_k=2)
    layer.build((None, 2))
    for value, (_, last) in zip((300.0, 200.0, -300.0), layer.experts, strict=True):
        last.bias.assign(np.full(3, value, "float32"))
    mixture, gates, _ = numpy_of(layer(np.zeros((1, 2), "float32")))
    np.testing.assert_allclose(mixture, 300.0 + np.log(gates[0, 0]), rtol=1e-6)


def test_attention_of_modalities():
    random = np.random.default_rng(0)
    vectors = [random.normal(size=(4, 6)).astype("float32") for _ in range(3)]
    lengths = [np.array(length, "int32") for length in ([1, 2, 0, 0], [3, 0, 4, 0], [5, 0, 1, 0])]
    layer = ModalityAttention(6)
    weights, pooled = numpy_of(layer(vectors, lengths))
    assert (weights[0] > 0).all() and weights[1].tolist() == [1, 0, 0] and weights[3].tolist() == [0, 0, 0]
    assert weights[2, 0] == 0 and weights[2].sum() == pytest.approx(1)
    expected = np.einsum("bm,mbd->bd", weights, np.stack(vectors))
    np.testing.assert_allclose(pooled, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("glomo")
    terms = assert_finite_terms(network, network.objective(), *hard_batches()[batch])
    if batch == "all missing":
        assert not any(terms[f"{m}_balance_loss"] for m in WIDTHS)


def test_balance_is_that_of_the_samples_that_have_the_modality():
    network, (inputs, y) = small_network("glomo"), make_data(6, widths=WIDTHS)
    objective = network.objective(balance_weight=1.0)

    def balances(inputs, y, weight=None):
        found = objective.terms(network(inputs), y, weight)
        return {m: float(found[f"{m}_balance_loss"]) for m in WIDTHS}

    whole = {**inputs, **{f"{m}_length": np.full(6, 5, "int32") for m in WIDTHS}}
    expected = balances(subset(whole, slice(4)), y[:4])
    lacking = {**whole, "audio_length": np.array([5, 5, 5, 5, 0, 0], "int32")}
    assert balances(lacking, y)["audio"] == pytest.approx(expected["audio"], rel=1e-5)
    assert balances(whole, y, np.array([1, 1, 1, 1, 0, 0], "float32")) == pytest.approx(expected, rel=1e-5)
    assert float(_squared_variation(ops.convert_to_tensor([2.0, 2.0, 2.0]))) == 0
    assert float(_squared_variation(ops.convert_to_tensor([1.0, 2.0, 3.0]))) == pytest.approx(0.25)


def test_a_missing_modality_says_nothing():
    network, inputs = small_network("glomo"), make_inputs(6, WIDTHS)
    inputs["audio_length"] = np.array([0, 0, 5, 5, 5, 5], "int32")
    before = ops.convert_to_numpy(network(inputs)["prediction"])
    layer = network.get_layer("audio_mixture").experts[0][1]
    layer.bias.assign(layer.bias + 1.0)
    after = ops.convert_to_numpy(network(inputs)["prediction"])
    np.testing.assert_allclose(after[:2], before[:2], rtol=1e-6)
    assert np.abs(after[2:] - before[2:]).max() > 1e-4


def test_text_alone_and_its_first_vector():
    inputs = make_inputs(4, {"text": 6}, lengths=[5, 5, 3, 0])
    for first_token in (False, True):
        network = small_network("glomo", widths={"text": 6}, first_token=first_token)
        assert np.isfinite(ops.convert_to_numpy(network(inputs)["prediction"])).all()
        before = ops.convert_to_numpy(network(inputs)["text_global"])
        changed = {**inputs, "text": inputs["text"] + np.array([0, 0, 1, 0, 0], "float32")[None, :, None]}
        after = ops.convert_to_numpy(network(changed)["text_global"])
        assert (np.abs(after - before).max(axis=1) > 1e-6).tolist() == [not first_token] * 3 + [False]


def test_it_begins_small():
    network = GLoMo({"text": 6, "audio": 4}, width=32, num_layers=1, num_heads=2)
    kernel = ops.convert_to_numpy(network.get_layer("fusion_merge_text").kernel)
    assert 0.015 < kernel.std() < 0.025 and not ops.convert_to_numpy(network.get_layer("head").bias).any()
    layer = network.get_layer("audio_encoder").blocks[0]
    assert ops.convert_to_numpy(layer.attention.query.kernel).std() > 0.05
    assert 0.015 < ops.convert_to_numpy(layer.feed_forward_in.kernel).std() < 0.025


@pytest.mark.verify
def test_it_has_the_published_number_of_weights():
    network = GLoMo({"text": 768, "audio": 74, "vision": 47})
    assert sum(np.prod(v.shape) for v in network.trainable_variables) == 927_239
