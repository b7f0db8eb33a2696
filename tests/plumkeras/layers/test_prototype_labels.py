"""Eq. 4-5 against float64 oracles, prototypes as state, and the classes of regression labels."""

import os
import pathlib

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.layers import PrototypeLabelGenerator
from plumkeras.metrics import ClassCentroids
from plumkeras.objectives.class_labels import class_labels, scheme_classes
from tests.testing import oracles
from tests.testing.networks import gradients, to_numpy

RANDOM = np.random.default_rng(0)
H = RANDOM.normal(size=(6, 4)).astype("float32")
PROTOTYPES = RANDOM.normal(size=(3, 4)).astype("float32")
PRESENT = np.array([True, True, False, True, True, True])


def generator(seen=(1, 1, 1), prototypes=PROTOTYPES, **options):
    layer = PrototypeLabelGenerator(3, **options)
    layer.build((None, 4), (None,))
    layer.assign_prototypes(prototypes, np.array(seen))
    return layer


@pytest.mark.parametrize("temperature", [0.1, 1.0, 3.0])
@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("seen", [(1, 1, 1), (5, 0, 2), (0, 1, 0), (0, 0, 0)])
def test_labels_equal_equation_5(temperature, normalize, seen):
    layer = generator(seen, temperature=temperature, normalize=normalize)
    soft, hard = to_numpy(layer(H, PRESENT))
    expected_soft, expected_hard = oracles.prototype_labels(H, PROTOTYPES, seen, PRESENT, temperature, normalize)
    np.testing.assert_allclose(soft, expected_soft, rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(hard, expected_hard)
    np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(soft[2], 1 / 3, rtol=1e-6)
    for k, count in enumerate(seen):  # A class not seen yet takes no part.
        if not count and any(seen):
            assert np.all(soft[PRESENT, k] == 0) and not np.any(hard == k)


def test_a_prototype_at_the_origin_that_was_not_seen_never_wins():
    layer = generator((1, 0, 1), 100.0 * PROTOTYPES, normalize=False, temperature=1.0)
    _, hard = layer(1e-3 * H, PRESENT)
    assert not np.any(np.array(hard) == 1)


def test_labels_by_hand():
    layer = generator(
        prototypes=np.array([[0, 0, 0, 0], [3, 4, 0, 0], [0, 0, 2, 0]], "float32"), temperature=1.0, normalize=False
    )
    soft, hard = to_numpy(layer(np.array([[3, 4, 0, 0]], "float32"), np.array([True])))
    np.testing.assert_allclose(soft[0], oracles.softmax(np.array([-5.0, 0.0, -np.sqrt(29)])), rtol=1e-5)
    assert hard[0] == 1


def test_labels_stay_finite_at_zero_and_far_away():
    layer = generator(normalize=True)
    for h in (np.zeros((2, 4)), np.full((2, 4), 1e15)):
        soft, _ = to_numpy(layer(h.astype("float32"), np.array([True, True])))
        assert np.isfinite(soft).all()
        np.testing.assert_allclose(soft.sum(axis=1), 1, rtol=1e-5)


def test_the_default_labels_are_neither_one_hot_nor_uniform():
    random = np.random.default_rng(1)
    labels = random.integers(0, 3, 90)
    h = random.normal(size=(90, 256)) + 0.5 * random.normal(size=(3, 256))[labels]
    means, counts = oracles.class_means(labels, h, 3)

    def mean_entropy(**options):
        layer = PrototypeLabelGenerator(3, **options)
        layer.build((None, 256), (None,))
        layer.assign_prototypes(means, counts)
        soft = to_numpy(layer(h.astype("float32"), np.ones(90, bool))[0]).astype("float64")
        return -(soft * np.log(soft + 1e-12)).sum(axis=1).mean() / np.log(3)

    assert mean_entropy(temperature=1.0, normalize=True) > 0.95
    assert 0.1 < mean_entropy() < 0.9


@pytest.mark.parametrize("normalize", [False, True])
def test_no_gradient_flows_through_the_labels(normalize):
    layer = generator(normalize=normalize)
    h = keras.Variable(H)
    watched = [h.value, layer.prototypes.value]
    _, found = gradients(lambda: ops.sum(layer(h, PRESENT)[0] ** 2), watched)
    assert found == [None, None]
    assert not layer.trainable_variables


def test_assignment_replaces_keeps_and_averages():
    layer = generator((1, 1, 0))
    new = PROTOTYPES + 1.0
    layer.assign_prototypes(new, np.array([2, 0, 3]))
    np.testing.assert_allclose(layer.prototypes, [new[0], PROTOTYPES[1], new[2]], rtol=1e-6)
    np.testing.assert_array_equal(layer.seen, [1, 1, 1])
    layer = generator((1, 1, 0))
    layer.assign_prototypes(new, np.array([2, 0, 3]), momentum=0.9)
    # A class seen for the first time has no old prototype to average with.
    np.testing.assert_allclose(layer.prototypes, [PROTOTYPES[0] + 0.1, PROTOTYPES[1], new[2]], rtol=1e-5)


def test_class_centroids_equal_equation_4_over_batches():
    labels = np.array([0, 2, 2, -1, 0, 0], "int32")
    metric = ClassCentroids(3, 4)
    for rows in (slice(0, 1), slice(1, 5), slice(5, 6)):
        metric.update_state(labels[rows], H[rows])
    means, counts = oracles.class_means(labels, H, 3)
    np.testing.assert_allclose(metric.result(), means, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(metric.counts, counts)


def test_classes_of_regression_labels():
    y = np.array([-3.0, -0.2, -0.0, 0.0, 0.2, 3.0], "float32")
    np.testing.assert_array_equal(class_labels(y), [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(class_labels(y[:, None], "sign3"), [0, 0, 1, 1, 2, 2])
    y = np.array([-9.0, -2.5, -1.6, -0.5, 0.5, 1.5, 2.4, 3.4], "float32")
    np.testing.assert_array_equal(class_labels(y, "round7"), np.round(np.clip(y, -3, 3)) + 3)
    # MMSA's five classes of SIMS, labels in steps of 0.2.
    np.testing.assert_array_equal(class_labels([-1.0, -0.6, 0.0, 0.2, 1.0], (-0.7, -0.1, 0.1, 0.7)), [0, 1, 2, 3, 4])
    assert class_labels(y, (0.0,)).dtype == "int32"
    assert [scheme_classes(s) for s in ("sign3", "round7", (0.0,), (-1.0, 0.0, 1.0))] == [3, 7, 2, 4]


def test_the_paper_counts_552_53_679_on_mosi(request):
    folder = pathlib.Path(os.environ.get("PLUMKERAS_DATA", request.config.rootpath.parent / "shared" / "data"))
    if not (folder / "mosi_text_audio.npz").exists():
        pytest.skip(f"no real data in {folder}")
    with np.load(folder / "mosi_text_audio.npz") as file:
        y = file["train/regression_labels"]
    assert np.bincount(class_labels(y, "sign3")).tolist() == [552, 53, 679]


@pytest.mark.parametrize("scheme", ["sign5", (), (1.0, 1.0), (1.0, 0.0)])
def test_wrong_schemes_name_the_argument_and_the_value(scheme):
    with pytest.raises(ValueError, match=r"`label_classes`.*(sign5|\(\)|1\.0)"):
        scheme_classes(scheme)
