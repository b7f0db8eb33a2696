"""Published models compute what their authors' classes compute: outputs, loss terms, gradient norms."""

import os
import subprocess
import sys

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
from tests.testing.parity_cases import CASES
from tests.testing.probes import need


@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    fixture = Fixture(name)
    case = CASES[name](fixture)
    weights = load_weights(case.network, fixture, case.renamed)
    objective = case.network.objective()

    def measured():
        outputs = case.network(fixture.inputs, training=False)
        return outputs, objective.terms(case.learned_from(outputs), fixture.label, **case.options)

    # Outside of the gradient's forward pass, whose values JAX does not give.
    outputs, terms = measured()
    assert_outputs(case.outputs(outputs), fixture.outputs)
    terms = {name: float(ops.convert_to_numpy(term)) for name, term in terms.items()}
    np.testing.assert_allclose(sum(terms.values()), fixture.losses["total"], **OUTPUT_TOLERANCE)
    for loss, (term, weight) in case.terms.items():
        np.testing.assert_allclose(terms[term] / weight, fixture.losses[loss], **OUTPUT_TOLERANCE, err_msg=loss)
    _, gradients = value_and_gradients(lambda: sum(measured()[1].values()), list(weights.values()))
    assert_gradients(dict(zip(weights, gradients, strict=True)), fixture)


@pytest.mark.parametrize("name", ["mult"])
def test_full_lengths(name):
    fixture = Fixture(name)
    case = CASES[name](fixture)
    load_weights(case.network, fixture)
    assert_outputs(case.network(fixture.network_inputs("full/inputs")), fixture.group("full/outputs"))


@pytest.mark.verify
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_parity_on_other_backends(backend):
    need(backend)
    for name in CASES:
        Fixture(name)
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-m", "not verify"]
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run(line, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert f"{len(CASES) + 1} passed" in done.stdout
