"""Probes, each run once for all the tests that look at its result."""

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .measured import Measured

PROBE = Path(__file__).with_name("probe.py")
CASES = ["regression", "classification"]


def run_probe(order, backend, gpu=False):
    """Runs an order of `probe.py` in a process of its own, on the CPU unless `gpu`; fails with what it said."""
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


@pytest.fixture(scope="session")
def probed(tmp_path_factory):
    """`probed(name, backend, **order)`: the `Measured` result of a probe, which runs when it is first asked for."""
    folder, results = tmp_path_factory.getbasetemp(), {}
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent  # The workers' own folders are in one.

    def probed(name, backend, **order):
        need(backend)
        if name not in results:
            path = folder / f"{name}.npz"
            with open(folder / f"{name}.lock", "w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.exists():
                    run_probe({"result": str(path), **order}, backend)
            results[name] = Measured(path)
        return results[name]

    return probed


@pytest.fixture(scope="session")
def reference(probed):
    """TensorFlow on one device."""
    return probed("tensorflow", "tensorflow", cases=CASES, refused_devices=2)


@pytest.fixture(scope="session")
def one_device(probed, reference):
    """`one_device(backend)`: a backend on one device, from the reference's initial weights."""

    def one_device(backend):
        if backend == "tensorflow":
            return reference
        return probed(backend, backend, cases=CASES, refused_devices=2, initial=str(reference.path))

    return one_device
