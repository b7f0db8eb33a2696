"""A saved network is the same network: configuration, weights, statistics, prototypes, precision."""

import json

import keras
import numpy as np
import pytest

from plumkeras.models.plum_net import PLUMNet
from tests.testing.networks import MODULE_ROWS, dtypes, make_inputs, make_network, to_numpy

CONFIGURATIONS = {
    **{"+".join(modules) or "none": {"modules": modules} for modules in MODULE_ROWS},
    "classification": {"task": "classification", "num_classes": 4},
    "per_modality": {"common_branch": "per_modality"},
    "shared_encoder": {"common_branch": "shared_encoder", "num_layers": 2},
    "bfloat16": {"dtype": "mixed_bfloat16"},
    "shared_encoder_bfloat16": {"common_branch": "shared_encoder", "dtype": "mixed_bfloat16"},
    "vector": {"fusion": "vector", "normalize_labels": False, "label_temperature": 2.0},
    "strides": {"strides": {"audio": 3}},
    "dropouts": {"modality_dropout": 0.3, "dropout": 0.4, "compression": {"audio": "signed_log1p"}},
}


def assert_bit_equal(actual, expected):
    assert set(actual) == set(expected)
    for name in expected:
        np.testing.assert_array_equal(np.array(actual[name]), np.array(expected[name]), err_msg=name)


@pytest.mark.parametrize("case", CONFIGURATIONS)
def test_keras_file_round_trip_is_bit_equal_in_every_output(case, tmp_path):
    network = make_network(**CONFIGURATIONS[case])
    inputs = make_inputs()
    expected = network(inputs)
    path = tmp_path / "network.keras"
    network.save(path)
    loaded = keras.saving.load_model(path)
    assert type(loaded) is PLUMNet
    assert loaded.get_config() == network.get_config()
    assert_bit_equal(loaded(inputs), expected)
    assert len(loaded.weights) == len(network.weights)
    for own, other in zip(network.weights, loaded.weights, strict=True):
        np.testing.assert_array_equal(own, other, err_msg=own.path)
    for m, generator in loaded.prototype_generators.items():
        assert np.any(np.array(generator.prototypes)), m
        np.testing.assert_array_equal(generator.seen, 1)
    # The configuration alone rebuilds the architecture.
    rebuilt = PLUMNet.from_config(json.loads(json.dumps(network.get_config())))
    assert rebuilt.get_config() == network.get_config()
    rebuilt.set_weights(network.get_weights())
    assert_bit_equal(rebuilt(inputs), expected)


def test_prototypes_of_some_classes_only_are_kept(tmp_path):
    network = make_network(scramble=False)
    generator = network.prototype_generators["text"]
    generator.assign_prototypes(np.ones((3, 8)), np.array([4, 0, 1]))
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras").prototype_generators
    np.testing.assert_array_equal(loaded["text"].seen, [1, 0, 1])
    np.testing.assert_array_equal(loaded["audio"].seen, [0, 0, 0])


def test_clone_and_weights_file(tmp_path):
    network = make_network()
    network.save_weights(tmp_path / "x.weights.h5")
    rebuilt = PLUMNet.from_config(network.get_config())
    rebuilt.load_weights(tmp_path / "x.weights.h5")
    assert_bit_equal(rebuilt(make_inputs()), network(make_inputs()))


def test_a_loaded_shared_encoder_is_still_shared(tmp_path):
    network = make_network(common_branch="shared_encoder")
    network.save(tmp_path / "network.keras")
    loaded = keras.saving.load_model(tmp_path / "network.keras")
    first, second = (loaded.get_layer(f"{m}_bifurcator").encoders["common"] for m in ("text", "audio"))
    assert first is second
    assert len(loaded.trainable_variables) == len(network.trainable_variables)


def test_it_is_a_functional_model():
    network = make_network()
    # A part of it is a model of its own, on the same layers.
    part = network.select("text_aligned_embedding", "text_present")
    inputs = make_inputs()
    assert set(part.output) == {"text_aligned_embedding", "text_present"}
    assert_bit_equal(part(inputs), {name: network(inputs)[name] for name in part.output})
    names = {layer.name for layer in part.layers}
    assert "alignment" in names and "prediction" not in names and "text_refinement" not in names


@pytest.mark.parametrize("modules", [(), ("msa", "psl_tfb", "prm")])
def test_a_part_is_serialized_from_its_layers_configurations(modules, tmp_path):
    """A plain functional model, so every layer, the small ones too, must come back from `get_config`."""
    network, inputs = make_network(modules=modules, strides={"text": 2}), make_inputs()
    part = network.select(*network.output)
    rebuilt = keras.Model.from_config(json.loads(json.dumps(part.get_config())))
    assert type(rebuilt) is not PLUMNet
    rebuilt.set_weights(part.get_weights())
    assert_bit_equal(rebuilt(inputs), network(inputs))
    part.save(tmp_path / "part.keras")
    assert_bit_equal(keras.saving.load_model(tmp_path / "part.keras")(inputs), network(inputs))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_weights_and_decisions_in_float32(policy):
    network = make_network(dtype=policy)
    full = make_network()
    outputs = network(make_inputs())
    assert all(v.dtype == "float32" for v in network.trainable_variables)
    for name in ("prediction", "text_soft_label", "text_common_logits", "text_private_logits"):
        assert outputs[name].dtype.name == "float32", name
    reference = to_numpy(full(make_inputs()))
    for name, value in to_numpy(outputs).items():
        if not name.endswith(("hard_label", "soft_label")):
            np.testing.assert_allclose(value, reference[name], atol=0.15, rtol=0.1, err_msg=name)


def test_the_global_policy_is_the_default_and_travels_with_the_network():
    given = dtypes(make_network(dtype="mixed_bfloat16").output)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        network = make_network()
        assert network.get_layer("text_private_branch").compute_dtype == "bfloat16"
        assert dtypes(network.output) == given
    finally:
        keras.config.set_dtype_policy("float32")
    assert dtypes(PLUMNet.from_config(network.get_config()).output) == given
