"""Trainers as Keras users expect them: directions, names of metrics, sample weights."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from plumkeras import AlignmentTrainer, RefinementTrainer
from plumkeras.metrics import PearsonCorrelation
from plumkeras.trainers.objectives import AlignmentObjective
from plumkeras.trainers.stages import array_batches

from .testing import assert_close, make_data, make_network, to_numpy

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


@pytest.mark.parametrize("private_target", ["hard", "soft", "class"])
@pytest.mark.parametrize("options", [{}, {"include_self": True, "inter_positives": "all", "class_balanced": True}])
def test_a_sample_of_weight_0_is_as_good_as_absent_in_stage_1(options, private_target):
    network = make_network()
    objective = AlignmentObjective(network, private_target=private_target, **options)
    weights, x, y = weighted_and_left_out()
    for shape in ((-1,), (-1, 1)):
        found = objective.terms(network(X), Y, weights.reshape(shape))
        expected = objective.terms(network(x), y, np.ones(10, "float32"))
        assert_close(to_numpy(found), to_numpy(expected), 1e-5)


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
    assert_close(to_numpy(found), {name: 0.5 * term for name, term in to_numpy(whole).items()}, 1e-5)
    assert len(array_batches(X, Y, half)[0]) == 3
