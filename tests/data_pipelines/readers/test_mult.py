"""MulT's, the SDK's and MultiBench's pickles."""

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, load
from tests.testing.dataset_pickles import (
    MULT_WIDTHS,
    content,
    mult_split,
    multibench_split,
    pad_end,
    pad_front,
    sequences,
)
from tests.testing.refusals import check_refused

NOALIGN = {"text": 50, "audio": 375, "vision": 500}
SIZES = {"train": 7, "valid": 3, "test": 4}


def build(aligned=True, **options):
    """The content by split, and the tree of a file with it."""
    items = {name: content(count, seed, aligned) for seed, (name, count) in enumerate(SIZES.items())}
    frames = None if aligned else NOALIGN
    return items, {name: mult_split(items[name], name, frames=frames, **options) for name in SIZES}


def holds(split, items):
    """Every sequence begins at frame 0 and is followed by zeros."""
    for modality, wanted in items.items():
        features = split.features[modality]
        assert split.lengths[modality].tolist() == [len(sequence) for sequence in wanted]
        np.testing.assert_array_equal(features, pad_end(wanted, features.shape[1]).astype("float32"))


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("aligned", [True, False])
def test_values(write_pickle, aligned, protocol):
    items, tree = build(aligned)
    dataset = load(write_pickle(tree, protocol))
    assert dataset.format == ("mult-aligned" if aligned else "mult-unaligned")
    assert (dataset.task, dataset.label_range, dataset.modalities) == (
        "regression",
        (-3, 3),
        ("text", "audio", "vision"),
    )
    assert dataset.feature_dims == MULT_WIDTHS and dataset.report.warnings == []
    assert list(dataset) == list(SIZES)
    for name, split in dataset.items():
        holds(split, items[name])
        assert split.ids.tolist() == [f"{name}vid_{row}" for row in range(SIZES[name])]
        np.testing.assert_array_equal(split.labels, tree[name]["labels"][:, 0, 0])


def test_mosei_ids_and_labels(write_pickle):
    _, tree = build(mosei=True)
    dataset = load(write_pickle(tree))
    assert dataset["test"].ids[2] == "testvid_2.5_3.25"
    np.testing.assert_array_equal(dataset["train"].labels, tree["train"]["labels"][:, 0, 0])
    assert dataset.report.warnings == ["labels: 7 columns, of which the first (sentiment) is used"]


def test_cleaning_is_reported_and_decides_where_a_sequence_begins(write_pickle):
    items, tree = build(aligned=False)
    length = len(items["valid"]["audio"][1])
    tree["valid"]["audio"][1, -1, :3] = [-np.inf, 1e300, np.nan]
    tree["valid"]["audio"][1, -length] = -np.inf  # a frame that holds nothing once it's cleaned
    dataset = load(write_pickle(tree))
    assert dataset.report.cleaned["valid"]["audio"] == {"nan": 1, "inf": 6, "overflow": 1, "padding_frames": 0}
    assert dataset["valid"].lengths["audio"][1] == length - 1
    assert dataset["valid"].features["audio"][1, length - 2, :3].tolist() == [0, 0, 0]
    np.testing.assert_array_equal(dataset["valid"].features["audio"][1, 0], items["valid"]["audio"][1][1].astype("f4"))


def test_front_and_end_padding_give_the_same_tensors(write_pickle):
    """Also as MMSA has it."""
    items, tree = build()
    front = load(write_pickle(tree))
    end = load(write_pickle({name: mult_split(items[name], name, pad=pad_end) for name in SIZES}))
    said = "padded at the end, not in front as files of this kind are: 14 samples end with an all-zero frame, 0 begin"
    assert end.report.warnings[0].startswith(said) and front.report.warnings == []
    mmsa = {}
    for name, part in tree.items():
        text_bert = np.zeros((SIZES[name], 3, 50))
        for row, sequence in enumerate(items[name]["text"]):
            text_bert[row, 1, : len(sequence)] = 1
        features = {modality: pad_end(sequences, 50) for modality, sequences in items[name].items()}
        labels = part["labels"][:, 0, 0]
        mmsa[name] = {"id": list(front[name].ids), "text_bert": text_bert, "regression_labels": labels, **features}
    mmsa = load(write_pickle(mmsa))
    assert mmsa.format == "mmsa-aligned"
    for name in SIZES:
        for other in (end[name], mmsa[name]):
            assert other.ids.tolist() == front[name].ids.tolist()
            np.testing.assert_array_equal(other.labels, front[name].labels)
            for modality in front.modalities:
                np.testing.assert_array_equal(other.features[modality], front[name].features[modality])
                np.testing.assert_array_equal(other.lengths[modality], front[name].lengths[modality])


def test_a_sample_without_text_is_kept_with_its_other_modalities(write_pickle):
    for aligned in (True, False):
        items, tree = build(aligned)
        tree["train"]["text"][3] = 0
        dataset = load(write_pickle(tree))
        items["train"]["text"][3] = np.zeros((0, 300))
        holds(dataset["train"], items["train"])
        assert dataset.report.warnings == ["train: 1 samples without text (all zero), for one trainvid_3"]


def test_a_missing_modality_has_length_0(write_pickle):
    _, tree = build(aligned=False)
    tree["train"]["vision"][2] = 0
    assert load(write_pickle(tree))["train"].lengths["vision"][2] == 0


def test_the_shared_word_axis_begins_with_the_text(write_pickle):
    """And what stands before it is dropped and counted; `modalities` makes no difference to that."""
    items, tree = build()
    length = len(items["train"]["text"][2])
    tree["train"]["text"][2, -length] = 0  # a first word without a vector
    for modalities in (None, ["audio"]):
        dataset = load(write_pickle(tree), modalities=modalities)
        assert dataset["train"].lengths["audio"][2] == length - 1
        wanted = items["train"]["audio"][2][1:].astype("float32")
        np.testing.assert_array_equal(dataset["train"].features["audio"][2, : length - 1], wanted)
        said = "train/audio: 1 non-zero frames of 1 samples come before the text's first frame, dropped"
        assert said in dataset.report.warnings


HUMOR_WIDTHS = {"vision": 371, "audio": 81, "text": 300}


def multibench(widths=MULT_WIDTHS, labels=None, frames=None, aligned=True):
    items = {name: content(count, seed, aligned, widths) for seed, (name, count) in enumerate(SIZES.items())}
    return items, {name: multibench_split(items[name], name, labels, frames) for name in SIZES}


@pytest.mark.parametrize("order", [("vision", "audio", "text"), ("text", "vision", "audio")])
def test_multibench(write_pickle, order):
    widths = {modality: {"vision": 35, "audio": 74, "text": 300}[modality] for modality in order}
    items, tree = multibench(widths)
    assert list(tree["train"])[:3] == list(order)
    dataset = load(write_pickle(tree))
    assert dataset.format == "multibench-aligned" and dataset.task == "regression"
    assert dataset.modalities == ("text", "audio", "vision") and dataset.report.warnings == []
    for name, split in dataset.items():
        holds(split, items[name])
    unaligned = multibench(widths, frames=NOALIGN, aligned=False)
    dataset = load(write_pickle(unaligned[1]))
    assert dataset.format == "multibench-unaligned"
    holds(dataset["test"], unaligned[0]["test"])


@pytest.mark.parametrize("aligned", [True, False])
def test_multibench_drops_samples_without_text(write_pickle, aligned):
    items, tree = multibench(frames=None if aligned else NOALIGN, aligned=aligned)
    for row in (0, 4):
        tree["train"]["text"][row] = 0
    dataset = load(write_pickle(tree))
    kept = [1, 2, 3, 5, 6]
    assert dataset["train"].ids.tolist() == [f"train[{row}]" for row in kept]
    np.testing.assert_array_equal(dataset["train"].labels, tree["train"]["labels"].ravel()[kept])
    holds(dataset["train"], {m: [values[row] for row in kept] for m, values in items["train"].items()})
    said = "train: 2 samples without text (all zero) are dropped, as MultiBench does, for one train[0]"
    assert dataset.report.warnings == [said]


def test_multibench_mosei_raw_labels(write_pickle):
    _, tree = multibench()
    for part in tree.values():
        part["labels"] = np.repeat(part["labels"], 7, axis=2) * np.arange(1, 8)
    dataset = load(write_pickle(tree))
    np.testing.assert_array_equal(dataset["test"].labels, tree["test"]["labels"][:, 0, 0])
    assert "labels: 7 columns, of which the first (sentiment) is used" in dataset.report.warnings


@pytest.mark.parametrize("values", [(0, 1), (-1, 1)])
def test_humor_and_sarcasm_are_classes(write_pickle, values):
    _, tree = multibench(HUMOR_WIDTHS, values)
    for start, part in enumerate(tree.values()):
        # Numbers, in rows of one: MultiBench reads `int(vid[0])`.
        part["id"] = 100.0 * start + np.arange(len(part["id"]))[:, None]
    dataset = load(write_pickle(tree))
    assert dataset.format == "multibench-aligned" and dataset.report.warnings == []
    assert dataset.task == "classification" and dataset.num_classes == 2 and dataset.label_range is None
    assert dataset["train"].labels.tolist() == [0, 1, 0, 1, 0, 1, 0] and dataset["train"].labels.dtype == np.int32
    assert dataset["train"].ids.tolist() == [str(row) for row in range(7)]


def test_two_values_elsewhere_are_a_guess_that_is_said(write_pickle):
    _, tree = multibench(labels=(-1, 1))
    dataset = load(write_pickle(tree))
    assert dataset.task == "classification"
    assert dataset.report.warnings[0].startswith(
        "labels: only -1 and 1 occur, so they are taken as the classes 0 and 1, which is a guess"
    )
    dataset = load(write_pickle(tree), label_range=(-3, 3))
    assert dataset.task == "regression" and dataset["train"].labels[:2].tolist() == [-1, 1]
    assert dataset.report.warnings == []
    _, tree = multibench(labels=(0, 1, 0.5))
    assert load(write_pickle(tree)).task == "regression"


def test_other_forms(write_pickle):
    """Lists for arrays of labels and ids, `dev`, an unlabelled test split, one frame per utterance."""
    items, tree = build()
    for part in tree.values():
        part["labels"] = [[[float(value)]] for value in part["labels"].ravel()]
        part["id"] = [tuple(row) for row in part["id"].tolist()]
        part["audio"] = part["audio"][:, -1]
    tree["dev"] = tree.pop("valid")
    del tree["test"]["labels"]
    dataset = load(write_pickle(tree))
    assert list(dataset) == ["train", "valid", "test"] and dataset["test"].labels is None
    assert dataset["train"].ids[1] == "trainvid_1" and dataset.format == "mult-unaligned"
    assert (
        dataset["valid"].features["audio"].shape == (3, 1, 5) and dataset["valid"].lengths["audio"].tolist() == [1] * 3
    )
    np.testing.assert_array_equal(dataset["valid"].features["text"][0, 0], items["valid"]["text"][0][0].astype("f4"))


def _set(split, field, value):
    def damage(tree):
        tree[split][field] = value(tree[split][field])

    return damage


def _empty_text(tree):
    tree["valid"]["text"][:] = 0
    for part in tree.values():
        part["id"] = part["id"].ravel().tolist()


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (_set("valid", "vision", lambda a: a[:2]), ("valid/vision has 2", "valid/text 3")),
        (_set("valid", "labels", lambda a: a[:2]), ("valid/labels has 2", "valid/text 3")),
        (_set("valid", "id", lambda a: a[:2]), ("valid/id has 2", "valid/text 3")),
        (_set("test", "audio", lambda a: a[:, :, :4]), ("test/audio is 4 wide", "audio 5")),
        (_set("test", "text", lambda a: a[0].tolist()), ("labels has 4 samples, test/text 50",)),
        (_set("test", "text", lambda a: a.astype("U9")), ("test/text", "<U", "features are num")),
        (_set("test", "text", lambda a: a[None]), ("test/text has shape (1, 4, 50, 300)",)),
        (_set("train", "labels", lambda a: a * 2), ("train/regression_labels holds -6", "trainvid_0", "[-3, 3]")),
        (_set("train", "labels", lambda a: np.where(a == a[0], np.nan, a)), ("no label (nan or blank): trainvid_0",)),
        (_set("train", "labels", lambda a: a.repeat(4, axis=1)), ("train/labels has shape (7, 4, 1)",)),
        (_set("train", "labels", lambda a: a[:, :, :0]), ("train/labels has shape (7, 1, 0)",)),
        (_set("train", "labels", lambda a: a.astype("U5")), ("train/labels is of type <U5",)),
        (_set("train", "labels", lambda a: [["x"]] * 7), ("train/labels holds a str at position 0",)),
        (_set("train", "id", lambda a: 5), ("train/id is a int",)),
        (_set("train", "id", lambda a: [[]] * 7), ("train/id holds 0 parts at position 0",)),
        (_set("train", "id", lambda a: [[None]] * 7), ("train/id holds a NoneType at position 0",)),
        (_empty_text, ("valid is empty: 0 samples",)),
    ],
)
def test_bad_files(write_pickle, damage, parts):
    _, tree = build()
    damage(tree)
    check_refused(write_pickle(tree), *parts)


def test_an_empty_split(write_pickle):
    _, tree = build()
    tree["test"] = {field: values[:0] for field, values in tree["test"].items()}
    with pytest.raises(DataError, match="test is empty: 0 samples"):
        load(write_pickle(tree))


def test_padding_helpers_differ():
    """The builders do what their names say: the tests above could fail."""
    items = sequences([2, 3], 4, 0)
    assert (pad_front(items, 5)[0, :3] == 0).all() and (pad_end(items, 5)[0, 2:] == 0).all()
    np.testing.assert_array_equal(pad_front(items, 5)[0, 3:], pad_end(items, 5)[0, :2])


@pytest.mark.parametrize("mixed", [False, True])
def test_sequences_in_lists(write_pickle, mixed):
    """Every frame of a list is a frame, the all-zero ones in front too; an array beside is padded in front as ever."""
    content_of = {"train": content(5, 1, aligned=False), "test": content(3, 2, aligned=False)}
    tree = {}
    for name, items in content_of.items():
        items["text"][1][0] = 0
        split = mult_split(items, name, frames={"text": 50, "audio": 100, "vision": 100})
        split |= {modality: items[modality] for modality in (["text"] if mixed else items)}
        tree[name] = split
    dataset = load(write_pickle(tree))
    assert dataset.format == "mult-unaligned"
    for name, items in content_of.items():
        for modality, frames in items.items():
            assert dataset[name].lengths[modality].tolist() == [len(sequence) for sequence in frames]
            for found, sequence in zip(dataset[name].features[modality], frames, strict=True):
                np.testing.assert_allclose(found[: len(sequence)], sequence, rtol=1e-6)
                assert not found[len(sequence) :].any()


def test_padded_arrays_as_lists_are_arrays(write_pickle):
    _, tree = build()
    expected = load(write_pickle(tree))
    for split in tree.values():
        split["text"] = split["text"].tolist()
    found = load(write_pickle(tree))
    assert found.format == expected.format and found.report == expected.report
    for name, split in expected.items():
        np.testing.assert_array_equal(found[name].features["text"], split.features["text"])
        assert found[name].lengths["text"].tolist() == split.lengths["text"].tolist()


def test_lists_without_a_text_and_other_names(write_pickle):
    items = content(4, 1, aligned=False)
    split = multibench_split(items, "train", frames={"text": 50, "audio": 100, "vision": 100})
    sequences = [*items["text"][:3], []]
    del split["text"]
    split |= {"language": sequences, "visual": split.pop("vision")}
    dataset = load(write_pickle({"train": split}))
    assert dataset.format == "multibench-unaligned" and dataset.modalities == ("text", "audio", "vision")
    assert len(dataset["train"]) == 3  # as MultiBench does
    assert dataset["train"].lengths["vision"].tolist() == [len(sequence) for sequence in items["vision"][:3]]
    with pytest.raises(DataError, match="sample 2 is 4 wide, others 300"):
        sequences[2] = np.ones((2, 4))
        load(write_pickle({"train": split}))
