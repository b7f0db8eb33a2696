"""The memory of Self-MM: labels and centres after a step, where a batch is hard on them, and through `fit`."""

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.data_pipelines import Split
from plumkeras.data_pipelines.batches.feed import feed
from plumkeras.features import DataError
from plumkeras.trainers.self_mm_stage import SelfMMTrainer
from tests.testing.networks import make_data
from tests.testing.objectives import assert_finite_terms, hard_batches
from tests.testing.parity import Fixture, load_weights
from tests.testing.parity_cases import CASES
from tests.testing.published import WIDTHS, small_network


def make_trainer(samples=12, **options):
    network = small_network("self_mm")
    trainer = SelfMMTrainer(network, samples, **options)
    trainer.compile(keras.optimizers.Adam(1e-2))
    return network, trainer


def step(trainer, inputs, y, index=None, weight=None):
    """What `after_step` does to the memory for a batch, without a step of the optimizer."""
    index = np.arange(len(y)) if index is None else index
    outputs = trainer.forward({**inputs, "sample_index": np.asarray(index, "int32")}, training=True)
    trainer.after_step(outputs, ops.convert_to_tensor(np.asarray(y, "float32")), weight)


def arrays(states):
    return {s: ops.convert_to_numpy(state) for s, state in states.items()}


def test_memory_after_a_step_is_the_fixtures():
    fixture = Fixture("self_mm")
    case = CASES["self_mm"](fixture)
    network = case.network
    load_weights(network, fixture, case.renamed)
    memory = fixture.group("memory")
    trainer = SelfMMTrainer(network, fixture.config["train_samples"], fixture.config["H"])
    trainer.begin_epoch(fixture.config["epoch"] - 1)
    for s in trainer.sources:
        trainer.known[s].assign(np.ones(fixture.config["train_samples"]))
        trainer.labels[s].assign(memory[f"labels/{s}"])
        trainer.features[s].assign(memory[f"features/{s}"])
        trainer._update_centres(s)

    def assert_centres(when):
        for s, centres in arrays(trainer.centres).items():
            expected = [memory[f"centres_{when}/{s}_{sign}"] for sign in ("positive", "negative")]
            np.testing.assert_allclose(centres, expected, rtol=2e-4, atol=2e-5, err_msg=s)

    assert_centres("before")
    step(trainer, fixture.inputs, fixture.label, memory["batch_indices"])
    for s, labels in arrays(trainer.labels).items():
        np.testing.assert_allclose(labels, memory[f"labels_after/{s}"], rtol=2e-4, atol=2e-5, err_msg=s)
    assert_centres("after")


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("self_mm")
    assert_finite_terms(network, network.objective(), *hard_batches()[batch])


@pytest.mark.parametrize("batch", hard_batches())
def test_memory_of_hard_batches_is_finite_and_bounded(batch):
    _, trainer = make_trainer(label_bound=2.0)
    inputs, y = make_data(12, widths=WIDTHS)
    hard, hard_y = hard_batches()[batch]
    for epoch in range(3):
        trainer.begin_epoch(epoch)
        step(trainer, inputs, y)
        step(trainer, hard, hard_y)
    for states in (trainer.labels, trainer.features, trainer.centres):
        for s, array in arrays(states).items():
            assert np.isfinite(array).all(), s
    for m in WIDTHS:
        assert np.abs(arrays(trainer.labels)[m][len(hard_y) :]).max() <= 3.0
        known = arrays(trainer.known)[m][: len(hard_y)]
        assert known.all() if batch != "all missing" else not known.any()


def test_a_quotient_by_0_is_bounded():
    """All modalities together are as near to one centre as to the other: their centres are the same."""
    _, trainer = make_trainer()
    inputs, y = make_data(12, widths=WIDTHS)
    trainer.begin_epoch(0)
    step(trainer, inputs, y)
    centres = arrays(trainer.centres)["fusion"]
    trainer.centres["fusion"].assign(np.stack([centres[0], centres[0]]))
    trainer.begin_epoch(1)
    step(trainer, inputs, y)
    for m in WIDTHS:
        labels = arrays(trainer.labels)[m]
        assert np.isfinite(labels).all() and np.abs(labels).max() <= 3.0
        assert np.abs(labels - y)[y != 0].max() > 0.1


def test_a_class_without_samples_keeps_its_centre():
    _, trainer = make_trainer()
    inputs, y = make_data(12, widths=WIDTHS)
    trainer.begin_epoch(0)
    step(trainer, inputs, y)
    before = arrays(trainer.centres)["fusion"]
    step(trainer, inputs, np.abs(y) + 0.5)
    after = arrays(trainer.centres)["fusion"]
    np.testing.assert_array_equal(after[1], before[1])
    assert np.abs(after[0] - before[0]).max() > 1e-3


def test_without_a_centre_no_label_is_generated():
    _, trainer = make_trainer()
    inputs, y = make_data(12, widths=WIDTHS)
    for epoch in range(3):
        trainer.begin_epoch(epoch)
        step(trainer, inputs, np.abs(y) + 0.5)
    np.testing.assert_allclose(arrays(trainer.labels)["fusion"], np.abs(y) + 0.5, rtol=1e-6)
    for m in WIDTHS:
        labels, known = arrays(trainer.labels)[m], arrays(trainer.known)[m]
        np.testing.assert_allclose(labels, (np.abs(y) + 0.5) * known, rtol=1e-6)


@pytest.mark.parametrize("exclude_zero", [True, False])
def test_a_label_of_zero_is_of_neither_class_or_positive(exclude_zero):
    _, trainer = make_trainer(3, exclude_zero=exclude_zero)
    inputs, _ = make_data(3, widths=WIDTHS)
    inputs = {name: np.full(3, 4) if name.endswith("_length") else array for name, array in inputs.items()}
    trainer.begin_epoch(0)
    step(trainer, inputs, [1.0, 0.0, -1.0])
    features, centres = arrays(trainer.features)["text"], arrays(trainer.centres)["text"]
    expected = features[0] if exclude_zero else features[:2].mean(axis=0)
    np.testing.assert_allclose(centres, [expected, features[2]], rtol=1e-6)


def test_samples_without_a_modality_or_weight_are_not_remembered():
    _, trainer = make_trainer(4)
    inputs, y = make_data(4, widths=WIDTHS)
    inputs["audio_length"] = np.array([0, 3, 3, 3], "int32")
    for m in ("text", "vision"):
        inputs[f"{m}_length"] = np.full(4, 3, "int32")
    trainer.begin_epoch(0)
    step(trainer, inputs, y, index=[3, 1, 0, 2], weight=np.array([1, 1, 1, 0], "float32"))
    known = arrays(trainer.known)
    assert known["audio"].tolist() == [1, 1, 0, 0] and not arrays(trainer.features)["audio"][2:].any()
    assert known["text"].tolist() == known["fusion"].tolist() == [1, 1, 0, 1]


def test_labels_of_modalities_are_learned_from_the_second_epoch_on():
    network, trainer = make_trainer(24)
    x, y = make_data(24, widths=WIDTHS)
    network.adapt(x)
    history = trainer.fit(x, y, batch_size=8, epochs=3, validation_data=(x, y), verbose=0).history
    own = [f"{m}_loss" for m in WIDTHS]
    assert all(history[name][0] == 0 and history[name][2] > 1e-3 for name in own)
    assert not any(np.any(history[f"val_{name}"]) for name in own)
    assert history["prediction_loss"][-1] < history["prediction_loss"][0]
    known = arrays(trainer.known)
    for m in WIDTHS:
        assert known[m].tolist() == (x[f"{m}_length"] > 0).tolist()
        assert np.abs(arrays(trainer.labels)[m] - y)[known[m] > 0].max() > 0.05
    # Another fit begins with an empty memory.
    again = trainer.fit(x, y, batch_size=8, epochs=1, verbose=0).history
    assert all(again[name] == [0] for name in own)


def test_batches_of_a_split_say_which_samples_they_hold():
    network, trainer = make_trainer(24)
    x, y = make_data(24, widths=WIDTHS)
    split = Split(list(map(str, range(24))), {m: x[m] for m in WIDTHS}, {m: x[f"{m}_length"] for m in WIDTHS}, y)
    network.adapt(feed(split))
    batches = feed(split, 8, training=True, seed=1, with_index=True)
    trainer.fit(batches, epochs=1, verbose=0, shuffle=False)
    known = arrays(trainer.known)["fusion"]
    np.testing.assert_allclose(arrays(trainer.labels)["fusion"], y * known, rtol=1e-6)
    with pytest.raises(ValueError, match=r"needs `sample_index`.*with_index=True"):
        trainer.fit(feed(split, 8, training=True), epochs=1, verbose=0, shuffle=False)


def test_what_cannot_be_is_refused():
    network, trainer = make_trainer(24)
    x, y = make_data(8, widths=WIDTHS)
    network.adapt(x)
    with pytest.raises(DataError, match="y has 8 labels, and the trainer was made for train_samples=24"):
        trainer.fit(x, y, verbose=0)
    with pytest.raises(ValueError, match=r"`train_samples` must be 1 or more. Received: train_samples=0"):
        SelfMMTrainer(network, 0)
    with pytest.raises(ValueError, match=r"`label_bound` must be a positive number. Received: label_bound=-1"):
        SelfMMTrainer(network, 4, label_bound=-1)


@pytest.mark.verify
def test_it_has_the_published_number_of_weights():
    from plumkeras.models.self_mm import SelfMM

    network = SelfMM({"text": 768, "audio": 5, "vision": 20})
    assert sum(int(np.prod(w.shape)) for w in network.trainable_weights) == 206_596
