"""What the labels of a file are: one rule for all readers, and what `task` and `label_column` say in its place."""

import json

import h5py
import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, convert, describe, load, open_shards, save_npz
from plumkeras.data_pipelines.loading import open_data
from plumkeras.data_pipelines.readers.shared.labels import LabelRequest, labelled
from plumkeras.data_pipelines.schema.report import Report
from tests.testing.dataset_folders import rows_of, write_csd_folder, write_fet_tree, write_label_csv

ONE_HOT = np.eye(3)[[0, 2, 1, 0]]
SETS = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 1], [1, 0, 0]])
MOSEI = np.array([[-1.5, 1, 0, 0, 0, 0, 0.3], [2, 0, 0, 2, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0], [3, 0, 1, 0, 0, 0, 0]])


def read(labels, names=None, certain=False, report=None, **request):
    """The data set of a file with these labels."""
    labels = np.asarray(labels)
    splits = {"all": Split.from_arrays(labels=labels, text=np.ones((len(labels), 2, 3)))}
    return labelled(
        splits, LabelRequest(**request), report or Report(), "f", certain=certain, names=names, format="test"
    )


@pytest.mark.parametrize(
    ("labels", "task", "expected", "said"),
    [
        ([0.5, -1, 2, 0], "regression", [0.5, -1, 2, 0], None),
        ([0.0, 1, 1, 0], "classification", [0, 1, 1, 0], "which is a guess"),
        ([0, 1, 1, 0], "classification", [0, 1, 1, 0], None),
        ([-1.0, 1, 1, -1], "classification", [0, 1, 1, 0], "which is a guess"),
        ([0.0, 3, 1, 2], "classification", [0, 3, 1, 2], "whole numbers from 0 to 3 occur"),
        ([1.0, 3, 1, 2], "regression", [1, 3, 1, 2], None),
        ([-1.0, 0, 1, -1], "regression", [-1, 0, 1, -1], None),
        (ONE_HOT, "classification", [0, 2, 1, 0], "3 one-hot columns, read as classes"),
        (SETS, "multilabel", SETS.tolist(), "3 columns of 0 and 1, read as labels"),
        (np.stack([1 - SETS, SETS], axis=2), "multilabel", SETS.tolist(), "3 labels, each 0 or 1"),
        (MOSEI, "regression", MOSEI[:, 0].tolist(), "7 columns, of which the first (sentiment) is used"),
    ],
)
def test_the_rule(labels, task, expected, said):
    report = Report()
    dataset = read(labels, report=report)
    assert dataset.task == task
    np.testing.assert_allclose(dataset["all"].labels, expected)
    assert [said in w for w in report.warnings] == ([] if said is None else [True])


@pytest.mark.parametrize(
    ("labels", "request_", "task", "expected"),
    [
        ([0.0, 1, 1, 0], {"task": "regression"}, "regression", [0, 1, 1, 0]),
        ([0.0, 1, 1, 0], {"label_range": (-3, 3)}, "regression", [0, 1, 1, 0]),
        ([-1, 1, 1, -1], {"task": "classification"}, "classification", [0, 1, 1, 0]),
        (ONE_HOT, {"task": "multilabel"}, "multilabel", ONE_HOT.tolist()),
        (SETS, {"column": 1}, "classification", SETS[:, 1].tolist()),
        (SETS, {"column": "2", "task": "regression"}, "regression", SETS[:, 2].tolist()),
        (MOSEI, {"task": "multilabel"}, "multilabel", (MOSEI[:, 1:] > 0).astype(int).tolist()),
        (MOSEI, {"column": "fear"}, "regression", MOSEI[:, 6].tolist()),
    ],
)
def test_what_the_user_says_counts_more(labels, request_, task, expected):
    dataset = read(labels, **request_)
    assert dataset.task == task
    np.testing.assert_allclose(dataset["all"].labels, expected)


def test_names_of_columns_become_those_of_the_labels():
    assert read(SETS, ["joy", "fear", "calm"]).label_names == ("joy", "fear", "calm")
    assert read(SETS, ["joy", "fear", "calm"], column="fear")["all"].labels.tolist() == [1, 0, 1, 0]
    assert read(MOSEI, task="multilabel").label_names == ("happy", "sad", "anger", "surprise", "disgust", "fear")
    assert read(SETS).label_names is None


@pytest.mark.parametrize(
    ("labels", "request_", "said"),
    [
        (MOSEI[:, 1:], {}, "the labels have 6 columns; choose one by --label-column"),
        (SETS, {"column": 3}, "label column 3: there are 3 columns, 0 to 2"),
        (MOSEI, {"column": "joy"}, "label column 'joy': there are 7 columns, sentiment, happy"),
        ([0.5, 1.5], {"column": 1}, "label column 1: there is one column of labels"),
        ([0.5, 1.5], {"task": "multilabel"}, "the labels are one column; multilabel needs several"),
        ([0.5, 1.5], {"task": "classification"}, "the labels hold 0.5; classification takes whole numbers"),
        (SETS, {"task": "regression"}, "the labels have 3 columns; choose one"),
        (SETS, {"task": "classification"}, "the labels have 3 columns; choose one"),
        (-MOSEI[:, 1:], {"task": "multilabel"}, "the labels hold -1; multilabel takes 0 and 1"),
        (np.full((3, 4, 2), 2), {}, r"all/labels of shape \(3, 4, 2\) hold other numbers than 0 and 1"),
    ],
)
def test_what_cannot_be_meant(labels, request_, said):
    with pytest.raises(DataError, match=f"f: {said}"):
        read(labels, **request_)


def test_sentiment_is_the_column_of_that_name():
    names = ["happy", "sad", "anger", "surprise", "disgust", "fear", "Sentiment"]
    last = np.roll(MOSEI, -1, axis=1)
    assert read(last, names)["all"].labels.tolist() == MOSEI[:, 0].tolist()
    sets = read(last, names, task="multilabel")
    assert sets.label_names == tuple(names[:-1])
    np.testing.assert_array_equal(sets["all"].labels, MOSEI[:, 1:] > 0)
    with pytest.raises(DataError, match="the labels have 7 columns, a, b, c, d, e, f, g; choose one"):
        read(MOSEI, list("abcdefg"))
    # Seven columns of 0 and 1 aren't MOSEI's.
    assert read(np.eye(7)[[0, 1, 2, 3]] + np.eye(7)[[1, 2, 3, 4]]).label_names is None


def test_one_label_of_pairs():
    pairs = np.stack([1 - SETS, SETS], axis=2)
    assert read(pairs, column=1)["all"].labels.tolist() == SETS[:, 1].tolist()
    with pytest.raises(DataError, match="hold other numbers than 0 and 1"):
        read(pairs * 2, column=1)


@pytest.mark.parametrize("task", [None, "classification", "multilabel"])
def test_labels_that_are_not_finite(task):
    labels = [0.0, 1, np.inf, 1] if task != "multilabel" else np.where(MOSEI[:, 1:] > 1, np.inf, 0)
    with pytest.raises(DataError, match="inf"):
        read(labels, task=task)


def test_a_declared_field_stays_what_it_is(tmp_path):
    one_hot = Dataset.from_arrays(train={"text": np.ones((4, 2, 3)), "labels": ONE_HOT})
    save_npz(one_hot, tmp_path / "d.npz")
    for options in ({}, {"label_range": (-3, 3)}):
        assert load(tmp_path / "d.npz", **options).task == "multilabel"


def test_splits_of_different_label_sets():
    train, valid = ({"text": np.ones((4, 2, 3)), "labels": sets} for sets in (SETS, SETS[:, :2]))
    with pytest.raises(DataError, match="valid/multilabel_labels has 2 columns, and other splits have 3"):
        Dataset.from_arrays(train=train, valid=valid)
    with pytest.raises(DataError, match="a label cannot be called 'weighted_x'"):
        Dataset.from_arrays(train=train, label_names=["x", "y", "weighted_x"])


def test_blank_rows(npz_arrays, write_npz):
    arrays = {"train/text": np.ones((3, 2, 4)), "train/labels": np.array([[1, 0], [np.nan, np.nan], [0, 1]])}
    with pytest.raises(DataError, match=r"train/classification_labels: 1 of 3 samples have no label .*: 1"):
        load(write_npz(arrays))
    arrays["train/labels"] = np.full((3, 2), np.nan)
    assert load(write_npz(arrays))["train"].labels is None


def test_splits_whose_labels_differ_in_shape(write_npz):
    arrays = {f"{n}/text": np.ones((3, 2, 4)) for n in ("train", "test")}
    arrays |= {"train/labels": SETS[:3], "test/labels": SETS[:3, :2]}
    with pytest.raises(DataError, match="the labels differ in shape: 3 x 3 in train, 3 x 2 in test"):
        load(write_npz(arrays))


def test_an_unknown_task(write_npz, npz_arrays):
    with pytest.raises(ValueError, match=r"`task` must be one of .*Received: task='ranking'"):
        load(write_npz(npz_arrays()), task="ranking")


@pytest.mark.parametrize("values", [[0, 1], [0, 1, 2, 3]])
def test_classes_in_a_label_csv_are_no_regression(tmp_path, mmsa_tree, values):
    write_fet_tree(tmp_path, mmsa_tree())
    rows = rows_of(mmsa_tree())
    write_label_csv(tmp_path, [{**row, "label": values[k % len(values)]} for k, row in enumerate(rows)])
    dataset = load(tmp_path)
    assert dataset.task == "classification" and dataset.num_classes == len(values)
    assert any("which is a guess" in warning for warning in dataset.report.warnings)
    assert load(tmp_path, task="regression").task == "regression"


def test_another_column_of_a_label_csv(tmp_path, mmsa_tree):
    write_fet_tree(tmp_path, mmsa_tree())
    write_label_csv(tmp_path, [{**row, "annotation": 0.25 * (k % 9) - 1} for k, row in enumerate(rows_of(mmsa_tree()))])
    assert load(tmp_path, label_column="annotation")["train"].labels[:3].tolist() == [-1, -0.75, -0.5]
    assert load(tmp_path, label_column=7)["train"].labels[2] == -0.5
    with pytest.raises(DataError, match="no label column 'temper'; it has "):
        load(tmp_path, label_column="temper")


def test_the_names_of_a_csds_columns(tmp_path):
    def change(content):
        (video, (features, intervals)), *_ = content["labels"].items()
        del content["labels"]
        sets = np.zeros((len(features), 3))
        sets[:, 1] = 1
        content["Emotion Labels"] = {video: (sets, intervals)}

    videos = ["03bSnISJMiM"]
    write_csd_folder(tmp_path, videos, ("text", "vision", "labels"), change=change)
    path = next(p for p in tmp_path.glob("*.csd") if "Emotion Labels" in h5py.File(p))
    with h5py.File(path, "a") as file:
        metadata = file["Emotion Labels/metadata"]
        if "dimension names" in metadata:
            del metadata["dimension names"]
        names = json.dumps(["joy", "fear", "calm"])
        metadata.create_dataset("dimension names", (1,), dtype=h5py.string_dtype())[0] = names
    dataset = load(tmp_path, task="multilabel")
    assert dataset.label_names == ("joy", "fear", "calm") and dataset["train"].labels[0].tolist() == [0, 1, 0]
    with pytest.raises(DataError, match="label column 'rage': there are 3 columns, joy, fear, calm"):
        load(tmp_path, label_column="rage")


def test_a_file_keeps_its_label_sets_and_names(tmp_path):
    split = {"text": np.ones((4, 2, 3)), "labels": SETS}
    dataset = Dataset.from_arrays(train=split, label_names=["joy", "fear", "calm"])
    assert dataset.task == "multilabel" and dataset.num_classes == 3
    save_npz(dataset, tmp_path / "sets.npz")
    for again in (load(tmp_path / "sets.npz"), open_shards(_converted(tmp_path / "sets.npz"))):
        assert (again.task, again.label_names) == ("multilabel", ("joy", "fear", "calm"))
        np.testing.assert_array_equal(again["train"].labels, SETS)
        assert not again.report.warnings
    found = describe(dataset)
    assert found["splits"]["train"]["labels"] == {"classes": {"joy": 2, "fear": 2, "calm": 1}}
    with pytest.raises(DataError, match=r"label_names must be as many different names: joy, joy, calm"):
        Dataset.from_arrays(train=split, label_names=["joy", "joy", "calm"])
    with pytest.raises(DataError, match=r"holds 2 in column 1 for sample 3; 0 and 1 are expected"):
        Dataset.from_arrays(train={**split, "labels": SETS + np.eye(4, 3, -2, int) * [0, 2, 0]})


def _converted(path):
    convert(path, path.with_suffix(""))
    return path.with_suffix("")


def test_shards_keep_the_task_that_was_converted(tmp_path):
    save_npz(Dataset.from_arrays(train={"text": np.ones((4, 2, 3)), "labels": ONE_HOT}), tmp_path / "d.npz")
    convert(tmp_path / "d.npz", tmp_path / "sets", label_column=2)
    assert open_data(tmp_path / "sets", task="classification").task == "classification"
    said = "holds classification labels; shards keep what was converted: convert the source again with --task"
    for request_ in ({"task": "multilabel"}, {"label_column": 1}):
        for read_ in (open_data, load):
            with pytest.raises(DataError, match=said):
                read_(tmp_path / "sets", **request_)


def test_the_metrics_are_those_of_the_file(tmp_path, mmsa_tree, write_pickle):
    sims = load(write_pickle(mmsa_tree(kind="sims")))
    assert (sims.label_range, sims.metric_report) == ((-1, 1), "sims")
    save_npz(sims, tmp_path / "sims.npz")
    assert load(tmp_path / "sims.npz").metric_report == "sims"
    # Another scale of the same ends is not SIMS.
    arrays = {"text": np.ones((4, 2, 3)), "labels": np.linspace(-1, 1, 4)}
    for label_range, expected in (((-1, 1), "sentiment"), ((-3, 3), "sentiment"), ((1, 5), "scale")):
        labels = np.linspace(*label_range, 4)
        dataset = Dataset.from_arrays(train={**arrays, "labels": labels}, label_range=label_range)
        assert dataset.metric_report == expected
