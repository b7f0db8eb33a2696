"""Eq. 1, 2, 6 and 7 against float64 oracles, row by row and as a mean."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

from plumkeras.losses import BranchCrossentropy, SupervisedContrastiveLoss
from tests.testing import oracles
from tests.testing.networks import gradients

LABELS = np.array([0, 1, 0, -1, 2, 1, 1, -1, 0], "int32")  # Class 2 has one member: no positive.


def embeddings(rows=9, seed=0):
    return np.random.default_rng(seed).normal(size=(rows, 5)).astype("float32")


def rows_and_mean(loss, y_true, y_pred):
    return ops.convert_to_numpy(loss.call(y_true, y_pred)), float(loss(y_true, y_pred))


@pytest.mark.parametrize("include_self", [False, True])
@pytest.mark.parametrize("temperature", [0.07, 0.1, 1.0])
def test_contrastive_loss_equals_equation_1(include_self, temperature):
    loss = SupervisedContrastiveLoss(temperature=temperature, include_self=include_self)
    anchors = oracles.contrastive_anchors(LABELS, embeddings(), temperature, include_self)
    valid = np.isfinite(anchors)
    assert valid.sum() == 6
    rows, mean = rows_and_mean(loss, LABELS, embeddings())
    # per_anchor * valid * N / V, so that Keras's own mean over N is the mean over the V valid anchors.
    np.testing.assert_allclose(rows, np.where(valid, anchors, 0) * 9 / 6, rtol=1e-5, atol=1e-5)
    assert mean == pytest.approx(anchors[valid].mean(), rel=1e-5)


def test_contrastive_loss_defaults_and_switch():
    assert SupervisedContrastiveLoss().get_config()["temperature"] == 0.1
    assert SupervisedContrastiveLoss().get_config()["include_self"] is False
    # The printed denominator holds exp(1 / temperature) more.
    assert SupervisedContrastiveLoss(include_self=True)(LABELS, embeddings()) > SupervisedContrastiveLoss()(
        LABELS, embeddings()
    )


def test_contrastive_loss_of_a_hand_computed_batch():
    # Anchors 0 and 1 are each other's only positive: similarity 0.6; the third row stands at 0 and 0.8.
    z = np.array([[2.0, 0.0], [0.6, 0.8], [0.0, 3.0]], "float32")
    expected = (-0.6 + np.log(np.exp(0.6) + 1) - 0.6 + np.log(np.exp(0.6) + np.exp(0.8))) / 2
    assert float(SupervisedContrastiveLoss(temperature=1.0)([0, 0, 1], z)) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("positives", ["cross", "all"])
@pytest.mark.parametrize("include_self", [False, True])
def test_contrastive_loss_equals_equation_2(positives, include_self):
    labels = [np.array([0, 1, 1, -1], "int32"), np.array([0, 1, -1, -1], "int32"), np.array([2, 1, 1, 0], "int32")]
    z = [embeddings(4, seed) for seed in range(3)]
    loss = SupervisedContrastiveLoss(include_self=include_self, positives=positives, num_groups=3)
    expected = oracles.inter_contrastive(labels, z, positives, include_self=include_self)
    assert float(loss(np.concatenate(labels), np.concatenate(z))) == pytest.approx(expected, rel=1e-5)
    other = {"cross": "all", "all": "cross"}[positives]
    assert expected != pytest.approx(oracles.inter_contrastive(labels, z, other, include_self=include_self), rel=1e-3)


def test_ignored_rows_may_hold_anything_finite():
    z = embeddings()
    loss = SupervisedContrastiveLoss()
    value = float(loss(LABELS, z))
    z[LABELS < 0] = 1e6
    assert float(loss(LABELS, z)) == value
    keep = LABELS >= 0
    assert float(loss(LABELS[keep], z[keep])) == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    ("labels", "zero"),
    [
        ([0, 1, 2, 3], True),
        ([-1, -1, -1, -1], True),
        ([0, -1, -1, 1], True),
        ([1, 1, 1, 1], False),
        ([0, 0, -1, 1], False),
    ],
)
@pytest.mark.parametrize("include_self", [False, True])
def test_degenerate_batches_have_finite_values_and_gradients(labels, zero, include_self):
    z = keras.Variable(embeddings(4))
    z.assign(ops.where(ops.arange(4)[:, None] == 0, 0.0, z))  # A zero row: no direction.
    loss = SupervisedContrastiveLoss(include_self=include_self)
    value, (gradient,) = gradients(lambda: loss(np.array(labels), z), [z.value])
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert (float(value) == 0.0) == zero
    assert np.any(np.array(gradient) != 0) != zero


def test_identical_embeddings_and_cold_temperatures_stay_finite():
    z = np.ones((4, 5), "float32")
    assert float(SupervisedContrastiveLoss()([0, 0, 1, 1], z)) == pytest.approx(np.log(3), rel=1e-5)
    assert np.isfinite(float(SupervisedContrastiveLoss(temperature=1e-3)([0, 0, 1, 1], embeddings(4))))


def test_contrastive_gradient_equals_finite_differences_of_the_oracle():
    z = keras.Variable(embeddings())
    loss = SupervisedContrastiveLoss(temperature=0.5)
    _, (gradient,) = gradients(lambda: loss(LABELS, z), [z.value])
    point, step = np.array(z, "float64"), 1e-6
    for i, j in ((0, 0), (2, 3), (4, 1), (3, 2)):
        up, down = point.copy(), point.copy()
        up[i, j] += step
        down[i, j] -= step
        slope = (oracles.contrastive(LABELS, up, 0.5) - oracles.contrastive(LABELS, down, 0.5)) / (2 * step)
        assert float(gradient[i, j]) == pytest.approx(slope, abs=1e-4)


def test_contrastive_labels_may_be_a_column_or_floats():
    loss = SupervisedContrastiveLoss()
    assert float(loss(LABELS[:, None].astype("float32"), embeddings())) == float(loss(LABELS, embeddings()))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(-1, 3), min_size=2, max_size=8), st.integers(0, 2**31), st.booleans())
def test_contrastive_loss_of_any_batch(labels, seed, include_self):
    z = embeddings(len(labels), seed)
    value = float(SupervisedContrastiveLoss(include_self=include_self)(np.array(labels), z))
    assert value == pytest.approx(oracles.contrastive(labels, z, include_self=include_self), rel=1e-4, abs=1e-5)


BRANCH_CASES = [(False, 0.0), (True, 0.0), (False, 0.2), (True, 0.2)]


@pytest.mark.parametrize(("class_balanced", "label_smoothing"), BRANCH_CASES)
@pytest.mark.parametrize("soft", [False, True])
def test_branch_crossentropy_equals_equations_6_and_7(class_balanced, label_smoothing, soft):
    logits = 3 * embeddings()[:, :4]
    target = oracles.one_hot(LABELS, 4)  # Class 3 has no row.
    if soft:
        target *= 0.7
        target[LABELS >= 0] += 0.075
    loss = BranchCrossentropy(class_balanced=class_balanced, label_smoothing=label_smoothing)
    expected = oracles.branch_rows(target, logits, class_balanced, label_smoothing)
    valid = np.isfinite(expected)
    assert valid.sum() == 7
    rows, mean = rows_and_mean(loss, target.astype("float32"), logits)
    np.testing.assert_allclose(rows, np.where(valid, expected, 0) * 9 / 7, rtol=1e-4, atol=1e-5)
    assert mean == pytest.approx(expected[valid].mean(), rel=1e-5)
    plain = oracles.branch(target, logits)
    assert (mean == pytest.approx(plain, rel=1e-4)) == (not class_balanced and not label_smoothing)


def test_class_balance_gives_every_class_the_same_say():
    # Three rows of class 0, one of class 1: the balanced mean is the mean of the two class means.
    target, logits = oracles.one_hot([0, 0, 0, 1], 2), embeddings(4)[:, :2]
    plain = oracles.branch_rows(target, logits)
    expected = (plain[:3].mean() + plain[3]) / 2
    assert float(BranchCrossentropy(class_balanced=True)(target, logits)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(("class_balanced", "label_smoothing"), BRANCH_CASES)
@pytest.mark.parametrize("labels", [[-1, -1, -1], [1, 1, 1], [-1, 0, -1]])
def test_degenerate_branch_batches_are_finite(class_balanced, label_smoothing, labels):
    logits = keras.Variable(1e3 * embeddings(3)[:, :3])
    loss = BranchCrossentropy(class_balanced=class_balanced, label_smoothing=label_smoothing)
    target = oracles.one_hot(labels, 3).astype("float32")
    value, (gradient,) = gradients(lambda: loss(target, logits), [logits.value])
    assert float(value) == pytest.approx(oracles.branch(target, logits, class_balanced, label_smoothing), rel=1e-4)
    assert np.isfinite(gradient).all()
    assert np.all(np.array(gradient)[np.array(labels) < 0] == 0)


def test_sample_weights_scale_rows_after_the_factor():
    weight = np.arange(9, dtype="float32")
    for loss, y_true, y_pred in (
        (SupervisedContrastiveLoss(), LABELS, embeddings()),
        (BranchCrossentropy(), oracles.one_hot(LABELS, 5).astype("float32"), embeddings()),
    ):
        rows, _ = rows_and_mean(loss, y_true, y_pred)
        assert float(loss(y_true, y_pred, sample_weight=weight)) == pytest.approx((rows * weight).mean(), rel=1e-5)


@pytest.mark.parametrize(
    "loss",
    [
        SupervisedContrastiveLoss(0.5, True, positives="cross", num_groups=3, reduction="sum", name="x"),
        BranchCrossentropy(True, 0.1, reduction=None, name="y"),
    ],
)
def test_losses_come_back_from_their_configuration(loss):
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert type(revived) is type(loss)
    assert revived.get_config() == loss.get_config()


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: SupervisedContrastiveLoss(temperature=0), "`temperature`.*temperature=0"),
        (lambda: SupervisedContrastiveLoss(positives="some"), "`positives`.*positives='some'"),
        (lambda: BranchCrossentropy(label_smoothing=1.0), "`label_smoothing`.*label_smoothing=1.0"),
    ],
)
def test_errors_name_the_argument_and_the_value(build, match):
    with pytest.raises(ValueError, match=match):
        build()
