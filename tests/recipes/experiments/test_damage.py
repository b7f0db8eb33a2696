"""What goes wrong with data on purpose: only that, and the same from the same seed."""

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.recipes.experiments.damage import LabelNoise, RareClass, deviations, missing, with_noise, without


def dataset(labels, n=40):
    random = np.random.default_rng(0)
    features = {"text": random.normal(5, 2, (n, 4, 3)), "audio": random.normal(0, 1, (n, 2, 2))}
    lengths = {"text": random.integers(1, 5, n), "audio": random.integers(0, 3, n)}
    split = Split(np.arange(n).astype(str), features, lengths, labels=labels)
    return Dataset({"train": split, "valid": split.take(np.arange(5)), "test": split.take(np.arange(5))})


def test_wrong_labels_are_those_of_other_training_samples():
    clean = dataset(np.arange(40) / 20)
    damaged = LabelNoise(0.25)(clean)
    changed = np.flatnonzero(damaged["train"].labels != clean["train"].labels)
    # A sample may draw its own label.
    assert 7 <= len(changed) <= 10 and np.isin(damaged["train"].labels, clean["train"].labels).all()
    assert damaged.sha256 is None
    np.testing.assert_array_equal(damaged["valid"].labels, clean["valid"].labels)
    np.testing.assert_array_equal(damaged["train"].labels, LabelNoise(0.25)(clean)["train"].labels)
    assert (LabelNoise(0.25, seed=1)(clean)["train"].labels != damaged["train"].labels).any()
    np.testing.assert_array_equal(LabelNoise(0.0)(clean)["train"].labels, clean["train"].labels)


@pytest.mark.parametrize("labels", [np.tile([-1.0, 2.0], 20), np.tile([0, 1], 20)])
def test_a_rare_class_is_thinned_out_and_the_others_stay(labels):
    damaged = RareClass(0.25)(dataset(labels))["train"]
    assert len(damaged) == 25 and (damaged.labels > 0).sum() == 5
    assert set(damaged.ids[damaged.labels <= 0]) == set(np.arange(0, 40, 2).astype(str))


def test_data_without_the_class_are_refused():
    with pytest.raises(DataError, match="has 0 of the class to thin out"):
        RareClass(0.5)(dataset(np.full(40, -1.0)))
    with pytest.raises(DataError, match="multi-label data have none"):
        RareClass(0.5)(dataset(np.tile([[0, 1], [1, 0]], (20, 1))))


def test_what_can_be_missing_leaves_something():
    assert missing(("text",)) == []
    assert missing(("text", "audio")) == [("text",), ("audio",)]
    assert missing(("t", "a", "v")) == [("t",), ("a",), ("v",), ("t", "a"), ("t", "v"), ("a", "v")]
    split = dataset(np.zeros(40))["train"]
    gone = without(split, ("audio",))
    assert not gone.lengths["audio"].any() and not gone.features["audio"].any()
    np.testing.assert_array_equal(gone.features["text"], split.features["text"])
    assert split.lengths["audio"].any()


def test_noise_has_the_size_of_each_column_and_spares_the_padding():
    split = dataset(np.zeros(4000), 4000)["train"]
    scale = deviations(split)
    np.testing.assert_allclose(scale["text"], 2, rtol=0.05)
    noisy = with_noise(split, 0.5, scale)
    valid = np.arange(4) < split.lengths["text"][:, None]
    added = noisy.features["text"] - split.features["text"]
    np.testing.assert_allclose(added[valid].std(axis=0), 1, rtol=0.05)
    assert not added[~valid].any()


def test_token_ids_are_missing_or_stay_as_they_are():
    clean = dataset(np.arange(40) / 20)["train"]
    ids = TokenIds(np.arange(160).reshape(40, 4))
    split = Split(clean.ids, {**clean.features, "text": ids}, clean.lengths, labels=clean.labels)
    scale = deviations(split)
    assert list(scale) == ["audio"]
    assert (without(split, ("text",)).lengths["text"] == 0).all()
    assert without(split, ("text",)).features["text"] is ids
    noisy = with_noise(split, 1.0, scale)
    assert noisy.features["text"] is ids and (noisy.features["audio"] != split.features["audio"]).any()
