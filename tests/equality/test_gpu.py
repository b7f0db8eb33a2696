"""On a GPU, without TensorFlow, both stages do what they do on the CPU."""

import subprocess
import sys

import numpy as np
import pytest

from tests.testing.probes import STAGES, Measured, differences, excess, need, run_probe

LOOK = {
    "jax": "import jax; print([d.device_kind for d in jax.devices() if d.platform == 'gpu'])",
    "torch": "import torch; print([torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())])",
}
# float32 on both sides, in another order of summation, over 20 steps.
TOLERANCES = {"terms": 1e-3, "gradients": 1e-3, "steps": 1e-3}


def need_gpu(backend):
    """Skips where the backend sees no GPU, in a process of its own: to look is to start it."""
    done = subprocess.run([sys.executable, "-c", LOOK[backend]], capture_output=True, text=True)
    if done.returncode or done.stdout.split()[-1:] == ["[]"]:
        why = f": {done.stderr.strip().splitlines()[-1]}" if done.returncode else ""
        pytest.skip(f"{backend} sees no GPU here{why}; the training on one was not tested")


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_a_gpu_trains_as_the_cpu_does(tmp_path, monkeypatch, backend, capsys):
    need(backend)
    need_gpu(backend)
    # JAX multiplies at less than float32 on a GPU by default; torch doesn't.
    monkeypatch.setenv("JAX_DEFAULT_MATMUL_PRECISION", "highest")
    results = {}
    for device in ("cpu", "gpu"):
        order = {"result": str(tmp_path / f"{device}.npz"), "cases": ["regression"], "deny_tensorflow": True}
        if device == "gpu":
            order["initial"] = str(results["cpu"].path)
        run_probe(order, backend, gpu=device == "gpu")
        results[device] = Measured(order["result"])
    where = {device: run.facts["regression"]["device"].lower() for device, run in results.items()}
    assert "cpu" in where["cpu"] and "cpu" not in where["gpu"], where
    for stage in STAGES:
        found = differences(results["gpu"], results["cpu"], "regression", stage)
        assert not excess({quantity: found[quantity] for quantity in TOLERANCES}, TOLERANCES)
    with capsys.disabled():
        for device, run in results.items():
            # Without the first epoch, in which the step is compiled.
            times = [np.median(run.group("regression", stage)["seconds"][5:]) for stage in STAGES]
            print(f"\n{backend} on {where[device]}: {times[0]:.4f} and {times[1]:.4f} seconds a step of the two stages")
