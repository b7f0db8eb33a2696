"""Cleaning on its own, `describe`, and memory."""

import json
import pickle
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from plumkeras.data_pipelines import Dataset, Split, convert, describe, open_shards
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.inspection import known_files
from plumkeras.data_pipelines.inspection.statistics import column_statistics
from plumkeras.data_pipelines.schema.report import by_field


def test_clean_values():
    array = np.array([np.nan, np.inf, -np.inf, 1e6, -1e6, 1.1e6, -1e300, 0.5]).reshape(2, 2, 2)
    features, counts = cleaning.clean_array(array)
    assert features.ravel().tolist() == [0, 0, 0, 1e6, -1e6, 0, 0, 0.5]
    assert counts == {"nan": 1, "inf": 2, "overflow": 2} and features.dtype == np.float32
    assert np.isnan(array[0, 0, 0])  # the caller's array is left alone


def test_clean_does_not_copy_without_need():
    array = np.ones((3, 2, 2), "float32")
    assert cleaning.clean_array(array)[0] is array
    array[1, 1, 1] = np.nan
    assert cleaning.clean_array(array)[0] is not array


def test_clean_across_blocks(monkeypatch):
    monkeypatch.setattr(cleaning, "BLOCK_BYTES", 64)
    array = np.arange(60.0).reshape(10, 3, 2)
    array[[0, 9], 0, 0] = np.nan
    features, counts = cleaning.clean_array(array)
    assert counts["nan"] == 2
    np.testing.assert_array_equal(features, np.nan_to_num(array))
    lengths = np.array([0, 1, 2, 3, 0, 1, 2, 3, 0, 1])
    assert cleaning.zero_padding(features, lengths) == int((3 - lengths).sum())
    np.testing.assert_array_equal(features.any(axis=2).sum(axis=1) <= lengths, True)
    features[9] = 1
    assert cleaning.trailing_lengths(features)[[0, 3, 9]].tolist() == [0, 3, 3]


@pytest.fixture
def dataset():
    features = np.random.default_rng(0).normal(size=(4, 5, 3)).astype("float32")
    lengths = np.array([5, 0, 2, 1])
    features[np.arange(5) >= lengths[:, None]] = 0
    features[..., 1] = np.where(np.arange(5) < lengths[:, None], 7, 0)  # constant where valid
    train = Split(list("abca"), {"text": features}, {"text": lengths}, [-1.5, 0.0, 2.0, 3.0])
    test = Split(list("cdef"), {"text": features}, {"text": lengths}, [1.0, 1.0, 1.0, 1.0])
    return Dataset({"train": train, "test": test}, path="mosi.npz")


def test_describe(dataset):
    found = json.loads(json.dumps(describe(dataset)))
    train = found["splits"]["train"]
    assert train["samples"] == 4 and train["duplicate_ids"] == 1
    assert train["modalities"]["text"] == {
        "width": 3,
        "max_length": 5,
        "length": {"min": 0, "median": 1.5, "p95": pytest.approx(4.55), "max": 5},
        "length_histogram": {"edges": [0, 1, 2, 3, 4, 5, 6], "counts": [1, 1, 1, 0, 0, 1]},
        "missing": 1,
        "padding_share": pytest.approx(1 - 8 / 20),
        "max_abs": 7,
    }
    assert train["labels"]["classes"] == {"negative": 1, "zero": 1, "positive": 2}
    assert train["labels"]["mean"] == 0.875 and train["labels"]["max"] == 3
    assert found["constant_features"] == {"text": 1}
    assert found["duplicate_ids_across_splits"] == {"train/test": 1}
    assert found["label_range"] == [-3, 3] and found["known_file"] is None
    assert sum(train["labels"]["histogram"]["counts"]) == 4
    # Two of loading, about ids; the constant column; two classes that test lacks.
    assert len(found["warnings"]) == 4
    assert found["warnings"][:2] == dataset.report.warnings


def test_describe_columns(dataset):
    """Of the training split's valid frames alone."""
    found = describe(dataset)["features"]["text"]
    train = dataset["train"]
    frames = train.features["text"][np.arange(5) < train.lengths["text"][:, None]].astype("float64")
    assert found["split"] == "train" and found["frames"] == len(frames) == 8 and found["constant"] == [1]
    np.testing.assert_allclose(found["std"], frames.std(axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["max_abs"], np.abs(frames).max(axis=0), rtol=1e-5)


def test_columns_across_blocks(monkeypatch):
    """Blocks are merged without loss where a mean is far from 0, and what stands in the padding isn't seen."""
    monkeypatch.setattr(cleaning, "BLOCK_BYTES", 100)
    features = np.random.default_rng(0).normal(size=(50, 4, 2)).astype("float32") + np.array([0, 1000], "float32")
    lengths = np.arange(50) % 5
    padding = np.arange(4) >= lengths[:, None]
    frames = features[~padding].astype("float64")
    features[padding] = 1e9
    found = column_statistics(features, lengths, spread=True)
    np.testing.assert_allclose(found.std, frames.std(axis=0), rtol=1e-4)
    np.testing.assert_array_equal(found.low, frames.min(axis=0))
    np.testing.assert_array_equal(found.max_abs, frames.max(axis=0).clip(np.abs(frames.min(axis=0))))
    assert found.frames == len(frames) and column_statistics(features, lengths).std is None
    assert (features[padding] == 1e9).all()


def test_no_valid_frame():
    found = column_statistics(np.zeros((3, 2, 4), "float32"), np.zeros(3, "int32"), spread=True)
    assert found.frames == 0 and found.constant.all() and found.max_abs.tolist() == [0] * 4 == found.std.tolist()


def test_known_files_are_named(dataset):
    for digest, known in known_files.KNOWN_FILES.items():
        dataset.sha256 = digest
        assert len(digest) == 64 and describe(dataset)["known_file"] == known.name


def test_describe_human_labels():
    random = np.random.default_rng(0)
    labels = random.uniform(-1, 1, 50).astype("float32")
    human = {"text": labels / 2, "audio": -labels, "vision": np.zeros(50)}
    split = Split(np.arange(50), {"text": np.ones((50, 1, 1))}, {"text": np.ones(50)}, labels, modality_labels=human)
    dataset = Dataset({"train": split}, label_range=(-1, 1))
    found = describe(dataset)["splits"]["train"]
    assert [found["modality_labels"][m]["correlation"] for m in human] == [1, -1, None]
    assert found["modality_labels"]["text"]["std"] == pytest.approx(labels.std() / 2)
    # Every 0.2, which human labels come in.
    np.testing.assert_allclose(found["labels"]["histogram"]["edges"], np.arange(-1.1, 1.2, 0.2), atol=1e-9)


def test_describe_context_folds_and_groups():
    split = Split(
        list("abc"),
        {"text": np.ones((3, 1, 2))},
        {"text": [1, 1, 1]},
        [0, 1, 0],
        folds=[0, 1, 1],
        groups=["x", "y", "y"],
        raw_text=["words", " ", "more"],
        context_features={"text": np.ones((3, 4, 2))},
        context_lengths={"text": [4, 0, 0]},
        context_raw_text=["before", "", "also before"],
    )
    found = describe(Dataset({"all": split}))["splits"]["all"]
    assert found["raw_text"] == 2 and found["folds"] == {"0": 1, "1": 2}
    assert found["sources"] == {"kind": "groups", "count": 2}
    assert found["context"]["samples"] == 2 and found["context"]["raw_text"] == 2
    assert found["context"]["modalities"]["text"]["missing"] == 2
    assert found["context"]["modalities"]["text"]["padding_share"] == pytest.approx(2 / 3)


def test_describe_shards_names_their_source(dataset, tmp_path):
    dataset.sha256, dataset.format = next(iter(known_files.KNOWN_FILES)), "mmsa-unaligned"
    convert(dataset, tmp_path / "shards")
    found = describe(open_shards(tmp_path / "shards"))
    assert found["known_file"] == "MMSA MOSI unaligned_50" and found["format"] == "shards"
    assert (
        found["source"] == {"format": "mmsa-unaligned", "sha256": dataset.sha256} and found["sha256"] != dataset.sha256
    )
    assert any("train: 4 samples" in warning and "1284" in warning for warning in found["warnings"])


def test_describe_without_labels_or_with_values_that_json_lacks():
    dataset = Dataset({"test": Split(["a", "b"], {"text": np.ones((2, 1, 2), "float32")}, {"text": [1, 1]})})
    dataset["test"].features["text"][0, 0, 1] = np.inf  # After the cleaning, as shards of another program have it.
    found = describe(dataset)
    json.dumps(found, allow_nan=False)
    assert found["splits"]["test"]["labels"] is None and found["task"] is None
    assert found["features"]["text"]["max_abs"] == [1, None]
    assert any("test/text: column 1 holds values that are NaN or infinite" in w for w in found["warnings"])


def test_describe_classes():
    split = Split(["a", "b", "c"], {"text": np.ones((3, 1, 2))}, {"text": [1, 1, 1]}, [1, 0, 1])
    found = describe(Dataset({"all": split}))
    assert found["splits"]["all"]["labels"] == {"classes": {"0": 1, "1": 2}}
    assert found["num_classes"] == 2 and found["constant_features"] == {"text": 2}


PROBE = """
    import sys
    from plumkeras.data_pipelines import load
    from plumkeras.data_pipelines.batches.order import BatchStream
    def peak():
        with open("/proc/self/status") as file:
            return next(int(l.split()[1]) for l in file if l.startswith("VmHWM")) * 1024
    before = peak()
    dataset = load(sys.argv[1])
    for split in dataset.values():
        for batch in BatchStream(split, 64, training=True):
            pass
    decoded = sum(a.nbytes for s in dataset.values() for a in s.features.values())
    print((peak() - before) / decoded)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    # 1 is the result itself; the bound leaves room for blocks and batches. Protocol 2 writes an
    # array as text, so that its float64 form (2) has to be decoded before it can be converted.
    ("kind", "bound"),
    [("npz", 1.8), ("protocol 4", 1.8), ("protocol 2", 3.3)],
)
def test_peak_memory(tmp_path, kind, bound):
    """A float64 file, twice its decoded size, never is in memory whole."""
    path = tmp_path / "features"
    random = np.random.default_rng(0)
    count, frames, width = 1000, 50, 400
    part = {
        "id": [str(i) for i in range(count)],
        "text": random.normal(size=(count, frames, width)),
        "vision": np.ones((count, 20, 20)),
        "regression_labels": np.zeros(count),
    }
    with path.open("wb") as file:
        if kind != "npz":
            pickle.dump({"train": part}, file, protocol=int(kind[-1]))
        else:
            np.savez(file, **{f"train/{field}": array for field, array in part.items()})
    out = subprocess.run([sys.executable, "-c", textwrap.dedent(PROBE), path], capture_output=True, text=True)
    assert out.returncode == 0, out.stderr
    assert 0.9 < float(out.stdout) < bound


def test_numbers_of_samples_are_no_shared_ids():
    """A file without ids gets numbers in every split; ids that only look like numbers may well be shared."""
    features, lengths = np.ones((3, 1, 2)), [1, 1, 1]

    def splits(*ids):
        return {
            n: Split(list(i), {"text": features}, {"text": lengths})
            for n, i in zip(("train", "test"), ids, strict=True)
        }

    assert Dataset(splits("012", "012")).report.warnings == []
    (said,) = Dataset(splits("012", "123")).report.warnings
    assert said.startswith("2 ids are both in train and in test, for one 1")


def test_what_is_said_of_several_splits_is_said_once():
    said = [
        "train/audio: values set to 0: 4 NaN",
        "a video stands in train and in valid",
        "valid/audio: values set to 0: 12 NaN",
        "train/text: 3 of 9 samples lack it",
        "test/audio: values set to 0: 1 infinite",
        "valid/text: 1 of 4 samples lack it",
        "train/labels: no zero label",
        "test/labels: no zero label",
    ]
    assert by_field(said) == [
        "audio: values set to 0: 4 NaN in train, 12 NaN in valid",
        "a video stands in train and in valid",
        "text: 3 of 9 samples lack it in train, 1 of 4 samples lack it in valid",
        "test/audio: values set to 0: 1 infinite",
        "labels: no zero label in train, test",
    ]
