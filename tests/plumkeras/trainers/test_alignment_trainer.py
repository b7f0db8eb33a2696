"""Stage 1 as a user runs it: history, what is trained, prototypes, warm-up, policies."""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from plumkeras import AlignmentTrainer
from tests.testing import oracles
from tests.testing.networks import WIDTHS, Recorder, assert_terms_add_up, make_data, make_inputs, make_network, to_numpy

TERMS = ["inter_loss", *(f"{m}_{t}_loss" for m in WIDTHS for t in ("intra", "common", "private"))]
X, Y = make_data(20)
XV, YV = make_data(10, seed=1)
CLASSES, CLASSES_V = (np.sign(y).astype(int) + 1 for y in (Y, YV))


def compiled(network, optimizer=None, **options):
    trainer = AlignmentTrainer(network, **options)
    trainer.compile(optimizer or keras.optimizers.Adam(1e-2), run_eagerly=True)
    return trainer


def class_means(network, inputs=X, classes=CLASSES):
    """Eq. 4 with the network's weights of now."""
    outputs = to_numpy(network(inputs))
    means = {}
    for m in network.modalities:
        labels = np.where(outputs[f"{m}_present"], classes, -1)
        means[m] = oracles.class_means(labels, outputs[f"{m}_aligned_embedding"], 3)[0]
    return means


def assert_prototypes(network, expected):
    for m, generator in network.prototype_generators.items():
        np.testing.assert_allclose(generator.prototypes, expected[m], rtol=1e-4, atol=1e-5, err_msg=m)
        np.testing.assert_array_equal(generator.seen, 1)


@pytest.fixture(scope="module")
def stage():
    network = make_network(dropout=0.2)
    for generator in network.prototype_generators.values():
        generator.seen.assign([0, 0, 0])
    network.adapt(X)
    before = [np.array(v) for v in network.variables]
    trainer, recorder = compiled(network), Recorder(network)
    history = trainer.fit(
        X, Y, batch_size=8, epochs=3, validation_data=(XV, YV), callbacks=[recorder], verbose=0
    ).history
    return types.SimpleNamespace(network=network, before=before, trainer=trainer, recorder=recorder, history=history)


def test_history_names_every_term_and_they_add_up(stage):
    entropies = [f"{m}_label_entropy" for m in WIDTHS]
    names = ["loss", *TERMS, *entropies]
    assert set(stage.history) == {*names, *(f"val_{name}" for name in names)}
    assert all(len(values) == 3 for values in stage.history.values())
    assert_terms_add_up(stage.history, TERMS)
    for name in entropies:
        assert all(0 < value < np.log(3) for value in stage.history[name] + stage.history[f"val_{name}"])


def test_stem_alignment_and_bifurcators_are_trained_and_nothing_else(stage):
    trained = ("text_encoder", "audio_encoder", "alignment", "common_branch")
    trained += ("text_private_branch", "audio_private_branch")
    expected = [v for name in trained for v in stage.network.get_layer(name).trainable_variables]
    assert {id(v) for v in stage.trainer.trainable_variables} == {id(v) for v in expected}
    assert len(stage.trainer.trainable_variables) == len(expected)
    chosen = {id(v) for v in expected}
    state = {id(v) for g in stage.network.prototype_generators.values() for v in g.variables}
    for variable, before in zip(stage.network.variables, stage.before, strict=True):
        changed = np.any(np.array(variable) != before)
        if id(variable) in chosen:
            assert changed or "key" in variable.path, variable.path  # A key's bias has no effect on attention.
        elif id(variable) not in state and "seed" not in variable.path:
            assert not changed, variable.path
    assert all(layer.trainable for layer in stage.network.layers)  # Freezing would be persisted in the file.


def test_prototypes_after_the_stage_are_equation_4_with_its_last_weights(stage):
    assert_prototypes(stage.network, class_means(stage.network))
    # The last epoch trained after its own refresh, so these are newer.
    index = next(
        i for i, v in enumerate(stage.network.weights) if v is stage.network.prototype_generators["text"].prototypes
    )
    assert np.abs(stage.recorder.ended[-1][index] - stage.network.get_weights()[index]).max() > 1e-4
    # The last weights are kept: only prototypes differ from the last epoch's end.
    for variable, ended in zip(stage.network.weights, stage.recorder.ended[-1], strict=True):
        if "prototype" not in variable.path:
            np.testing.assert_array_equal(variable, ended, err_msg=variable.path)


def test_prototypes_are_refreshed_before_each_epoch(stage):
    copy = make_network(dropout=0.2)
    for weights in stage.recorder.begun:
        copy.set_weights(weights)
        assert_prototypes(copy, class_means(copy))
    assert len(stage.recorder.begun) == 3


def test_user_callbacks_run_and_the_warm_up_is_one_epoch(stage):
    assert stage.recorder.warmup == [1.0, 0.0, 0.0]
    assert len(stage.recorder.ended) == 3


def test_evaluate_gives_the_terms_of_the_oracle(stage):
    values = stage.trainer.evaluate(XV, YV, batch_size=10, verbose=0, return_dict=True)
    outputs = to_numpy(stage.network(XV))
    expected = oracles.alignment_terms(outputs, CLASSES_V, modalities=tuple(WIDTHS))
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    for m in WIDTHS:
        soft = outputs[f"{m}_soft_label"][outputs[f"{m}_present"]].astype("float64")
        entropy = -(soft * np.log(soft + 1e-12)).sum(axis=1).mean()
        assert values[f"{m}_label_entropy"] == pytest.approx(entropy, rel=1e-4)


def test_batches_count_by_their_rows(stage):
    values = stage.trainer.evaluate(XV, YV, batch_size=7, verbose=0, return_dict=True)
    expected = dict.fromkeys(TERMS, 0.0)
    for rows in (slice(0, 7), slice(7, 10)):
        outputs = to_numpy(stage.network({name: value[rows] for name, value in XV.items()}))
        for name, value in oracles.alignment_terms(outputs, CLASSES_V[rows], modalities=tuple(WIDTHS)).items():
            expected[name] += value * (rows.stop - rows.start) / 10
    for name, value in expected.items():
        assert values[name] == pytest.approx(value, rel=1e-3, abs=1e-5), name
    assert values["loss"] == pytest.approx(sum(expected.values()), rel=1e-3)


@pytest.mark.parametrize("policy", ["ema", "batch"])
def test_policies_of_the_batch(policy):
    """Before the step, dropout off; the momentum of `ema` is that of the old prototypes."""
    network = make_network(dropout=0.5)
    generator = network.prototype_generators["text"]
    old = {m: np.array(g.prototypes) for m, g in network.prototype_generators.items()}
    means = class_means(network)
    share = 0.75 if policy == "ema" else 0.0
    trainer = compiled(network, prototype_policy=policy, prototype_momentum=0.75)
    trainer.fit(X, Y, batch_size=20, epochs=1, shuffle=False, verbose=0)
    assert_prototypes(network, {m: share * old[m] + (1 - share) * means[m] for m in means})
    kept = np.array(generator.prototypes)
    trainer.evaluate(XV, YV, verbose=0)  # Validation learns nothing.
    np.testing.assert_array_equal(generator.prototypes, kept)


def test_prototype_data_and_not_the_shuffled_batches_make_the_prototypes():
    network = make_network()
    trainer = compiled(network, optimizer=keras.optimizers.SGD(0.0))
    batches = tf.data.Dataset.from_tensor_slices((X, Y)).batch(8)
    half = ({name: value[:11] for name, value in X.items()}, Y[:11])
    pieces = [({n: v[rows] for n, v in half[0].items()}, half[1][rows]) for rows in (slice(0, 4), slice(4, 11))]
    trainer.fit(batches, prototype_data=pieces, verbose=0, shuffle=False)
    assert_prototypes(network, class_means(network, half[0], CLASSES[:11]))
    with pytest.raises(ValueError, match=r"`prototype_policy=.*`prototype_data`.*prototype_data=None"):
        trainer.fit(batches, verbose=0)


def test_validation_split_never_enters_the_prototypes():
    """Refused by name, or the rows that are held out stay out."""
    network = make_network()
    trainer = compiled(network, optimizer=keras.optimizers.SGD(0.0))
    try:
        trainer.fit(X, Y, validation_split=0.4, verbose=0)
    except ValueError as error:
        assert "`validation_split`" in str(error)
        return
    assert_prototypes(network, class_means(network, {name: value[:12] for name, value in X.items()}, CLASSES[:12]))


def test_compiled_steps_obey_the_warm_up_and_take_batches_of_any_length():
    """The switch is a variable: a Python flag would be frozen when the step is traced. A richer file is no matter."""
    network = make_network({"text": 4}, dropout=0.1)
    trainer = AlignmentTrainer(network, label_warmup_epochs=1, warmup_target="none")
    trainer.compile(keras.optimizers.Adam(1e-3))
    batches = [(make_inputs(6, frames=t, seed=t), Y[:6]) for t in (3, 5, 3)]
    spec = {
        n: tf.TensorSpec((None, None, v.shape[2]) if v.ndim == 3 else (None,), v.dtype)
        for n, v in batches[0][0].items()
    }
    data = tf.data.Dataset.from_generator(lambda: iter(batches), output_signature=(spec, tf.TensorSpec([None])))
    history = trainer.fit(data, prototype_data=data, epochs=3, validation_data=data, verbose=0, shuffle=False).history
    for name in ("text_common_loss", "text_private_loss"):
        assert history[name][0] == history[f"val_{name}"][0] == 0 and min(history[name][1:]) > 0
    assert min(history["text_intra_loss"]) > 0
    assert_terms_add_up(history, ["inter_loss", *(f"text_{t}_loss" for t in ("intra", "common", "private"))])


def test_contrast_alone_is_the_stage_of_msa():
    network = make_network(modules=("msa",))
    trainer = compiled(network)
    history = trainer.fit(X, Y, batch_size=8, epochs=2, validation_data=(XV, YV), verbose=0).history
    assert_terms_add_up(history, ["inter_loss", "text_intra_loss", "audio_intra_loss"])
    assert not any("entropy" in name or "private" in name for name in history)


def test_the_embeddings_of_the_trained_stage_are_better_aligned():
    network = make_network()
    network.adapt(X)
    trainer = compiled(network, keras.optimizers.Adam(1e-2), alignment_weight=1.0)
    history = trainer.fit(X, Y, batch_size=20, epochs=6, verbose=0).history
    assert history["text_intra_loss"][-1] < 0.9 * history["text_intra_loss"][0]
    assert history["text_common_loss"][-1] < 0.9 * history["text_common_loss"][0]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"prototype_policy": "never"}, "`prototype_policy`.*'never'"),
        ({"prototype_momentum": 1.0}, r"`prototype_momentum`.*1\.0"),
        ({"label_warmup_epochs": -1}, "`label_warmup_epochs`.*-1"),
        ({"private_target": "x"}, "`private_target`.*'x'"),
        ({"label_classes": "round7"}, "`label_classes`.*num_classes=3"),
    ],
)
def test_errors_name_the_argument_and_the_value(options, match):
    with pytest.raises(ValueError, match=match):
        AlignmentTrainer(make_network({"text": 4}, scramble=False), **options)


def test_a_stage_without_modules_and_metrics_without_a_prediction_are_errors():
    with pytest.raises(ValueError, match=r"modules=\(\)"):
        AlignmentTrainer(make_network({"text": 4}, modules=(), scramble=False))
    trainer = AlignmentTrainer(make_network({"text": 4}, scramble=False))
    for wrong in ({"loss": "mse"}, {"loss_weights": [1.0]}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}`"):
            trainer.compile("adam", **wrong)
    with pytest.raises(ValueError, match="metrics"):
        trainer.compile("adam", metrics=["mae"])
