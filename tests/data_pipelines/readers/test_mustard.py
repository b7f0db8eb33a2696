"""MUStARD: the json, its folds, its features, and the split by show."""

import json
import pickle

import h5py
import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, carve_validation, convert, load, speaker_independent
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.runs.jobs import check_trainable
from tests.testing.dataset_folders import (
    clips,
    mustard_folds,
    mustard_table,
    mustard_tree,
    write_bert,
    write_clips,
    write_mustard,
)


def test_values(tmp_path):
    dataset = load(write_mustard(tmp_path))
    table = mustard_table()
    assert dataset.format == "mustard" and list(dataset) == ["all"]
    assert dataset.task == "classification" and dataset.num_classes == 2
    assert dataset.feature_dims == {"text": 768, "audio": 283, "vision": 2048}
    split = dataset["all"]
    assert split.ids.tolist() == list(table) and split.labels.tolist() == [k % 2 for k in range(21)]
    assert split.folds.tolist() == [k % 5 for k in range(21)]
    assert split.groups[:9].tolist() == ["FRIENDS/CHANDLER"] * 5 + ["FRIENDS/PERSON"] * 3 + ["BBT/SHELDON"]
    assert split.raw_text[3] == "utterance 3"
    assert split.context_raw_text[3] == "sentence 3.0 sentence 3.1 sentence 3.2" and split.context_raw_text[4] == ""
    # One vector an utterance, one a sentence of the context: 0 + 1 + 2 + 3 stand before utterance 5's one.
    assert set(split.lengths["text"]) == {1} and split.features["text"][7, 0, 0] == 7
    assert split.context_lengths["text"].tolist() == [k % 4 for k in range(21)]
    assert split.context_features["text"][3, :, 0].tolist() == [103, 104, 105]
    assert split.context_features["text"][5, :, 0].tolist() == [106, 0, 0]
    # [283, T] becomes T frames.
    assert split.lengths["audio"].tolist() == [10 + k % 2 for k in range(21)]
    assert split.features["audio"][4, :, 100].tolist() == [*range(4, 14), 0]
    assert "audio" not in split.context_features
    assert split.lengths["vision"].tolist() == [k % 3 + 1 for k in range(21)]
    assert split.features["vision"][5, :, 2047].tolist() == [5, 5.25, 5.5]
    assert set(split.context_lengths["vision"]) == {4}
    assert dataset.report.warnings == [
        "folds: 5 of 7 speakers are in several folds of split_indices.p; `speaker_independent` splits by show"
    ]


def test_the_repository_itself_may_be_given(tmp_path):
    (tmp_path / "data").mkdir()
    write_mustard(tmp_path / "data", without=("features",))
    dataset = load(tmp_path)
    assert dataset.modalities == ("text", "audio") and len(dataset["all"]) == 21
    assert load(tmp_path, modalities=["audio"]).feature_dims == {"audio": 283}


def test_folds_by_speaker(tmp_path):
    dataset = load(write_mustard(tmp_path, without=("features",)))
    found = speaker_independent(dataset, share=0.35)
    assert list(found) == ["train", "valid", "test"] and found.task == "classification"
    test = found["test"]
    assert set(test.groups) == {"FRIENDS/CHANDLER", "FRIENDS/PERSON"} and len(test) == 8
    # Of 13 others at most 4.55: SHELDON's 6 are too many, LEONARD's 3 fit, then not DOROTHY's 2 but one of one.
    assert sorted(set(found["valid"].groups)) == ["BBT/LEONARD", "BBT/PERSON"] and len(found["valid"]) == 4
    groups = [set(split.groups) for split in found.values()]
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert sum(len(split) for split in found.values()) == 21 and found["train"].folds is None
    np.testing.assert_array_equal(test.features["audio"], dataset["all"].features["audio"][:8])
    assert found.sha256 == dataset.sha256
    with pytest.raises(DataError, match="no show 'CHEERS' beside others; it has BBT, FRIENDS, GOLDENGIRLS, SARC"):
        speaker_independent(dataset, show="CHEERS")
    with pytest.raises(DataError, match="no split 'all'"):
        speaker_independent(found)


def test_carving_takes_whole_groups():
    groups = ["a"] * 5 + ["b"] * 3 + ["c"] * 3 + ["d"]
    split = Split([str(k) for k in range(12)], {"text": np.ones((12, 1, 1))}, {"text": [1] * 12}, groups=groups)
    rest, part = carve_validation(split, share=0.34)  # 4.08 of 12
    assert part.groups.tolist() == ["b", "b", "b", "d"] and set(rest.groups) == {"a", "c"}
    assert rest.ids.tolist() == ["0", "1", "2", "3", "4", "8", "9", "10"]
    with pytest.raises(
        DataError, match="None of the 4 groups is small enough for 1% of 12 samples; the smallest has 1"
    ):
        carve_validation(split, share=0.01)
    with pytest.raises(ValueError, match="Received: share=1"):
        carve_validation(split, share=1)
    with pytest.raises(DataError, match="no groups"):
        carve_validation(Split(["a"], {"text": np.ones((1, 1, 1))}, {"text": [1]}))
    with pytest.raises(DataError, match="no groups, so no speakers"):
        speaker_independent(Dataset({"all": Split(["a"], {"text": np.ones((1, 1, 1))}, {"text": [1]})}))


def test_features_with_space_are_averaged_over_it(tmp_path):
    write_mustard(tmp_path, without=("features",))
    path = tmp_path / "features" / "utterances_final" / "resnet_res5c.hdf5"
    write_clips(path, clips(mustard_table(), shape=(16, 7, 7)))
    with h5py.File(path, "a") as file:
        file["1_2"][1, 3] = np.arange(49).reshape(7, 7)
    split = load(tmp_path, modalities=["vision"])["all"]
    assert split.features["vision"].shape == (21, 3, 16)
    assert split.features["vision"][2, :, :5].tolist() == [[2] * 5, [2.25, 2.25, 2.25, 24, 2.25], [2.5] * 5]
    assert split.context_features is None


def test_the_preferred_visual_file(tmp_path):
    write_mustard(tmp_path, without=("audio", "bert"))
    for name in ("c3d_fc7.hdf5", "a_net.hdf5"):
        write_clips(tmp_path / "features" / "utterances_final" / name, clips(mustard_table(), shape=(8,)))
    dataset = load(tmp_path)
    assert dataset.feature_dims == {"vision": 2048}
    assert "vision: resnet_pool5.hdf5 is read, c3d_fc7.hdf5, a_net.hdf5 not" in dataset.report.warnings


def test_long_clips_are_averaged_over_runs(tmp_path):
    write_mustard(tmp_path, without=("features",))
    path = tmp_path / "features" / "utterances_final" / "resnet_pool5.hdf5"
    write_clips(path, clips(mustard_table(), shape=(4,), frames=lambda number: 256 if number == 0 else 128))
    dataset = load(tmp_path, modalities=["vision"])
    vision = dataset["all"].features["vision"]
    assert vision.shape == (21, 128, 4)
    # Frame f of clip 0 is f / 4; the mean of frames 2k and 2k + 1 is (2k + 0.5) / 4.
    np.testing.assert_allclose(vision[0, :, 0], (2 * np.arange(128) + 0.5) / 4)
    np.testing.assert_allclose(vision[1, :, 0], 1 + np.arange(128) / 4)
    assert any("vision: 1 of 21 clips in utterances_final/resnet" in warning for warning in dataset.report.warnings)


def test_an_utterance_that_a_file_lacks(tmp_path):
    table = mustard_table()
    write_mustard(tmp_path, mustard_tree(table), without=("bert",))
    names = list(table)
    write_clips(tmp_path / "features" / "utterances_final" / "resnet_pool5.hdf5", clips(names[1:]))
    audio = {name: np.ones((283, 3)) for name in names[:-1]}
    audio[names[4]] = np.ones(283)  # one frame without an axis
    audio[names[5]] = np.ones((283, 0))
    (tmp_path / "audio_features.p").write_bytes(pickle.dumps(audio, protocol=2))
    dataset = load(tmp_path)
    split = dataset["all"]
    assert split.lengths["vision"][0] == 0 and split.lengths["vision"][1:].min() == 1
    assert split.lengths["audio"][[0, 4, 5, -1]].tolist() == [3, 1, 0, 0]
    said = "\n".join(dataset.report.warnings)
    assert f"1 of 21 utterances aren't in audio_features.p, and lack what it holds; one is {names[-1]}" in said
    assert (
        f"1 of 21 utterances aren't in utterances_final/resnet_pool5.hdf5, and lack what it holds; one is {names[0]}"
        in said
    )
    assert "text: there is no bert-output.jsonl" in said


def test_cleaning(tmp_path):
    write_mustard(tmp_path)
    with h5py.File(tmp_path / "features" / "context_final" / "resnet_pool5.hdf5", "a") as file:
        file["1_2"][1, :3] = [np.nan, -np.inf, 2e6]
    vectors = [np.full(768, float(k)) for k in range(21)]
    vectors[3][5] = np.inf
    write_bert(tmp_path / "bert-output.jsonl", vectors)
    dataset = load(tmp_path)
    cleaned = dataset.report.cleaned["all"]
    assert cleaned["context_vision"] == {"nan": 1, "inf": 1, "overflow": 1, "padding_frames": 0}
    assert cleaned["text"]["inf"] == 1 and dataset["all"].features["text"][3, 0, 4:7].tolist() == [3, 0, 3]
    assert dataset["all"].context_features["vision"][2, 1, :4].tolist() == [0, 0, 0, 2.25]


def test_texts_alone_are_for_an_encoder_or_extract(tmp_path):
    write_mustard(tmp_path, without=("features", "audio", "bert"))
    dataset = load(tmp_path)
    assert dataset.feature_dims == {"text": 0} and not dataset["all"].lengths["text"].any()
    assert len(dataset["all"].raw_text) == len(dataset["all"].context_raw_text) == 21
    assert "a text encoder reads it, and `plumkeras extract` makes vectors of it" in "".join(dataset.report.warnings)
    with pytest.raises(DataError, match=r"texts without vectors; read them by a text encoder \(--text.encoder"):
        check_trainable(find_recipe("mustard"), dataset)
    assert main(["inspect", str(tmp_path)]) == 0
    with pytest.raises(DataError, match="token ids, or texts alone, which are not written"):
        convert(dataset, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()
    write_mustard(tmp_path, without=("features", "bert"))
    with pytest.raises(DataError, match=r"of features: audio\. `plumkeras extract`"):
        load(tmp_path, modalities=["text", "audio"])


def test_without_folds_and_without_shows(tmp_path):
    table = mustard_table()
    for item in table.values():
        del item["show"]
        item["context"] = []
    dataset = load(write_mustard(tmp_path, mustard_tree(table), without=("features", "split")))
    assert dataset["all"].folds is None and dataset["all"].groups[0] == "CHANDLER"
    assert dataset["all"].context_features is None
    assert "there is no split_indices.p, so there are no folds" in dataset.report.warnings


def item(**values):
    return lambda table: table["1_2"].update(values)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (item(utterance=5), "1_2/utterance is a int"),
        (item(speaker=None), "1_2/speaker is a NoneType"),
        (item(context="a"), "1_2/context is a str"),
        (item(context=[1]), "1_2/context holds something else than sentences"),
        (item(sarcasm="true"), "1_2/sarcasm is a str"),
        (item(sarcasm=2), "1_2/sarcasm is 2; true or false is expected"),
        (lambda table: table["1_2"].pop("sarcasm"), "1 of 21 samples have no label .*: 1_2"),
        (lambda table: table.update({"1_2": 3}), "1_2 is a int; a dict is expected"),
        (lambda table: table.update({"\udc80": dict(table["1_2"])}), "which is no text"),
        (lambda table: table.clear(), "a dict of utterances is expected"),
    ],
)
def test_damaged_tables(tmp_path, damage, said):
    write_mustard(tmp_path, without=("features", "bert"))
    table = mustard_table()
    damage(table)
    (tmp_path / "sarcasm_data.json").write_text(json.dumps(table))
    (tmp_path / "split_indices.p").unlink()
    with pytest.raises(DataError, match=said):
        load(tmp_path)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"a": ' * 100_000, b"[1]"])
def test_damaged_json(tmp_path, data):
    write_mustard(tmp_path, without=("features",))
    (tmp_path / "sarcasm_data.json").write_bytes(data)
    with pytest.raises(DataError, match=r"sarcasm_data\.json: (damaged, or no JSON|is a list)"):
        load(tmp_path)


def swap(folds):
    folds[0], folds[1] = (folds[0][0], folds[1][1]), (folds[1][0], folds[0][1])


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (swap, "fold 0 tests an utterance that it trains on"),
        (lambda folds: folds.pop(), "no fold tests 1_4"),
        (lambda folds: folds.append(folds[0]), "fold 5 tests an utterance .* tested twice"),
        (lambda folds: folds.append((np.array([0]), np.array([21]))), "fold 5 has positions from 21 to 21, for 21"),
        (lambda folds: folds.append((np.array([0]), np.array([-1]))), "fold 5 has positions from -1"),
        (lambda folds: folds.append((np.array([0.5]), np.array([1]))), "fold 5 holds 0.5"),
        (lambda folds: folds.append(np.array([1])), "a list of pairs, train and test positions, is expected"),
    ],
)
def test_damaged_folds(tmp_path, damage, said):
    write_mustard(tmp_path, without=("features", "bert"))
    folds = mustard_folds()
    damage(folds)
    (tmp_path / "split_indices.p").write_bytes(pickle.dumps(folds, protocol=2))
    with pytest.raises(DataError, match=rf"split_indices\.p.*{said}"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"1_0": np.ones((283, 2)), "2_1": np.ones((282, 2))}, "2_1 is 282 wide, others 283"),
        ({"1_0": np.ones((283, 2, 2))}, "1_0 has shape"),
        ({"1_0": "frames"}, "1_0 is a str"),
        ([1], "is a list; a dict by id is expected"),
        ({}, "holds no frame of any utterance"),
    ],
)
def test_damaged_audio(tmp_path, content, said):
    write_mustard(tmp_path, without=("features", "bert"))
    (tmp_path / "audio_features.p").write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(DataError, match=rf"audio_features\.p.*{said}"):
        load(tmp_path)


def test_damaged_visual_files(tmp_path):
    write_mustard(tmp_path, without=("audio", "bert"))
    path = tmp_path / "features" / "utterances_final" / "resnet_pool5.hdf5"
    whole = path.read_bytes()
    for data in (b"", whole[:3000], whole[:-100]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"resnet_pool5\.hdf5.*truncated or corrupt"):
            load(tmp_path)
    write_clips(path, clips(mustard_table()))
    with h5py.File(path, "a") as file:
        del file["1_2"]
        file["1_2"] = np.ones(2048)
    with pytest.raises(DataError, match=r"1_2 has shape \(2048,\)"):
        load(tmp_path)
    with h5py.File(path, "a") as file:
        del file["1_2"]
        file["1_2"] = np.ones((2, 8))
    with pytest.raises(DataError, match=r"1_2 is 8 wide, others 2048"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "has 20 lines, for 21 utterances"),
        (lambda lines: [*lines[:5], "{", *lines[6:]], "line 6 isn't what BERT's"),
        (lambda lines: [*lines[:5], '{"features": []}', *lines[6:]], "line 6 isn't what BERT's"),
        (lambda lines: [*lines[:5], "[" * 100_000, *lines[6:]], "line 6 isn't what BERT's"),
        (lambda lines: [*lines[:5], lines[5].replace("3.5", '"x"', 1)], "line 6 is a str"),
        (lambda lines: [*lines[:5], '{"features": [{"layers": []}]}'], "line 6 has no values"),
        (lambda lines: ['{"features": [{"layers": [{"values": [1, 2]}]}]}', *lines[1:]], "2_1 is 768 wide, others 2"),
    ],
)
def test_damaged_bert_files(tmp_path, change, said):
    write_mustard(tmp_path, without=("features", "audio"))
    path = tmp_path / "bert-output.jsonl"
    path.write_text("\n".join(change(path.read_text().splitlines())))
    with pytest.raises(DataError, match=rf"bert-output\.jsonl.*{said}"):
        load(tmp_path)


def test_an_utterance_listed_twice(tmp_path):
    path = tmp_path / "sarcasm_data.json"
    name = next(iter(mustard_table()))
    item = json.dumps(mustard_table()[name])
    path.write_text(f'{{"{name}": {item}, "other": {item}, "{name}": {item}}}')
    with pytest.raises(DataError, match=rf"sarcasm_data\.json: lists '{name}' twice: delete one of them"):
        load(tmp_path)
