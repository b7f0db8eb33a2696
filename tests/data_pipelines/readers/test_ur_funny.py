"""UR-FUNNY, V1 and V2: punchlines and their contexts."""

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, join_context, load
from plumkeras.data_pipelines.readers.ur_funny import CONTEXT_FRAMES
from tests.testing.dataset_folders import SEGMENTS, ur_funny_tree, write_ur_funny

FOLDS = {"train": "train", "dev": "valid", "test": "test"}


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("kind", [int, str, np.int64])
@pytest.mark.parametrize("version", ["v1", "v2"])
def test_values(tmp_path, version, kind, protocol):
    dataset = load(write_ur_funny(tmp_path, ur_funny_tree(version, kind), protocol))
    assert dataset.format == f"ur_funny-{version}" and list(dataset) == ["train", "valid", "test"]
    assert dataset.task == "classification" and dataset.num_classes == 2 and dataset.label_range is None
    assert dataset.feature_dims == {"text": 300, "audio": 81, "vision": 371 if version == "v2" else 75}
    assert dataset.report.warnings == []
    for fold, name in FOLDS.items():
        split = dataset[name]
        assert split.ids.tolist() == [str(s) for s in SEGMENTS[fold]]
        assert split.labels.dtype == np.int32 and split.labels.tolist() == [s % 2 for s in SEGMENTS[fold]]
        for row, segment in enumerate(SEGMENTS[fold]):
            words, sentences = segment % 5 + 1, 0 if segment == 4 else segment % 3 + 1
            assert split.lengths["text"][row] == split.lengths["audio"][row] == words
            assert split.lengths["vision"][row] == words - (segment == 5)
            assert split.features["text"][row, :words, 7].tolist() == [segment + w for w in range(words)]
            np.testing.assert_allclose(split.features["audio"][row, :words, 80], segment + np.arange(words) / 10)
            assert not split.features["text"][row, words:].any()
            # All sentences in order, one after the other: 1, 2, 3 words.
            wanted = [10 * c + w for c in range(sentences) for w in range(c + 1)]
            length = split.context_lengths["text"][row]
            assert length == len(wanted) == split.context_lengths["vision"][row]
            assert split.context_features["text"][row, :length, 0].tolist() == wanted
            wanted = [100 + c for c in range(sentences) for _ in range(c + 1)]
            assert split.context_features["vision"][row, :length, 0].tolist() == wanted
            if version == "v2":
                assert split.raw_text[row] == f"punchline of {segment}"
                assert split.context_raw_text[row] == " ".join(f"sentence {c}" for c in range(sentences))
        if version == "v1":
            assert split.raw_text is None and split.context_raw_text is None


def test_the_context_joins_the_punchline(tmp_path):
    train = join_context(load(write_ur_funny(tmp_path))["train"], frames=2)
    # Segment 2: three sentences, the last words being 21 and 22; its punchline is 2, 3, 4.
    assert train.lengths["text"].tolist() == [4, 5, 2]
    assert train.features["text"][1, :5, 0].tolist() == [21, 22, 2, 3, 4]
    assert train.raw_text[1] == "sentence 0 sentence 1 sentence 2 punchline of 2"


def test_of_a_long_context_the_last_frames_stay(tmp_path):
    """In all modalities; a sentence that the limit falls into is cut too."""
    tree = ur_funny_tree()
    sentences = [[k % 80 for k in range(start, start + 90)] for start in (0, 90, 180)]
    tree["language_sdk.pkl"][2]["context_embedding_indexes"] = sentences
    frames = np.repeat(np.arange(270.0)[:, None], 371, axis=1)
    tree["covarep_features_sdk.pkl"][2]["context_features"] = np.split(frames[:, :81], 3)
    tree["openface_features_sdk.pkl"][2]["context_features"] = np.split(frames[:CONTEXT_FRAMES], [1, 4])
    dataset = load(write_ur_funny(tmp_path, tree))
    train = dataset["train"]
    for m, wanted in (("text", np.arange(142, 270) % 80), ("audio", np.arange(142, 270)), ("vision", np.arange(128))):
        assert train.context_features[m].shape[1] == CONTEXT_FRAMES
        assert train.context_lengths[m].tolist() == [3, CONTEXT_FRAMES, 1]
        np.testing.assert_array_equal(train.context_features[m][1, :, 0], wanted)
    assert dataset.report.warnings == [
        f"train/context_{m}: 142 frames cut: of 1 contexts of more than 128 frames the last 128 are kept"
        for m in ("text", "audio")
    ]


def test_a_segment_that_a_file_lacks(tmp_path):
    tree = ur_funny_tree()
    del tree["covarep_features_sdk.pkl"][2], tree["humor_label_sdk.pkl"][30]
    tree["openface_features_sdk.pkl"][1]["punchline_features"] = []
    tree["covarep_features_sdk.pkl"][99] = {}
    dataset = load(write_ur_funny(tmp_path, tree))
    train = dataset["train"]
    assert train.ids.tolist() == ["1", "2"]
    assert train.lengths["audio"].tolist() == [2, 0] and train.context_lengths["audio"].tolist() == [3, 0]
    assert train.lengths["vision"].tolist() == [0, 3]
    said = "\n".join(dataset.report.warnings)
    assert "train: 1 of 3 segments have no label, dropped; one is 30" in said
    assert "train: 1 of 2 segments aren't in covarep_features_sdk.pkl, and lack what it holds" in said


def test_cleaning(tmp_path):
    tree = ur_funny_tree()
    tree["covarep_features_sdk.pkl"][1]["punchline_features"][0, :2] = [-np.inf, 1e300]
    tree["openface_features_sdk.pkl"][2]["context_features"][0][0, 0] = np.nan
    tree["word_embedding_list.pkl"][1][3] = np.nan
    dataset = load(write_ur_funny(tmp_path, tree))
    cleaned = dataset.report.cleaned["train"]
    assert cleaned["audio"] == {"nan": 0, "inf": 1, "overflow": 1, "padding_frames": 0}
    assert cleaned["context_vision"] == {"nan": 1, "inf": 0, "overflow": 0, "padding_frames": 0}
    assert dataset["train"].features["audio"][0, 0, :3].tolist() == [0, 0, 1]
    assert dataset["train"].features["text"][0, 0, 2:5].tolist() == [1, 0, 1]
    assert any("word_embedding_list.pkl: 1 values" in warning for warning in dataset.report.warnings)


def test_files_may_be_missing(tmp_path):
    tree = ur_funny_tree()
    del tree["word_embedding_list.pkl"], tree["openface_features_sdk.pkl"]
    dataset = load(write_ur_funny(tmp_path, tree))
    assert dataset.modalities == ("audio",) and dataset["test"].raw_text[0] == "punchline of 6"
    assert any(w.startswith("text: word_embedding_list.pkl and one of language_sdk") for w in dataset.report.warnings)
    with pytest.raises(DataError, match="has no modality 'text'; it has audio"):
        load(tmp_path, modalities=["text", "audio"])
    (tmp_path / "humor_label_sdk.pkl").unlink()
    unlabelled = load(tmp_path)
    assert unlabelled.task is None and all(split.labels is None for split in unlabelled.values())
    assert len(unlabelled["train"]) == len(dataset["train"])


def test_modalities_are_chosen_and_only_their_files_read(tmp_path):
    write_ur_funny(tmp_path)
    (tmp_path / "openface_features_sdk.pkl").write_bytes(b"\x80\x04damaged")
    assert load(tmp_path, modalities=["audio"]).modalities == ("audio",)
    with pytest.raises(DataError, match=r"openface_features_sdk\.pkl: truncated or corrupt"):
        load(tmp_path)


def test_one_file_alone_names_its_folder(tmp_path):
    write_ur_funny(tmp_path)
    with pytest.raises(
        DataError, match=rf"humor_label_sdk\.pkl: a pickle of .* part of a folder of UR-.*: load {tmp_path}$"
    ):
        load(tmp_path / "humor_label_sdk.pkl")


def test_segments_in_two_folds_are_reported(tmp_path):
    tree = ur_funny_tree()
    tree["data_folds.pkl"]["test"].append(1)
    said = "\n".join(load(write_ur_funny(tmp_path, tree)).report.warnings)
    assert "1 ids are both in train and in test, for one 1: samples leak between splits" in said


def at(name, *keys, value):
    def damage(tree):
        found = tree[name]
        for key in keys[:-1]:
            found = found[key]
        found[keys[-1]] = value

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (at("humor_label_sdk.pkl", 2, value=3), r"humor_label_sdk\.pkl/2 is 3; 0 or 1 is expected"),
        (at("humor_label_sdk.pkl", 2, value="yes"), r"humor_label_sdk\.pkl/2 holds a str"),
        (
            at("humor_label_sdk.pkl", 2, value=np.nan),
            r"train/classification_labels: 1 of 3 samples have no label .*: 2;",
        ),
        (at("language_sdk.pkl", 2, "punchline_embedding_indexes", value=[3, 80]), "2/punchline holds the word 80; w"),
        (at("language_sdk.pkl", 2, "punchline_embedding_indexes", value=[-1]), "2/punchline holds the word -1"),
        (at("language_sdk.pkl", 2, "punchline_embedding_indexes", value=[2**70]), "2/punchline holds a number that no"),
        (at("language_sdk.pkl", 2, "punchline_embedding_indexes", value=7), "2/punchline isn't a list of word"),
        (at("language_sdk.pkl", 2, "context_embedding_indexes", value=[1, 2]), "2/context isn't a list of sentences"),
        (at("language_sdk.pkl", 2, "context_embedding_indexes", value=1.5), "2/context isn't a list of sentences"),
        (at("language_sdk.pkl", 2, "context_embedding_indexes", value=np.array(3)), "2/context isn't a list of se"),
        (at("language_sdk.pkl", 2, "context_embedding_indexes", value=[[1.5]]), "2/context holds 1.5"),
        (at("language_sdk.pkl", 2, "punchline_sentence", value=5), "2/punchline is a int; words are expected"),
        (at("language_sdk.pkl", 2, value={}), "language_sdk.pkl/2 has no punchline_embedding_indexes"),
        (at("language_sdk.pkl", 2, value=[1]), "language_sdk.pkl/2 is a list; a dict is expected"),
        (at("covarep_features_sdk.pkl", 6, "punchline_features", value=np.ones((2, 80))), "6/punchline is 80 wide, o"),
        (at("covarep_features_sdk.pkl", 6, "context_features", value=[np.ones(3)]), "6/context"),
        (at("covarep_features_sdk.pkl", 6, "context_features", value="text"), "6/context is a str"),
        (at("covarep_features_sdk.pkl", 6, "punchline_features", value=[["a"]]), "6/punchline is a str|holds a str"),
        (lambda tree: tree.update({"covarep_features_sdk.pkl": [1]}), "covarep_features_sdk.pkl is a list; a dict"),
        (lambda tree: tree.update({"data_folds.pkl": [1]}), "data_folds.pkl: is a list; a dict of ids"),
        (lambda tree: tree.update({"data_folds.pkl": {"holdout": [1]}}), "has no split; known are train, dev, test"),
        (at("data_folds.pkl", "train", value=[1.5]), "train holds a float at position 0"),
        (at("data_folds.pkl", "train", value=[]), "train is empty: 0 samples"),
        (lambda tree: tree.update({"word_embedding_list.pkl": []}), "word_embedding_list.pkl holds no vector"),
        (at("word_embedding_list.pkl", 3, value=np.ones(299)), "frames of 2 different widths"),
    ],
)
def test_contradictions(tmp_path, damage, said):
    tree = ur_funny_tree()
    damage(tree)
    with pytest.raises(DataError, match=said) as caught:
        load(write_ur_funny(tmp_path, tree))
    assert str(tmp_path) in str(caught.value)
