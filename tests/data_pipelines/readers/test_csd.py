"""Folders of .csd files: alignment against figures worked out by hand, folds, and damage."""

import json

import h5py
import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, load
from plumkeras.data_pipelines.readers import csd_folds
from plumkeras.data_pipelines.readers.csd_alignment import Timeline, collapse
from tests.testing.dataset_folders import VIDEOS, csd_video, write_csd, write_csd_folder

TRAIN = VIDEOS["train"]


def first_column(split, modality, row):
    return split.features[modality][row, : split.lengths[modality][row], 0].tolist()


def test_alignment_worked_out_by_hand(tmp_path):
    """The words that stay are hello 0-1, good 1.5-2.5, movie 2.5-3, bye 3-4: `uh` lasts no time, `sp` is a pause.

    Audio frame k lasts from k/2 to k/2 + 0.5 and holds k, for k up to 5:
        hello: frames 0, 1 (frame 2 only touches it)    -> 0.5
        good:  frames 3, 4                              -> 3.5
        movie: frame 5                                  -> 5
        bye:   none                                     -> 0
    Vision frames are 10 at 0.2-0.4, 20 at 0.9-1.6, 40 at 1.55-1.7, 80 at 3.5-5:
        hello: 10 and 20 -> 15;  good: 20 and 40, equal in weight -> 30;  movie: none -> 0;  bye: 80
    Segments: 0-2 has hello and good, which reaches into it; 2.2-4.5 has good, movie, bye; 2-2.000001 is too short and
    9-10 has no word, so that rows 1 and 3 of the labels give no sample.
    """
    dataset = load(write_csd_folder(tmp_path, videos=[TRAIN]))
    assert dataset.format == "csd" and list(dataset) == ["train"] and dataset.task == "regression"
    split = dataset["train"]
    assert split.ids.tolist() == [f"{TRAIN}[0]", f"{TRAIN}[2]"] and split.groups.tolist() == [TRAIN, TRAIN]
    assert split.labels.tolist() == [np.float32(2.4), -1.0]
    assert split.raw_text.tolist() == ["hello good", "good movie bye"]
    assert dataset.feature_dims == {"text": 300, "audio": 74, "vision": 47}
    assert first_column(split, "text", 0) == [1, 2] and first_column(split, "text", 1) == [2, 3, 4]
    assert first_column(split, "audio", 0) == [0.5, 3.5] and first_column(split, "audio", 1) == [3.5, 5, 0]
    assert first_column(split, "vision", 0) == [15, 30] and first_column(split, "vision", 1) == [30, 0, 80]
    for modality in split.modalities:
        assert split.lengths[modality].tolist() == [2, 3] and split.features[modality].shape[1] == 3
        assert not split.features[modality][0, 2].any()
    for said in (
        "words: 1 pauses (sp) dropped, with their frames",
        "words: 1 shorter than 1e-05 s dropped",
        "audio: 1 of 4 words have no frame, and are zeros",
        "vision: 1 of 4 words have no frame, and are zeros",
        "labels: 1 segments shorter than 1e-05 s dropped",
        "labels: 1 segments without a frame dropped",
    ):
        assert said in dataset.report.warnings


def test_the_standard_folds(tmp_path):
    dataset = load(write_csd_folder(tmp_path))
    assert {name: sorted(set(split.groups)) for name, split in dataset.items()} == {
        "train": sorted([VIDEOS["train"], VIDEOS["train too"]]),
        "valid": [VIDEOS["valid"]],
        "test": [VIDEOS["test"]],
    }
    # The builder's fourth video has four times the first one's audio.
    train = dataset["train"]
    assert train.ids[0] == "03bSnISJMiM[0]" and first_column(train, "audio", 0) == [0.5, 3.5]
    assert train.ids[2] == "2iD-tVS8NPw[0]" and first_column(train, "audio", 2) == [2, 14]


def test_mosi_folds_cover_the_real_labels(real_data):
    folds = csd_folds.mosi()
    with h5py.File(real_data / "raw" / "CMU_MOSI_Opinion_Labels.csd") as file:
        data = file["Opinion Segment Labels/data"]
        assert set(data) == set(folds)
        counts = dict.fromkeys(("train", "valid", "test"), 0)
        for video, split in folds.items():
            counts[split] += len(data[video]["features"])
    assert counts == {"train": 1284, "valid": 229, "test": 686}
    names = {"train": "train", "dev": "valid", "test": "test"}
    lines = (real_data / "raw" / "mosi_label.csv").read_text().splitlines()[1:]
    for line in lines:
        segment, *_, mode = line.split(",")
        assert folds[segment.rpartition("_")[0]] == names[mode]
    assert len(lines) == 2195


def test_real_labels_in_a_folder_with_features(real_data, tmp_path):
    """The real label file with a second of audio for every video: one sample per segment."""
    source = real_data / "raw" / "CMU_MOSI_Opinion_Labels.csd"
    (tmp_path / "labels.csd").write_bytes(source.read_bytes())
    seconds = np.arange(400.0)
    entry = (seconds[:, None] + np.arange(74) / 100, np.stack([seconds, seconds + 1], axis=1))
    write_csd(tmp_path / "audio.csd", "COVAREP", dict.fromkeys(csd_folds.mosi(), entry))
    dataset = load(tmp_path)
    # One segment of train has no length, as FORMATS reports of MOSI raw (1283).
    assert {name: len(split) for name, split in dataset.items()} == {"train": 1283, "valid": 229, "test": 686}
    assert "labels: 1 segments shorter than 1e-05 s dropped" in dataset.report.warnings
    # Segments are called as the SDK, and so MISA's published pickle, calls them.
    published = load(real_data / "raw" / "misa_mosi_dev.pkl")["all"]
    valid = dataset["valid"]
    assert sorted(valid.ids) == sorted(published.ids)
    labels = dict(zip(published.ids.tolist(), published.labels.tolist(), strict=True))
    np.testing.assert_allclose(valid.labels, [labels[name] for name in valid.ids.tolist()], atol=1e-6)
    train = dataset["train"]
    row = train.ids.tolist().index("03bSnISJMiM[0]")
    # 51.904533 to 55.94535: seconds 51 to 55.
    assert first_column(train, "audio", row) == [51, 52, 53, 54, 55] and train.labels[row] == np.float32(2.4)


def test_one_file_alone_says_what_it_is(real_data):
    with pytest.raises(DataError, match=r"Labels\.csd: is one comp.*'Opinion Segment Labels' \(93 videos, 2199 rows"):
        load(real_data / "raw" / "CMU_MOSI_Opinion_Labels.csd")


def test_text_vectors_are_the_words_where_there_are_none(tmp_path):
    split = load(write_csd_folder(tmp_path, [TRAIN], ("text", "audio", "labels")))["train"]
    assert split.raw_text is None and first_column(split, "text", 1) == [2, 3, 4]
    assert first_column(split, "audio", 0) == [0.5, 3.5]
    chosen = load(tmp_path, modalities=["audio"])["train"]
    np.testing.assert_array_equal(chosen.features["audio"], split.features["audio"])


def test_without_words_frames_stay_as_they_are(tmp_path):
    split = load(write_csd_folder(tmp_path, [TRAIN], ("audio", "vision", "labels")))["train"]
    # 0-2 has audio frames 0 to 3 and vision frames 10, 20, 40; 2.2-4.5 frames 4, 5 and 80.
    assert first_column(split, "audio", 0) == [0, 1, 2, 3] and first_column(split, "audio", 1) == [4, 5]
    assert first_column(split, "vision", 0) == [10, 20, 40] and first_column(split, "vision", 1) == [80]


def test_words_without_vectors(tmp_path):
    folder = write_csd_folder(tmp_path, [TRAIN], ("words", "audio", "labels"))
    dataset = load(folder)
    assert dataset.modalities == ("audio",) and dataset["train"].raw_text.tolist() == ["hello good", "good movie bye"]
    assert any("no vectors" in warning for warning in dataset.report.warnings)
    with pytest.raises(DataError, match="plumkeras extract"):
        load(folder, modalities=["text"])


def test_a_segment_without_any_frame_of_a_modality_lacks_it(tmp_path):
    def change(content):
        features, intervals = content["vision"][TRAIN]
        content["vision"][TRAIN] = features[-1:], intervals[-1:]  # 80 at 3.5-5 alone

    split = load(write_csd_folder(tmp_path, [TRAIN], change=change))["train"]
    assert split.lengths["vision"].tolist() == [0, 3] and first_column(split, "vision", 1) == [0, 0, 80]
    assert split.lengths["audio"].tolist() == [2, 3]


def test_frames_are_cleaned_before_the_mean(tmp_path):
    def change(content):
        content["audio"][TRAIN][0][0, :3] = [-np.inf, np.nan, 2e6]

    dataset = load(write_csd_folder(tmp_path, [TRAIN], change=change))
    assert first_column(dataset["train"], "audio", 0) == [0.5, 3.5]
    assert dataset.report.cleaned["train"]["audio"] == {"nan": 1, "inf": 1, "overflow": 1, "padding_frames": 0}


def test_sentiment_of_seven_columns(tmp_path):
    def change(content):
        content["All Labels"] = {}
        for video, (features, intervals) in content.pop("labels").items():
            emotions = np.ones((len(features), 6), "float32")
            content["All Labels"][video] = np.concatenate([features, emotions], axis=1), intervals

    dataset = load(write_csd_folder(tmp_path, [TRAIN], change=change))
    assert dataset["train"].labels.tolist() == [np.float32(2.4), -1.0]
    assert "labels: 7 columns, of which the first (sentiment) is used" in dataset.report.warnings


def test_videos_must_stand_in_every_file(tmp_path):
    def change(content):
        del content["vision"][VIDEOS["valid"]]
        content["audio"]["another"] = content["audio"][TRAIN]

    dataset = load(write_csd_folder(tmp_path, change=change))
    assert list(dataset) == ["train", "test"]
    said = "\n".join(dataset.report.warnings)
    assert f"audio: 2 of 5 videos aren't in every file, dropped; one is {'another'}" in said
    assert f"labels: 1 of 4 videos aren't in every file, dropped; one is {VIDEOS['valid']}" in said


def test_unknown_videos_are_one_split_with_groups(tmp_path):
    dataset = load(write_csd_folder(tmp_path, ["v1", "v2", "v3"]))
    assert list(dataset) == ["all"] and sorted(set(dataset["all"].groups)) == ["v1", "v2", "v3"]
    assert any("no known list of folds" in warning for warning in dataset.report.warnings)


def test_the_sdks_own_list_of_folds(tmp_path):
    folder = write_csd_folder(tmp_path, [f"v{k}" for k in range(10)])
    (folder / "cmu_mosei_std_folds.py").write_text(
        "import os; os.abort()\n"  # never run
        "standard_train_fold=['v0', 'v1', 'v2', 'v3', 'v4', 'v5']\n\nstandard_valid_fold = [\n 'v6',\n \"v7\"]\n"
        "standard_test_fold=['v8', 'elsewhere']\n"
    )
    dataset = load(folder)
    assert {name: sorted(set(split.groups)) for name, split in dataset.items()} == {
        "train": ["v0", "v1", "v2", "v3", "v4", "v5"], "valid": ["v6", "v7"], "test": ["v8"],
    }  # fmt: skip
    assert any("1 of 10 videos are in no fold" in w and "v9" in w for w in dataset.report.warnings)


def test_entries_in_pieces_are_joined_by_time(tmp_path):
    """A folder deployed after word alignment: `video[i]` per word, in the order of names (10 before 2)."""

    def change(content):
        for role in ("audio", "vision", "text", "words"):
            features, intervals = content[role].pop(TRAIN)
            for position in range(len(features)):
                piece = features[position : position + 1], intervals[position : position + 1]
                content[role][f"{TRAIN}[{position + 8}]"] = piece

    whole = load(write_csd_folder(tmp_path, [TRAIN]))["train"]
    pieces = load(write_csd_folder(tmp_path, [TRAIN], change=change))["train"]
    assert pieces.raw_text.tolist() == whole.raw_text.tolist()
    for modality in whole.modalities:
        np.testing.assert_array_equal(pieces.features[modality], whole.features[modality])


def test_aligned_entries_are_samples_as_they_stand(tmp_path):
    words = np.array([b"so", b"sp", b"good"], dtype="S8")[:, None]
    times = [(0, 1), (1, 2), (2, 3)]
    samples = {f"{TRAIN}[{k}]": k for k in (2, 10)}
    write_csd(tmp_path / "a", "words", {name: (words, times) for name in samples})
    write_csd(tmp_path / "b", "COVAREP", {name: (np.full((3, 74), float(k)), times) for name, k in samples.items()})
    write_csd(tmp_path / "c", "FACET_4.2", {name: (np.arange(70.0).reshape(2, 35), times[:2]) for name in samples})
    write_csd(tmp_path / "d", "labels", {name: ([[k / 10]], [(0, 3)]) for name, k in samples.items()})
    split = load(tmp_path)["train"]
    assert split.ids.tolist() == [f"{TRAIN}[2]", f"{TRAIN}[10]"] and split.raw_text.tolist() == ["so good", "so good"]
    assert first_column(split, "audio", 1) == [10, 10]  # the pause's frame went with it
    assert first_column(split, "vision", 1) == [0, 35]  # other frames than words: these stay
    np.testing.assert_allclose(split.labels, [0.2, 1.0])


def write_aligned(folder, labels, audio, vision):
    """Aligned entries: dicts by segment number of (features, intervals)."""
    for root, entries in (("labels", labels), ("COVAREP", audio), ("FACET_4.2", vision)):
        write_csd(folder / f"{root}.csd", root, {f"{TRAIN}[{k}]": values for k, values in entries.items()})


@pytest.mark.parametrize(
    ("rows", "times", "label"),
    [
        # Clipped to the segment 2-5, as the SDK leaves them: a sliver of the segment before, and its own.
        ([[-2.0], [1.5]], [(2, 2.1), (2, 5)], 1.5),
        ([[1.5], [-2.0]], [(2, 5), (4.9, 5)], 1.5),
        # As they were before alignment: the neighbour is longer, and hardly in this segment.
        ([[-2.0], [1.5], [3.0]], [(-20, 2.1), (2, 5), (4.9, 30)], 1.5),
        # Rows at no time aren't taken.
        ([[-2.0], [1.5]], [(np.nan, 5), (2, 5)], 1.5),
    ],
)
def test_of_several_labels_the_segments_own_is_taken(tmp_path, rows, times, label):
    frames = [(2, 3), (3, 4), (4, 5)]
    write_aligned(
        tmp_path, {3: (rows, times)}, {3: (np.ones((3, 74)), frames)}, {3: (np.ones((1, 35)), [(2.05, 2.08)])}
    )
    dataset = load(tmp_path)
    assert dataset["train"].labels.tolist() == [label]
    assert any("1 segments have several label rows" in warning for warning in dataset.report.warnings)


def test_an_aligned_segment_that_a_file_lacks_is_kept(tmp_path):
    labels = {k: ([[k / 10]], [(k, k + 1)]) for k in (1, 2, 3, 4)}
    audio = {k: (np.full((2, 74), float(k)), [(k, k + 0.5), (k + 0.5, k + 1)]) for k in (1, 3)}
    vision = {k: (np.full((3, 35), float(k)), [(k, k + 1)] * 3) for k in (1, 2)}
    write_aligned(tmp_path, labels, audio, vision)
    words = {f"{TRAIN}[{k}]": (np.array([[b"so"], [b"sp"]]), [(k, k + 0.5), (k + 0.5, k + 1)]) for k in (2, 3)}
    write_csd(tmp_path / "words.csd", "words", words)
    dataset = load(tmp_path)
    split = dataset["train"]
    assert split.ids.tolist() == [f"{TRAIN}[{k}]" for k in (1, 2, 3)] and split.raw_text.tolist() == ["", "so", "so"]
    assert split.lengths["audio"].tolist() == [2, 0, 1] and split.lengths["vision"].tolist() == [3, 3, 0]
    np.testing.assert_allclose(split.labels, [0.1, 0.2, 0.3])
    said = "\n".join(dataset.report.warnings)
    assert "audio: 2 segments aren't in its file, and lack the modality" in said
    assert "labels: 1 segments without a frame dropped" in said  # the fourth


@pytest.mark.parametrize("field", ["dimension names", "dimension namescomputational sequence version"])
@pytest.mark.parametrize("width", [6, 5])  # 5 columns of numbers would be audio, were they not called labels
def test_labels_of_unknown_columns_are_named(tmp_path, field, width):
    names = ["happy", "sad", "anger", "surprise", "disgust", "fear"][:width]

    def change(content):
        features, intervals = content.pop("labels")[TRAIN]
        content["Emotion Labels"] = {TRAIN: (np.repeat(features, width, axis=1), intervals)}

    write_csd_folder(tmp_path, [TRAIN], ("text", "vision", "labels"), change=change)
    with h5py.File(tmp_path / "file2.csd", "a") as file:
        metadata = file["Emotion Labels/metadata"]
        for name in ("dimension names", "dimension namescomputational sequence version"):
            if name in metadata:
                del metadata[name]
        metadata.create_dataset(field, (1,), dtype=h5py.string_dtype())[0] = json.dumps(names)
    said = rf"the labels have {width} columns, {', '.join(names)}; choose one by --label-column"
    with pytest.raises(DataError, match=said):
        load(tmp_path)
    assert load(tmp_path, label_column="anger")["train"].labels.tolist() == [np.float32(2.4), -1.0]
    with pytest.raises(DataError, match=f"label column 'joy': there are {width} columns, happy, sad"):
        load(tmp_path, label_column="joy")
    write_csd(tmp_path / "z.csd", "Opinion Labels", {TRAIN: csd_video()["labels"]})
    dataset = load(tmp_path)
    assert dataset["train"].labels.tolist() == [np.float32(2.4), -1.0]
    assert any("labels: 'Emotion Labels' in file2.csd has" in warning for warning in dataset.report.warnings)


def test_several_files_for_one_role(tmp_path):
    def change(content):
        content["OpenFace_2"] = {TRAIN: (np.ones((1, 713)), [(0, 4)])}
        content["phonemes"] = {TRAIN: (np.array([[b"ah"]]), [(0, 4)])}
        content["something"] = {TRAIN: (np.ones((1, 3)), [(0, 4)])}

    dataset = load(write_csd_folder(tmp_path, [TRAIN], change=change))
    assert dataset.feature_dims["vision"] == 47 and dataset["train"].raw_text[0] == "hello good"
    said = "\n".join(dataset.report.warnings)
    assert "vision: 'FACET_4.1' in file3.csd is read; not read for the same: 'OpenFace_2' in file5.csd" in said
    assert "'phonemes'" in said and "'something' (1 videos, 1 rows, 3 numbers each), not read" in said


def test_the_hash_is_of_what_is_read(tmp_path):
    before = load(write_csd_folder(tmp_path, [TRAIN])).sha256
    (tmp_path / "notes.txt").write_text("not read")
    assert load(tmp_path).sha256 == before
    write_csd_folder(tmp_path, [VIDEOS["valid"]])
    assert load(tmp_path).sha256 != before


@pytest.mark.parametrize(
    ("role", "change", "said"),
    [
        ("audio", lambda f, i: (f[:-1], i), "features has shape .5, 74., for 6 intervals"),
        ("audio", lambda f, i: (i, f), r"intervals has shape \(6, 74\)"),
        ("labels", lambda f, i: (f + 3, i), "regression_labels holds .* outside the label range"),
        (
            "labels",
            lambda f, i: (np.where(f == f[0], np.nan, f), i),
            r"regression_labels: .* samples have no label .* 03bS",
        ),
    ],
)
def test_contradictions(tmp_path, role, change, said):
    def damage(content):
        content[role][TRAIN] = change(*content[role][TRAIN])

    folder = write_csd_folder(tmp_path, [TRAIN], ("text", "audio", "labels"), change=damage)
    with pytest.raises(DataError, match=said):
        load(folder)


def test_one_entry_of_another_width(tmp_path):
    def damage(content):
        features, intervals = content["audio"][VIDEOS["test"]]
        content["audio"][VIDEOS["test"]] = features[:, :70], intervals

    with pytest.raises(DataError, match=r"file2\.csd: tStelxIAHjw/features is 70 wide"):
        load(write_csd_folder(tmp_path, change=damage))

    def damage(content):
        features, intervals = content["audio"][VIDEOS["test"]]
        content["audio"][VIDEOS["test"]] = features.astype("S8"), intervals

    with pytest.raises(DataError, match=r"tStelxIAHjw/features is 74 wide, of type \|S8; .* 74 wide and holds numbers"):
        load(write_csd_folder(tmp_path, change=damage))


def test_times_that_are_none(tmp_path):
    def change(content):
        for role, row in (("audio", 5), ("vision", 3), ("words", 4), ("labels", 0)):
            features, intervals = content[role][TRAIN]
            intervals = np.array(intervals)
            intervals[row] = [np.nan, 1.0] if role != "audio" else [9.0, 2.0]
            content[role][TRAIN] = features, intervals

    dataset = load(write_csd_folder(tmp_path, [TRAIN], change=change))
    assert dataset["train"].ids.tolist() == [f"{TRAIN}[2]"]
    assert dataset["train"].raw_text.tolist() == ["good bye"]
    assert first_column(dataset["train"], "audio", 0) == [3.5, 0]
    said = "\n".join(dataset.report.warnings)
    assert "audio: 1 frames end before they start, or at no time, dropped" in said
    assert "vision: 1 frames end before" in said


@pytest.mark.parametrize(
    ("roles", "said"),
    [
        (("labels",), "has no features among its .csd files; they hold labels: 'Opinion Segment Labels' .4 videos"),
        (("words", "labels"), "has no features"),
        (("audio", "vision"), "has no labels"),
    ],
)
def test_lacking_files(tmp_path, roles, said):
    with pytest.raises(DataError, match=said):
        load(write_csd_folder(tmp_path, roles=roles))


def test_damaged_files(tmp_path):
    folder = write_csd_folder(tmp_path, [TRAIN])
    path = folder / "file2.csd"
    whole = path.read_bytes()
    for data in (b"", b"no HDF5", whole[:4000], whole[: len(whole) // 2]):
        path.write_bytes(data)
        with pytest.raises(DataError, match=r"file2\.csd.*(truncated or corrupt|no HDF5)"):
            load(folder)
    path.write_bytes(whole[:4000])
    with pytest.raises(DataError, match="truncated or corrupt HDF5"):
        load(path)
    path.write_bytes(whole)
    with h5py.File(path, "a") as file:
        del file["COVAREP/metadata/root name"]
        file.create_group("COVAREP/metadata/root name")
    with pytest.raises(DataError, match=r"file2\.csd: root name is no array"):
        load(folder)


def test_no_other_file_is_read_and_no_size_is_believed(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["features"] = np.ones((6, 74))
    (tmp_path / "secret.bin").write_bytes(np.ones((6, 74)).tobytes())
    folder = tmp_path / "folder"
    folder.mkdir()

    def attack(build, roles=("words", "text", "audio", "labels"), name="file2.csd"):
        for path in folder.iterdir():
            path.unlink()
        write_csd_folder(folder, [TRAIN], roles)
        with h5py.File(folder / name, "a") as file:
            entry = file[f"COVAREP/data/{TRAIN}"]
            del entry["features"]
            build(entry)
        with pytest.raises(DataError) as caught:
            load(folder)
        return str(caught.value)

    def link(entry):
        entry["features"] = h5py.ExternalLink(str(secret), "features")

    def link_all(entry):
        data = entry.parent
        data.parent["data elsewhere"] = h5py.ExternalLink(str(secret), "/")
        del data.parent["data"]
        entry.file["COVAREP"].move("data elsewhere", "data")

    def external(entry):
        entry.create_dataset("features", (6, 74), "float64", external=[(str(tmp_path / "secret.bin"), 0, 3552)])

    def virtual(entry):
        layout = h5py.VirtualLayout((6, 74), "float64")
        layout[:] = h5py.VirtualSource(str(secret), "features", (6, 74))
        entry.create_virtual_dataset("features", layout)

    def huge(entry):
        entry.create_dataset("features", (10**9, 74), "float32", chunks=(1000, 74))

    assert "no features" in attack(link) or "no array" in attack(link)
    assert "has no features among its .csd files" in attack(link_all, ("audio", "labels"), "file0.csd")
    assert "is in another file" in attack(external)
    assert "is in another file" in attack(virtual)
    assert "/features unfolds to more than 1000000000 bytes" in attack(huge)


def test_other_folders(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(DataError, match=r"directory of no known layout; it holds readme\.txt; known folders: .*\.csd"):
        load(tmp_path)


def test_overlap_is_strict_and_order_free():
    intervals = np.array([[2.0, 3.0], [0.0, 10.0], [1.0, 2.0], [3.0, 3.0], [2.999995, 4.0]])
    timeline = Timeline(intervals)
    # The last one overlaps 2-3 by half of what counts.
    assert timeline.rows(2.0, 3.0).tolist() == [1, 0]
    assert timeline.rows(20.0, 30.0).tolist() == []
    means, found = collapse(np.array([[1.5, 1.6], [11.0, 12.0]]), intervals, np.arange(5.0)[:, None])
    assert means.tolist() == [[1.5], [0.0]] and found.tolist() == [True, False]


def test_the_builder_is_what_the_sdk_writes(tmp_path):
    write_csd(tmp_path / "x", "words", {TRAIN: csd_video()["words"]})
    with h5py.File(tmp_path / "x") as file:
        assert list(file) == ["words"] and set(file["words"]) == {"data", "metadata"}
        entry = file["words/data"][TRAIN]
        assert entry["features"].shape == (6, 1) and entry["features"].compression_opts == 9
        assert file["words/metadata/root name"][0] == b'"words"'
