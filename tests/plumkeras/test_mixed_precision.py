"""16-bit computation: what stays float32, both stages under both policies, loss scaling."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from plumkeras import AlignmentTrainer, RefinementTrainer, export
from plumkeras.layers import FeatureStandardization
from plumkeras.losses import BranchCrossentropy, SupervisedContrastiveLoss
from tests.testing.networks import WIDTHS, make_data, make_inputs, make_network, to_numpy

POLICIES = ["mixed_bfloat16", "mixed_float16"]
X, Y = make_data(24)


@functools.cache
def trained(policy, trainer_class):
    network = make_network(dtype=policy)
    network.adapt(X)
    trainer = trainer_class(network)
    optimizer = keras.optimizers.Adam(1e-3)
    if policy == "mixed_float16":
        # Small enough from the start that no step is skipped, or the curves would differ by the skipped steps.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=2.0**6)
    trainer.compile(optimizer, run_eagerly=True)
    history = trainer.fit(X, Y, batch_size=12, epochs=2, validation_data=(X, Y), shuffle=False, verbose=0).history
    return network, history


@pytest.mark.parametrize("trainer_class", [AlignmentTrainer, RefinementTrainer])
@pytest.mark.parametrize("policy", POLICIES)
def test_a_stage_follows_the_curve_of_float32(policy, trainer_class):
    network, history = trained(policy, trainer_class)
    _, reference = trained("float32", trainer_class)
    assert all(v.dtype in ("float32", "int32", "uint32", "bool") for v in network.variables)
    assert np.isfinite([values for values in history.values()]).all()
    for name in ("loss", "val_loss"):
        assert reference[name][0] != reference[name][1]
        np.testing.assert_allclose(history[name], reference[name], rtol=0.02, err_msg=name)


@pytest.mark.parametrize("policy", POLICIES)
def test_it_computes_in_16_bits(policy):
    network = make_network(dtype=policy)
    half = policy.removeprefix("mixed_")
    outputs = network(make_inputs())
    for m in WIDTHS:
        for name in ("aligned_embedding", "aligned_common", "common_embedding", "private_embedding"):
            assert keras.backend.standardize_dtype(outputs[f"{m}_{name}"].dtype) == half


@pytest.mark.parametrize("policy", POLICIES)
def test_distances_softmax_and_predictions_stay_float32(policy):
    for options in ({}, {"task": "classification"}):
        network = make_network(dtype=policy, **options)
        outputs = network(make_inputs())
        names = ["prediction"]
        names += [f"{m}_{n}" for m in WIDTHS for n in ("soft_label", "common_logits", "private_logits")]
        for name in names:
            assert outputs[name].dtype == tf.float32, name


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("training", [False, True])
def test_every_exponential_is_taken_in_float32(policy, training):
    network = make_network(dtype=policy)
    specification = {
        name: tf.TensorSpec((None,) * len(value.shape[:-1]) + value.shape[-1:] if value.ndim == 3 else (None,))
        for name, value in make_inputs().items()
    }
    specification = {
        name: tf.TensorSpec(spec.shape, tf.int32 if name.endswith("_length") else tf.float32)
        for name, spec in specification.items()
    }
    graph = tf.function(lambda x: network(x, training=training)).get_concrete_function(specification).graph
    found = [op for op in graph.get_operations() if op.type in ("Softmax", "LogSoftmax", "Exp")]
    # Two encoders, two poolings, three attentions of the refinement and the soft labels, per modality, at the least.
    assert len(found) >= 8 * len(WIDTHS)
    assert {op.inputs[0].dtype for op in found} == {tf.float32}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_losses_are_those_of_the_same_numbers_in_float32(dtype):
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 12)
    rows = keras.ops.cast(random.normal(0, 30, (12, 5)), dtype)
    wide = keras.ops.cast(rows, "float32")
    target = keras.ops.one_hot(labels, 5)
    contrast, branch = SupervisedContrastiveLoss(), BranchCrossentropy()
    assert float(contrast(labels, rows)) == float(contrast(labels, wide))
    assert float(branch(target, rows)) == float(branch(target, wide))


def test_long_sequences_are_averaged_exactly_enough():
    # 16 bits count to 256 (bfloat16) or 2048 (float16): a mean over more frames needs wider sums.
    from plumkeras.layers.masking import masked_mean

    sequence = keras.ops.ones((1, 3000, 2), dtype="bfloat16") * 0.5
    mask = np.ones((1, 3000), bool)
    np.testing.assert_array_equal(to_numpy(masked_mean(sequence, mask)), np.full((1, 2), 0.5))


def test_float16_scales_the_loss_and_skips_a_step_that_overflows():
    inner = keras.optimizers.SGD(1e-3)
    optimizer = keras.optimizers.LossScaleOptimizer(inner, initial_scale=2.0**60)
    network = make_network(dtype="mixed_float16")
    network.adapt(X)
    trainer = RefinementTrainer(network)
    trainer.compile(optimizer, run_eagerly=True)
    trainable = [np.array(v) for v in trainer.trainable_variables]
    history = trainer.fit(X, Y, batch_size=24, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    for variable, before in zip(trainer.trainable_variables, trainable, strict=True):
        np.testing.assert_array_equal(variable, before)
    assert float(optimizer.dynamic_scale) == 2.0**59
    # Said nothing, `compile` wraps the optimizer by itself; bfloat16 needs none.
    for policy, expected in (("mixed_float16", True), ("mixed_bfloat16", False), ("float32", False)):
        trainer = RefinementTrainer(make_network(dtype=policy))
        trainer.compile("adam")
        assert isinstance(trainer.optimizer, keras.optimizers.LossScaleOptimizer) == expected


@pytest.fixture
def global_float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


def beyond_float16():
    """The training data with a constant feature; and data where it is 7e4, with an outlier of 1e6 in another sample."""
    train = {name: values.copy() for name, values in X.items()}
    train["text"][:, :, 1] = 5.0
    later = {name: values.copy() for name, values in train.items()}
    later["text"][0, :, 1] = 7e4
    later["text"][1, :, 0] = 1e6
    for inputs in (train, later):
        inputs["audio"] *= 1e5
    return train, later


def test_features_beyond_float16_give_the_predictions_of_float32(global_float16):
    """Called as a network, as a trainer and as it is exported, whether the precision is its own or the global one."""
    train, later = beyond_float16()
    float32 = make_network(dtype="float32")
    float32.adapt(train)
    expected = to_numpy(float32(later))["prediction"]
    for options in ({}, {"dtype": "mixed_float16"}):
        network = make_network(**options)
        network.set_weights(float32.get_weights())
        served = tf.function(export.endpoints(network)["serving_default"])
        for found in (network(later)["prediction"], RefinementTrainer(network)(later), served(later)["prediction"]):
            np.testing.assert_allclose(to_numpy(found), expected, atol=0.02)


@pytest.mark.parametrize("trainer_class", [AlignmentTrainer, RefinementTrainer])
def test_both_stages_train_on_features_beyond_float16(global_float16, trainer_class):
    train, later = beyond_float16()
    network = make_network()
    network.adapt(train)
    trainer = trainer_class(network)
    trainer.compile(keras.optimizers.Adam(1e-3), run_eagerly=True)
    history = trainer.fit(later, Y, batch_size=12, validation_data=(later, Y), verbose=0).history
    assert np.isfinite([values for values in history.values()]).all()
    assert all(np.isfinite(to_numpy(variable.value)).all() for variable in network.trainable_variables)


def test_standardisation_works_in_float32_under_a_global_policy(global_float16):
    layer = FeatureStandardization()
    sequence = np.full((1, 2, 1), 1e6, "float32")
    assert layer(sequence, np.array([2])).dtype == tf.float32
    np.testing.assert_array_equal(layer(sequence, np.array([2])), sequence)
