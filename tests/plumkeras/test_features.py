"""Inputs and labels in Python: what is mended with a warning, and what is refused in one clear line."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from plumkeras import AlignmentTrainer, RefinementTrainer, features
from plumkeras.data_pipelines import DataError, Dataset, Split
from tests.testing.networks import assert_close, make_data, make_network, to_numpy

X, Y = make_data(12)
CLASSES = make_data(12, "classification")[1]
TRAINERS = [AlignmentTrainer, RefinementTrainer]


def trainer_of(trainer_class, **options):
    trainer = trainer_class(make_network(**options))
    trainer.compile("sgd", run_eagerly=True)
    return trainer


def changed(name, value):
    """The labels with one of them changed."""
    y = np.array(name, dtype="float32")
    y[5] = value
    return y


def without(*names):
    return {name: values for name, values in X.items() if name not in names}


BAD_LABELS = [
    ("regression", changed(Y, np.nan), "y holds nan for sample 5"),
    ("regression", Y[:7], "y has 7 labels for 12 samples"),
    ("regression", np.stack([Y, Y], axis=1), r"y has shape \(12, 2\); one label per sample is expected"),
    ("classification", changed(CLASSES, 3), "y holds class 3 for sample 5; the network has 3 classes"),
    ("classification", changed(CLASSES, -1), "y holds class -1 for sample 5"),
    ("classification", changed(CLASSES, 0.5), "y holds class 0.5 for sample 5"),
]
BAD_INPUTS = [
    ({**X, "text": X["text"][:, :, :3]}, "text has width 3; the network was built for width 4"),
    ({**X, "text": np.zeros((12, 2, 5, 4))}, r"text has shape \(12, 2, 5, 4\); \[samples, frames, 4\] is expected"),
    ({**X, "audio_length": np.full(12, 9)}, "audio_length holds 9 for sample 0; the array has 5 frames"),
    ({**X, "audio_length": np.full(7, 1)}, r"audio_length has \(7,\) samples, text has 12"),
    ({**X, "audio_length": np.full(12, 1.5)}, "audio_length holds 1.5 at position 0; whole numbers"),
    ({**without("text_length"), "text_lengths": X["text_length"]}, "the lengths of text are named 'text_length'"),
    (without("text", "text_length", "audio", "audio_length"), "has no 'text', which the network reads; it has none"),
]


@pytest.mark.parametrize("trainer_class", TRAINERS)
@pytest.mark.parametrize(("task", "y", "match"), BAD_LABELS)
def test_bad_labels_are_refused(trainer_class, task, y, match):
    trainer = trainer_of(trainer_class, task=task)
    weights = trainer.network.get_weights()
    good = CLASSES if task == "classification" else Y
    batches = tf.data.Dataset.from_tensor_slices((X, good)).batch(4)
    for arguments in (
        {"x": X, "y": y},
        {"x": X, "y": good, "validation_data": (X, y)},
        {"x": batches, "prototype_data": [(X, y)]},
    ):
        with pytest.raises(DataError, match=match) as caught:
            trainer.fit(**arguments, verbose=0)
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=f"{trainer_class.__name__}.evaluate: {match}"):
        trainer.evaluate(X, y, verbose=0)
    for before, after in zip(weights, trainer.network.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(("x", "match"), BAD_INPUTS)
def test_bad_inputs_are_refused(x, match):
    trainer = trainer_of(RefinementTrainer)
    for call in (
        lambda: trainer.fit(x, Y, verbose=0),
        lambda: trainer.fit(X, Y, validation_data=(x, Y), verbose=0),
        lambda: trainer.evaluate(x, Y, verbose=0),
        lambda: trainer.predict(x, verbose=0),
        lambda: trainer.network.predict(x, verbose=0),
        lambda: trainer.network.adapt(x),
        lambda: trainer.network.adapt([(x, Y)]),
    ):
        with pytest.raises(DataError, match=match) as caught:
            call()
        assert "\n" not in str(caught.value)


def test_a_wrong_width_of_batches_is_one_line():
    batches = tf.data.Dataset.from_tensor_slices(({**X, "text": X["text"][:, :, :3]}, Y)).batch(4)
    trainer = RefinementTrainer(make_network())
    trainer.compile("sgd")
    for call in (
        lambda: trainer.fit(batches, prototype_data=batches, verbose=0),
        lambda: trainer.evaluate(batches, verbose=0),
        lambda: trainer.network(next(iter(batches))[0]),
    ):
        with pytest.raises(DataError, match="text has width 3; the network was built for width 4") as caught:
            call()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("trainer_class", TRAINERS)
def test_a_network_that_was_never_adapted_is_told(trainer_class):
    trainer = trainer_class(make_network(scramble=False))
    trainer.compile("sgd", run_eagerly=True)
    with pytest.warns(UserWarning, match=r"never adapted.*call `network.adapt\(\.\.\.\)`") as caught:
        trainer.fit(X, Y, verbose=0)
    assert [w.filename for w in caught if "adapted" in str(w.message)] == [__file__]
    trainer.network.adapt(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer.fit(X, Y, verbose=0)


def test_without_lengths_every_frame_counts():
    network = make_network()
    full = {**X, "text_length": np.full(12, 5, "int32")}
    part = without("text_length")
    assert_close(to_numpy(network(part)), to_numpy(network(full)))
    assert_close(network.predict(part, verbose=0), to_numpy(network(full)))
    losses = []
    for x in (part, full):
        trainer = trainer_of(RefinementTrainer)
        trainer.network.adapt(x)
        history = trainer.fit(x, Y, validation_data=(x, Y), shuffle=False, epochs=1, verbose=0).history
        losses.append([*history["loss"], *history["val_loss"], trainer.evaluate(x, Y, verbose=0)[0]])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-6)


def test_one_frame_per_sample_may_come_without_its_axis():
    network = make_network()
    rows = {"text": X["text"][:, 0], "audio": X["audio"]}
    frames = {"text": X["text"][:, :1], "audio": X["audio"]}
    assert_close(network.predict(rows, verbose=0), network.predict(frames, verbose=0))
    assert_close(to_numpy(network(rows)), to_numpy(network(frames)))


def test_values_that_are_not_finite_become_zero_with_a_warning():
    spoilt = {name: values.copy() for name, values in X.items()}
    spoilt["text_length"][:] = 3
    clean = {name: values.copy() for name, values in spoilt.items()}
    spoilt["text"][2, 1, 0], spoilt["text"][3, 0, 1], spoilt["text"][4, 2, 2] = np.nan, np.inf, 1e9
    clean["text"][2, 1, 0] = clean["text"][3, 0, 1] = clean["text"][4, 2, 2] = 0
    match = "text: values set to 0: 1 NaN, 1 infinite, 1 beyond 1e6"
    adapted = make_network()
    with pytest.warns(UserWarning, match=match):
        adapted.adapt(spoilt)
    expected = make_network()
    expected.adapt(clean)
    assert_close({"mean": adapted.get_weights()[0]}, {"mean": expected.get_weights()[0]})
    with pytest.warns(UserWarning, match=match):
        found = expected.predict(spoilt, verbose=0)
    assert_close(found, expected.predict(clean, verbose=0))
    trainer = trainer_of(AlignmentTrainer)
    with pytest.warns(UserWarning, match=match):
        history = trainer.fit(spoilt, Y, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert np.isnan(spoilt["text"][2, 1, 0])  # The user's array is left as it was.
    # What is not an array cannot be mended for the network, which reads it again.
    with pytest.raises(DataError, match="batch 1: text holds values that can't be learned from: 1 NaN"):
        adapted.adapt([(clean, Y), ({**clean, "text": np.where(spoilt["text"] > 1e5, 0, spoilt["text"])}, Y)])


def test_what_stands_past_the_length_is_not_looked_at():
    padded = {name: values.copy() for name, values in X.items()}
    padded["text_length"][:] = 3
    padded["text"][:, 3:] = np.nan
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        outputs = make_network().predict(padded, verbose=0)
    assert np.isfinite(outputs["prediction"]).all()


def test_an_absent_modality_is_missing_for_every_sample():
    network = make_network()
    part = {**without("audio", "audio_length"), "text_length": np.full(12, 5, "int32")}
    expected = to_numpy(network({**part, "audio": X["audio"], "audio_length": np.zeros(12, "int32")}))
    batches = tf.data.Dataset.from_tensor_slices(part).batch(5)
    for call in (
        lambda: network.predict(part, verbose=0),
        lambda: network.predict(batches, verbose=0),
        lambda: to_numpy(network(part)),
    ):
        with pytest.warns(UserWarning, match="has no 'audio': it is missing for every sample"):
            found = call()
        assert_close(found, expected)
    trainer = trainer_of(RefinementTrainer)
    with pytest.warns(UserWarning, match="has no 'audio'"):
        np.testing.assert_allclose(trainer.predict(part, verbose=0), expected["prediction"], rtol=1e-5, atol=1e-6)
    with pytest.warns(UserWarning, match="has no 'audio'"):
        trainer.evaluate(part, Y, verbose=0)
    with pytest.raises(DataError, match=r"RefinementTrainer\.fit has no 'audio', which the network reads"):
        trainer.fit(part, Y, verbose=0)


def test_samples_without_any_modality_are_counted():
    network = make_network()
    empty = {**X, "text_length": X["text_length"].copy(), "audio_length": X["audio_length"].copy()}
    for row in (3, 7):
        empty["text_length"][row] = empty["audio_length"][row] = 0
    match = "2 of 12 samples lack every modality, for one number 3: their predictions say nothing"
    with pytest.warns(UserWarning, match=match):
        network.predict(empty, verbose=0)
    with pytest.warns(UserWarning, match=match):
        network.predict(tf.data.Dataset.from_tensor_slices(empty).batch(5), verbose=0)
    with pytest.warns(UserWarning, match=match):
        trainer_of(RefinementTrainer).predict(empty, verbose=0)


def test_a_data_set_in_memory_is_cleaned_and_says_so():
    text = X["text"].copy()
    text[0, 0, 0], text[1, 0, 0] = np.nan, 1e30
    split = Split(np.arange(12).astype(str), {"text": text}, {"text": np.full(12, 5)}, Y)
    dataset = Dataset({"train": split})
    assert dataset["train"].features["text"][:2, 0, 0].tolist() == [0, 0]
    assert dataset.report.warnings == ["train/text: values set to 0: 1 NaN, 1 beyond 1e6 in magnitude"]
    assert np.isnan(text[0, 0, 0])
    clean = Dataset({"train": Split(split.ids, {"text": X["text"]}, split.lengths, Y)})
    assert clean["train"].features["text"] is X["text"] and clean.report.cleaned == {}


def test_the_checks_need_no_keras():
    assert keras not in vars(features).values()
    assert DataError is features.DataError
