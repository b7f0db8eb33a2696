"""Learning rates of some variables apart from the rest, against AdamW in numpy."""

import json

import keras
import numpy as np
import pytest

from plumkeras.trainers.backend import Adam, AdamW
from tests.plumkeras.test_registration import in_process

SHAPES = [(3, 2), (4,), (2,)]
FACTORS = [0.5, 1.0, 0.1]
RATE, DECAY, STEPS = 0.05, 0.2, 3


def start():
    random = np.random.default_rng(0)
    values = [random.normal(size=shape).astype("float32") for shape in SHAPES]
    return values, [[random.normal(size=shape).astype("float32") for shape in SHAPES] for _ in range(STEPS)]


def by_numpy(factors, decay, rate=lambda step: RATE):
    values, gradients = start()
    values = [value.astype("float64") for value in values]
    first, second = ([np.zeros(shape) for shape in SHAPES] for _ in range(2))
    for step, given in enumerate(gradients, 1):
        for i, gradient in enumerate(given):
            own = rate(step - 1) * factors[i]
            values[i] *= 1 - own * decay
            first[i] = 0.9 * first[i] + 0.1 * gradient
            second[i] = 0.999 * second[i] + 0.001 * gradient**2
            step_size = own * np.sqrt(1 - 0.999**step) / (1 - 0.9**step)
            values[i] -= step_size * first[i] / (np.sqrt(second[i]) + 1e-7)
    return values


def by_optimizer(make, factors=None):
    values, gradients = start()
    variables, optimizer = [keras.Variable(value) for value in values], make()
    if factors is not None:
        optimizer.rate_factors = {id(v): f for v, f in zip(variables, factors, strict=True) if f != 1}
    optimizer.build(variables)
    for given in gradients:
        optimizer.apply([keras.ops.convert_to_tensor(gradient) for gradient in given], variables)
    return [keras.ops.convert_to_numpy(v).astype("float64") for v in variables]


def measured():
    """By case, what this backend's optimizers give."""
    schedule = keras.optimizers.schedules.CosineDecay(RATE, 10)
    found = {
        "adamw": by_optimizer(lambda: AdamW(RATE, weight_decay=DECAY), FACTORS),
        "adam": by_optimizer(lambda: Adam(RATE), FACTORS),
        "schedule": by_optimizer(lambda: AdamW(schedule, weight_decay=DECAY), FACTORS),
        "without": by_optimizer(lambda: AdamW(RATE, weight_decay=DECAY, clipnorm=1.0)),
        "keras": by_optimizer(lambda: keras.optimizers.AdamW(RATE, weight_decay=DECAY, clipnorm=1.0)),
        "ones": by_optimizer(lambda: AdamW(RATE, weight_decay=DECAY, clipnorm=1.0), [1.0] * 3),
    }
    return {case: [value.tolist() for value in values] for case, values in found.items()}


@pytest.fixture(scope="module")
def found():
    results = {}

    def found(backend):
        if backend == keras.backend.backend():
            return results.setdefault(backend, measured())
        pytest.importorskip(backend)
        if backend not in results:
            code = f"import json; from {__name__} import measured; print(json.dumps(measured()))"
            results[backend] = json.loads(in_process(code, backend))
        return results[backend]

    return found


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_each_variable_has_its_own_rate_and_decay(found, backend):
    def cosine(step):
        return RATE * 0.5 * (1 + np.cos(np.pi * step / 10))

    for case, wanted in (
        ("adamw", by_numpy(FACTORS, DECAY)),
        ("adam", by_numpy(FACTORS, 0.0)),
        ("schedule", by_numpy(FACTORS, DECAY, cosine)),
    ):
        for one, other in zip(found(backend)[case], wanted, strict=True):
            np.testing.assert_allclose(one, other, rtol=2e-5, atol=2e-6, err_msg=case)
    assert not np.allclose(by_numpy(FACTORS, DECAY)[0], by_numpy([1.0] * 3, DECAY)[0], atol=1e-3)


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
def test_without_factors_nothing_differs(found, backend):
    values = found(backend)
    assert values["ones"] == values["without"]
    if backend == "tensorflow":
        # By one kernel in place of forty operations, see test_fused_adam.py.
        for one, other in zip(values["without"], values["keras"], strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=2e-6)
    else:
        assert values["without"] == values["keras"]
