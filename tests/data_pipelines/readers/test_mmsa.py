"""MMSA's pickles, as published and as people damage them."""

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, load
from plumkeras.recipes import RecipeConfig
from plumkeras.recipes.runs.data_checks import check_dataset
from tests.testing.refusals import check_refused


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("aligned", [True, False])
def test_values(mmsa_tree, write_pickle, aligned, protocol):
    tree = mmsa_tree(aligned)
    dataset = load(write_pickle(tree, protocol))
    assert dataset.format == ("mmsa-aligned" if aligned else "mmsa-unaligned")
    assert list(dataset) == ["train", "valid", "test"]
    assert dataset.task == "regression" and dataset.label_range == (-3, 3)
    assert dataset.feature_dims == {"text": 8, "audio": 5, "vision": 4}
    for name, split in dataset.items():
        part = tree[name]
        assert split.ids.tolist() == part["id"] and "$_$" in split.ids[0]
        assert list(split.raw_text) == part["raw_text"].tolist()
        np.testing.assert_array_equal(split.labels, part["regression_labels"].astype("float32"))
        words = part["text_bert"][:, 1].sum(axis=1)
        np.testing.assert_array_equal(split.lengths["text"], words)
        for modality in ("audio", "vision"):
            wanted = words if aligned else part[f"{modality}_lengths"]
            np.testing.assert_array_equal(split.lengths[modality], wanted)
        for modality, features in split.features.items():
            assert features.dtype == np.float32 and split.lengths[modality].dtype == np.int32
            expected = np.where(np.isinf(part[modality]), 0, part[modality]).astype("float32")
            expected[np.arange(expected.shape[1]) >= split.lengths[modality][:, None]] = 0
            np.testing.assert_array_equal(features, expected)


def test_cleaning_is_reported(mmsa_tree, write_pickle):
    tree = mmsa_tree(aligned=False)
    tree["valid"]["vision"][1, 0, :3] = [np.nan, 1e300, -2e6]
    dataset = load(write_pickle(tree))
    assert dataset.report.cleaned["train"]["audio"] == {
        "nan": 0, "inf": 1, "overflow": 0, "padding_frames": 2,
    }  # fmt: skip
    assert dataset.report.cleaned["valid"]["vision"] == {
        "nan": 1, "inf": 0, "overflow": 2, "padding_frames": 2,
    }  # fmt: skip
    assert dataset["valid"].features["vision"][1, 0, :3].tolist() == [0, 0, 0]
    said = "\n".join(dataset.report.warnings)
    assert "train/audio: values set to 0: 1 infinite" in said
    assert "valid/vision: 2 non-zero frames past the length, zeroed" in said


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("dtype", ["float16", "float64", "int64"])
def test_token_ids_of_any_type(mmsa_tree, write_pickle, dtype):
    tree, ids = mmsa_tree(), {}
    for name in ("train", "valid", "test"):
        part = tree[name]
        # All that float16 holds exactly.
        part["text_bert"][:, 0] = np.arange(part["text_bert"][:, 0].size).reshape(part["text_bert"][:, 0].shape) % 2048
        part["text_bert"] = part["text_bert"].astype(dtype)
        ids[name] = np.where(part["text_bert"][:, 1] != 0, part["text_bert"][:, 0], -1)
    dataset = load(write_pickle(tree))
    for name, split in dataset.items():
        assert split.token_ids.dtype == np.int32
        np.testing.assert_array_equal(np.sort(split.token_ids), np.sort(ids[name].astype("int32")))


def test_half_precision_infinity_is_found(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    tree["test"]["audio"] = tree["test"]["audio"].astype("float16")
    tree["test"]["vision"] = tree["test"]["vision"].astype("float16")
    tree["test"]["vision"][1, 0, 0] = np.inf
    dataset = load(write_pickle(tree))
    for modality in ("audio", "vision"):
        assert dataset.report.cleaned["test"][modality]["inf"] == 1
        assert np.isfinite(dataset["test"].features[modality]).all()


def test_sims(mmsa_tree, write_pickle):
    tree = mmsa_tree(aligned=False, kind="sims")
    dataset = load(write_pickle(tree))
    assert dataset.label_range == (-1, 1)
    given = dataset["test"].modality_labels
    assert list(given) == ["text", "audio", "vision"]
    np.testing.assert_allclose(given["audio"], tree["test"]["regression_labels_A"], rtol=1e-6)
    tree["test"]["regression_labels"][2] = 1.5
    with pytest.raises(DataError, match=r"test/regression_labels holds 1\.5 for sample testvideo"):
        load(write_pickle(tree))
    assert load(write_pickle(tree), label_range=(-3, 3)).label_range == (-3, 3)


def test_without_mask_trailing_zeros_are_taken_and_said(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    words = {}
    for name, part in tree.items():
        words[name] = part.pop("text_bert")[:, 1].sum(axis=1)
    dataset = load(write_pickle(tree))
    for name, split in dataset.items():
        np.testing.assert_array_equal(split.lengths["text"], words[name])
        assert any(
            w.startswith(f"{name}/text: no lengths in the file, so trailing all-zero") for w in dataset.report.warnings
        )


def test_classification_labels_only_without_regression(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    for part in tree.values():
        del part["regression_labels"]
    dataset = load(write_pickle(tree))
    assert dataset.task == "classification" and dataset["train"].labels.dtype == np.int32
    assert dataset.num_classes == 3 and dataset.label_range is None


def test_disagreeing_annotations_are_a_warning(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    assert load(write_pickle(tree)).report.warnings == [f"{name}/audio: values set to 0: 1 infinite" for name in tree]
    tree["train"]["regression_labels"][4] = -0.5
    tree["train"]["annotations"][4] = "Neutral"
    tree["train"]["classification_labels"][4] = 1
    said = "\n".join(load(write_pickle(tree)).report.warnings)
    assert "train/annotations: 1 contradict" in said and "trainvideo$_$4: Neutral for -0.5" in said
    assert "train/classification_labels: 1 contradict" in said


def test_other_forms(mmsa_tree, write_pickle):
    """Labels (N, 1), utterance-level features [N, F], integers, `dev`, bytes, no labels."""
    tree = mmsa_tree()
    for part in tree.values():
        part["regression_labels"] = part["regression_labels"][:, None]
        part["audio"] = np.arange(len(part["id"]) * 5).reshape(-1, 5)
        part["id"] = [name.encode() for name in part["id"]]
        del part["annotations"], part["classification_labels"]
    tree["dev"] = tree.pop("valid")
    del tree["test"]["regression_labels"]
    dataset = load(write_pickle(tree))
    assert list(dataset) == ["train", "valid", "test"]
    assert dataset["train"].features["audio"].shape == (9, 1, 5)
    assert dataset["train"].lengths["audio"].tolist() == [1] * 9
    assert dataset["train"].labels.shape == (9,) and dataset["test"].labels is None
    assert dataset["train"].ids[3] == "trainvideo$_$3"


def test_modalities_are_chosen(mmsa_tree, write_pickle):
    path = write_pickle(mmsa_tree())
    assert load(path, modalities=["vision", "text"]).modalities == ("vision", "text")
    assert load(path, modalities="audio").feature_dims == {"audio": 5}
    with pytest.raises(DataError, match="train has no modality 'video'; it has text, audio, vis"):
        load(path, modalities=["video"])


def test_duplicates_and_leakage_are_reported(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    tree["train"]["id"][1] = tree["train"]["id"][0]
    tree["test"]["id"][2] = tree["train"]["id"][5]
    said = "\n".join(load(write_pickle(tree)).report.warnings)
    assert "train/id: 1 duplicate ids, for one trainvideo$_$0" in said
    assert "1 ids are both in train and in test, for one trainvideo$_$5" in said


def _drop_text(tree):
    for part in tree.values():
        del part["text"]


def _set(split, field, value):
    def damage(tree):
        tree[split][field] = value(tree[split][field])

    return damage


def _at(split, field, position, value):
    def damage(tree):
        tree[split][field][position] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "parts"),
    [
        (_drop_text, ("train", "text_bert holds token ids", "plumkeras extract", "modalities=('audio', 'vision')")),
        (_set("valid", "vision", lambda a: a[:3]), ("valid/vision has 3", "valid/id 4")),
        (_set("test", "audio", lambda a: a[:, :, :4]), ("test/audio is 4 wide", "audio 5")),
        (_set("train", "regression_labels", lambda a: a[:8]), ("train/labels has 8", "id 9")),
        (_set("train", "id", lambda a: a[:8]), ("train/text has 9", "train/id 8")),
        (_set("train", "raw_text", lambda a: a[:8]), ("train/raw_text has 8", "id 9")),
        (_set("train", "annotations", lambda a: a[:8]), ("train/annotations has 8", "labels 9")),
        (_set("test", "text", lambda a: a.astype(str)), ("test/text", "<U", "features are num")),
        (_set("test", "text", lambda a: [{}] * 5), ("test/text: sample 0 is a dict",)),
        (_set("test", "text", lambda a: {}), ("test/text is a dict",)),
        (_set("test", "text", lambda a: a[None]), ("test/text has shape (1, 5, 50, 8)",)),
        (_set("test", "text", lambda a: a[:, :0]), ("test/text has shape (5, 0, 8): nothing in it",)),
        (_set("test", "text", lambda a: a[:, :, :0]), ("test/text has shape (5, 50, 0): nothing in it",)),
        (_set("test", "text_bert", lambda a: a[:, :, :0]), ("test/text_bert is (5, 3, 0)",)),
        (_set("test", "text_bert", lambda a: a[:, :2]), ("test/text_bert is (5, 2, 50)",)),
        (_set("test", "text_bert", lambda a: a[:, :, ::-1]), ("test/text_bert", "sample 0")),
        (_set("test", "text_bert", lambda a: a[:4]), ("test/text_bert has 4", "test/text 5")),
        (_set("test", "regression_labels", lambda a: "abc"), ("test/regression_labels", "str")),
        (_at("test", "regression_labels", 3, np.nan), ("test/regression_labels", "nan", "o$_$3")),
        (_at("test", "regression_labels", 3, 1e300), ("test/regression_labels", "inf", "o$_$3")),
        (_set("test", "regression_labels", lambda a: [10**400] * 5), ("test/regression_labels", "no float")),
        (_set("test", "regression_labels", lambda a: np.array([10**400] * 5, object)), ("no float can hold",)),
        (_at("test", "regression_labels", 3, 3.4), ("test/regression_labels", "3.4", "o$_$3")),
        (_at("valid", "audio_lengths", 2, 13), ("valid/audio_lengths", "13", "o$_$2", "12 fr")),
        (_at("valid", "audio_lengths", 2, -1), ("valid/audio_lengths", "-1", "o$_$2")),
        (_at("valid", "audio_lengths", 2, 1.5), ("valid/audio_lengths", "1.5", "whole")),
        (_at("valid", "audio_lengths", 2, "x"), ("valid/audio_lengths", "str", "position 2")),
        (_at("valid", "id", 2, None), ("valid/id", "NoneType", "position 2")),
        (_at("valid", "id", 2, "x" * 2000), ("valid/id", "2000 characters")),
    ],
)
def test_bad_files(mmsa_tree, write_pickle, damage, parts):
    tree = mmsa_tree(aligned=False)
    damage(tree)
    check_refused(write_pickle(tree), *parts)


def test_modality_missing_in_one_split(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    del tree["valid"]["vision"]
    path = write_pickle(tree)
    with pytest.raises(DataError, match="valid has no vision, which train has"):
        load(path)
    assert load(path, modalities=["text"]).modalities == ("text",)


@pytest.mark.parametrize("aligned", [True, False])
def test_an_empty_split_is_left_out(mmsa_tree, write_pickle, aligned):
    """As MMSA-FET writes one that no clip is of: lists without items and arrays without rows."""
    tree = mmsa_tree(aligned)
    wanted = load(write_pickle(tree))
    empty = {name: {field: values[:0] for field, values in part.items()} for name, part in tree.items()}
    dataset = load(write_pickle({**tree, "test": empty["test"]}))
    assert list(dataset) == ["train", "valid"] and dataset.format == wanted.format
    assert dataset.report.warnings[0] == "test: is empty: 0 samples, so the split is left out"
    np.testing.assert_array_equal(dataset["valid"].features["audio"], wanted["valid"].features["audio"])
    with pytest.raises(DataError, match="no split 'test'; it has train, valid"):
        dataset.split("test")
    check_dataset(RecipeConfig(name="mine"), dataset)
    with pytest.raises(DataError, match="train, valid, test: every split is empty: 0 samples"):
        load(write_pickle(empty))
    # Ids alone that are gone are damage.
    with pytest.raises(DataError, match=r"test/text has 5 samples, test/id 0"):
        load(write_pickle({**tree, "test": {**tree["test"], "id": []}}))


def test_missing_split(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    del tree["test"]
    path = write_pickle({**tree, "extra": tree["valid"]})
    dataset = load(path)
    assert "extra: unknown split, not read; splits are train, valid, dev, val, test" in dataset.report.warnings
    with pytest.raises(DataError) as caught:
        dataset.split("test")
    assert all(part in str(caught.value) for part in (str(path), "'test'", "train, valid"))


@pytest.mark.parametrize(
    "tree",
    [
        [1, 2],
        {"train": {"labels": np.zeros((2, 1, 1)), "id": ["a", "b"]}},
        {"train": {"regression_labels": np.zeros(2), "labels": np.zeros(2), "text": np.zeros((2, 3, 4))}},
        {"text": ["a", "b"], "audio": [1]},
        [((1, 2, 3), 4)],
        {"a": 1},
        "text",
    ],
)
def test_unknown_layouts_name_the_known_ones(write_pickle, tree):
    with pytest.raises(DataError, match=r"no known layout; expected a dict .*; known formats: npz .* MMSA"):
        load(write_pickle(tree))


def test_sims_v2(mmsa_tree, write_pickle):
    """Graded annotations, classes per modality beside the labels; told by its widths where `_T/_A/_V` are absent."""
    tree = mmsa_tree(aligned=False, kind="sims")
    for part in tree.values():
        words = ("Weakly Negative", "Neutral", "weakly positive")
        part["annotations"] = [words[int(np.sign(label)) + 1] for label in part["regression_labels"]]
        for letter in "TAV":
            part[f"classification_labels_{letter}"] = np.zeros(len(part["id"]))
    dataset = load(write_pickle(tree))
    assert dataset.label_range == (-1, 1) and list(dataset["valid"].modality_labels) == ["text", "audio", "vision"]
    assert not any("contradict" in warning for warning in dataset.report.warnings)
    for part in tree.values():
        for letter in "TAV":
            del part[f"regression_labels_{letter}"]
    assert load(write_pickle(tree)).label_range == (-3, 3)
    for part in tree.values():
        part["audio"] = np.repeat(part["audio"], 7, axis=2)[:, :, :33]
        part["vision"] = np.repeat(part["vision"], 200, axis=2)[:, :, :709]
    assert load(write_pickle(tree)).label_range == (-1, 1)


def test_mmsa_fet(mmsa_tree, write_pickle):
    """Arrays for lists, no classes, no annotation in its label.csv, no text model and so no `text_bert`."""
    tree = mmsa_tree(aligned=False)
    for part in tree.values():
        del part["classification_labels"], part["text_bert"], part["text"]
        part["annotations"] = np.full(len(part["id"]), np.nan)
        for field in ("id", "audio_lengths", "vision_lengths"):
            part[field] = np.array(part[field])
    tree["test"]["annotations"] = ["nan", np.nan, *tree["valid"]["annotations"][:3].tolist()]
    dataset = load(write_pickle(tree))
    assert dataset.format == "mmsa-unaligned" and dataset.modalities == ("audio", "vision")
    assert not any("annotations" in warning for warning in dataset.report.warnings)
    tree["test"]["annotations"][1] = "Positive" if tree["test"]["regression_labels"][1] <= 0 else "Negative"
    assert any("test/annotations: 1 contradict" in warning for warning in load(write_pickle(tree)).report.warnings)


@pytest.mark.parametrize("aligned", [True, False])
def test_mmsa_fet_padded_at_the_start(mmsa_tree, write_pickle, aligned):
    """`padding_location="start"`: the mask says so, and the tensors are those of the file padded at the end."""
    tree = mmsa_tree(aligned)
    wanted = load(write_pickle(tree))
    for name, part in tree.items():
        for modality, features in wanted[name].features.items():
            frames, lengths = features.shape[1], wanted[name].lengths[modality]
            rows = [np.roll(row, frames - length, axis=0) for row, length in zip(features, lengths, strict=True)]
            part[modality] = np.array(rows, dtype="float64")
        part["text_bert"] = part["text_bert"][:, :, ::-1]
    dataset = load(write_pickle(tree))
    for name, split in dataset.items():
        for modality in dataset.modalities:
            assert f"{name}/{modality}: padded in front, moved to frame 0" in dataset.report.warnings
            np.testing.assert_array_equal(split.lengths[modality], wanted[name].lengths[modality])
            np.testing.assert_array_equal(split.features[modality], wanted[name].features[modality])
    tree["valid"]["text_bert"] = tree["valid"]["text_bert"][:, :, ::-1]
    with pytest.raises(DataError, match="train/text_bert: the attention mask of sample 0 isn't ones followed by zeros"):
        load(write_pickle(tree))


def test_mmsa_fet_padded_at_the_start_without_a_mask(mmsa_tree, write_pickle):
    """No text model, so no `text_bert`: what lies before and after the lengths tells the side."""
    tree = mmsa_tree(aligned=False)
    for part in tree.values():
        del part["text_bert"], part["text"]
    wanted = load(write_pickle(tree))
    assert not any("in front" in warning for warning in wanted.report.warnings)
    for name, part in tree.items():
        for modality, features in wanted[name].features.items():
            starts = features.shape[1] - wanted[name].lengths[modality]
            part[modality] = np.array(
                [np.roll(row, start, axis=0) for row, start in zip(features, starts, strict=True)]
            )
    dataset = load(write_pickle(tree))
    for name, split in dataset.items():
        for modality in dataset.modalities:
            assert f"{name}/{modality}: padded in front, moved to frame 0" in dataset.report.warnings
            np.testing.assert_array_equal(split.lengths[modality], wanted[name].lengths[modality])
            np.testing.assert_array_equal(split.features[modality], wanted[name].features[modality])


def test_a_mask_of_zeros_says_nothing_about_the_side(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    for part in tree.values():
        part["text_bert"][:, 1] = 0
    dataset = load(write_pickle(tree))
    assert dataset["train"].lengths["text"].tolist() == [0] * 9
    assert not any("in front" in warning for warning in dataset.report.warnings)


@pytest.mark.parametrize("has_tokens", [True, False])
def test_one_video(write_pickle, has_tokens):
    """MMSA-FET's `run_single`: no splits, no sample axis, no labels."""
    random = np.random.default_rng(0)
    tree = {"audio": random.normal(size=(11, 5)), "vision": random.normal(size=(7, 4)), "text": np.ones((6, 768))}
    tree["audio"][-2:] = 0  # silence, not padding
    if has_tokens:
        tree["text_bert"] = np.ones((3, 6))
        tree["text_bert"][1, 5] = 0
    dataset = load(write_pickle(tree))
    assert dataset.format == "mmsa-single" and list(dataset) == ["all"] and len(dataset["all"]) == 1
    assert dataset.task is None and dataset["all"].labels is None
    assert {m: n.tolist() for m, n in dataset["all"].lengths.items()} == {
        "text": [5 if has_tokens else 6], "audio": [11], "vision": [7],
    }  # fmt: skip
    np.testing.assert_array_equal(dataset["all"].features["audio"][0], tree["audio"].astype("float32"))
    assert dataset.report.warnings[0] == "all/id: no ids in the file, so samples are numbered"


def test_one_part_without_splits(mmsa_tree, write_pickle):
    tree = mmsa_tree()["train"]
    dataset = load(write_pickle(tree))
    assert list(dataset) == ["all"] and dataset["all"].ids.tolist() == tree["id"] and dataset.format == "mmsa-aligned"


@pytest.mark.parametrize("value", [np.ones((2, 3, 4, 5)), np.array(["a"]), np.float64(3)])
def test_one_video_of_another_shape(write_pickle, value):
    with pytest.raises(DataError):
        load(write_pickle({"audio": value, "vision": np.ones((7, 4))}))


def test_ids_do_not_unfold(write_pickle):
    """An array of texts gives each the room of the longest."""
    names = ["a"] * 70_000 + ["b" * 1000]
    tree = {"train": {"id": names, "audio": np.ones((len(names), 1), "int8")}}
    with pytest.raises(DataError, match="train/id holds 70001 ids of up to 1000 characters"):
        load(write_pickle(tree))
    with pytest.raises(DataError, match="train/id holds a text of 70000 bytes at position 0"):
        load(write_pickle({"train": {"id": ["c" * 70_000], "audio": np.ones((1, 1))}}))


def as_lists(split, modalities=("text", "audio", "vision")):
    """A split of an unaligned file with sequences in place of padded arrays, and what their lengths are."""
    lengths = {"text": split["text_bert"][:, 1].sum(axis=1).astype(int).tolist()}
    lengths |= {modality: split[f"{modality}_lengths"] for modality in ("audio", "vision")}
    for modality in modalities:
        split.pop(f"{modality}_lengths", None)
        split[modality] = [sample[:n] for sample, n in zip(split[modality], lengths[modality], strict=True)]
    return split, lengths


@pytest.mark.parametrize("has_mask", [True, False])
def test_sequences_in_lists(mmsa_tree, write_pickle, has_mask):
    expected = load(write_pickle(mmsa_tree(aligned=False)))
    tree = mmsa_tree(aligned=False)
    for split in tree.values():
        as_lists(split)
        if not has_mask:
            del split["text_bert"]
    tree["valid"]["vision"] = np.array([*tree["valid"]["vision"], None], dtype=object)[:-1]
    found = load(write_pickle(tree))
    assert found.format == "mmsa-unaligned"
    for name, split in expected.items():
        for modality in split.modalities:
            assert found[name].lengths[modality].tolist() == split.lengths[modality].tolist()
            longest = found[name].features[modality].shape[1]
            assert longest == split.lengths[modality].max()
            np.testing.assert_array_equal(found[name].features[modality], split.features[modality][:, :longest])


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("change", [np.ndarray.tolist, list, lambda array: array.astype(object)])
def test_padded_arrays_as_lists_are_arrays(mmsa_tree, write_pickle, aligned, change):
    """Sequences of the same length are the rows of an array, and their padding is padding."""
    expected = load(write_pickle(mmsa_tree(aligned)))
    tree = mmsa_tree(aligned)
    for split in tree.values():
        for modality in ("text", "audio", "vision"):
            split[modality] = change(split[modality])
    found = load(write_pickle(tree))
    assert found.format == expected.format and found.report == expected.report
    for name, split in expected.items():
        for modality in split.modalities:
            assert found[name].lengths[modality].tolist() == split.lengths[modality].tolist()
            np.testing.assert_array_equal(found[name].features[modality], split.features[modality])


def test_lengths_that_lists_contradict(mmsa_tree, write_pickle):
    tree = mmsa_tree(aligned=False)
    _, lengths = as_lists(tree["test"], ["audio"])
    tree["test"]["audio_lengths"] = lengths["audio"]
    assert load(write_pickle(tree))["test"].lengths["audio"].tolist() == lengths["audio"]
    tree["test"]["audio_lengths"] = [lengths["audio"][0], lengths["audio"][1] + 1, *lengths["audio"][2:]]
    with pytest.raises(DataError, match=r"test/audio_lengths holds \d+ for sample 1, whose sequence has \d+ frames"):
        load(write_pickle(tree))
    tree["test"]["audio"][3] = ["no", "numbers"]
    with pytest.raises(DataError, match="test/audio: sample 3"):
        load(write_pickle(tree))
    tree["test"]["audio"] = list(tree["test"]["raw_text"])
    with pytest.raises(DataError, match="test/audio: sample 0 is a text, where vectors are expected"):
        load(write_pickle(tree))


def test_other_names_of_modalities(mmsa_tree, write_pickle):
    expected = load(write_pickle(mmsa_tree(aligned=False)))
    tree = mmsa_tree(aligned=False)
    names = {"audio": "acoustic", "vision": "visual", "text": "language"}
    for split in tree.values():
        for modality, name in names.items():
            split[name] = split.pop(modality)
            if f"{modality}_lengths" in split:
                split[f"{name}_lengths"] = split.pop(f"{modality}_lengths")
    found = load(write_pickle(tree))
    assert found.modalities == ("text", "audio", "vision") and found.format == "mmsa-unaligned"
    for modality, name in names.items():
        assert f"{name}: read as {modality}" in found.report.warnings
        np.testing.assert_array_equal(found["test"].features[modality], expected["test"].features[modality])
        assert found["test"].lengths[modality].tolist() == expected["test"].lengths[modality].tolist()


def test_one_modality_under_two_names(mmsa_tree, write_pickle):
    tree = mmsa_tree(aligned=True)
    for split in tree.values():
        split["video"] = split["vision"]
    with pytest.raises(DataError, match="train has vision under two names, vision and video: remove or rename one"):
        load(write_pickle(tree))
    dataset = load(write_pickle(tree), modalities=["text", "vision"])
    assert dataset.modalities == ("text", "vision") and any(
        warning.startswith("test/video: unknown field, not read; features") for warning in dataset.report.warnings
    )
    # The names of the videos are no features.
    for split in tree.values():
        split["video"] = split["id"]
    assert load(write_pickle(tree)).modalities == ("text", "audio", "vision")


def test_lists_without_splits(write_pickle):
    sequences = [np.ones((2, 4)), [[0.0] * 4, [1.0] * 4, [1.0] * 4], np.ones((1, 4))]
    split = load(write_pickle({"text": sequences, "regression_labels": [1.0, -1, 0]}))["all"]
    assert split.lengths["text"].tolist() == [2, 3, 1] and split.labels.tolist() == [1, -1, 0]


def test_annotations_that_say_nothing(mmsa_tree, write_pickle):
    tree = mmsa_tree()
    tree["train"]["annotations"][4:7] = ["", None, "  "]
    tree["train"]["annotations"][8] = "joy"
    said = "\n".join(load(write_pickle(tree)).report.warnings)
    assert "train/annotations: 3 are empty, for one trainvideo$_$4 (sample 4); they aren't used" in said
    assert "1 say neither negative, neutral nor positive, for one trainvideo$_$8 (sample 8): 'joy'" in said
    assert "contradict" not in said
