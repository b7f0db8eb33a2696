"""MMIM's losses where a batch is hard on them, and the history that its trainer keeps."""

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.models.mmim import MMIM, contrast_values, entropy_of_groups
from plumkeras.trainers.backend import Adam
from plumkeras.trainers.mmim_stage import MMIMTrainer
from tests.testing.networks import make_data
from tests.testing.objectives import assert_finite_terms, hard_batches, subset
from tests.testing.published import WIDTHS, small_network

OTHERS = ("audio", "vision")


def full(inputs, frames=4):
    return {n: np.full(len(a), frames, "int32") if n.endswith("_length") else a for n, a in inputs.items()}


def floats(terms):
    return {name: float(ops.convert_to_numpy(value)) for name, value in terms.items()}


@pytest.mark.parametrize("batch", hard_batches())
def test_terms_of_hard_batches_are_finite(batch):
    network = small_network("mmim")
    terms = assert_finite_terms(network, network.objective(), *hard_batches()[batch])
    if batch in ("one sample", "all missing"):
        assert all(terms[f"{m}_entropy_loss"] == 0 for m in OTHERS)


@pytest.mark.parametrize("task", ["classification", "multilabel"])
def test_groups_of_other_tasks_are_the_classes(task):
    network = small_network("mmim", task=task, num_classes=3)
    objective = network.objective()
    y = np.array([0, 2, 2, 1], "int32") if task == "classification" else np.eye(3, dtype="float32")[[0, 2, 2, 1]]
    assert objective.num_groups == 3
    assert ops.convert_to_numpy(objective.groups(y)).tolist() == np.eye(3)[[0, 2, 2, 1]].tolist()
    inputs, _ = make_data(4, widths=WIDTHS)
    assert_finite_terms(network, objective, inputs, y)


def test_entropy_is_by_class_and_passes_over_short_ones():
    random = np.random.default_rng(0)
    codes = random.normal(0, 1, (9, 2)).astype("float32")
    groups = np.zeros((9, 3), "float32")
    # Three rows, as many as are needed; two rows, one too few; none.
    groups[[0, 4, 5], 0] = groups[[1, 2], 1] = 1

    def entropy(codes, groups):
        return float(ops.convert_to_numpy(entropy_of_groups(*map(ops.convert_to_tensor, (codes, groups)), 3)))

    covariance = np.cov(codes[[0, 4, 5]].T, bias=True)
    assert entropy(codes, groups) == pytest.approx(np.log(np.linalg.det(covariance)) / 6, rel=1e-3)
    assert entropy(codes, np.roll(groups, 1, axis=1)) == pytest.approx(entropy(codes, groups))
    assert entropy(codes, groups * 0) == 0


def test_contrast_is_among_the_rows_that_count():
    random = np.random.default_rng(0)
    vectors, predicted = random.normal(0, 1, (2, 5, 3)).astype("float32")
    rows = np.array([1, 1, 0, 1, 0], "float32")
    found = ops.convert_to_numpy(contrast_values(*map(ops.convert_to_tensor, (vectors, predicted, rows))))
    kept = rows > 0
    unit = [a[kept] / np.linalg.norm(a[kept], axis=1, keepdims=True) for a in (vectors, predicted)]
    similarity = unit[0] @ unit[1].T
    expected = np.log(np.exp(similarity).sum(axis=1)) - np.diag(similarity)
    np.testing.assert_allclose(found[kept], expected, rtol=1e-5)


def test_samples_without_a_modality_or_weight_are_no_part_of_the_losses():
    network, (inputs, y) = small_network("mmim"), make_data(16, widths=WIDTHS)
    inputs, objective = full(inputs), network.objective()
    inputs["audio_length"][12:] = 0
    whole = floats(objective.terms(network(inputs), ops.convert_to_tensor(y)))
    with_audio = floats(objective.terms(network(subset(inputs, slice(12))), ops.convert_to_tensor(y[:12])))
    for name in ("audio_likelihood_loss", "audio_entropy_loss", "audio_contrast_loss"):
        assert abs(whole[name]) > 1e-4
        assert whole[name] == pytest.approx(with_audio[name], rel=1e-4), name
    weight = (np.arange(16) < 12).astype("float32")
    weighted = floats(objective.terms(network(inputs), ops.convert_to_tensor(y), weight))
    for name in network.objective().term_names[1:]:
        assert weighted[name] == pytest.approx(with_audio[name], rel=1e-4), name
    assert whole["text_contrast_loss"] != pytest.approx(with_audio["text_contrast_loss"], rel=1e-3)


class Steps(keras.callbacks.Callback):
    """After each step: how many batches of the epoch there were, and the codes that are remembered."""

    def __init__(self):
        super().__init__()
        self.seen, self.epoch_losses = [], []

    def on_train_batch_end(self, batch, logs=None):
        codes, groups = self.model.history_of["audio"]
        self.seen.append([ops.convert_to_numpy(a) for a in (self.model.batches, codes, groups)])
        # A mean over the epoch so far, weighted by rows.
        self.epoch_losses.append(float(logs["audio_entropy_loss"]))


def test_the_batch_before_is_remembered_and_entropy_counts_from_the_third_on():
    network, (x, y) = small_network("mmim"), make_data(40, widths=WIDTHS)
    x = full(x)
    network.adapt(x)
    trainer = MMIMTrainer(network, batch_size=12)
    # Without steps, so that the codes can be computed afterwards.
    trainer.compile(keras.optimizers.SGD(0.0), run_eagerly=keras.backend.backend() != "jax")
    steps = Steps()
    trainer.fit(x, y, batch_size=12, epochs=2, shuffle=False, callbacks=[steps], verbose=0)
    outputs = network(x)
    codes, groups = (ops.convert_to_numpy(a) for a in trainer.objective.coded(outputs, "audio", y, None))
    assert [int(batches) for batches, *_ in steps.seen] == [1, 2, 3, 4] * 2
    for number, (_, kept, of) in enumerate(steps.seen[:4]):
        part = slice(12 * number, 12 * number + 12)
        rows = len(codes[part])
        np.testing.assert_allclose(kept[:rows], codes[part], rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(of[:rows], groups[part])
        assert not kept[rows:].any() and not of[rows:].any()
    # The third batch with the second one behind it, on the mean over the batches so far.
    expected = float(
        ops.convert_to_numpy(entropy_of_groups(*map(ops.convert_to_tensor, (codes[12:36], groups[12:36])), 2))
    )
    for first in (0, 4):
        losses = steps.epoch_losses[first : first + 4]
        assert losses[0] == losses[1] == 0
        assert losses[2] * 3 == pytest.approx(-0.1 * expected, rel=1e-3)


def test_more_rows_than_are_kept_are_cut():
    network, (x, y) = small_network("mmim"), make_data(12, widths=WIDTHS)
    trainer = MMIMTrainer(network, batch_size=5)
    outputs = trainer.forward(full(x), training=True)
    trainer.after_step(outputs, ops.convert_to_tensor(y), None)
    kept, codes = trainer.history_of["vision"][0], outputs["text_to_vision_code"]
    np.testing.assert_allclose(ops.convert_to_numpy(kept), ops.convert_to_numpy(codes)[:5], rtol=1e-6)


@pytest.mark.parametrize("rate", [1.0, 0.0])
def test_what_predicts_modalities_from_text_has_a_rate_of_its_own(rate):
    network, (x, y) = small_network("mmim"), make_data(16, widths=WIDTHS)
    network.adapt(x)
    trainer = MMIMTrainer(network, 16, likelihood_rate=rate)
    trainer.compile(Adam(1e-2))
    apart = {id(v) for v in network.likelihood_variables}
    assert len(apart) == 2 * 2 * 2 * 2
    before = [ops.convert_to_numpy(v) for v in network.trainable_variables]
    trainer.fit(x, y, batch_size=4, epochs=2, verbose=0)
    for variable, values in zip(network.trainable_variables, before, strict=True):
        moved = np.abs(ops.convert_to_numpy(variable) - values).max() > 1e-4
        assert moved == (rate > 0 or id(variable) not in apart), variable.path


def test_its_own_loss_or_the_one_loss_make_the_same_step_of_adam():
    """The gradient of the likelihood's weights is that of the likelihood alone, times a number."""
    steps = {}
    for weight in (0.1, 1.0):
        network, (x, y) = small_network("mmim"), make_data(16, widths=WIDTHS)
        network.adapt(x)
        trainer = MMIMTrainer(network, 16, mutual_information_weight=weight)
        trainer.compile(Adam(1e-3, epsilon=1e-12))
        before = [ops.convert_to_numpy(v) for v in network.likelihood_variables]
        trainer.fit(x, y, batch_size=16, epochs=1, verbose=0)
        after = [ops.convert_to_numpy(v) for v in network.likelihood_variables]
        steps[weight] = np.concatenate([(a - b).ravel() for a, b in zip(after, before, strict=True)])
    assert np.abs(steps[0.1]).max() > 5e-4
    np.testing.assert_allclose(steps[1.0], steps[0.1], atol=2e-6)


def test_what_cannot_be_is_refused():
    network = small_network("mmim")
    with pytest.raises(ValueError, match=r"`batch_size` must be 1 or more\. Received: batch_size=0"):
        MMIMTrainer(network, 0)
    with pytest.raises(ValueError, match=r"`likelihood_rate` must not be negative\. Received: likelihood_rate=-1"):
        MMIMTrainer(network, likelihood_rate=-1)
    with pytest.raises(ValueError, match=r"`likelihood_rate`=2 needs an optimizer of plumkeras\.trainers\.backend"):
        MMIMTrainer(network, likelihood_rate=2).compile(keras.optimizers.SGD())
    with pytest.raises(ValueError, match=r"has no argument 'contrast_wieght'.*'contrast_weight'"):
        MMIMTrainer(network, contrast_wieght=1)


@pytest.mark.verify
@pytest.mark.parametrize(("bidirectional", "count"), [(True, 281_417), (False, 277_129)])
def test_it_has_the_published_number_of_weights(bidirectional, count):
    network = MMIM({"text": 768, "audio": 5, "vision": 20}, bidirectional=bidirectional)
    assert sum(int(np.prod(w.shape)) for w in network.trainable_weights) == count
