"""Data sets made of a user's own arrays."""

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split
from plumkeras.nearest import nearest


def test_ragged_lists_are_padded_and_their_lengths_kept():
    first, second = np.arange(6.0).reshape(3, 2), np.arange(10.0).reshape(5, 2)
    split = Split.from_arrays(text=[first, second], audio=[np.ones((2, 4)), None], labels=[1.5, -2.0])
    assert split.features["text"].shape == (2, 5, 2) and split.features["text"].dtype == np.float32
    np.testing.assert_array_equal(split.features["text"][0, :3], first)
    assert not split.features["text"][0, 3:].any()
    assert split.lengths["text"].tolist() == [3, 5] and split.lengths["audio"].tolist() == [2, 0]
    assert split.ids.tolist() == ["0", "1"] and split.labels.dtype == np.float32


def test_one_vector_a_sample_is_one_frame():
    split = Split.from_arrays(audio=np.ones((3, 7)), text=[np.ones(4), np.ones(4), []])
    assert split.features["audio"].shape == (3, 1, 7) and split.lengths["audio"].tolist() == [1, 1, 1]
    assert split.features["text"].shape == (3, 1, 4) and split.lengths["text"].tolist() == [1, 1, 0]


def test_padding_past_the_given_lengths_is_zeroed_and_the_users_array_untouched():
    array = np.ones((2, 3, 4), "float32")
    split = Split.from_arrays(text=array, text_length=[1, 3], lengths={})
    assert split.features["text"].sum(axis=(1, 2)).tolist() == [4, 12]
    assert split.lengths["text"].tolist() == [1, 3] and array.all()


def test_a_dataset_of_dicts_and_splits():
    parts = {"text": np.ones((2, 3, 4)), "labels": np.array([0, 1]), "ids": ["a", "b"], "raw_text": ["x", "y"]}
    dataset = Dataset.from_arrays(train=parts, test=Split.from_arrays(text=np.ones((1, 2, 4))))
    assert dataset.task == "classification" and list(dataset) == ["train", "test"]
    assert dataset["train"].raw_text.tolist() == ["x", "y"] and dataset["test"].labels is None


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"text": [np.ones((3, 4)), np.ones((5, 5))]}, ["text[1] is 5 wide and text[0] 4"]),
        ({"text": np.ones((2, 3, 4)), "labels": [1.0]}, ["labels has 1 samples, text 2"]),
        ({"text": np.ones((2, 3, 4)), "audio": np.ones((3, 4))}, ["audio has 3 samples, text 2"]),
        ({"text": np.ones((2, 3)), "label": [1.0, 2.0]}, ["label[0] has shape ()", "did you mean 'labels'?"]),
        ({"text": ["so good"]}, ["text[0] is not an array of numbers", "raw_text"]),
        ({"text": np.ones((2, 3, 4)), "text_length": [4, 1]}, ["text lengths hold 4 for sample 0, which has 3 frames"]),
        ({"text": np.ones((2, 3, 4)), "lengths": {"audio": [1, 1]}}, ["lengths for 'audio', which has no features"]),
        ({"text": np.ones((2, 3, 4, 1))}, ["text has shape (2, 3, 4, 1)", "[N, T, F]"]),
        ({"text": [None, None]}, ["text has no frame in any of its 2 samples"]),
        ({"text": np.ones((2, 3)), "labels": ["good", "bad"]}, ["labels hold something that is not a number"]),
        ({}, ["no features"]),
    ],
)
def test_one_line_names_what_does_not_fit(arrays, words):
    with pytest.raises(DataError) as caught:
        Dataset.from_arrays(train=arrays)
    assert str(caught.value).startswith("train: ") and "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_what_is_no_split_is_named():
    with pytest.raises(DataError, match=r"valid is a list; expected a Split, or a dict of its arrays"):
        Dataset.from_arrays(valid=[1, 2])


def test_reprs_are_short_and_escaped():
    split = Split.from_arrays(text=np.ones((200, 3, 4)), audio=[None] * 199 + [np.ones((1, 2))])
    dataset = Dataset.from_arrays(train=split)
    assert repr(split) == "<Split: 200 samples, text 3 x 4, audio 1 x 2 (199 missing), no labels>"
    assert repr(dataset) == "<Dataset in memory (no labels): train 200; widths: text 4, audio 2>"
    hostile = Dataset({"all": Split.from_arrays(**{"<script>": np.ones((1, 2))})}, path="<b>")
    for page in (hostile._repr_html_(), hostile["all"]._repr_html_()):
        assert "<script>" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("epochs", "'alignment.epochs' or 'refinement.epochs'"),
        ("hiden-dim", "'network.hidden_dim'"),
        ("batchsize", "'batch_size'"),
        ("sed", "'seed'"),
    ],
)
def test_nearest_names(name, found):
    known = ["seed", "batch_size", "network.hidden_dim", "alignment.epochs", "refinement.epochs"]
    assert nearest(name, known) == f"; did you mean {found}?"


def test_nothing_is_near():
    assert nearest("zebra", ["seed", "batch_size"]) == ""
