"""What a history can hold beside the losses."""

import numpy as np
import pytest

from plumkeras.recipes import find_recipe
from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.runs.recording import label_counts, similarity


def outputs():
    return {
        "text_present": np.array([True, True, True, False]),
        "audio_present": np.array([True, True, False, True]),
        "text_common_embedding": np.array([[1.0, 0], [0, 2], [9, 9], [0, 0]]),
        "audio_common_embedding": np.array([[3.0, 0], [1, 1], [0, 0], [9, 9]]),
        "text_private_embedding": np.array([[1.0, 0], [0, 2], [9, 9], [0, 0]]),
        "audio_private_embedding": np.array([[0.0, 5], [-1, 0], [0, 0], [9, 9]]),
        "text_hard_label": np.array([0, 2, 2, -1]),
        "audio_hard_label": np.array([1, 1, -1, 1]),
    }


def test_cosines_are_those_of_samples_that_have_both_modalities():
    found = similarity(outputs())
    assert found["common_cosine"] == pytest.approx((1 + np.sqrt(0.5)) / 2)
    assert found["private_cosine"] == pytest.approx(0)
    # (1, 0), (0, 2) centred are (.5, -1), (-.5, 1); (3, 0), (1, 1) are (1, -.5), (-1, .5).
    assert found["common_cosine_centred"] == pytest.approx((0.5 + 0.5) / (np.hypot(0.5, 1) ** 2))


def test_one_modality_alone_has_no_cosine_and_no_common_sample_an_undefined_one():
    alone = {name: value for name, value in outputs().items() if name.startswith("text")}
    assert similarity(alone) == {}
    apart = {**outputs(), "audio_present": np.zeros(4, bool)}
    assert np.isnan(similarity(apart)["common_cosine"])


def test_labels_are_counted_by_class_without_those_that_lack_the_modality():
    found = label_counts(outputs(), 3)
    assert [found[f"text_label_{k}"] for k in range(3)] == [1, 0, 2]
    assert [found[f"audio_label_{k}"] for k in range(3)] == [0, 3, 0]


def test_a_network_without_branches_has_nothing_to_record():
    with pytest.raises(ConfigError, match="record needs the module psl_tfb"):
        with_values(find_recipe("synthetic"), {"record": ["labels"], "network.modules": ["msa"]})
    with pytest.raises(ConfigError, match=r"set objective\.private_target=class too"):
        with_values(find_recipe("synthetic"), {"prototype_policy": "none"})
