"""Fixtures of published models: weights, inputs, outputs, losses and gradient norms of the authors' own classes.

They are looked for in `$PLUMKERAS_PARITY`, by default `../shared/parity`.
"""

import json
import os
import re
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import ops

FOLDER = Path(os.environ.get("PLUMKERAS_PARITY") or Path(__file__).parents[2].parent / "shared" / "parity")
OUTPUT_TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}
GRADIENT_TOLERANCE = {"rtol": 1e-3, "atol": 1e-5}


class Fixture:
    """One file of the folder.

    Attributes:
        config: dict of sizes.
        weights, outputs, losses: dicts of arrays by name.
        gradient_norms: dict by the weight's name.
        label: `[B]`.
    """

    def __init__(self, name):
        path = FOLDER / f"{name}.npz"
        if not path.is_file():
            pytest.skip(f"{path} is not there; set PLUMKERAS_PARITY to the folder of the fixtures")
        with np.load(path, allow_pickle=False) as file:
            self.arrays = {key: file[key] for key in file.files}
        self.config = json.loads(str(self.arrays["config"]))
        self.weights, self.outputs, self.losses = (self.group(g) for g in ("weights", "outputs", "losses"))
        norms = self.group("gradient_norms")
        self.gradient_norms = dict(zip(map(str, norms["names"]), norms["values"], strict=True)) if norms else {}
        self.inputs = self.network_inputs("inputs")

    def group(self, prefix):
        """Dict of the arrays below a prefix, by the rest of their names."""
        prefix += "/"
        return {key.removeprefix(prefix): a for key, a in self.arrays.items() if key.startswith(prefix)}

    def network_inputs(self, prefix):
        """The inputs of a network; without `label`."""
        found = self.group(prefix)
        self.label = found.pop("label").reshape(-1) if "label" in found else None
        return found

    @property
    def feature_dims(self):
        return {m: a.shape[2] for m, a in self.inputs.items() if a.ndim == 3}


def plain(name):
    """A weight's name, of a fixture or a Keras path, without what differs between the two."""
    name = re.sub(r"/(lstm|gru)_cell(_\d+)?/", "/", name)
    return name.replace("/", "_")


def load_weights(network, fixture, renamed=str):
    """Gives a network the weights of a fixture; each weight of either has to have its partner in the other.

    Args:
        network: the network.
        fixture: `Fixture`.
        renamed: function from a fixture's name to a Keras path, which `plain` makes equal to ours.

    Returns:
        Dict from the fixture's name to the variable.
    """
    weights = dict(fixture.weights)
    # A GRU of Keras has both of its biases in one array.
    for name in [n for n in weights if n.endswith("/input_bias")]:
        stem = name.removesuffix("input_bias")
        weights[f"{stem}bias"] = np.stack([weights.pop(name), weights.pop(f"{stem}recurrent_bias")])
    variables = {plain(v.path): v for v in network.variables if not _is_own(v.path)}
    found = {}
    for name, values in weights.items():
        variable = variables.pop(plain(renamed(name)))
        assert tuple(variable.shape) == values.shape, (name, variable.path)
        variable.assign(values)
        found[name] = variable
    assert not variables, f"not in the fixture: {sorted(variables)}"
    return found


def _is_own(path):
    """Whether the published model has no such variable: standardisation, dropout states."""
    return re.search(r"_standardization/|seed_generator", path) is not None


def value_and_gradients(function, variables):
    """A scalar function of nothing, and its gradients by the variables as arrays, on any backend."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        with tf.GradientTape() as tape:
            value = function()
        found = tape.gradient(value, [v.value for v in variables])
        found = [None if g is None else tf.convert_to_tensor(g) for g in found]
    elif backend == "torch":
        for variable in variables:
            variable.value.grad = None
        value = function()
        value.backward()
        found = [variable.value.grad for variable in variables]
    else:
        import jax

        def of(values):
            with keras.StatelessScope(state_mapping=list(zip(variables, values, strict=True))):
                return function()

        value, found = jax.jit(jax.value_and_grad(of))([v.value for v in variables])
    arrays = [
        np.zeros(v.shape) if g is None else ops.convert_to_numpy(g) for v, g in zip(variables, found, strict=True)
    ]
    return float(ops.convert_to_numpy(value)), arrays


def assert_outputs(outputs, expected, names=None):
    """Outputs agree with a fixture's, by name; `names` maps a fixture's name to ours."""
    for name, values in expected.items():
        found = ops.convert_to_numpy(outputs[(names or {}).get(name, name)])
        np.testing.assert_allclose(found.reshape(values.shape), values, **OUTPUT_TOLERANCE, err_msg=name)


def assert_gradients(found, fixture):
    """Gradient norms agree. `found`: dict by the fixture's name. Key biases have no true gradient."""
    stacked = {}
    for name, array in found.items():
        if name not in fixture.gradient_norms and f"{name.removesuffix('bias')}input_bias" in fixture.gradient_norms:
            stem = name.removesuffix("bias")
            stacked |= {f"{stem}input_bias": array[0], f"{stem}recurrent_bias": array[1]}
        else:
            stacked[name] = array
    expected = {n: v for n, v in fixture.gradient_norms.items() if not n.endswith("/key/bias")}
    assert set(expected) <= set(stacked)
    for name, norm in expected.items():
        np.testing.assert_allclose(np.linalg.norm(stacked[name]), norm, **GRADIENT_TOLERANCE, err_msg=name)
