"""Objectives of published models on batches that are hard on them."""

import numpy as np
from keras import ops

from tests.testing.parity import value_and_gradients
from tests.testing.published import WIDTHS


def hard_batches():
    """Dict by name of inputs and labels: one sample, equal samples, labels of one sign, nothing there at all."""
    random = np.random.default_rng(0)

    def batch(count, y, length=3):
        inputs = {m: random.normal(0, 1, (count, 3, width)).astype("float32") for m, width in WIDTHS.items()}
        inputs |= {f"{m}_length": np.full(count, length, "int32") for m in WIDTHS}
        return inputs, np.asarray(y, "float32")

    inputs, y = batch(4, [1.0, 1.0, 1.0, 1.0])
    equal = {name: np.repeat(array[:1], 4, axis=0) for name, array in inputs.items()}
    return {
        "one sample": batch(1, [1.5]),
        "equal samples": (equal, y),
        "one sign": batch(5, [0.5, 1.0, 2.0, 0.2, 3.0]),
        "all missing": batch(3, [0.5, -1.0, 0.0], length=0),
    }


def assert_finite_terms(network, objective, inputs, y, sample_weight=None):
    """Terms and their gradients are finite; returns the terms as floats."""

    def measured():
        return objective.terms(network(inputs), ops.convert_to_tensor(y), sample_weight)

    terms = {name: float(ops.convert_to_numpy(term)) for name, term in measured().items()}
    _, gradients = value_and_gradients(lambda: sum(measured().values()), network.trainable_variables)
    assert list(terms) == list(objective.term_names)
    assert all(np.isfinite(value) for value in terms.values()), terms
    for variable, gradient in zip(network.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all(), variable.path
    return terms


def subset(inputs, rows):
    return {name: array[rows] for name, array in inputs.items()}
