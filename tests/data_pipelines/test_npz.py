"""The native layout, and files that aren't one."""

import io
import os
import pickle
import zipfile

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, budget, load, save_npz


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
            for field in vars(source[name]):
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
        ("test/regression_labels", lambda a: a * np.nan, ("regression_labels holds nan", "test/0")),
        ("test/regression_labels", lambda a: a * 2, ("holds -6 for sample test/0", "[-3, 3]")),
        ("test/regression_labels", lambda a: a.astype(str), ("test/regression_labels", "numbers")),
        ("test/regression_labels", lambda a: np.array(1.0), ("test/regression_labels", "shape ()")),
        ("label_range", lambda a: np.array([1.0, -1.0]), ("label_range", "lower")),
    ],
)
def test_bad_fields(npz_arrays, write_npz, field, change, parts):
    arrays = npz_arrays()
    arrays[field] = change(arrays.get(field))
    path = write_npz(arrays)
    with pytest.raises(DataError) as caught:
        load(path)
    for part in (*parts, str(path)):
        assert part in str(caught.value)


def test_negative_class_and_mixed_tasks(npz_arrays, write_npz):
    arrays = npz_arrays(splits=())
    arrays["classification_labels"] = np.array([0, 1, -1, 0, 1, 2])
    labels = arrays.pop("regression_labels")
    with pytest.raises(DataError, match="classification_labels holds -1 for sample x2"):
        load(write_npz(arrays))
    arrays["classification_labels"] = labels + 0.25
    with pytest.raises(DataError, match=r"classification_labels holds -2\.75"):
        load(write_npz(arrays))
    arrays = npz_arrays()
    arrays["valid/classification_labels"] = np.arange(4)
    del arrays["valid/regression_labels"]
    with pytest.raises(DataError, match="valid/labels are class numbers, but the task is regress"):
        load(write_npz(arrays))


def test_object_arrays_are_not_unpickled(npz_arrays, tmp_path):
    arrays = npz_arrays(splits=())
    for field in ("text", "id"):
        path = tmp_path / field
        with path.open("wb") as file:
            np.savez(file, **{**arrays, field: arrays[field].astype(object)})
        with pytest.raises(DataError, match=rf"{field} is of type object"):
            load(path)


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
        (b"id,text\n", "unknown format .* known formats: npz"),
        (b"caption,label\nsomething,1\n", "unknown format"),
        (b"\x89HDF\r\n\x1a\n", "truncated or corrupt HDF5"),
        (b"\x93NUMPY\x01\x00", "unknown format"),
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
    with pytest.raises(DataError, match="has no split; known are train"):
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
