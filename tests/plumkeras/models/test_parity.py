"""Published models compute what their authors' classes compute: outputs, loss terms, gradient norms."""

import numpy as np
import pytest
from keras import ops

from tests.testing.parity import (
    OUTPUT_TOLERANCE,
    Fixture,
    assert_gradients,
    assert_outputs,
    load_weights,
    value_and_gradients,
)


def _rates(*names):
    return dict.fromkeys(names, 0.0)


def mult(fixture):
    from plumkeras.models.mult import MulT

    config = fixture.config
    rates = _rates(
        *("text_dropout", "attention_dropout", "relu_dropout", "residual_dropout", "embed_dropout", "dropout")
    )
    return MulT(fixture.feature_dims, config["width"], config["crossmodal_layers"], config["heads"], **rates)


def misa(fixture):
    from plumkeras.models.misa import MISA

    config = fixture.config
    sizes = (config["hidden"], config["fusion_heads"], config["fusion_feed_forward"])
    return MISA(fixture.feature_dims, *sizes, **_rates("fusion_dropout", "dropout"))


# The network of a fixture, by its name.
NETWORKS = {"misa": misa, "mult": mult}
# Of the losses of a fixture: our term, and its weight.
TERMS = {
    "misa": {
        "task": ("prediction_loss", 1.0),
        "difference": ("difference_loss", 0.3),
        "similarity": ("similarity_loss", 1.0),
        "reconstruction": ("reconstruction_loss", 1.0),
    },
}


@pytest.mark.parametrize("name", NETWORKS)
def test_parity(name):
    fixture = Fixture(name)
    network = NETWORKS[name](fixture)
    weights = load_weights(network, fixture)
    objective = network.objective()

    def measured():
        outputs = network(fixture.inputs, training=False)
        return outputs, objective.terms(outputs, fixture.label)

    outputs, terms = measured()
    assert_outputs(outputs, fixture.outputs)
    terms = {name: float(ops.convert_to_numpy(term)) for name, term in terms.items()}
    np.testing.assert_allclose(sum(terms.values()), fixture.losses["total"], **OUTPUT_TOLERANCE)
    for loss, (term, weight) in TERMS.get(name, {}).items():
        np.testing.assert_allclose(terms[term] / weight, fixture.losses[loss], **OUTPUT_TOLERANCE, err_msg=loss)
    _, gradients = value_and_gradients(lambda: sum(measured()[1].values()), list(weights.values()))
    assert_gradients(dict(zip(weights, gradients, strict=True)), fixture)


@pytest.mark.parametrize("name", ["mult"])
def test_full_lengths(name):
    fixture = Fixture(name)
    network = NETWORKS[name](fixture)
    load_weights(network, fixture)
    assert_outputs(network(fixture.network_inputs("full/inputs")), fixture.group("full/outputs"))
