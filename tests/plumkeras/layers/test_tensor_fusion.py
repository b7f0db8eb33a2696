"""Batch statistics of the rows that are present, and the products of vectors, against numpy."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from plumkeras.layers.tensor_fusion import (
    LowRankFusion,
    LSTMSubnetwork,
    MeanSubnetwork,
    PresentBatchNormalization,
    TensorFusion,
)
from tests.testing.networks import run_layer_test, to_numpy
from tests.testing.parity import value_and_gradients

RANDOM = np.random.default_rng(0)
VECTOR = RANDOM.normal(2.0, 3.0, (6, 3)).astype("float32")
PRESENT = np.array([True, True, False, True, False, True])
SEQUENCE = {"sequence": RANDOM.normal(size=(4, 5, 3)).astype("float32"), "length": np.array([5, 3, 1, 0], "int32")}


def states(layer):
    return np.array(layer.moving_mean), np.array(layer.moving_variance)


def test_statistics_are_those_of_the_rows_that_are_present():
    layer = PresentBatchNormalization(momentum=0.9, epsilon=1e-5)
    found = to_numpy(layer(VECTOR, PRESENT, training=True))
    mean, variance = VECTOR[PRESENT].mean(axis=0), VECTOR[PRESENT].var(axis=0)
    np.testing.assert_allclose(found, (VECTOR - mean) / np.sqrt(variance + 1e-5), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(states(layer), (0.1 * mean, 0.9 + 0.1 * variance), rtol=1e-5)
    expected = (VECTOR - 0.1 * mean) / np.sqrt(0.9 + 0.1 * variance + 1e-5)
    np.testing.assert_allclose(to_numpy(layer(VECTOR, PRESENT)), expected, rtol=1e-5, atol=1e-5)


def test_what_is_in_rows_that_are_missing_has_no_say():
    layers = [PresentBatchNormalization() for _ in range(2)]
    vectors = [VECTOR, np.where(PRESENT[:, None], VECTOR, 1e6).astype("float32")]
    for layer, vector in zip(layers, vectors, strict=True):
        layer(vector, PRESENT, training=True)
    np.testing.assert_array_equal(states(layers[0]), states(layers[1]))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_rows_are_normalised_by_the_moving_statistics(count):
    layer = PresentBatchNormalization()
    layer(VECTOR, PRESENT, training=True)
    before, present = states(layer), np.arange(6) < count
    np.testing.assert_array_equal(to_numpy(layer(VECTOR, present, training=True)), to_numpy(layer(VECTOR, present)))
    np.testing.assert_array_equal(states(layer), before)


def test_gradients_of_equal_rows_are_finite():
    layer = PresentBatchNormalization()
    equal = np.ones((4, 3), "float32")
    dense = keras.layers.Dense(3)
    dense.build((None, 3))
    layer.build((None, 3))
    value, gradients = value_and_gradients(
        lambda: keras.ops.sum(layer(dense(equal), np.ones(4, bool), training=True) ** 2), dense.trainable_variables
    )
    assert np.isfinite(value) and all(np.isfinite(gradient).all() for gradient in gradients)


_REPLICAS = """
import contextlib, keras, numpy as np
from plumkeras.devices import data_parallel
from plumkeras.trainers import PredictionTrainer
from tests.testing.networks import make_data
from tests.testing.published import WIDTHS, small_network

# First: once the runtime has started, there are as many devices as there are.
parallel = data_parallel(2)
x, y = make_data(7, widths=WIDTHS)
trained = []
for scope in (contextlib.nullcontext, parallel.scope):
    with scope():
        network = small_network("tfn")
        network.adapt(x)
        trainer = PredictionTrainer(network)
        trainer.compile(keras.optimizers.SGD(0.05))
        # The last batch has two rows on one replica and one on the other.
        trainer.fit(x, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    trained.append({v.path: np.array(v) for v in network.variables if "seed" not in v.path})
begun = {v.path: np.array(v) for v in small_network("tfn").variables}
one, both = trained
for path in one:
    np.testing.assert_allclose(both[path], one[path], rtol=1e-4, atol=1e-5, err_msg=path)
moved = [path for path in one if "moving" in path and np.abs(one[path] - begun[path]).max() > 0.01]
assert len(moved) == 4, moved
print("equal")
"""


@pytest.mark.verify
def test_replicas_have_the_statistics_of_the_whole_batch(repository):
    """Two train TFN as one device does, moving statistics included."""
    environment = {**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", _REPLICAS], env=environment, cwd=repository, capture_output=True, text=True
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-3000:]


def test_the_product_of_vectors():
    first, second, third = (RANDOM.normal(size=(4, width)).astype("float32") for width in (2, 3, 1))
    found = to_numpy(TensorFusion()([first, second, third]))
    ones = [np.concatenate([np.ones((4, 1)), vector], axis=1) for vector in (first, second, third)]
    np.testing.assert_allclose(found, np.einsum("bi,bj,bk->bijk", *ones).reshape(4, -1), rtol=1e-6)


def test_low_rank_fusion_is_a_linear_layer_of_the_product():
    vectors = [RANDOM.normal(size=(4, width)).astype("float32") for width in (2, 3)]
    layer = LowRankFusion(["audio", "text"], 3, "multilabel", 2)
    prediction, products = to_numpy(layer(vectors))
    (audio, text), weights = (np.array(factor) for factor in layer.factors), np.array(layer.rank_weights)[0]
    kernel = np.einsum("r,rio,rjo->ijo", weights, audio, text).reshape(-1, 2)
    scores = to_numpy(TensorFusion()(vectors)) @ kernel
    np.testing.assert_allclose(prediction, 1 / (1 + np.exp(-scores)), rtol=1e-4, atol=1e-6)
    assert products.shape == (4, 3, 2)


def test_factors_begin_by_the_fans_of_the_authors_framework():
    keras.utils.set_random_seed(0)
    layer = LowRankFusion(["text"], 8, "classification", 5)
    layer.build([(None, 199)])
    assert np.std(layer.factors[0]) == pytest.approx((2 / (200 * 5 + 8 * 5)) ** 0.5, rel=0.05)
    assert not np.any(layer.bias)


@pytest.mark.parametrize(
    ("layer_class", "init", "trainable", "non_trainable"),
    [
        # Normalisation (2), three dense layers (2); two moving statistics and the seed of a dropout.
        (MeanSubnetwork, {"width": 4, "dropout": 0.2}, 8, 3),
        # An LSTM (3), a projection (2); the seeds of the LSTM and of a dropout.
        (LSTMSubnetwork, {"units": 5, "width": 4, "dropout": 0.2}, 5, 2),
    ],
)
def test_the_life_of_a_subnetwork(layer_class, init, trainable, non_trainable):
    run_layer_test(layer_class, init, SEQUENCE, (4, 4), trainable, non_trainable)
    layer = layer_class(**init)
    assert np.all(to_numpy(layer(*SEQUENCE.values()))[3] == 0)
