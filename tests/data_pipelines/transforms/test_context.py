"""Context and groups of a split: checked, chosen, joined, saved and read again."""

import dataclasses

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, join_context, load, save_npz


@pytest.fixture
def split():
    # Frames are numbered, so that a wrong one is seen: 1, 2, 3 before the utterance, 10 and up in it.
    return Split(
        ids=["a", "b", "c", "d"],
        features={
            "text": np.array([[[10], [11], [0]], [[20], [21], [22]], [[30], [0], [0]], np.zeros((3, 1))]),
            "audio": np.ones((4, 1, 2)),
        },
        lengths={"text": [2, 3, 1, 0], "audio": [1, 1, 1, 1]},
        labels=[0, 1, 1, 0],
        raw_text=["ten eleven", "twenty", "thirty", "silence"],
        groups=["x", "x", "y", "z"],
        context_features={"text": np.array([[[1], [2], [3]], np.zeros((3, 1)), [[4], [0], [0]], [[5], [0], [0]]])},
        context_lengths={"text": [3, 0, 1, 1]},
        context_raw_text=["one two three", "", "four", "five"],
    )


def test_the_last_context_frames_stand_in_front(split):
    joined = join_context(split, frames=2)
    assert joined.features["text"].shape == (4, 5, 1)
    assert joined.features["text"][:, :, 0].tolist() == [
        [2, 3, 10, 11, 0],  # of three context frames the last two
        [20, 21, 22, 0, 0],  # none to put in front
        [4, 30, 0, 0, 0],
        [0, 0, 0, 0, 0],  # nothing was said: a context alone is no utterance
    ]
    assert joined.lengths["text"].tolist() == [4, 3, 2, 0] and joined.lengths["text"].dtype == np.int32
    assert joined.features["audio"] is split.features["audio"]
    assert joined.raw_text.tolist() == ["one two three ten eleven", "twenty", "four thirty", "five silence"]
    assert joined.context_features is joined.context_lengths is joined.context_raw_text is None
    Dataset({"train": joined})


def test_no_longer_than_the_data_needs(split):
    assert join_context(split, frames=1000).features["text"].shape == (4, 6, 1)


def test_no_frames_drop_the_context(split):
    joined = join_context(split, frames=0)
    assert joined.features["text"] is split.features["text"] and joined.context_features is None
    assert joined.raw_text.tolist() == split.raw_text.tolist()


def test_bad_calls(split):
    with pytest.raises(ValueError, match="Received: frames=-1"):
        join_context(split, frames=-1)
    with pytest.raises(DataError, match="no context"):
        join_context(join_context(split, frames=0), frames=1)


def test_take_and_select(split):
    taken = split.take([2, 0])
    assert taken.context_features["text"][:, 0, 0].tolist() == [4, 1]
    assert taken.context_lengths["text"].tolist() == [1, 3]
    assert taken.context_raw_text.tolist() == ["four", "one two three"]
    assert taken.groups.tolist() == ["y", "x"]
    assert split.select(["text"]).context_features["text"] is split.context_features["text"]
    chosen = split.select(["audio"])
    assert chosen.context_features is None and chosen.context_lengths is None
    assert chosen.groups.tolist() == ["x", "x", "y", "z"]
    Dataset({"train": chosen})


@pytest.mark.parametrize("name", ["all", "train"])
def test_saved_and_read(split, tmp_path, name):
    path = tmp_path / "saved.npz"
    save_npz(Dataset({name: split}), path)
    dataset = load(path)
    assert dataset.modalities == ("text", "audio") and not dataset.report.warnings
    found = dataset[name]
    for field in ("features", "lengths", "context_features", "context_lengths"):
        wanted, read = getattr(split, field), getattr(found, field)
        assert list(wanted) == list(read)
        for modality in wanted:
            np.testing.assert_array_equal(wanted[modality], read[modality])
    for field in ("context_raw_text", "groups", "raw_text"):
        assert getattr(found, field).tolist() == getattr(split, field).tolist()
    assert load(path, modalities=["audio"])[name].context_features is None


def test_context_of_a_file_is_cleaned(split, tmp_path):
    path = tmp_path / "saved.npz"
    save_npz(Dataset({"train": split}), path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays["train/context_text"][0, 1] = np.nan
    arrays["train/context_text"][1, 2] = 7  # past its length
    np.savez(path, **arrays)
    dataset = load(path)
    assert dataset["train"].context_features["text"][:, :, 0].tolist()[:2] == [[1, 0, 3], [0, 0, 0]]
    assert dataset.report.cleaned["train"]["context_text"] == {"nan": 1, "inf": 0, "overflow": 0, "padding_frames": 1}
    assert "train/context_text: values set to 0: 1 NaN" in dataset.report.warnings
    arrays["train/context_text_lengths"][3] = 4
    np.savez(path, **arrays)
    with pytest.raises(DataError, match=r"train/context_text_lengths holds 4 for sample d; the array has 3 frames"):
        load(path)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"context_lengths": None}, "context for text but its lengths for none"),
        ({"context_lengths": {"text": [1, 1, 1]}}, "context_text_lengths has 3 samples"),
        ({"context_lengths": {"text": [1, 1, 4, 1]}}, "context_text_lengths holds 4 for sample c"),
        ({"context_features": {"text": np.ones((4, 3, 2))}}, "context_text is 2 wide, text 1"),
        ({"context_features": {"text": np.ones((4, 0, 1))}}, "context_text has shape .*: nothing in it"),
        ({"context_raw_text": ["one"]}, "context_raw_text has 1 samples"),
        ({"groups": ["x"]}, "group has 1 samples"),
        (
            {"context_features": {"vision": np.ones((4, 3, 2))}, "context_lengths": {"vision": [1] * 4}},
            "context for vision, but features for text, audio",
        ),
    ],
)
def test_contradictions(split, changes, said):
    with pytest.raises(DataError, match=f"train.*{said}"):
        Dataset({"train": dataclasses.replace(split, **changes)})
