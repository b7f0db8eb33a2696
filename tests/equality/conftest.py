"""Probes, each run once for all the tests that look at its result."""

import fcntl
import os

import pytest

from tests.testing.probes import CASES, Measured, need, run_probe


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
