"""TensorFlow's Adam with one kernel a variable: the values of Keras's, and under replicas those of one device."""

import keras
import numpy as np
import pytest

if keras.backend.backend() != "tensorflow":
    pytest.skip("the TensorFlow backend's own", allow_module_level=True)

from plumkeras.trainers.fused_adam import FusedAdam, FusedAdamW

PAIRS = [
    (keras.optimizers.Adam, FusedAdam, {}),
    (keras.optimizers.Adam, FusedAdam, {"clipnorm": 0.5}),
    (keras.optimizers.AdamW, FusedAdamW, {"clipnorm": 1.0, "weight_decay": 0.1}),
    (keras.optimizers.Adam, FusedAdam, {"amsgrad": True, "clipvalue": 0.1}),
    (keras.optimizers.Adam, FusedAdam, {"gradient_accumulation_steps": 2, "clipnorm": 0.5}),
    (keras.optimizers.AdamW, FusedAdamW, {"use_ema": True, "weight_decay": 0.1}),
]


def trained(optimizer):
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((5,)), keras.layers.Dense(7, activation="gelu"), keras.layers.Dense(1)])
    network.compile(optimizer, "mse", jit_compile=False)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(64, 5)).astype("float32")
    network.fit(x, 5 * x.sum(axis=1), batch_size=16, epochs=3, verbose=0, shuffle=False)
    return network.get_weights(), [np.asarray(v.numpy()) for v in optimizer.variables]


@pytest.mark.parametrize(("theirs", "ours", "options"), PAIRS)
def test_steps_are_those_of_keras(theirs, ours, options):
    rate = keras.optimizers.schedules.CosineDecay(1e-2, 20)
    expected, found = trained(theirs(rate, **options)), trained(ours(rate, **options))
    # The kernel takes 1 - beta in float32, which moves a step by some 6e-6 of itself.
    for one, other in zip(expected[0], found[0], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-5, atol=2e-6)
    for one, other in zip(expected[1], found[1], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


def test_a_variable_without_a_gradient_stays():
    first, second = keras.Variable([1.0, 2.0]), keras.Variable([3.0])
    optimizer = FusedAdam(0.1, clipnorm=1.0)
    optimizer.build([first, second])
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        optimizer.apply([keras.ops.ones(2), None], [first, second])
    np.testing.assert_allclose(first.numpy(), [0.9, 1.9], rtol=1e-5)
    assert second.numpy() == 3.0
