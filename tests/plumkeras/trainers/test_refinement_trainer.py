"""Stage 2 as a user runs it: objectives, the best epoch with its prototypes, weights of samples, metrics."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from plumkeras import RefinementTrainer
from plumkeras.metrics import PearsonCorrelation
from tests.testing.networks import (
    MODULE_ROWS,
    WIDTHS,
    Recorder,
    assert_terms_add_up,
    make_data,
    make_inputs,
    make_network,
    to_numpy,
)

ALIGNMENT_TERMS = ["inter_loss", *(f"{m}_{t}_loss" for m in WIDTHS for t in ("intra", "common", "private"))]
X, Y = make_data(20)
XV, YV = make_data(10, seed=1)


def compiled(network, optimizer=None, metrics=None, weighted_metrics=None, **options):
    trainer = RefinementTrainer(network, **options)
    optimizer = optimizer or keras.optimizers.Adam(1e-2)
    trainer.compile(optimizer, metrics=metrics, weighted_metrics=weighted_metrics, run_eagerly=True)
    return trainer


def mean_absolute_error(network, inputs=XV, y=YV):
    return np.abs(to_numpy(network(inputs))["prediction"].astype("float64") - y).mean()


class Spoiler(keras.callbacks.Callback):
    """Ruins the head before the given epoch, so that the best epoch is an earlier one."""

    def __init__(self, network, epoch):
        super().__init__()
        self.bias, self.epoch = network.get_layer("prediction").out.bias, epoch

    def on_epoch_begin(self, epoch, logs=None):
        if epoch == self.epoch:
            self.bias.assign(self.bias + 25.0)


@pytest.fixture(scope="module")
def stage():
    network = make_network(dropout=0.1)
    network.adapt(X)
    metrics = [keras.metrics.MeanAbsoluteError(name="mae"), PearsonCorrelation(), "mse"]
    trainer, recorder = compiled(network, metrics=metrics), Recorder(network)
    callbacks = [recorder, Spoiler(network, 3)]
    history = trainer.fit(
        X, Y, batch_size=8, epochs=4, validation_data=(XV, YV), callbacks=callbacks, verbose=0
    ).history
    return types.SimpleNamespace(network=network, trainer=trainer, recorder=recorder, history=history)


def test_the_total_objective_adds_up_equation_13(stage):
    assert_terms_add_up(stage.history, ["prediction_loss", *ALIGNMENT_TERMS])
    names = {"loss", "prediction_loss", *ALIGNMENT_TERMS, "mae", "corr", "mse"}
    names |= {f"{m}_label_entropy" for m in WIDTHS}
    assert set(stage.history) == names | {f"val_{name}" for name in names}


def test_the_total_objective_trains_everything(stage):
    assert {id(v) for v in stage.trainer.trainable_variables} == {id(v) for v in stage.network.trainable_variables}
    assert len(stage.trainer.trainable_variables) == len(stage.network.trainable_variables)
    first, last = stage.recorder.begun[0], stage.recorder.ended[1]
    for variable, before, after in zip(stage.network.weights, first, last, strict=True):
        if variable.trainable and "key" not in variable.path:
            assert np.any(before != after), variable.path


def test_the_best_epoch_comes_back_with_its_prototypes(stage):
    best = int(np.argmin(stage.history["val_prediction_loss"]))
    assert stage.trainer.best_epoch == best < 3  # The last epoch was spoiled.
    assert mean_absolute_error(stage.network) == pytest.approx(min(stage.history["val_prediction_loss"]), rel=1e-5)
    found = 0
    for variable, ended, last in zip(
        stage.network.weights, stage.recorder.ended[best], stage.recorder.ended[3], strict=True
    ):
        np.testing.assert_array_equal(variable, ended, err_msg=variable.path)
        if variable.name == "prototypes":
            assert np.any(ended != last)
            found += 1
    assert found == 2


def test_prototypes_in_force_at_validation_are_the_epochs_own(stage):
    for begun, ended in zip(stage.recorder.begun, stage.recorder.ended, strict=True):
        for variable, at_begin, at_end in zip(stage.network.weights, begun, ended, strict=True):
            if variable.name in ("prototypes", "seen"):
                np.testing.assert_array_equal(at_begin, at_end)


def test_stage_2_does_not_warm_up(stage):
    assert stage.recorder.warmup == [0.0] * 4
    values = stage.trainer.evaluate(XV, YV, batch_size=10, verbose=0, return_dict=True)
    # Hard prototype labels, which differ from the true classes here.
    outputs = to_numpy(stage.network(XV))
    classes = np.sign(YV).astype(int) + 1
    assert np.any(outputs["text_hard_label"] != np.where(outputs["text_present"], classes, -1))
    logits, hard = outputs["text_private_logits"].astype("float64"), outputs["text_hard_label"]
    rows = hard >= 0
    expected = (np.log(np.exp(logits).sum(axis=1))[rows] - logits[rows, hard[rows]]).mean()
    assert values["text_private_loss"] == pytest.approx(expected, rel=1e-4)


def test_user_metrics_equal_those_recomputed(stage):
    best = stage.trainer.best_epoch
    prediction = to_numpy(stage.network(XV))["prediction"].astype("float64")
    expected = {
        "val_mae": np.abs(prediction - YV).mean(),
        "val_corr": np.corrcoef(prediction, YV)[0, 1],
        "val_mse": ((prediction - YV) ** 2).mean(),
    }
    for name, value in expected.items():
        assert stage.history[name][best] == pytest.approx(value, rel=1e-4), name


def test_predict_gives_the_prediction_also_on_a_richer_dict(stage):
    expected = to_numpy(stage.network(XV))["prediction"]
    richer = {**XV, "a_note": np.zeros(10), "vision": np.zeros((10, 2, 2)), "vision_length": np.ones(10)}
    for inputs in (XV, richer):
        np.testing.assert_allclose(stage.trainer.predict(inputs, verbose=0), expected, rtol=1e-4, atol=1e-5)


def test_sample_weights_and_weighted_metrics(stage):
    weight = np.arange(10, dtype="float32") / 3
    trainer = compiled(stage.network, metrics=["mae"], weighted_metrics=[keras.metrics.MeanSquaredError(name="wmse")])
    values = trainer.evaluate(XV, YV, sample_weight=weight, batch_size=10, verbose=0, return_dict=True)
    error = to_numpy(stage.network(XV))["prediction"].astype("float64") - YV
    assert values["prediction_loss"] == pytest.approx((np.abs(error) * weight).mean(), rel=1e-4)
    assert values["wmse"] == pytest.approx((error**2 * weight).sum() / weight.sum(), rel=1e-4)
    assert values["mae"] == pytest.approx(np.abs(error).mean(), rel=1e-4)
    history = trainer.fit(X, Y, sample_weight=np.zeros(20), epochs=1, verbose=0).history
    assert history["loss"] == [0.0]


def test_compiling_again_forgets_the_metrics_of_before():
    trainer = compiled(make_network({"text": 4}), metrics=[keras.metrics.MeanAbsoluteError(name="old")])
    trainer.compile("adam", metrics=[keras.metrics.MeanAbsoluteError(name="new")], run_eagerly=True)
    values = trainer.evaluate(XV, YV, verbose=0, return_dict=True)
    assert "new" in values and "old" not in values


@pytest.mark.parametrize("freeze_alignment", [False, True])
@pytest.mark.parametrize("modules", MODULE_ROWS)
def test_what_the_refinement_objective_trains(modules, freeze_alignment):
    network = make_network({"text": 4}, modules=modules)
    before = {id(v): np.array(v) for v in network.trainable_variables}
    trainer = compiled(network, objective="refinement", freeze_alignment=freeze_alignment)
    history = trainer.fit(X, Y, batch_size=10, epochs=1, validation_data=(XV, YV), verbose=0).history
    assert_terms_add_up(history, ["prediction_loss"])
    assert "inter_loss" not in history
    refinement = {"prediction", "text_refinement", "text_absent"}
    frozen = [
        v for layer in network.layers if layer.name not in refinement for v in layer.trainable_variables if modules
    ]
    changed = {id(v) for v in network.trainable_variables if np.any(np.array(v) != before[id(v)])}
    assert {id(v) for v in network.get_layer("prediction").trainable_variables} <= changed
    if freeze_alignment:
        assert changed.isdisjoint({id(v) for v in frozen})
        expected = set(before) - {id(v) for v in frozen}
        assert {id(v) for v in trainer.trainable_variables} == expected
    else:
        assert {id(v) for v in network.get_layer("text_encoder").trainable_variables} & changed


def test_freezing_under_the_total_objective_keeps_the_terms_and_the_weights():
    network = make_network()
    names = ("text_encoder", "alignment", "common_branch")
    before = [np.array(v) for name in names for v in network.get_layer(name).trainable_variables]
    trainer = compiled(network, freeze_alignment=True)
    history = trainer.fit(X, Y, batch_size=10, epochs=1, validation_data=(XV, YV), verbose=0).history
    assert_terms_add_up(history, ["prediction_loss", *ALIGNMENT_TERMS])
    after = [np.array(v) for name in names for v in network.get_layer(name).trainable_variables]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_classification_with_class_weights_and_accuracy():
    x, y = make_data(20, "classification")
    xv, yv = make_data(10, "classification", seed=1)
    network = make_network(task="classification")
    trainer = compiled(network, keras.optimizers.SGD(0.0), metrics=["accuracy"])
    fit = {"batch_size": 16, "epochs": 1, "validation_data": (xv, yv), "verbose": 0}
    history = trainer.fit(x, y, class_weight={0: 0.5, 1: 2.0, 2: 0.0}, **fit).history
    probabilities = to_numpy(network(x))["prediction"].astype("float64")
    rows = -np.log(probabilities[np.arange(20), y])
    assert history["prediction_loss"][0] == pytest.approx((rows * np.array([0.5, 2.0, 0.0])[y]).mean(), rel=1e-4)
    assert history["accuracy"][0] == pytest.approx((probabilities.argmax(axis=1) == y).mean())
    assert_terms_add_up(history, ["prediction_loss", *ALIGNMENT_TERMS])
    predicted = to_numpy(network(xv))["prediction"].astype("float64")
    assert history["val_accuracy"][0] == pytest.approx((predicted.argmax(axis=1) == yv).mean())
    assert history["val_prediction_loss"][0] == pytest.approx(-np.log(predicted[np.arange(10), yv]).mean(), rel=1e-4)


def test_averaged_weights_that_were_validated_are_the_ones_kept():
    """`SwapEMAWeights` puts the averages in for validation: the best epoch's weights are those that were measured."""
    network = make_network({"text": 4}, modules=())
    trainer = compiled(network, keras.optimizers.Adam(3e-2, use_ema=True, ema_momentum=0.8))
    callbacks = [keras.callbacks.SwapEMAWeights(), Spoiler(network, 3)]
    fit = {"batch_size": 10, "epochs": 4, "validation_data": (XV, YV), "verbose": 0}
    history = trainer.fit(X, Y, callbacks=callbacks, **fit).history
    assert mean_absolute_error(network) == pytest.approx(min(history["val_prediction_loss"]), rel=1e-4)


def test_validation_split_is_refused_by_name():
    trainer = compiled(make_network({"text": 4}, modules=()))
    with pytest.raises(ValueError, match="`validation_split`"):
        trainer.fit(X, Y, validation_split=0.5, epochs=3, verbose=0)


def test_without_validation_the_last_weights_are_kept():
    network = make_network({"text": 4})
    recorder = Recorder(network)
    trainer = compiled(network)
    trainer.fit(X, Y, epochs=2, callbacks=[recorder], verbose=0)
    assert trainer.best_epoch is None
    for variable, ended in zip(network.weights, recorder.ended[-1], strict=True):
        np.testing.assert_array_equal(variable, ended)


def test_compiled_steps_on_batches_of_any_length_in_mixed_precision():
    network = make_network({"text": 4}, dtype="mixed_bfloat16", dropout=0.1)
    trainer = RefinementTrainer(network)
    trainer.compile(keras.optimizers.Adam(1e-3), metrics=["mae"])
    batches = [(make_inputs(6, frames=t, seed=t), Y[:6]) for t in (3, 5)]
    spec = {
        n: tf.TensorSpec((None, None, v.shape[2]) if v.ndim == 3 else (None,), v.dtype)
        for n, v in batches[0][0].items()
    }
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=(spec, tf.TensorSpec([None])))
    history = trainer.fit(data, prototype_data=data, epochs=2, validation_data=data, verbose=0, shuffle=False).history
    assert_terms_add_up(
        history, ["prediction_loss", "inter_loss", *(f"text_{t}_loss" for t in ("intra", "common", "private"))]
    )
    np.testing.assert_allclose(history["val_mae"], history["val_prediction_loss"], rtol=1e-3)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"objective": "both"}, "`objective`.*objective='both'"),
        ({"prototype_policy": "never"}, "`prototype_policy`.*'never'"),
        ({"prototype_momentum": -0.1}, "`prototype_momentum`.*-0.1"),
        ({"inter_positives": "none"}, "`(inter_positives|positives)`.*'none'"),
    ],
)
def test_errors_name_the_argument_and_the_value(options, match):
    with pytest.raises(ValueError, match=match):
        RefinementTrainer(make_network({"text": 4}, scramble=False), **options)
