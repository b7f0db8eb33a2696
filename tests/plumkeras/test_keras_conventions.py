"""Trainers as Keras users expect them: directions, names of metrics, sample weights."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from plumkeras import AlignmentTrainer, RefinementTrainer
from plumkeras.metrics import PearsonCorrelation
from plumkeras.objectives.alignment import AlignmentObjective
from plumkeras.trainers.stage import array_batches
from tests.testing.networks import assert_close, make_data, make_network

X, Y = make_data(12)
VALIDATION = make_data(8, seed=1)


def mean_gap(y_true, y_pred):
    """A user's own metric function."""
    return ops.mean(ops.abs(y_true - y_pred), axis=-1)


def history_of(trainer, callbacks=(), x=X, y=Y, **options):
    options = {"validation_data": VALIDATION, **options}
    return trainer.fit(x, y, batch_size=4, verbose=0, shuffle=False, callbacks=list(callbacks), **options).history


@pytest.mark.parametrize("trainer_class", [AlignmentTrainer, RefinementTrainer])
def test_auto_means_down_for_every_term_of_the_loss(trainer_class, tmp_path):
    trainer = trainer_class(make_network())
    trainer.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    monitors = ["val_loss", *(f"{prefix}{name}" for name in trainer.term_trackers for prefix in ("val_", ""))]
    stoppings = [keras.callbacks.EarlyStopping(monitor, mode="auto", patience=9) for monitor in monitors]
    term = f"val_{next(iter(trainer.term_trackers))}"
    checkpoint = keras.callbacks.ModelCheckpoint(str(tmp_path / "best.keras"), term, save_best_only=True)
    callbacks = [*stoppings, checkpoint, keras.callbacks.ReduceLROnPlateau(term, patience=9)]
    history = history_of(trainer, callbacks, epochs=2)
    for stopping in stoppings:
        assert float(stopping.best) == pytest.approx(min(history[stopping.monitor]), rel=1e-6), stopping.monitor
    for callback in callbacks:
        assert callback.monitor_op(1, 2), callback.monitor
    assert (tmp_path / "best.keras").is_file()


def test_auto_means_up_for_correlation():
    trainer = RefinementTrainer(make_network(modules=()))
    trainer.compile("sgd", metrics=[PearsonCorrelation()], run_eagerly=True)
    stopping = keras.callbacks.EarlyStopping("val_corr", patience=9)
    history = history_of(trainer, [stopping], epochs=2)
    assert float(stopping.best) == pytest.approx(max(history["val_corr"]), rel=1e-6)


@pytest.mark.parametrize(
    ("metrics", "name"),
    [
        (["mae"], "mae"),
        ({"prediction": ["mae"]}, "mae"),
        ([["mae"]], "mae"),
        ([keras.metrics.mean_absolute_error], "mean_absolute_error"),
        ([mean_gap], "mean_gap"),
        ([keras.metrics.MeanAbsoluteError(name="own")], "own"),
    ],
)
def test_metrics_are_given_and_named_as_in_keras(metrics, name):
    network = make_network(modules=())
    trainer = RefinementTrainer(network)
    trainer.compile(keras.optimizers.SGD(0.0), metrics=metrics, run_eagerly=True)
    expected = np.mean(np.abs(network.predict(VALIDATION[0], verbose=0)["prediction"] - VALIDATION[1]))
    assert history_of(trainer)[f"val_{name}"][0] == pytest.approx(expected, rel=1e-5)


def test_weighted_metrics_weigh_and_the_others_do_not():
    weights = np.linspace(0, 1, 8)
    network = make_network(modules=())
    trainer = RefinementTrainer(network)
    trainer.compile(keras.optimizers.SGD(0.0), metrics=["mae"], weighted_metrics=["mae", mean_gap], run_eagerly=True)
    history = history_of(trainer, validation_data=(*VALIDATION, weights))
    gaps = np.abs(network.predict(VALIDATION[0], verbose=0)["prediction"] - VALIDATION[1])
    assert history["val_mae"][0] == pytest.approx(gaps.mean(), rel=1e-5)
    weighted = np.average(gaps, weights=weights)
    assert history["val_weighted_mae"][0] == pytest.approx(weighted, rel=1e-5)
    assert history["val_mean_gap"][0] == pytest.approx(weighted, rel=1e-5)


def test_accuracy_of_classes():
    x, y = make_data(12, "classification")
    network = make_network(modules=(), task="classification")
    trainer = RefinementTrainer(network)
    trainer.compile(keras.optimizers.SGD(0.0), metrics=["accuracy"], run_eagerly=True)
    history = history_of(trainer, x=x, y=y, validation_data=(x, y))
    found = network.predict(x, verbose=0)["prediction"].argmax(axis=1)
    assert history["val_accuracy"][0] == pytest.approx(np.mean(found == y), rel=1e-5)


# === Sample weights ===


def weighted_and_left_out():
    """Data with two samples of weight 0, their weights, and the same data without these samples."""
    weights = np.ones(12, "float32")
    weights[[2, 9]] = 0
    kept = weights > 0
    return weights, {name: values[kept] for name, values in X.items()}, Y[kept]


def assert_terms_equal(found, expected):
    assert {n: float(v) for n, v in found.items()} == pytest.approx(
        {n: float(v) for n, v in expected.items()}, rel=1e-5
    )


@pytest.mark.parametrize("private_target", ["hard", "soft", "class"])
@pytest.mark.parametrize("options", [{}, {"include_self": True, "inter_positives": "all", "class_balanced": True}])
def test_a_sample_of_weight_0_is_as_good_as_absent_in_stage_1(options, private_target):
    network = make_network()
    objective = AlignmentObjective(network, private_target=private_target, **options)
    weights, x, y = weighted_and_left_out()
    for shape in ((-1,), (-1, 1)):
        found = objective.terms(network(X), Y, weights.reshape(shape))
        assert_terms_equal(found, objective.terms(network(x), y, np.ones(10, "float32")))


@pytest.mark.parametrize("policy", ["epoch", "ema", "batch"])
def test_a_sample_of_weight_0_moves_no_prototype(policy):
    weights, x, y = weighted_and_left_out()
    found = []
    for data in ((X, Y, weights), (x, y, np.ones(10, "float32"))):
        network = make_network({"text": 4}, modules=("msa", "psl_tfb"))
        trainer = AlignmentTrainer(network, prototype_policy=policy, prototype_momentum=0.5)
        trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        trainer.fit(data[0], data[1], sample_weight=data[2], batch_size=12, shuffle=False, verbose=0)
        found.append({m: np.array(g.prototypes) for m, g in network.prototype_generators.items()})
    assert_close(*found)
    everyone = make_network({"text": 4}, modules=("msa", "psl_tfb"))
    trainer = AlignmentTrainer(everyone, prototype_policy=policy, prototype_momentum=0.5)
    trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
    trainer.fit(X, Y, batch_size=12, shuffle=False, verbose=0)
    assert any(
        np.abs(np.array(g.prototypes) - found[0][m]).max() > 1e-3 for m, g in everyone.prototype_generators.items()
    )


def test_weights_of_a_data_set_reach_the_prototypes():
    weights, x, y = weighted_and_left_out()
    found = []
    for data in ((X, Y, weights), (x, y, np.ones(10, "float32"))):
        network = make_network({"text": 4}, modules=("msa", "psl_tfb"))
        trainer = AlignmentTrainer(network)
        trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=True)
        batches = tf.data.Dataset.from_tensor_slices(data).batch(5)
        trainer.fit(batches, prototype_data=batches, verbose=0)
        found.append({m: np.array(g.prototypes) for m, g in network.prototype_generators.items()})
    assert_close(*found)


def test_a_fraction_scales_the_samples_own_loss_and_leaves_it_a_whole_member():
    network = make_network()
    objective = AlignmentObjective(network)
    half = np.full(12, 0.5, "float32")
    whole, found = objective.terms(network(X), Y), objective.terms(network(X), Y, half)
    assert_terms_equal(found, {name: 0.5 * term for name, term in whole.items()})
    assert len(array_batches(X, Y, half)[0]) == 3


ON_A_BACKEND = """
import warnings
import keras
import numpy as np
import plumkeras
from plumkeras.data_pipelines import DataError

random = np.random.default_rng(0)
x = {"text": random.normal(size=(8, 3, 4)), "audio": random.normal(size=(8, 2, 3))}
y = np.arange(8) % 3
weights = np.ones(8, "float32")
weights[5] = 0
kept = weights > 0
network = plumkeras.PLUMNet(
    {"text": 4, "audio": 3}, hidden_dim=8, num_layers=1, num_heads=2, dropout=0.0, task="classification"
)
network.adapt(x)
start, found = network.get_weights(), []
for rows in (slice(None), kept):
    network.set_weights(start)
    trainer = plumkeras.AlignmentTrainer(network, prototype_policy="batch")
    trainer.compile(keras.optimizers.SGD(0.1))
    part = {name: values[rows] for name, values in x.items()}
    trainer.fit(part, y[rows], sample_weight=weights[rows], batch_size=8, shuffle=False, verbose=0)
    found.append(network.get_weights())
for one, other in zip(*found, strict=True):
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)

trainer = plumkeras.RefinementTrainer(network)
trainer.compile("sgd", metrics=["accuracy", keras.metrics.sparse_categorical_crossentropy])
stopping = keras.callbacks.EarlyStopping("val_prediction_loss")
history = trainer.fit(x, y, epochs=1, validation_data=(x, y), callbacks=[stopping], verbose=0).history
assert {"val_accuracy", "val_sparse_categorical_crossentropy"} < set(history), history
assert float(stopping.best) == history["val_prediction_loss"][0]

for method in (trainer.fit, trainer.evaluate):
    try:
        method(x, np.where(y == 2, 3, y), verbose=0)
    except DataError as error:
        assert "y holds class 3 for sample 2" in str(error)
    else:
        raise AssertionError(method)
expected = network.predict({**x, "audio_length": np.zeros(8, "int32")}, verbose=0)["prediction"]
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    part = {"text": x["text"]}
    for prediction in (network.predict(part, verbose=0), network(part)):
        np.testing.assert_allclose(keras.ops.convert_to_numpy(prediction["prediction"]), expected, rtol=1e-4)
assert len([w for w in caught if "has no 'audio'" in str(w.message)]) == 2
print("done")
"""


# XLA compiles its steps for a minute and more.
@pytest.mark.parametrize("backend", [pytest.param("jax", marks=pytest.mark.verify), "torch"])
def test_the_other_backends_do_the_same(backend):
    pytest.importorskip(backend)
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        "JAX_PLATFORMS": "cpu",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    }
    done = subprocess.run([sys.executable, "-c", ON_A_BACKEND], env=environment, capture_output=True, text=True)
    assert done.stdout.strip() == "done", done.stderr[-3000:]
