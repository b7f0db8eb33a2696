"""What is suspicious about a data set: each kind is said, with its numbers, and nothing else is."""

import dataclasses

import numpy as np
import pytest

from plumkeras.data_pipelines import Dataset, Split, load, make_synthetic, suspicions
from plumkeras.data_pipelines.inspection.known_files import KNOWN_FILES
from plumkeras.data_pipelines.schema.videos import sources, video_of


def _split(ids, labels=None, **more):
    random = np.random.default_rng(len(ids))
    count = len(ids)
    features = {"text": random.normal(size=(count, 3, 4)), "audio": random.normal(size=(count, 2, 2))}
    lengths = {"text": np.full(count, 3), "audio": np.full(count, 2)}
    labels = np.resize([-1.0, 0.0, 1.0], count) if labels is None else labels
    return Split(ids, features, lengths, labels, **more)


def _dataset(**splits):
    return Dataset(splits)


def _clean():
    return {
        name: _split([f"{name}{video}_{clip}" for video in "ab" for clip in range(3)]) for name in ("train", "test")
    }


def test_nothing_wrong_nothing_said():
    assert suspicions(_dataset(**_clean())) == []
    assert suspicions(make_synthetic({"train": 64, "valid": 32, "test": 32})[0]) == []


@pytest.mark.parametrize(
    ("sample", "video"),
    [
        ("03bSnISJMiM_1", "03bSnISJMiM"),
        ("_dI--eQ6qVU_12", "_dI--eQ6qVU"),
        ("03bSnISJMiM$_$11", "03bSnISJMiM"),
        ("03bSnISJMiM$_$0003", "03bSnISJMiM"),
        ("video_0001$_$0003", "video_0001"),
        ("vid_2[3]", "vid_2"),
        ("-3g5yACwYnA_4.84_13.2", "-3g5yACwYnA"),
        ("-3g5yACwYnA_0_13.2", "-3g5yACwYnA"),
        ("-3g5yACwYnA_4.84_13", "-3g5yACwYnA"),
        ("vid_7_3", "vid_7"),
        ("234587_4", "234587"),
        ("1_10004", None),  # MUStARD numbers two lists.
        ("17", None),
        ("vid", None),
        ("_3", None),
        ("vid[x]", None),
    ],
)
def test_video_of(sample, video):
    assert video_of(sample) == video


@pytest.mark.parametrize("form", ["{}_{}", "{}$_${}", "{}[{}]"])
def test_videos_on_both_sides(form):
    train = _split([form.format(video, clip) for video in "abc" for clip in range(3)])
    test = _split([form.format(video, clip) for video in "cde" for clip in range(3, 6)])
    (said,) = suspicions(_dataset(train=train, test=test))
    assert said == (
        "1 videos are both in train and in test, for one c: 3 of 9 test samples are of videos in train, "
        "so videos leak between splits"
    )


def test_groups_come_before_ids():
    splits = _clean()
    splits["train"] = dataclasses.replace(splits["train"], groups=list("uuvvww"))
    splits["test"] = dataclasses.replace(splits["test"], groups=list("wwxxyy"))
    (said,) = suspicions(_dataset(**splits))
    assert said.startswith("1 groups are both in train and in test, for one w: 2 of 6 test samples")


def test_numbered_samples_are_no_videos():
    """`sample_1`, `sample_2` are one prefix, not one video; of plain numbers nothing is known."""
    for form in ("sample_{}", "{}"):
        train, test = ([form.format(i) for i in numbers] for numbers in (range(6), range(6, 12)))
        dataset = _dataset(train=_split(train), test=_split(test))
        assert sources(dataset) == (None, {}) and suspicions(dataset) == []


def test_videos_in_several_folds():
    ids = [f"{video}_{clip}" for video in "abc" for clip in range(3)]
    split = _split(ids, folds=[0, 0, 0, 1, 1, 1, 2, 2, 2])
    assert suspicions(_dataset(all=split)) == []
    split = _split(ids, folds=[0, 0, 0, 1, 1, 0, 2, 2, 1])
    (said,) = suspicions(_dataset(all=split))
    assert said.startswith("all/fold: 2 of 3 videos are in several folds, for one b")


def test_constant_columns():
    splits = _clean()
    splits["train"].features["text"][..., 2] = 5
    (said,) = suspicions(_dataset(**splits))
    assert said == "train/text: 1 of 4 feature columns never change: 2"
    # Only what is used.
    assert suspicions(_dataset(**splits), modalities=("audio",)) == []
    assert suspicions(_dataset(**splits), modalities=()) == [said]


def test_magnitudes_unless_they_are_compressed():
    splits = _clean()
    splits["train"].features["audio"][0, 0, 1] = -2e5
    (said,) = suspicions(_dataset(**splits))
    assert said.startswith("train/audio: magnitudes up to 2e+05 (column 1), above 10000 in 1 of 2 columns")
    assert "signed_log1p" in said
    assert suspicions(_dataset(**splits), compressed=("audio",)) == []
    splits["train"].features["audio"][0, 0, 1] = 1e4
    assert suspicions(_dataset(**splits)) == []


def test_modality_that_most_lack():
    splits = _clean()
    for count, said in ((3, []), (4, ["test/audio: 4 of 6 samples lack it"])):
        splits["test"].lengths["audio"][:count] = 0
        splits["test"].features["audio"][:count] = 0
        assert suspicions(_dataset(**splits)) == said


def test_signs_that_a_split_lacks():
    splits = _clean()
    splits["test"] = dataclasses.replace(splits["test"], labels=[1.0, 2.0, 0.5, 1.0, 1.0, 1.0])
    assert suspicions(_dataset(**splits)) == ["test/labels: no negative and no zero label"]
    # Where no label can be negative, none is missed.
    splits = {name: dataclasses.replace(split, labels=np.resize([0.0, 1.0], 6)) for name, split in splits.items()}
    assert suspicions(Dataset(splits, label_range=(0, 1))) == []


def test_classes_that_a_split_lacks():
    splits = {name: dataclasses.replace(split, labels=np.resize([0, 1, 2], 6)) for name, split in _clean().items()}
    assert suspicions(_dataset(**splits)) == []
    splits["test"] = dataclasses.replace(splits["test"], labels=np.resize([1], 6))
    assert suspicions(_dataset(**splits)) == ["test/labels: no sample of class 0, 2"]
    # Of a class number that a damaged file may hold, no list of all below is made.
    splits["test"] = dataclasses.replace(splits["test"], labels=np.resize([0, 1, 2**31 - 1], 6))
    assert suspicions(_dataset(**splits)) == [
        "train/labels: no sample of class 2147483647",
        "test/labels: no sample of class 2",
    ]


def _mosi(sizes, **about):
    """As many samples as MOSI has, as wide, without their weight."""
    splits = {}
    for name, count in sizes.items():
        random = np.random.default_rng(count)
        features = {m: random.normal(size=(count, 1, width)) for m, width in (("audio", 5), ("vision", 20))}
        ids = [f"{name}{i % 7}$_${i}" for i in range(count)]
        splits[name] = Split(ids, features, {m: np.ones(count) for m in features}, np.resize([-1.0, 0, 1], count))
    return Dataset(splits, format="mmsa-aligned", **about)


MOSI = {"train": 1284, "valid": 229, "test": 686}
DIGEST = next(digest for digest, known in KNOWN_FILES.items() if known.name == "MMSA MOSI aligned_50")


def test_known_file_by_its_checksum():
    assert suspicions(_mosi(MOSI, sha256=DIGEST)) == []
    assert suspicions(_mosi({**MOSI, "test": 685}, sha256=DIGEST)) == [
        "test: 685 samples, where MMSA MOSI aligned_50, which this file is by its SHA-256, has 686"
    ]


def test_file_that_looks_like_a_known_one():
    other = "0" * 64
    changed = "looks like MMSA MOSI aligned_50, but its SHA-256 isn't the published one: it was saved anew, or changed"
    assert suspicions(_mosi(MOSI, sha256=other)) == [changed]
    assert suspicions(_mosi({**MOSI, "test": 680}, sha256=other)) == [
        "test: 680 samples, where MMSA MOSI aligned_50, which this file looks like, has 686",
        changed,
    ]
    # Somebody's own features of the same widths, and data in memory, are nobody's copy.
    assert suspicions(_mosi({"train": 90, "valid": 229, "test": 20}, sha256=other)) == []
    assert suspicions(_mosi(MOSI)) == []


def test_every_mmsa_file_looks_like_what_it_is(mmsa_tree, write_pickle):
    """The sniffed format is the one that the table of known files names."""
    formats = {load(write_pickle(mmsa_tree(aligned=aligned))).format for aligned in (True, False)}
    assert formats == {known.format for known in KNOWN_FILES.values()}


def test_real_files(real_data):
    said = suspicions(load(real_data / "mosi_text_audio.npz"))
    assert said == ["train/text: 3 of 384 feature columns never change: 127, 223, 319"]
    trimodal = suspicions(load(real_data / "mosi_trimodal_752.npz"))
    assert len(trimodal) == 3 and "all/vision: 32 of 100 feature columns never change" in trimodal[2]
