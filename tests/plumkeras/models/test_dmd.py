"""What is DMD's own: fixed frames, the margin, the graphs, and samples that lack a modality."""

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.layers.fixed_frames import ConvolvedLength, FixedFrames, LongestFrames
from plumkeras.models.dmd import DMD, DMDObjective, margin_loss
from tests.testing.networks import make_data, make_inputs, run_layer_test
from tests.testing.objectives import assert_finite_terms, hard_batches
from tests.testing.parity import value_and_gradients
from tests.testing.published import WIDTHS, small_network


def test_fixed_frames():
    sequence = np.arange(1, 13, dtype="float32").reshape(2, 6, 1)
    found, length = FixedFrames(4)(sequence, np.array([6, 3]))
    assert ops.convert_to_numpy(found)[:, :, 0].tolist() == [[1, 2, 3, 4], [7, 8, 9, 0]]
    assert ops.convert_to_numpy(length).tolist() == [4, 3]
    found, length = FixedFrames(8)(sequence, np.array([6, 0]))
    assert ops.convert_to_numpy(found)[:, :, 0].tolist() == [[1, 2, 3, 4, 5, 6, 0, 0], [0] * 8]
    assert ops.convert_to_numpy(ConvolvedLength(3)(np.array([6, 3, 2, 1, 0]))).tolist() == [4, 1, 1, 1, 0]
    call = {"sequence": sequence, "length": np.array([6, 3], "int32")}
    run_layer_test(FixedFrames, {"frames": 4}, call, ((2, 4, 1), (2,)), 0)


def test_encoders_read_no_more_frames_than_the_longest():
    """A batch of shorter samples has the outputs that it has beside a longer one, whose frames it is cut to."""
    network = small_network("dmd")
    inputs = make_inputs(4, WIDTHS)
    for m in WIDTHS:
        inputs[f"{m}_length"] = np.array([2, 1, 3, 6], "int32")
    together = network(inputs)
    alone = network({name: values[:3] for name, values in inputs.items()})
    for name in ("prediction", "text_specific_last", "audio_specific_representation"):
        found, known = (ops.convert_to_numpy(outputs[name])[:3] for outputs in (alone, together))
        np.testing.assert_allclose(found, known, rtol=1e-5, atol=1e-6)
    cut = LongestFrames()(np.ones((2, 6, 3), "float32"), np.array([4, 0], "int32"))
    assert cut.shape[1] == (6 if keras.backend.backend() == "jax" else 4)
    nothing = LongestFrames()(np.ones((2, 6, 3), "float32"), np.array([0, 0], "int32"))
    assert nothing.shape[1] == (6 if keras.backend.backend() == "jax" else 1)


def naive_margin(vectors, labels, used, margin=0.15):
    unit = vectors / np.sqrt((vectors**2).sum(axis=1, keepdims=True) + 1e-8)
    cosine, anchors, found = unit @ unit.T, [i for i in range(len(labels)) if used[i]], []
    for i in anchors:
        values = [
            max(0.0, margin * abs(labels[i] - labels[n]) - cosine[i, p] + cosine[i, n])
            for p in anchors
            for n in anchors
            if p != i and labels[p] == labels[i] and labels[n] != labels[i]
        ]
        found += [np.mean(values)] if values else []
    return np.mean(found) if found else 0.0


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, -2, 0.5, 1, 0], [1] * 8, list(range(8))])
def test_margin_is_that_over_all_triplets(labels):
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(8, 3)).astype("float32"), np.array(labels, "float32")
    apart = ops.convert_to_tensor(np.abs(labels[:, None] - labels[None]))
    for used in (np.ones(8, "float32"), np.array([1, 1, 1, 1, 0, 1, 1, 0], "float32"), np.zeros(8, "float32")):
        found = margin_loss(vectors, apart, ops.convert_to_tensor(used))
        assert float(found) == pytest.approx(naive_margin(vectors, labels, used), abs=1e-6)


def test_margin_has_the_gradient_of_all_triplets():
    random = np.random.default_rng(1)
    start = random.normal(size=(6, 3)).astype("float32")
    vectors, labels = keras.Variable(start), np.array([0, 1, 0, 1, 2, 0], "float32")
    apart, used = ops.convert_to_tensor(np.abs(labels[:, None] - labels[None])), ops.ones(6)
    _, (found,) = value_and_gradients(lambda: margin_loss(vectors, apart, used), [vectors])
    expected = np.zeros((6, 3))
    for place in np.ndindex(6, 3):
        ends = []
        for step in (1e-4, -1e-4):
            moved = start.astype("float64")
            moved[place] += step
            ends.append(naive_margin(moved, labels, used))
        expected[place] = (ends[0] - ends[1]) / 2e-4
    np.testing.assert_allclose(found, expected, atol=1e-4)


def values_of(terms):
    return {name: float(value) for name, value in terms.items()}


def test_the_prediction_alone_computes_no_graph():
    network = small_network("dmd")
    part = network.select("prediction")
    assert not [layer for layer in part.layers if layer.name.startswith("graph")]
    trained = network.select(*network.objective().output_names)
    assert len(trained.trainable_variables) == len(network.trainable_variables)


def test_who_teaches_whom():
    strong, weak = np.exp(4.0), 1.0
    three = small_network("dmd").objective()
    # Students text, vision, audio, and the teachers of each in this order.
    np.testing.assert_allclose(
        three.priors["common"], np.array([weak, weak, strong, weak, strong, weak]) / 113.196, rtol=1e-5
    )
    specific = np.array([weak, weak, strong, weak, strong, strong])
    np.testing.assert_allclose(three.priors["specific"], specific / specific.sum(), rtol=1e-6)
    two = small_network("dmd", widths={"audio": 3, "text": 4}).objective()
    np.testing.assert_allclose(two.priors["common"], [1 / (1 + strong), strong / (1 + strong)], rtol=1e-6)


def test_samples_that_lack_a_modality_take_no_part():
    """Terms of a batch in which one sample lacks the audio, or weighs nothing, against those without it."""
    network = small_network("dmd")
    x, y = make_data(6, widths=WIDTHS)
    for m in WIDTHS:
        x[f"{m}_length"] = np.full(6, 5, "int32")
    objective = network.objective()
    lacking = {**x, "audio_length": np.array([5, 5, 0, 5, 5, 5], "int32")}
    kept = np.array([0, 1, 3, 4, 5])
    part = {name: values[kept] for name, values in x.items()}
    found, expected = (values_of(objective.terms(network(i), labels)) for i, labels in ((lacking, y), (part, y[kept])))
    of_audio_or_all = [n for n in found if n.startswith(("audio", "graph"))]
    assert {n: found[n] for n in of_audio_or_all} == pytest.approx({n: expected[n] for n in of_audio_or_all}, rel=1e-4)
    weights = np.array([1, 1, 0, 1, 1, 1], "float32")
    weighed = values_of(objective.terms(network(x), y, weights))
    between = [n for n in found if not n.endswith("prediction_loss")]
    assert {n: weighed[n] for n in between} == pytest.approx({n: expected[n] for n in between}, rel=1e-4)


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("dmd")
    terms = assert_finite_terms(network, network.objective(), *hard_batches()[batch])
    if batch == "all missing":
        assert not any(value for name, value in terms.items() if not name.startswith(("prediction", "common_pred")))
    if batch in ("one sample", "equal samples"):
        assert terms["margin_loss"] == 0


def test_two_modalities():
    """As many edges as ordered pairs; the text comes first wherever it stands."""
    network, inputs = small_network("dmd", widths={"audio": 5, "text": 6}), hard_batches()["one sign"][0]
    terms = assert_finite_terms(network, network.objective(), inputs, np.linspace(-1, 1, 5, dtype="float32"))
    assert network(inputs)["graph_specific_edge"].shape == (5, 2)
    assert terms["margin_loss"] > 0 and not any("vision" in name for name in terms)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_labels_that_are_no_values(task):
    network = small_network("dmd", task=task, num_classes=3)
    y = np.array([0, 2, 2, 1]) if task == "classification" else np.array([[1, 0, 1], [1, 0, 0], [1, 0, 1], [0, 0, 0]])
    distance = ops.convert_to_numpy(DMDObjective(network)._label_distance(y))
    expected = {"classification": [1, 1, 1], "multilabel": [1 / 3, 0, 2 / 3]}[task]
    np.testing.assert_allclose(distance[0], [0, *expected], atol=1e-6)


def test_options_by_modality_are_checked():
    with pytest.raises(ValueError, match=r"`frames` must be a whole number.*audio has None"):
        DMD({"text": 4, "audio": 3}, frames={"text": 6}, width=4, num_heads=2)
    with pytest.raises(ValueError, match=r"`frames` must not be below `kernel_size`.*text with frames=2"):
        DMD({"text": 4, "audio": 3}, frames=2, kernel_size=3, width=4, num_heads=2)
