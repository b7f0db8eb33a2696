"""The native layout, and files that aren't one."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, load, save_npz
from plumkeras.data_pipelines.containers import budget
from tests.testing.refusals import check_refused


def test_splits(npz_arrays, write_npz):
    arrays = npz_arrays()
    dataset = load(write_npz(arrays))
    assert list(dataset) == ["train", "valid", "test"] and dataset.format == "npz"
    for name, split in dataset.items():
        assert split.ids.tolist() == arrays[f"{name}/id"].tolist()
        assert split.raw_text[1] == "words 1"
        np.testing.assert_array_equal(split.features["text"], arrays[f"{name}/text"])
        np.testing.assert_array_equal(split.lengths["text"], arrays[f"{name}/text_lengths"])
        np.testing.assert_array_equal(split.labels, arrays[f"{name}/regression_labels"])
        assert split.folds is None and split.modality_labels is None
    assert dataset.report.warnings == []


def test_top_level_fields_are_one_split_with_folds(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    arrays["fold"] = np.arange(6) % 3
    dataset = load(write_npz(arrays))
    assert list(dataset) == ["all"] and dataset["all"].folds.tolist() == [0, 1, 2, 0, 1, 2]


def test_one_lengths_field_serves_all(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    lengths = arrays["lengths"] = arrays.pop("text_lengths")
    del arrays["audio_lengths"]
    split = load(write_npz(arrays))["all"]
    np.testing.assert_array_equal(split.lengths["text"], lengths)
    assert split.lengths["audio"].tolist() == [1] * 6


def test_without_lengths(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    lengths = arrays.pop("text_lengths")
    del arrays["audio_lengths"]
    arrays["text"][2, 0] = 0  # a zero frame inside a sequence is no padding
    arrays["text"][3] = 0
    lengths[[2, 3]] = [max(lengths[2], 1) if lengths[2] > 1 else 0, 0]
    dataset = load(write_npz(arrays))
    np.testing.assert_array_equal(dataset["all"].lengths["text"], lengths)
    assert dataset["all"].lengths["audio"].tolist() == [1] * 6
    said = [w for w in dataset.report.warnings if "trailing all-zero" in w]
    assert len(said) == 1 and said[0].startswith("all/text")


def test_a_fourth_modality_and_unknown_fields(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    arrays |= {"pulse": np.ones((6, 2, 3)), "pulse_lengths": np.full(6, 2), "video_id": np.ones(6)}
    dataset = load(write_npz(arrays))
    assert dataset.modalities == ("text", "audio", "pulse")
    assert dataset.report.warnings == ["all/video_id: unknown field, not read"]


def test_missing_ids_are_numbered_and_said(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    del arrays["id"]
    dataset = load(write_npz(arrays))
    assert dataset["all"].ids.tolist() == list("012345")
    assert "all/id: no ids in the file, so samples are numbered" in dataset.report.warnings


@pytest.mark.parametrize("dtype", ["float64", "float16", "int32", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_feature_types_and_orders(npz_arrays, write_npz, dtype, order):
    arrays = npz_arrays(splits=())
    text = arrays["text"] = np.asarray((arrays["text"] * 10).astype(dtype), order=order)
    split = load(write_npz(arrays))["all"]
    assert split.features["text"].dtype == np.float32
    np.testing.assert_array_equal(split.features["text"], text.astype("float32"))


def test_save_round_trip(npz_arrays, write_npz, mmsa_tree, write_pickle, tmp_path):
    with_folds = {**npz_arrays(splits=()), "fold": np.arange(6)}
    of_classes = npz_arrays()
    for name in ("train", "valid", "test"):
        count = len(of_classes.pop(f"{name}/regression_labels"))
        of_classes[f"{name}/classification_labels"] = np.arange(count) % 2
    for number, source in enumerate(
        [
            load(write_npz(with_folds)),
            load(write_npz(of_classes)),
            load(write_pickle(mmsa_tree(aligned=False, kind="sims"))),
        ]
    ):
        path = tmp_path / f"saved{number}"
        save_npz(source, path)
        found = load(path)
        assert (found.task, found.label_range, found.num_classes) == (
            source.task, source.label_range, source.num_classes,
        )  # fmt: skip
        assert list(found) == list(source)
        for name in source:
            for field in vars(source[name]).keys() - {"token_ids"}:  # A file's texts are kept, and not their ids.
                left, right = getattr(source[name], field), getattr(found[name], field)
                if isinstance(left, dict):
                    assert list(left) == list(right)
                    for modality in left:
                        np.testing.assert_array_equal(left[modality], right[modality])
                else:
                    assert (left is None) == (right is None), field
                    if left is not None:
                        np.testing.assert_array_equal(left, right)


def test_save_is_whole_or_not_at_all(npz_arrays, write_npz, tmp_path, monkeypatch):
    dataset = load(write_npz(npz_arrays()))
    path = tmp_path / "out" / "saved.npz"
    path.parent.mkdir()
    save_npz(dataset, path)
    before = path.read_bytes()
    with pytest.raises(DataError, match=r"saved\.npz: exists already; choose another, or replace it by --overwrite"):
        save_npz(dataset, path)

    def fail(*args, **kwargs):
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        save_npz(dataset, path, overwrite=True)
    assert path.read_bytes() == before and os.listdir(path.parent) == ["saved.npz"]


@pytest.mark.parametrize(
    ("field", "change", "parts"),
    [
        ("train/text", lambda a: a[:8], ("train/text has 8 samples", "train/id 9")),
        ("valid/text", lambda a: a[:, :, :2], ("valid/text is 2 wide", "train/text 3")),
        ("test/text", lambda a: a.astype(str), ("test/text", "features are numbers")),
        ("test/text", lambda a: a[..., None], ("test/text has shape (5, 7, 3, 1)",)),
        ("test/text_lengths", lambda a: a + 7, ("test/text_lengths holds", "test/0", "7 frames")),
        ("test/text_lengths", lambda a: a + 0.5, ("test/text_lengths", "whole numbers")),
        ("test/text_lengths", lambda a: a[1:], ("test/text_lengths has 4", "test/text 5")),
        ("test/id", lambda a: a[1:], ("test/text has 5 samples", "test/id 4")),
        (
            "test/regression_labels",
            lambda a: np.where(a == a[0], np.nan, a),
            ("1 of 5 samples have no label", "test/0"),
        ),
        ("test/regression_labels", lambda a: a * 2, ("holds -6 for sample test/0", "[-3, 3]")),
        ("test/regression_labels", lambda a: a.astype(str), ("test/regression_labels", "numbers")),
        ("test/regression_labels", lambda a: np.array(1.0), ("test/regression_labels", "shape ()")),
        ("label_range", lambda a: np.array([1.0, -1.0]), ("label_range", "lower")),
    ],
)
def test_bad_fields(npz_arrays, write_npz, field, change, parts):
    arrays = npz_arrays()
    arrays[field] = change(arrays.get(field))
    check_refused(write_npz(arrays), *parts)


def test_negative_class_and_mixed_tasks(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    arrays["classification_labels"] = np.array([0, 1, -1, 0, 1, 2])
    labels = arrays.pop("regression_labels")
    with pytest.raises(DataError, match="classification_labels holds class -1 for sample x2"):
        load(write_npz(arrays))
    arrays["classification_labels"] = labels + 0.25
    with pytest.raises(DataError, match=r"classification_labels holds -2\.75"):
        load(write_npz(arrays))
    arrays = npz_arrays()
    arrays["valid/classification_labels"] = np.arange(4)
    del arrays["valid/regression_labels"]
    with pytest.raises(DataError, match="valid/labels are class numbers, but the task is regress"):
        load(write_npz(arrays))


def objects(*items):
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def test_object_arrays_run_nothing(npz_arrays, tmp_path):
    """They go through the restricted unpickler, and are refused where they hold more than texts and sequences."""

    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    for field in ("text", "id", "raw_text", "regression_labels", "text_lengths"):
        arrays = npz_arrays(splits=())
        arrays[field] = objects(*[Attack()] * 6)
        np.savez(tmp_path / "x.npz", **arrays)
        with pytest.raises(DataError, match=rf"x\.npz: {field}: refers to `(posix|nt)\.mkdir`; only numpy arrays"):
            load(tmp_path / "x.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("damage", ["shape", "cut", "other"])
def test_damaged_object_arrays(npz_arrays, tmp_path, damage):
    member = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        member, {"descr": "|O", "fortran_order": False, "shape": (5,) if damage == "shape" else (6,)}
    )
    data = pickle.dumps({"x": 1} if damage == "other" else objects(*"abcdef"), protocol=4)
    member.write(data[:-9] if damage == "cut" else data)
    np.savez(tmp_path / "x.npz", **npz_arrays(splits=()) | {"id": np.arange(6)})
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("id.npy", member.getvalue())
    with pytest.raises(DataError, match=r"x\.npz: id: truncated or corrupt"):
        load(tmp_path / "x.npz")


def test_a_header_that_does_not_end(npz_arrays, tmp_path):
    member = io.BytesIO()
    np.save(member, np.ones((2, 3)))
    np.savez(tmp_path / "x.npz", **npz_arrays(splits=()))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("other.npy", member.getvalue().replace(b")", b" ", 1))
    with pytest.raises(DataError, match=r"x\.npz: other: truncated or corrupt"):
        load(tmp_path / "x.npz")


def test_sequences_of_different_lengths(npz_arrays, tmp_path):
    arrays = npz_arrays()
    expected = {}
    for name in ("train", "valid", "test"):
        text, lengths = arrays[f"{name}/text"] + 1, arrays.pop(f"{name}/text_lengths")
        sequences = [sample[:length] for sample, length in zip(text, lengths, strict=True)]
        sequences[0][0] = 0  # an all-zero frame is a frame
        sequences[1] = None if name == "valid" else sequences[1].tolist()
        lengths[1] = 0 if name == "valid" else lengths[1]
        arrays[f"{name}/text"] = objects(*sequences)
        expected[name] = lengths, sequences
        for field in ("id", "raw_text", "regression_labels"):
            arrays[f"{name}/{field}"] = arrays[f"{name}/{field}"].astype(object)
    np.savez(tmp_path / "x.npz", **arrays)
    dataset = load(tmp_path / "x.npz")
    assert dataset.task == "regression" and dataset["test"].ids[0] == "test/0"
    for name, (lengths, sequences) in expected.items():
        found = dataset[name]
        assert found.lengths["text"].tolist() == lengths.tolist()
        assert found.features["text"].shape == (len(lengths), max(lengths), 3)
        for row, sequence in enumerate(sequences):
            if lengths[row]:
                np.testing.assert_allclose(found.features["text"][row, : lengths[row]], sequence)
            assert not found.features["text"][row, lengths[row] :].any()


def test_ragged_contexts_and_contradictions(npz_arrays, tmp_path):
    arrays = npz_arrays(splits=())
    del arrays["text_lengths"]
    arrays["text"] = objects(*(np.full((k + 1, 3), k + 1.0) for k in range(6)))
    arrays["context_text"] = objects(*(np.full((k, 3), 2.0) for k in range(6)))
    path = tmp_path / "x.npz"

    def refused(**changes):
        np.savez(path, **arrays | changes)
        with pytest.raises(DataError) as caught:
            load(path)
        return str(caught.value)

    np.savez(path, **arrays)
    split = load(path)["all"]
    assert split.lengths["text"].tolist() == [1, 2, 3, 4, 5, 6]
    assert split.context_lengths["text"].tolist() == [0, 1, 2, 3, 4, 5]
    np.savez(path, **arrays | {"text_lengths": np.arange(6) + 1})
    np.testing.assert_array_equal(load(path)["all"].features["text"], split.features["text"])
    assert "text_lengths holds 5 for sample 5, whose sequence has 6 frames" in refused(text_lengths=[1, 2, 3, 4, 5, 5])
    assert "text: sample 5 is 2 wide, others 3" in refused(text=objects(*arrays["text"][:5], np.ones((2, 2))))
    assert "text: sample 0 is a text, where vectors are expected: call the field raw_text" in refused(
        text=objects(*"abcdef")
    )
    assert "none of its 6 sequences has a frame" in refused(text=objects(*[None] * 6))
    for nothing in (None, {"a": np.ones((2, 3))}):
        assert f"text is one {type(nothing).__name__}; a sequence" in refused(text=np.array(nothing, dtype=object))


ALIASES = {"acoustic": "audio", "visual": "vision", "video": "vision", "language": "text"}


@pytest.mark.parametrize("name", ALIASES)
def test_other_names_of_modalities(npz_arrays, write_npz, name):
    modality = ALIASES[name]
    arrays = {"id": np.array(["a", "b"]), name: np.ones((2, 4, 3)), f"{name}_lengths": np.array([2, 4])}
    arrays |= {f"context_{name}": np.ones((2, 5, 3)), f"context_{name}_lengths": np.array([5, 0])}
    dataset = load(
        write_npz({f"{split}/{field}": array for split in ("train", "test") for field, array in arrays.items()})
    )
    assert dataset.modalities == (modality,) and f"{name}: read as {modality}" in dataset.report.warnings
    assert dataset["test"].lengths[modality].tolist() == [2, 4]
    assert dataset["test"].context_lengths[modality].tolist() == [5, 0]
    # Lengths may have the one name and features the other.
    arrays[f"{modality}_lengths"] = arrays.pop(f"{name}_lengths")
    assert load(write_npz(arrays))["all"].lengths[modality].tolist() == [2, 4]


def test_names_that_could_be_mistaken(npz_arrays, write_npz):
    arrays = {"vision": np.ones((6, 4, 3)), "video": np.ones((6, 4, 2))}
    with pytest.raises(DataError, match=r"all has vision under two names, vision and video: remove or rename"):
        load(write_npz(arrays))
    assert load(write_npz(arrays), modalities=["vision"]).feature_dims == {"vision": 3}
    with pytest.raises(DataError, match=r"valid has vision under two names, visual and video"):
        load(write_npz({"valid/visual": np.ones((6, 4, 3)), "valid/video": np.ones((6, 4, 2))}))
    # A fourth modality of the user's own, as ever; so it stays in a split that has nothing else.
    own = arrays | {"video_lengths": np.full(6, 4)}
    dataset = load(write_npz(own))
    assert dataset.feature_dims == {"vision": 3, "video": 2}
    assert not any("read as" in warning for warning in dataset.report.warnings)
    both = {f"train/{field}": array for field, array in own.items()} | {"test/video": own["video"]}
    with pytest.raises(DataError, match="test has no"):
        load(write_npz(both | {"test/video_lengths": own["video_lengths"]}))
    # What holds no features is no modality: the names of videos, their numbers.
    for values in (np.array(list("abcdef")), np.arange(6), np.arange(6)[:, None]):
        dataset = load(write_npz({**npz_arrays(splits=()), "video": values}))
        assert dataset.modalities == ("text", "audio")
        assert "all/video: unknown field, not read" in dataset.report.warnings
    named = {"acoustic": np.ones((6, 4, 2)), "acoustic_lengths": np.full(6, 4)}
    assert load(write_npz(named), modalities=["acoustic"]).modalities == ("acoustic",)


@pytest.mark.parametrize(
    "spell",
    [
        lambda split, field: f"{split}_{field}",
        lambda split, field: f"{field}_{split}",
        lambda split, field: f"{split}.{field}",
        lambda split, field: f"{split}/features/{field}" if field in ("text", "audio") else f"{split}/{field}",
        lambda split, field: f"{split}/lengths/{field[:-8]}" if field.endswith("_lengths") else f"{split}/{field}",
        lambda split, field: f"{split}/labels/{field}" if "labels" in field else f"{split}.data.{field}",
        lambda split, field: f"{'dev' if split == 'valid' else split}_{field}",
    ],
)
def test_spellings_of_split_and_field(npz_arrays, write_npz, spell):
    arrays = npz_arrays()
    expected = load(write_npz(arrays))
    found = load(write_npz({spell(*name.split("/")): array for name, array in arrays.items()}))
    assert list(found) == ["train", "valid", "test"] and found.report.warnings == []
    for name, split in expected.items():
        assert found[name].ids.tolist() == split.ids.tolist()
        for modality in split.modalities:
            np.testing.assert_array_equal(found[name].features[modality], split.features[modality])
            np.testing.assert_array_equal(found[name].lengths[modality], split.lengths[modality])
        np.testing.assert_array_equal(found[name].labels, split.labels)


def test_spellings_that_are_none(npz_arrays, write_npz):
    # Beside modalities at the top `test_x` is a field like any other.
    dataset = load(write_npz(npz_arrays(splits=()) | {"test_x": np.ones((6, 2, 1)), "test_x_lengths": np.ones(6)}))
    assert list(dataset) == ["all"] and dataset.modalities == ("text", "audio", "test_x")
    said = (
        r"all has no features; it has X_train, y_train; expected <split>/<field> \(train/text, .* splits are train, "
        "valid, dev, val, test, modalities text, audio, vision"
    )
    with pytest.raises(DataError, match=said):
        load(write_npz({"X_train": np.ones((6, 3)), "y_train": np.ones(6)}))
    with pytest.raises(DataError, match=r"has train/text under two names, train/text and train/features/text"):
        load(write_npz({"train/text": np.ones((6, 3)), "train/features/text": np.ones((6, 3))}))
    # A container of another name isn't looked into: what it holds may be another text.
    arrays = npz_arrays() | {"train/context/text": np.ones((9, 2, 3))}
    assert "train/context/text: unknown field, not read" in "\n".join(load(write_npz(arrays)).report.warnings)


@pytest.mark.parametrize("name", ["labels", "label", "y"])
@pytest.mark.parametrize(
    ("values", "task"),
    [
        ([0, 2, 1], "classification"),
        ([True, False, True], "classification"),
        ([-2, 0, 1], "regression"),
        ([0.5, 1, 1], "regression"),
    ],
)
def test_other_names_of_labels(write_npz, name, values, task):
    arrays = {"train/text": np.ones((3, 2, 4)), f"train/{name}": np.array(values)[:, None, None]}
    dataset = load(write_npz(arrays))
    assert dataset.task == task and dataset["train"].labels.tolist() == [float(value) for value in values]
    assert any(w == f"{name}: read as the labels" for w in dataset.report.warnings) == (name != "labels")
    assert not any("guess" in w for w in dataset.report.warnings)


def test_labels_that_could_be_mistaken(write_npz):
    def write(**fields):
        arrays = {"train/text": np.ones((3, 2, 4)), "test/text": np.ones((3, 2, 4))}
        return write_npz(arrays | {name.replace("__", "/"): np.array(values) for name, values in fields.items()})

    # One task for all splits, and a guess is said.
    assert load(write(train__y=[1, 0, 1], test__y=[0, 0, 1.5])).task == "regression"
    dataset = load(write(train__y=[1.0, 0, 1], test__y=[0.0, 0, 1]))
    assert dataset.task == "classification" and any("which is a guess" in w for w in dataset.report.warnings)
    assert load(write(train__y=[1.0, 0, 1], test__y=[0.0, 0, 1]), task="regression").task == "regression"
    with pytest.raises(DataError, match=r"train/labels is of type <U1; numbers are expected"):
        load(write(train__y=list("abc")))
    with pytest.raises(DataError, match="labels under several names, labels, y"):
        load(write(train__y=[1, 0, 1], train__labels=[0, 0, 1]))
    arrays = {"text": np.ones((3, 2, 4)), "regression_labels": np.ones(3), "labels": np.array([0, 1, 2])}
    dataset = load(write_npz(arrays))
    assert dataset.task == "regression"
    assert "all/labels: not read, since there are regression_labels" in dataset.report.warnings


def test_metrics_that_a_file_says(npz_arrays, write_npz, tmp_path):
    splits = dict(load(write_npz(npz_arrays())))
    for said in ("scale", "sims", "sentiment"):
        save_npz(Dataset(splits, label_range=(-4, 4), metric_report=said), tmp_path / f"{said}.npz")
        assert load(tmp_path / f"{said}.npz").metric_report == said
        assert load(tmp_path / f"{said}.npz", label_range=(-4, 4)).metric_report == said
        # They go with the file's range.
        assert load(tmp_path / f"{said}.npz", label_range=(-5, 5)).metric_report == "sentiment"
    with pytest.raises(DataError, match="metric_report is 'mosi'; known are sentiment, sims, scale"):
        Dataset(splits, metric_report="mosi")


def _npy(shape, data, descr="<f4"):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
    return header.getvalue() + data


def _zip(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_sizes_are_checked_before_allocation(tmp_path):
    for shape in ((10**12, 10, 10), (-1, 2, 2), (2, 2, 3)):
        path = _zip(tmp_path / "x", {"text.npy": _npy(shape, b"\0" * 16)})
        with pytest.raises(DataError, match=r"text has shape .* but 16 bytes of data"):
            load(path)


def test_zip_bomb(tmp_path):
    """An array that compresses by 1000; the limit is that of the whole file, and can be raised."""
    data = _npy((1000, 10, 400), b"\0" * (1000 * 10 * 400 * 4))
    path = _zip(tmp_path / "x", {"audio.npy": data, "text.npy": data})
    assert path.stat().st_size < 100_000
    with pytest.raises(DataError, match=r"x: audio unfolds to more than 50000000 bytes, .*--max-bytes N .*max_bytes=N"):
        load(path, max_bytes=50_000_000)
    assert load(path, max_bytes=100_000_000)["all"].features["text"].shape == (1000, 10, 400)
    assert load(path)["all"].features["text"].shape == (1000, 10, 400)


def test_the_limit_grows_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(budget, "ALWAYS_ADMITTED", 1000)
    zeros = np.zeros((50, 20, 20), "float32")
    np.savez_compressed(tmp_path / "small.npz", text=zeros)
    with pytest.raises(DataError, match="text unfolds to more than"):
        load(tmp_path / "small.npz")
    np.savez(tmp_path / "plain.npz", text=zeros)
    load(tmp_path / "plain.npz")


@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_a_limit_is_positive(tmp_path, value):
    with pytest.raises(ValueError, match="max_bytes"):
        load(_zip(tmp_path / "x", {}), max_bytes=value)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression(tmp_path, method):
    """It isn't numpy's, and one read unpacks everything."""
    with zipfile.ZipFile(tmp_path / "x", "w", method) as archive:
        archive.writestr("text.npy", _npy((1, 1, 1), b"\0" * 4))
    with pytest.raises(DataError, match=r"text isn't compressed as numpy does it; write it by np\.savez_compressed"):
        load(tmp_path / "x")


def test_damaged_archives(npz_arrays, write_npz, tmp_path):
    good = write_npz(npz_arrays()).read_bytes()
    path = tmp_path / "damaged"
    for stop in range(4, len(good), len(good) // 40):
        path.write_bytes(good[:stop])
        with pytest.raises(DataError, match="damaged"):
            load(path)
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        data = bytearray(good)
        at = random.integers(4, len(good))
        data[at : at + 20] = random.bytes(len(data[at : at + 20]))
        path.write_bytes(data)
        try:
            load(path)
        except DataError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 50


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is empty"),
        (b"some words\n", "unknown format .* known formats: npz"),
        (b"caption,label\nsomething,1\n", "is a csv"),
        (b"\x89HDF\r\n\x1a\n", "truncated or corrupt HDF5"),
        (b"\x93NUMPY\x01\x00", "is a single array"),
        (b"PK\x05\x06" + b"\0" * 18, "a zip archive without arrays"),
        (b"PK\x03\x04abc", "truncated or corrupt npz"),
    ],
)
def test_other_files(tmp_path, data, said):
    path = tmp_path / "mosi.npz"
    path.write_bytes(data)
    with pytest.raises(DataError, match=rf"mosi\.npz.*({said})"):
        load(path)


def test_no_file_and_directory(tmp_path):
    with pytest.raises(DataError, match=r"nothing\.npz: there is no such file"):
        load(tmp_path / "nothing.npz")
    with pytest.raises(DataError, match="is a directory"):
        load(tmp_path)


def test_content_decides_not_the_name(npz_arrays, write_npz, mmsa_tree, tmp_path):
    as_pkl = tmp_path / "a.pkl"
    as_pkl.write_bytes(write_npz(npz_arrays()).read_bytes())
    as_npz = tmp_path / "a.npz"
    as_npz.write_bytes(pickle.dumps(mmsa_tree(), protocol=0))
    assert load(as_pkl).format == "npz" and load(as_npz).format == "mmsa-aligned"


def test_no_split(npz_arrays, write_npz):
    arrays = {f"holdout/{field}": array for field, array in npz_arrays(splits=()).items()}
    with pytest.raises(DataError, match=r"has no split; it has holdout/id, .*; expected <split>/<field>"):
        load(write_npz(arrays))


def test_dataset_in_memory():
    split = Split(["a", "b"], {"text": np.ones((2, 3, 4))}, {"text": [3, 0]}, [0.5, -1])
    dataset = Dataset({"test": split})
    assert dataset.task == "regression" and dataset.path is None
    assert split.take([1]).ids.tolist() == ["b"] and split.take([1]).lengths["text"].tolist() == [0]
    assert split.take(np.array([True, False])).labels.tolist() == [0.5]
    assert split.select(["text"]).features["text"] is split.features["text"]
    with pytest.raises(DataError, match="no modality 'audio'; it has text"):
        split.select(["audio"])
    with pytest.raises(DataError, match="unknown split 'holdout'"):
        Dataset({"holdout": split})
    with pytest.raises(DataError, match="holds no split"):
        Dataset({})
    with pytest.raises(DataError, match="features for text but lengths for audio"):
        Dataset({"test": Split(["a"], {"text": np.ones((1, 3, 4))}, {"audio": [3]})})
