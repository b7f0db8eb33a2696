"""JAX and torch compute what TensorFlow computes, and do without it."""

import csv
import json

import numpy as np
import pytest

from tests.testing.probes import CASES, KEY_BIAS, KEY_BIAS_TOLERANCE, STAGES, differences, excess, need, run_probe

BACKENDS = ["jax", "torch"]
# Weights and prototypes absolute, the rest relative; gradients by the global norm.
TOLERANCES = {
    "terms": 1e-5,
    "gradients": 1e-5,
    "steps": 1e-4,
    "history": 1e-4,
    "validation": 1e-4,
    "weights": 1e-5,
    "key_biases": KEY_BIAS_TOLERANCE,
    "prototypes": 1e-5,
}


@pytest.mark.parametrize("backend", ["tensorflow", *BACKENDS])
@pytest.mark.parametrize("case", CASES)
def test_the_same_samples_in_the_same_order(one_device, reference, backend, case):
    """What a backend is fed is what the order says, which names the samples of a step when training diverges."""
    run = one_device(backend)
    for stage in STAGES:
        expected = [ids.tolist() for ids in reference.group(case, stage, "named").values()]
        assert len(expected) == 20
        for group in ("named", "fed"):
            assert [ids.tolist() for ids in run.group(case, stage, group).values()] == expected, group


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("case", CASES)
def test_statistics_agree(one_device, reference, backend, case):
    for name, values in one_device(backend).group(case, "statistics").items():
        np.testing.assert_allclose(values, reference.group(case, "statistics")[name], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("case", CASES)
def test_terms_gradients_and_curves_agree(one_device, reference, backend, case, stage):
    found = differences(one_device(backend), reference, case, stage)
    assert set(found) == set(TOLERANCES)
    assert not excess(found, TOLERANCES)


@pytest.mark.parametrize("case", CASES)
def test_there_is_something_to_agree_on(reference, case):
    """20 steps change the losses, and the weights, by far more than the tolerances."""
    trainable, initial = reference.facts[case]["trainable"], reference.group(case, "initial")
    for stage in STAGES:
        steps = reference.group(case, stage, "steps")["loss"]
        # The first steps of the last two epochs, behind the warm-up.
        assert abs(steps[-5] / steps[-10] - 1) > 10 * TOLERANCES["steps"]
        weights = reference.group(case, stage, "weights")
        moved = [np.abs(weights[name] - initial[name]).max() for name in weights if trainable[int(name)]]
        assert max(moved) > 50 * TOLERANCES["weights"]
        norms = {path: np.linalg.norm(g) for path, g in reference.group(case, stage, "gradients").items()}
        total = np.linalg.norm(list(norms.values()))
        assert total > 0.05
        assert all(norm < 1e-6 * total for path, norm in norms.items() if path.endswith(KEY_BIAS))


@pytest.mark.parametrize("backend", BACKENDS)
def test_building_and_training_import_no_tensorflow(one_device, reference, backend):
    assert reference.facts["imported_tensorflow"]
    assert not one_device(backend).facts["imported_tensorflow"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_without_tensorflow(tmp_path, tiny_options, backend):
    need(backend)
    run, predictions = tmp_path / "run", tmp_path / "predictions.csv"
    run_probe(
        {
            "result": str(tmp_path / "result.npz"),
            "deny_tensorflow": True,
            "commands": [
                ["train", "synthetic", "--output", str(run), *tiny_options, "--modalities", "text"],
                ["predict", str(run), "--output", str(predictions)],
            ],
        },
        backend,
    )
    assert (run / "network.keras").is_file()
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["valid"]["n"] == metrics["test"]["n"] == 32 and metrics["test"]["mae"] > 0
    assert json.loads((run / "config.json").read_text())["backend"] == backend
    with predictions.open(newline="") as file:
        assert np.isfinite([float(row["prediction"]) for row in csv.DictReader(file)]).sum() == 32


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("tensorflow", "`devices`=2, but there are 1 CPU devices in this process"),
        ("jax", "`devices`=2, but there are 1 JAX devices"),
        ("torch", "`devices` must be 1 with the torch backend. Received: devices=2"),
    ],
)
def test_devices_that_are_not_there_are_refused(one_device, backend, message):
    """After the first steps of a process its devices are what they are."""
    refusal = one_device(backend).facts["refusal"]
    assert refusal and message in refusal
