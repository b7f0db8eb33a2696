"""Runs probes: what each measured, and by how much two of them differ."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PROBE = Path(__file__).with_name("backend_probe.py")
CASES = ["regression", "classification"]
STAGES = ("alignment", "refinement")
# The bias of an attention's keys adds the same to every score of a softmax, which takes no notice: its gradient is zero
# but for rounding, and of that, whatever its size, Adam makes steps of up to its learning rate. What it comes to is
# noise, 2e-6 to 1e-5 after 20 steps as measured; 1e-4 is two whole steps.
KEY_BIAS = "/key/bias"
KEY_BIAS_TOLERANCE = 1e-4


def run_probe(order, backend, gpu=False):
    """Runs an order of `backend_probe.py` in a process of its own, on the CPU unless `gpu`; fails with what it said."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment.pop("XLA_FLAGS", None)
    if not gpu:
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
        # For networks this small, torch's threads cost many times what they give, and so do XLA's optimisations.
        environment |= {"OMP_NUM_THREADS": "1", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
    done = subprocess.run(
        [sys.executable, str(PROBE), json.dumps(order)], env=environment, capture_output=True, text=True
    )
    if done.returncode:
        pytest.fail(f"probe of {backend}, exit status {done.returncode}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
    return done.stdout


def need(backend):
    """Skips without torch; TensorFlow and JAX come with the tests."""
    if backend == "torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed (pip install torch; its CPU build suffices)")


class Measured:
    """The arrays and facts of a probe's result.

    Attributes:
        path: the npz file.
        facts: dict.
    """

    def __init__(self, path):
        self.path = path
        with np.load(path) as file:
            self.facts = json.loads(str(file["facts"]))
            self._arrays = {name: file[name] for name in file.files if name != "facts"}

    def group(self, *path):
        """Dict of the arrays below a path, e.g. `("regression", "alignment", "terms")`, by the rest of their names."""
        prefix = "/".join(path) + "/"
        return {name.removeprefix(prefix): a for name, a in self._arrays.items() if name.startswith(prefix)}


def differences(run, reference, case, stage, named=None, steps=slice(None)):
    """By how much a run of a case differs from the reference.

    Args:
        run, reference: `Measured`.
        case, stage: names.
        named: name of the case in `run`, where it differs.
        steps: which of the steps' running losses to compare. By default all.

    Returns:
        Dict of dicts by quantity and name. Largest absolute differences of `weights`, of `key_biases` (see
        `KEY_BIAS_TOLERANCE`) and of `prototypes`; largest relative ones of `terms` (losses of one batch), `steps`
        (running losses within epochs), `history` and `validation` (per epoch, metrics too); the norm of the difference
        of `gradients` by the norm of the gradient. A run that had no validation has no `validation`.
    """
    here, there = ({q: m.group(n, stage, q) for q in _QUANTITIES} for m, n in ((run, named or case), (reference, case)))
    for part in (here, there):
        part["validation"] = {name: v for name, v in part["history"].items() if name.startswith("val_")}
        part["history"] = {name: v for name, v in part["history"].items() if name not in part["validation"]}
        for quantity in ("terms", "steps"):
            part[quantity] = {name: v for name, v in part[quantity].items() if name.endswith("loss")}
        part["steps"] = {name: v[steps] for name, v in part["steps"].items()}
    paths = reference.facts[case]["paths"]
    assert run.facts[named or case]["paths"] == paths
    for part in (here, there):
        weights = {paths[int(name)]: v for name, v in part["weights"].items()}
        part["key_biases"] = {path: v for path, v in weights.items() if path.endswith(KEY_BIAS)}
        part["weights"] = {path: v for path, v in weights.items() if path not in part["key_biases"]}
    if not here["validation"]:
        del here["validation"], there["validation"]
    return {q: _MEASURES.get(q, _relative)(here[q], there[q]) for q in here}


def excess(differences, tolerances):
    """What differs by more than it may: dict by quantity of the worst name with its difference; empty if nothing."""
    found = {}
    for quantity, by_name in differences.items():
        name = max(by_name, key=by_name.get)
        if not by_name[name] <= tolerances[quantity]:
            found[quantity] = f"{name}: {by_name[name]:.1e}"
    return found


def _absolute(values, reference):
    assert values.keys() == reference.keys() and values
    return {name: float(np.max(np.abs(values[name] - reference[name]))) for name in values}


def _relative(values, reference):
    assert values.keys() == reference.keys() and values
    found = {}
    for name in values:
        a, b = values[name].astype("float64"), reference[name].astype("float64")
        # A correlation that is undefined is so on both sides.
        assert np.array_equal(np.isnan(a), np.isnan(b)), name
        a, b = np.nan_to_num(a), np.nan_to_num(b)
        found[name] = float(np.max(np.where(a == b, 0.0, np.abs(a - b) / np.maximum(np.abs(b), 1e-12))))
    return found


def _by_norm(values, reference):
    assert values.keys() == reference.keys() and values

    def norm(arrays):
        return np.sqrt(sum(np.sum(np.square(a, dtype="float64")) for a in arrays))

    return {"all": float(norm([values[n] - reference[n] for n in values]) / norm(reference.values()))}


_QUANTITIES = ("terms", "gradients", "steps", "history", "weights", "prototypes")
_MEASURES = {"weights": _absolute, "key_biases": _absolute, "prototypes": _absolute, "gradients": _by_norm}
