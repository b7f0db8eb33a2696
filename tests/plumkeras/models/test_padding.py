"""Frames past the length, batch mates and missing modalities never influence a row; every value stays finite."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from plumkeras.objectives.alignment import AlignmentObjective
from plumkeras.objectives.prediction import PredictionObjective
from tests.testing.networks import MODULE_ROWS, assert_close, make_inputs, make_network, to_numpy

TASKS = ["regression", "classification"]
ALL = pytest.mark.parametrize("modules", MODULE_ROWS)
BOTH = pytest.mark.parametrize("task", TASKS)


@functools.cache
def network_of(modules, task, stride=1):
    """One network for all tests, which leave it as it was."""
    compression, strides = {"audio": "signed_log1p"}, {"text": stride, "audio": stride + 1}
    return make_network(
        modules=modules, task=task, num_classes=3, compression=compression, strides=strides if stride > 1 else None
    )


def longer(inputs, garbage, extra=4):
    """The same samples with more frames, and `garbage` in every frame past the length."""
    result = dict(inputs)
    for m in ("text", "audio"):
        count, frames, width = inputs[m].shape
        result[m] = np.empty((count, frames + extra, width), "float32")
        result[m][:, :frames], result[m][:, frames:] = inputs[m], garbage
        result[m][np.arange(frames + extra)[None] >= inputs[f"{m}_length"][:, None]] = garbage
    return result


@ALL
@BOTH
@pytest.mark.parametrize("stride", [1, 2])
def test_no_output_depends_on_the_padding(modules, task, stride):
    network, inputs = network_of(modules, task, stride), make_inputs()
    expected = to_numpy(network(inputs))
    assert all(np.isfinite(v).all() for v in expected.values())
    for garbage in (0.0, np.nan, np.inf, -np.inf, -1e30):
        assert_close(to_numpy(network(longer(inputs, garbage))), expected)


@ALL
@BOTH
def test_no_output_depends_on_the_batch_mates(modules, task):
    network, inputs = network_of(modules, task), make_inputs()
    expected = to_numpy(network(inputs))
    order = [4, 1, 2, 5]
    chosen = to_numpy(network({name: value[order] for name, value in inputs.items()}))
    assert_close(chosen, {name: value[order] for name, value in expected.items()})
    for row in (0, 1, 2):  # Full; text missing... each alone.
        alone = to_numpy(network({name: value[[row]] for name, value in inputs.items()}))
        assert_close(alone, {name: value[[row]] for name, value in expected.items()})
    # A batch mate of NaN poisons its own row only.
    poisoned = {**inputs, "text": inputs["text"].copy()}
    poisoned["text"][3] = np.nan
    assert_close(to_numpy(network(poisoned)), expected, rows=[0, 1, 2, 4, 5])


def test_no_output_depends_on_the_padding_inside_a_graph():
    network, inputs = network_of(MODULE_ROWS[-1], "regression"), make_inputs()
    expected = to_numpy(network(inputs))
    assert_close(network.predict(longer(inputs, np.nan), batch_size=4, verbose=0), expected)


def test_a_missing_modality_is_a_constant_of_the_network():
    network, inputs = network_of(MODULE_ROWS[-1], "regression"), make_inputs(lengths=[0, 0, 0, 1, 5, 2])
    outputs = to_numpy(network(inputs))
    for m in ("text", "audio"):
        for name in (
            "aligned_embedding",
            "aligned_common",
            "common_embedding",
            "private_embedding",
            "refined_embedding",
        ):
            assert np.all(outputs[f"{m}_{name}"][:3] == 0), name
            assert np.all(np.any(outputs[f"{m}_{name}"][3:] != 0, axis=1)), name
        np.testing.assert_allclose(outputs[f"{m}_soft_label"][:3], 1 / 3, rtol=1e-6)
        assert not outputs[f"{m}_present"][:3].any() and outputs[f"{m}_present"][3:].all()
    assert np.unique(outputs["prediction"][:3]).size == 1
    # The learned "absent" vectors are what the head reads instead.
    layer = network.get_layer("text_absent")
    layer.absent.assign(layer.absent + 1.0)
    changed = to_numpy(network(inputs))["prediction"]
    assert np.all(np.abs(changed - outputs["prediction"])[:3] > 1e-5)
    np.testing.assert_array_equal(changed[3:], outputs["prediction"][3:])
    layer.absent.assign(layer.absent - 1.0)


def test_lengths_beyond_the_frames_mean_all_frames():
    network, inputs = network_of(MODULE_ROWS[-1], "regression"), make_inputs(lengths=[5] * 6)
    beyond = {**inputs, "text_length": np.array([5, 6, 50, 5, 7, 5]), "audio_length": np.full(6, 1000)}
    assert_close(to_numpy(network(beyond)), to_numpy(network(inputs)), 1e-6)


def test_negative_lengths_mean_missing():
    network, inputs = network_of(MODULE_ROWS[-1], "regression"), make_inputs()
    negative = {**inputs, "text_length": np.where(inputs["text_length"] == 0, -3, inputs["text_length"])}
    assert_close(to_numpy(network(negative)), to_numpy(network(inputs)), 1e-6)


NO_POSITIVE, ONE_CLASS, MIXED = [-1.0, 0.0, 2.0], [1.0, 2.0, 0.5], [-1.0, -0.5, 2.0]
BATCHES = {
    "no_positive": (NO_POSITIVE, {"lengths": [2, 3, 1]}, True),
    "single_class": (ONE_CLASS, {"lengths": [2, 3, 1]}, True),
    "no_class_seen": (MIXED, {"lengths": [2, 3, 1]}, False),
    "all_missing": (MIXED, {"lengths": [0, 0, 0]}, True),
    "all_missing_and_no_class_seen": (MIXED, {"lengths": [0, 0, 0]}, False),
    "one_missing": (MIXED, {"lengths": [0, 3, 1]}, True),
    "one_row": ([1.0], {"lengths": [2]}, True),
    "identical_rows": (ONE_CLASS, {"lengths": [1, 1, 1]}, True),
}


@pytest.mark.parametrize("case", BATCHES)
@BOTH
def test_degenerate_batches_have_finite_terms_and_gradients(case, task):
    labels, options, seen = BATCHES[case]
    network = network_of(MODULE_ROWS[-1], task)
    inputs = longer(make_inputs(len(labels), **options), np.nan)
    if case == "identical_rows":
        inputs.update({m: np.zeros_like(inputs[m]) for m in ("text", "audio")})
    for generator in network.prototype_generators.values():
        generator.seen.assign([float(seen)] * 3)
    y = np.array(labels) if task == "regression" else np.sign(labels).astype("int32") + 1
    hard, soft = (AlignmentObjective(network, class_balanced=True, private_target=t) for t in ("hard", "soft"))
    with tf.GradientTape() as tape:
        outputs = network(inputs, training=True)
        terms = {**hard.terms(outputs, y), **PredictionObjective(network).terms(outputs, y)}
        soft_terms = soft.terms(outputs, y)
        loss = sum(terms.values()) + sum(soft_terms.values())
    assert all(np.isfinite(value) for value in (*terms.values(), *soft_terms.values())), terms
    for variable, gradient in zip(
        network.trainable_variables, tape.gradient(loss, network.trainable_variables), strict=True
    ):
        # Every variable has its path to the total loss, absent vectors included.
        assert gradient is not None and np.isfinite(gradient).all(), variable.path
    if case == "no_positive":
        assert float(terms["text_intra_loss"]) == float(terms["audio_intra_loss"]) == 0
    if case.startswith("all_missing"):
        assert all(float(value) == 0 for name, value in terms.items() if name != "prediction_loss")
    if case == "no_class_seen":
        assert float(terms["text_private_loss"]) == 0
