"""Trees of MMSA-FET: label.csv matched with pickles and npy files."""

import pickle

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, load
from tests.testing.dataset_folders import rows_of, write_fet_tree, write_label_csv, write_npy_tree


def clips(count=5):
    modes = ["train", "train", "valid", "test", "test"]
    return [
        {"video_id": f"v{k // 2}", "clip_id": f"{k:04d}", "text": f"clip {k}", "label": k / 5, "mode": modes[k]}
        for k in range(count)
    ]


@pytest.mark.parametrize("name", ["feature.pkl", "Processed/unaligned_39.pkl", "features"])
def test_one_pickle_for_all(mmsa_tree, tmp_path, write_pickle, name):
    tree = mmsa_tree(aligned=False)
    folder = tmp_path / "tree"
    folder.mkdir()
    dataset = load(write_fet_tree(folder, tree, name))
    wanted = load(write_pickle(tree))
    assert dataset.format == "label_csv" and list(dataset) == ["train", "valid", "test"]
    assert dataset.label_range == (-3, 3) and dataset.sha256 != wanted.sha256
    for split, samples in dataset.items():
        assert samples.ids.tolist() == tree[split]["id"]
        assert samples.groups.tolist() == [f"{split}video"] * len(samples)
        assert samples.raw_text[0] == "said, sentence 0"
        np.testing.assert_array_equal(samples.labels, wanted[split].labels)
        for modality in ("text", "audio", "vision"):
            np.testing.assert_array_equal(samples.features[modality], wanted[split].features[modality])
            np.testing.assert_array_equal(samples.lengths[modality], wanted[split].lengths[modality])
    assert dataset.report.cleaned == wanted.report.cleaned


def test_one_pickle_each(mmsa_tree, tmp_path):
    tree = mmsa_tree(aligned=False)
    write_label_csv(tmp_path, rows_of(tree))
    for modality in ("text", "audio", "vision"):
        own = ("id", modality, f"{modality}_lengths", *(("text_bert",) if modality == "text" else ()))
        part = {split: {f: values[f] for f in own if f in values} for split, values in tree.items()}
        (tmp_path / f"{modality}.pkl").write_bytes(pickle.dumps(part))
    dataset = load(tmp_path)
    assert dataset.modalities == ("text", "audio", "vision")
    assert dataset["test"].lengths["audio"].tolist() == tree["test"]["audio_lengths"]
    assert load(tmp_path, modalities=["vision"]).feature_dims == {"vision": 4}


def test_the_table_decides(mmsa_tree, tmp_path):
    """Its order, its splits and its labels; samples that it doesn't list are dropped, clips without features too."""
    tree = mmsa_tree(aligned=False)
    write_fet_tree(tmp_path, tree)
    rows = rows_of(tree)
    moved = rows.pop(0)
    moved["mode"], moved["label"] = "dev", -2.5
    unknown = rows.pop(3)
    missing = {"video_id": "nobody", "clip_id": "1", "label": 0, "mode": "train"}
    strange = dict(rows.pop(0), mode="holdout")
    write_label_csv(tmp_path, [*reversed(rows), missing, strange, moved])
    dataset = load(tmp_path)
    assert {name: len(split) for name, split in dataset.items()} == {"train": 6, "valid": 5, "test": 5}
    assert dataset["train"].ids.tolist() == [tree["train"]["id"][k] for k in (8, 7, 6, 5, 3, 2)]
    valid = dataset["valid"]
    assert valid.ids[-1] == "trainvideo$_$0" and valid.labels[-1] == -2.5
    length = tree["train"]["audio_lengths"][0]
    assert valid.lengths["audio"][-1] == length
    wanted = tree["train"]["audio"][0, :length].astype("float32")
    wanted[np.isinf(wanted)] = 0
    np.testing.assert_array_equal(valid.features["audio"][-1, :length], wanted)
    assert not valid.features["audio"][-1, length:].any()
    said = "\n".join(dataset.report.warnings)
    assert f"feature.pkl: 1 samples aren't in label.csv, dropped; one is {unknown['video_id']}$_$4" in said
    assert "1 of 18 clips of label.csv have no features, dropped; one is nobody$_$1" in said
    assert "label.csv: 1 clips are in no known split and are left out; in line" in said and "mode is 'holdout'" in said
    assert "feature.pkl: 1 labels differ from those in label.csv, which count" in said


def test_sims(mmsa_tree, tmp_path):
    tree = mmsa_tree(aligned=False, kind="sims")
    dataset = load(write_fet_tree(tmp_path, tree))
    assert dataset.label_range == (-1, 1)
    given = dataset["train"].modality_labels
    assert list(given) == ["text", "audio", "vision"]
    np.testing.assert_allclose(given["vision"], tree["train"]["regression_labels_V"], rtol=1e-6)


def test_npy_files(tmp_path):
    dataset = load(write_npy_tree(tmp_path, clips()))
    train = dataset["train"]
    assert train.ids.tolist() == ["v0$_$0000", "v0$_$0001"] and train.groups.tolist() == ["v0", "v0"]
    assert train.lengths["audio"].tolist() == [1, 2] and train.features["audio"].shape == (2, 2, 3)
    assert train.features["audio"][:, :, 0].tolist() == [[1, 0], [2, 2]]
    assert dataset["test"].lengths["vision"].tolist() == [4, 5]
    assert dataset["test"].raw_text.tolist() == ["clip 3", "clip 4"]
    np.testing.assert_allclose(dataset["test"].labels, [0.6, 0.8], rtol=1e-6)


def test_clips_that_lack_a_modality(tmp_path):
    write_npy_tree(tmp_path, clips())
    (tmp_path / "vision" / "v1" / "0003.npy").unlink()
    for modality in ("audio", "vision"):
        (tmp_path / modality / "v0" / "0000.npy").unlink()
    (tmp_path / "vision" / "v1" / "0002.npy").unlink()  # the only one of valid
    np.save(tmp_path / "audio" / "v0" / "0001.npy", np.array([1.0, np.nan, np.inf]))  # one frame, without an axis
    np.save(tmp_path / "audio" / "v0" / "0009.npy", np.ones((1, 3)))
    dataset = load(tmp_path)
    assert dataset["train"].ids.tolist() == ["v0$_$0001"]
    assert dataset["train"].features["audio"].tolist() == [[[1, 0, 0]]]
    assert dataset["valid"].lengths["vision"].tolist() == [0] and dataset["valid"].features["vision"].shape == (1, 1, 2)
    assert dataset["test"].lengths["vision"].tolist() == [0, 5] and dataset["test"].lengths["audio"].tolist() == [4, 5]
    said = "\n".join(dataset.report.warnings)
    assert "1 of 5 clips of label.csv have no features, dropped; one is v0$_$0000" in said
    assert "test/vision: 1 clips have none, and lack the modality" in said
    assert "audio/: 1 files aren't in label.csv" in said
    assert "train/audio: values set to 0: 1 NaN, 1 infinite" in said


def test_text_and_labels_may_be_absent(tmp_path):
    rows = [{k: v for k, v in row.items() if k not in ("label", "text")} for row in clips()]
    dataset = load(write_npy_tree(tmp_path, rows))
    assert dataset.task is None and dataset["train"].labels is None and dataset["train"].raw_text.tolist() == ["", ""]


def test_chinese_text_with_a_byte_order_mark(tmp_path):
    write_npy_tree(tmp_path, clips())
    text = (tmp_path / "label.csv").read_text(encoding="utf-8").replace("clip 0", "我不想去")
    (tmp_path / "label.csv").write_text(text, encoding="utf-8-sig")
    assert load(tmp_path)["train"].raw_text[0] == "我不想去"


def test_no_features_names_extract(tmp_path):
    write_label_csv(tmp_path, clips())
    with pytest.raises(DataError, match="lists 5 clips, but there are no features of them; `plumkeras extract` makes"):
        load(tmp_path)
    (tmp_path / "Raw" / "v0").mkdir(parents=True)
    (tmp_path / "Raw" / "v0" / "0000.mp4").write_bytes(b"\x80\x04")
    with pytest.raises(DataError, match="`plumkeras extract` makes them from the clips in Raw/"):
        load(tmp_path)


def test_the_table_alone_names_its_folder(tmp_path):
    write_npy_tree(tmp_path, clips())
    with pytest.raises(
        DataError, match=rf"label\.csv: is no data set by itself.* part of a folder of MMSA-FET.*: load {tmp_path}$"
    ):
        load(tmp_path / "label.csv")


def test_two_sources_of_one_modality(mmsa_tree, tmp_path):
    tree = mmsa_tree()
    write_fet_tree(tmp_path, tree, "Processed/aligned_50.pkl")
    write_fet_tree(tmp_path, tree, "Processed/unaligned_50.pkl")
    with pytest.raises(DataError, match=r"text is both in Processed/aligned_50.pkl and in Processed/unaligned_50"):
        load(tmp_path)
    (tmp_path / "Processed" / "unaligned_50.pkl").unlink()
    write_npy_tree(tmp_path, rows_of(tree))
    with pytest.raises(DataError, match=r"audio is both in Processed/aligned_50.pkl and in audio/"):
        load(tmp_path)


def test_foreign_pickles(mmsa_tree, tmp_path):
    tree = mmsa_tree()
    write_fet_tree(tmp_path, tree)
    (tmp_path / "config.pkl").write_bytes(pickle.dumps({"learning_rate": 1e-3}))
    assert "config.pkl: a pickle, but not of MMSA-FET" in "\n".join(load(tmp_path).report.warnings)
    write_label_csv(tmp_path, clips())
    with pytest.raises(DataError, match=r"feature\.pkl: none of its 18 ids is in label\.csv; one is 'trainv"):
        load(tmp_path)


def replace(old, new):
    return lambda data: data.replace(old.encode(), new.encode(), 1)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (replace("video_id", "video"), "has no column 'video_id'; it has video, clip_id"),
        (replace(",0.2,", ",good,"), r"line 3: label is 'good'; a number is expected"),
        (replace(",0.2,", ",,"), r"train/regression_labels: 1 of 2 samples have no label .*: v0\$_\$0001"),
        (replace(",0.2,", ",7.2,"), r"train/regression_labels holds 7\.2 for sample v0\$_\$0001"),
        (replace(",0.2,", ",inf,"), r"line 3: label is 'inf'; a number is expected"),
        (replace(",0.2,", ","), r"line 3 has 8 columns, the first line 9"),
        (replace("clip 0", "\ud800".encode("utf-8", "surrogatepass").decode("latin-1")), None),
        (lambda data: data.replace(b"clip 0", b"\xff\xfe"), "damaged, or no UTF-8 text"),
        (lambda data: data[: data.index(b"\n") + 1], "lists no clip"),
        (lambda data: b"", "lists no clip"),
        (lambda data: data.replace(b"clip 0", b'"' + b"x" * 200_000), "damaged, or no UTF-8 text"),
        (lambda data: data.replace(b"train", b"holdout"), None),
        (
            lambda data: data.replace(b"train", b"x").replace(b"valid", b"x").replace(b"test", b"x"),
            "no clip's mode is among",
        ),
        (replace("v0,0001", "../v0,0001"), None),
    ],
)
def test_damaged_tables(tmp_path, damage, said):
    write_npy_tree(tmp_path, clips())
    path = tmp_path / "label.csv"
    path.write_bytes(damage(path.read_bytes()))
    if said is None:
        load(tmp_path)
        return
    with pytest.raises(DataError, match=said):
        load(tmp_path)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "truncated or corrupt, or no array"),
        (b"PK\x03\x04 no zip", "truncated or corrupt, or no array"),
        (pickle.dumps(np.ones(3)), "truncated or corrupt, or no array"),
        (np.ones((2, 4)), "is 4 wide, others 3"),
        (np.ones((2, 2, 3)), r"has shape \(2, 2, 3\)"),
        (np.array([["a"]]), "of type|type <U1"),
        (np.array([{"a": 1}], dtype=object), "truncated or corrupt, or no array"),
    ],
)
def test_damaged_arrays(tmp_path, data, said):
    write_npy_tree(tmp_path, clips())
    path = tmp_path / "audio" / "v0" / "0001.npy"
    if isinstance(data, bytes):
        path.write_bytes(data)
    else:
        np.save(path, data)
    with pytest.raises(DataError, match=rf"0001\.npy.*({said})"):
        load(tmp_path)


def test_cut_arrays(tmp_path):
    write_npy_tree(tmp_path, clips())
    path = tmp_path / "audio" / "v2" / "0004.npy"
    whole = path.read_bytes()
    path.write_bytes(whole[:6] + b"\x02" + whole[7:])  # so that the header's length has four bytes
    with pytest.raises(DataError, match=r"0004\.npy: truncated or corrupt, .* header would be \d+ bytes long"):
        load(tmp_path)
    for stop in (1, 7, 20, 60, len(whole) - 1):
        path.write_bytes(whole[:stop])
        with pytest.raises(DataError, match=r"0004\.npy: truncated or corrupt"):
            load(tmp_path)


def test_a_clip_listed_twice(mmsa_tree, tmp_path):
    tree = mmsa_tree(aligned=False)
    rows = rows_of(tree)
    write_fet_tree(tmp_path, tree)
    write_label_csv(tmp_path, [*rows, rows[2]])
    with pytest.raises(DataError, match=rf"csv: lines 4 and {len(rows) + 2} list the same clip, 'trainvideo"):
        load(tmp_path)
    write_label_csv(tmp_path, rows)
    tree["test"]["id"][3] = "trainvideo$_$2"
    (tmp_path / "feature.pkl").write_bytes(pickle.dumps(tree))
    with pytest.raises(DataError, match=r"pkl: holds 'trainvideo.*2' twice, as sample 2 of train and 3 of test"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["acoustic", "audio"])
def test_other_names_and_lists_in_a_pickle(mmsa_tree, tmp_path, name):
    tree = mmsa_tree(aligned=False)
    folder = tmp_path / "tree"
    folder.mkdir()
    expected = load(write_fet_tree(folder, tree))
    for split in tree.values():
        lengths = split.pop("audio_lengths")
        split[name] = [sample[:n] for sample, n in zip(split.pop("audio"), lengths, strict=True)]
    found = load(write_fet_tree(folder, tree))
    assert found["test"].lengths["audio"].tolist() == expected["test"].lengths["audio"].tolist()
    longest = found["test"].features["audio"].shape[1]
    np.testing.assert_array_equal(found["test"].features["audio"], expected["test"].features["audio"][:, :longest])


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("label.csv", r"label\.csv: is a git-lfs pointer, not the file: fetch it by `git lfs pull`"),
        ("audio/v0/0000.npy", r"0000\.npy: is a git-lfs pointer"),
        ("feature.pkl", r"feature\.pkl: is a git-lfs pointer"),
    ],
)
def test_a_pointer_in_place_of_a_file(tmp_path, file, said):
    write_npy_tree(tmp_path, clips())
    (tmp_path / file).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(DataError, match=said):
        load(tmp_path)
