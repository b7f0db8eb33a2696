"""Published models compute what their authors' classes compute: outputs, loss terms, gradient norms."""

import numpy as np
import pytest

from tests.testing.parity import Fixture, assert_gradients, assert_outputs, load_weights, value_and_gradients


def _rates(*names):
    return dict.fromkeys(names, 0.0)


def mult(fixture):
    from plumkeras.models.mult import MulT

    config = fixture.config
    rates = _rates(
        *("text_dropout", "attention_dropout", "relu_dropout", "residual_dropout", "embed_dropout", "dropout")
    )
    return MulT(fixture.feature_dims, config["width"], config["crossmodal_layers"], config["heads"], **rates)


# The network of a fixture, by its name.
NETWORKS = {"mult": mult}


@pytest.mark.parametrize("name", NETWORKS)
def test_parity(name):
    fixture = Fixture(name)
    network = NETWORKS[name](fixture)
    weights = load_weights(network, fixture)
    objective = network.objective()
    kept = {}

    def loss():
        kept["outputs"] = outputs = network(fixture.inputs, training=False)
        kept["terms"] = terms = objective.terms(outputs, fixture.label)
        return sum(terms.values())

    value, gradients = value_and_gradients(loss, list(weights.values()))
    assert_outputs(kept["outputs"], fixture.outputs)
    np.testing.assert_allclose(value, fixture.losses["total"], rtol=2e-4, atol=2e-5)
    assert_gradients(dict(zip(weights, gradients, strict=True)), fixture)


@pytest.mark.parametrize("name", ["mult"])
def test_full_lengths(name):
    fixture = Fixture(name)
    network = NETWORKS[name](fixture)
    load_weights(network, fixture)
    assert_outputs(network(fixture.network_inputs("full/inputs")), fixture.group("full/outputs"))
