"""Shards hold what the source held, give the same batches, and say so when they don't."""

import contextlib
import dataclasses
import doctest
import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import zipfile
import zlib

import numpy as np
import pytest

from plumkeras.data_pipelines import (
    DataError,
    Dataset,
    Split,
    StoredFeatures,
    convert,
    data_errors,
    describe,
    join_context,
    load,
    make_dataset,
    make_sequence,
    open_shards,
    save_npz,
)
from plumkeras.data_pipelines.batches.order import BatchStream
from plumkeras.data_pipelines.features import cleaning, scratch
from plumkeras.data_pipelines.shards import features, layout, reading

tf = pytest.importorskip("tensorflow")


def sequences(random, count, frames, width):
    lengths = random.integers(0, frames + 1, count).astype("int32")
    lengths[:2] = 0, frames
    array = random.normal(size=(count, frames, width)).astype("float32")
    array[np.arange(frames) >= lengths[:, None]] = 0
    return array, lengths


def make_split(count=23, seed=0, **fields):
    random = np.random.default_rng(seed)
    text, text_lengths = sequences(random, count, 9, 4)
    audio, audio_lengths = sequences(random, count, 30, 3)
    return Split(
        ids=[f"video_{seed}${i}" for i in range(count)],
        features={"text": text, "audio": audio, "vision": random.normal(size=(count, 1, 2))},
        lengths={"text": text_lengths, "audio": audio_lengths, "vision": np.ones(count)},
        **fields,
    )


def with_everything(count=23, seed=0):
    random = np.random.default_rng(seed + 100)
    context, context_lengths = sequences(random, count, 6, 4)
    return make_split(
        count,
        seed,
        labels=random.uniform(-3, 3, count).astype("float32"),
        modality_labels={"audio": random.uniform(-3, 3, count)},
        raw_text=np.array(["", "naïve 漢字", *(f"words {i}" for i in range(count - 2))], dtype=object),
        folds=np.arange(count) % 5,
        groups=[f"speaker {i % 3}" for i in range(count)],
        context_features={"text": context},
        context_lengths={"text": context_lengths},
        context_raw_text=[f"before {i}" for i in range(count)],
    )


SOURCES = {
    "everything": lambda: Dataset({"train": with_everything(), "valid": with_everything(5, 1)}, label_range=(-3, 3)),
    "classes": lambda: Dataset(
        {"train": make_split(labels=np.arange(23) % 3), "test": make_split(2, 1, labels=[0, 1])}
    ),
    "labels": lambda: Dataset(
        {"train": make_split(labels=np.arange(46).reshape(23, 2) % 2)}, label_names=["joy", "anger"]
    ),
    "unlabelled": lambda: Dataset({"all": make_split()}, task="regression"),
    "folds": lambda: Dataset({"all": make_split(labels=np.linspace(-1, 1, 23), folds=np.arange(23) % 4)}),
}


def assert_same(found, wanted):
    for name in ("task", "label_range", "num_classes", "label_names", "metric_report"):
        assert getattr(found, name) == getattr(wanted, name)
    assert list(found) == list(wanted) and found.feature_dims == wanted.feature_dims
    for name in wanted:
        for field in dataclasses.fields(Split):
            if field.name == "token_ids":  # Of a file's own vocabulary; its texts are kept.
                continue
            left, right = getattr(found[name], field.name), getattr(wanted[name], field.name)
            assert type(left) is type(right), field.name
            if isinstance(right, dict):
                assert list(left) == list(right)
                for modality, array in right.items():
                    assert left[modality].dtype == array.dtype and left[modality].shape == array.shape
                    np.testing.assert_array_equal(np.asarray(left[modality]), array)
            elif right is not None:
                assert left.tolist() == right.tolist(), field.name


@pytest.fixture(params=SOURCES)
def source(request):
    return SOURCES[request.param]()


@pytest.fixture
def everything():
    return SOURCES["everything"]()


@pytest.fixture
def folder(tmp_path, everything):
    convert(everything, tmp_path / "shards")
    return tmp_path / "shards"


# What is written


def test_round_trip(source, tmp_path):
    source.report.warn("something about it")
    source.report.record_cleaning("train", "text", {"nan": 2, "inf": 0, "overflow": 0, "padding_frames": 1})
    convert(source, tmp_path / "shards")
    stored, loaded = open_shards(tmp_path / "shards"), load(tmp_path / "shards")
    for found in (stored, loaded):
        assert_same(found, source)
        assert found.format == "shards" and found.path == str(tmp_path / "shards")
        assert found.report == source.report
    assert isinstance(stored[next(iter(stored))].features["text"], StoredFeatures)
    assert describe(stored) == describe(loaded)


def test_numpy_alone_reads_the_files(folder, everything):
    """As the documentation of files describes them."""
    assert sorted(os.listdir(folder)) == [
        "schema.json",
        *(
            f"{split}-{file}"
            for split in ("train", "valid")
            for file in (
                "context_features-text.npy",
                "features-audio.npy",
                "features-text.npy",
                "features-vision.npy",
                "index.npz",
            )
        ),
    ]
    for name, split in everything.items():
        index = np.load(folder / f"{name}-index.npz", allow_pickle=False)
        for field in ("ids", "groups", "labels", "folds"):
            assert index[field].tolist() == getattr(split, field).tolist()
        for field in ("raw_text", "context_raw_text"):
            assert json.loads(index[field].tobytes()) == getattr(split, field).tolist()
        assert index["modality_labels/audio"].tolist() == split.modality_labels["audio"].tolist()
        for sequences, lengths in (("features", split.lengths), ("context_features", split.context_lengths)):
            for modality, array in getattr(split, sequences).items():
                path = folder / f"{name}-{sequences}-{modality}.npy"
                frames = np.load(path, mmap_mode="r", allow_pickle=False)
                assert (frames.dtype.str, frames.shape) == ("<f4", (lengths[modality].sum(), array.shape[2]))
                assert index[f"{sequences}/{modality}/lengths"].tolist() == lengths[modality].tolist()
                samples = np.split(frames, np.cumsum(lengths[modality])[:-1])
                for row, sample in enumerate(samples):
                    np.testing.assert_array_equal(sample, array[row, : lengths[modality][row]])  # valid frames only
                    assert index[f"{sequences}/{modality}/crc32"][row] == zlib.crc32(sample)


@pytest.mark.parametrize("modality", ["../up", "a/b", "Zeit %", "features-text", "."])
def test_a_modality_of_any_name(tmp_path, modality):
    array = np.arange(12, dtype="float32").reshape(2, 3, 2)
    dataset = Dataset(
        {"all": Split(["a", "b"], {modality: array, "text": array + 1}, {modality: [1, 3], "text": [3, 3]})}
    )
    dataset["all"].features[modality][0, 1:] = 0
    convert(dataset, tmp_path / "shards")
    assert len(os.listdir(tmp_path / "shards")) == 4 and os.listdir(tmp_path) == ["shards"]
    assert_same(open_shards(tmp_path / "shards"), dataset)
    convert(dataset, tmp_path / "shards", overwrite=True)


def test_a_modality_that_no_sample_has(tmp_path):
    features = {"text": np.ones((3, 2, 2), "float32"), "audio": np.zeros((3, 4, 5), "float32")}
    dataset = Dataset({"all": Split(["a", "b", "c"], features, {"text": [2, 2, 2], "audio": [0, 0, 0]})})
    convert(dataset, tmp_path / "shards")
    assert_same(open_shards(tmp_path / "shards"), dataset)


def test_schema(everything, write_npz, npz_arrays, tmp_path):
    path = write_npz(npz_arrays())
    returned = convert(path, tmp_path / "shards")
    schema = json.loads((tmp_path / "shards" / "schema.json").read_text())
    assert schema == returned
    assert schema["source"] == {"format": "npz", "sha256": load(path).sha256}
    assert schema["task"] == "regression" and schema["label_range"] == [-3, 3]
    train = schema["splits"]["train"]
    shapes = {m: list(array.shape[1:]) for m, array in load(path)["train"].features.items()}
    assert train["features"] == shapes and train["context_features"] == {}
    assert train["samples"] == 9


def test_the_same_data_have_the_same_hash(everything, folder, tmp_path):
    convert(everything, tmp_path / "again")
    assert open_shards(tmp_path / "again").sha256 == open_shards(folder).sha256
    everything["train"].features["audio"][1, 2, 0] += 1
    convert(everything, tmp_path / "other")
    assert open_shards(tmp_path / "other").sha256 != open_shards(folder).sha256


def test_any_source(everything, folder, write_pickle, mmsa_tree, tmp_path):
    save_npz(everything, tmp_path / "saved.npz")
    for number, path in enumerate((tmp_path / "saved.npz", write_pickle(mmsa_tree(aligned=False)), folder)):
        seen = []
        convert(path, tmp_path / f"{number}", progress=lambda done, total, seen=seen: seen.append((done, total)))
        wanted = load(path)
        assert_same(load(tmp_path / f"{number}"), wanted)
        assert load(tmp_path / f"{number}").report == wanted.report
        total = sum(map(len, wanted.values()))
        assert seen[-1] == (total, total) and seen == sorted(set(seen))
    convert(tmp_path / "saved.npz", tmp_path / "part", modalities=["audio"], label_range=(-9, 9))
    assert open_shards(tmp_path / "part").modalities == ("audio",)
    assert open_shards(tmp_path / "part").label_range == (-9, 9)


def test_arrays_that_no_reader_cleaned(tmp_path):
    split = make_split(70, labels=np.zeros(70))
    split.features["text"][1, 0, :3] = np.nan, np.inf, 1e7
    split.features["text"][69, 8] = 5  # past the length
    split.lengths["text"][69] = 2
    dataset = Dataset({"train": split})
    convert(dataset, tmp_path / "shards")
    found = load(tmp_path / "shards")
    assert found["train"].features["text"][1, 0, :3].tolist() == [0, 0, 0]
    assert not found["train"].features["text"][69, 2:].any()
    assert found.report.cleaned["train"]["text"] == {"nan": 1, "inf": 1, "overflow": 1, "padding_frames": 0}
    assert any("1 NaN, 1 infinite, 1 beyond 1e6" in warning for warning in found.report.warnings)
    assert len(dataset.report.warnings) == 1 and np.isnan(split.features["text"][1, 0, 0])  # the array is left alone


# What is read


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "options",
    [{}, {"modalities": ["audio"], "drop_remainder": True}, {"length_aware": False}, {"seed": 7, "initial_epoch": 3}],
)
def test_the_same_batches_as_from_arrays(everything, folder, training, options):
    arrays, stored = everything["train"], open_shards(folder)["train"]
    for make in (BatchStream, make_dataset):
        left = make(arrays, 4, training=training, **options)
        right = make(stored, 4, training=training, **options)
        for _ in range(2):  # the second iteration is the next epoch
            for wanted, found in zip(left, right, strict=True):
                tf.nest.map_structure(np.testing.assert_array_equal, found, wanted)
        assert tf.nest.flatten(left.element_spec) == tf.nest.flatten(right.element_spec) if make is make_dataset else 1


def test_batches_stay_what_they_were(everything, folder):
    """The memory of a batch is used again only when nothing refers to it: not the tensor, and no view of it."""
    arrays, stored = everything["train"], open_shards(folder)["train"]
    wanted = list(BatchStream(arrays, 2, True))
    streamed = list(BatchStream(stored, 2, True))
    views = [inputs["text"][:1, :2].ravel() for inputs, _ in BatchStream(stored, 2, True)]
    tensors = list(make_dataset(stored, 2, training=True))
    numpy = [inputs["text"].numpy() for inputs, _ in make_dataset(stored, 2, training=True)]
    for position, (inputs, _) in enumerate(wanted):
        tf.nest.map_structure(np.testing.assert_array_equal, streamed[position], wanted[position])
        tf.nest.map_structure(np.testing.assert_array_equal, tensors[position], wanted[position])
        np.testing.assert_array_equal(views[position], inputs["text"][:1, :2].ravel())
        np.testing.assert_array_equal(numpy[position], inputs["text"])


def test_sequences_too(everything, folder):
    left, right = (make_sequence(d["train"], 4, training=True, seed=2) for d in (everything, open_shards(folder)))
    for _ in range(2):
        for index in range(len(left)):
            tf.nest.map_structure(np.testing.assert_array_equal, right[index], left[index])
        left.on_epoch_end()
        right.on_epoch_end()


@pytest.mark.parametrize(
    "key",
    [
        3,
        -1,
        slice(None),
        slice(2, 40, 3),
        [5, 1, 1, -2],
        np.array([], dtype=int),
        np.arange(23) % 2 == 0,
        ([4, 0], slice(None, 6)),
        ([4, 1], slice(2, None)),
        (1, slice(3, 5)),
        (slice(0, 9), slice(7, 3)),
        (slice(1, 4), slice(-2, None)),
    ],
)
def test_indexing_is_numpys(everything, folder, key):
    for modality, array in everything["train"].features.items():
        stored = open_shards(folder)["train"].features[modality]
        assert (stored.ndim, stored.dtype, stored.shape, len(stored)) == (3, array.dtype, array.shape, len(array))
        np.testing.assert_array_equal(stored[key], array[key])
        # A sample that was checked before is read all the same.
        np.testing.assert_array_equal(stored[key], array[key])


def test_rows_that_are_not_there(folder):
    stored = open_shards(folder)["train"].features["text"]
    for key in (23, [0, 23], np.ones(5, dtype=bool)):
        with pytest.raises(IndexError):
            stored[key]


def test_chosen_samples_and_modalities_stay_stored(everything, folder):
    stored, train = open_shards(folder)["train"], everything["train"]
    for rows in ([7, 3, 3], train.folds != 2):
        part = stored.take(rows).select(["audio", "text"])
        assert isinstance(part.features["audio"], StoredFeatures) and part.modalities == ("audio", "text")
        assert isinstance(part.context_features["text"], StoredFeatures)
        assert_same(
            Dataset({"train": part}, label_range=(-3, 3)),
            Dataset({"train": train.take(rows).select(["audio", "text"])}, label_range=(-3, 3)),
        )
    assert open_shards(folder, modalities=["vision"]).modalities == ("vision",)
    with pytest.raises(DataError, match="no modality 'pulse'; it has text, audio, vision"):
        open_shards(folder, modalities=["pulse"])


@pytest.mark.parametrize("frames", [0, 2, 100])
def test_context_in_front(everything, folder, frames):
    joined = join_context(open_shards(folder)["train"], frames)
    wanted = join_context(everything["train"], frames)
    assert isinstance(joined.features["text"], StoredFeatures)
    for found, arrays in ((joined, wanted), (joined.take([9, 2]), wanted.take([9, 2]))):
        assert_same(Dataset({"train": found}), Dataset({"train": arrays}))


def test_files_are_closed(folder):
    before = len(os.listdir("/proc/self/fd"))
    stored = open_shards(folder)
    assert len(os.listdir("/proc/self/fd")) == before + 8  # files of features
    del stored
    assert len(os.listdir("/proc/self/fd")) == before


def test_opening_and_loading_start_no_backend(folder):
    code = (
        "import sys, plumkeras.data_pipelines as d; d.describe(d.load(sys.argv[1])); d.open_shards(sys.argv[1])\n"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code, folder], env=os.environ, capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr


def test_example():
    found = doctest.testmod(reading)
    assert found.failed == 0 and found.attempted > 0


# Memory


def big_mmsa(mmsa_tree, write_pickle):
    tree = mmsa_tree(aligned=False)
    count = len(tree["train"]["id"])
    tree["train"]["vision"] = np.random.default_rng(0).normal(size=(count, 2000, 4))
    return write_pickle(tree)


def test_decoded_features_stand_in_files(mmsa_tree, write_pickle, tmp_path, monkeypatch):
    path = big_mmsa(mmsa_tree, write_pickle)
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(cleaning, "BLOCK_BYTES", 1 << 16)
    made = []

    def empty(self, shape, real=scratch.Scratch.empty):
        made.append(shape)
        return real(self, shape)

    monkeypatch.setattr(scratch.Scratch, "empty", empty)
    with cleaning.features_in_files(tmp_path / "scratch") as place:
        dataset = load(path)
        place.release()  # the values stay
    assert dataset["train"].features["vision"].shape in made  # a few small features need no file
    assert os.listdir(tmp_path / "scratch") == []
    wanted, before = load(path), len(made)
    assert_same(dataset, wanted)
    assert len(made) == before  # only within it


def awkward(count, kind):
    """Fields of an npz that streaming has to clean, find lengths in, or decode whole."""
    random = np.random.default_rng(0)
    text, lengths = sequences(random, count, 9, 4)
    text = text.astype("float64") + (np.arange(9) < lengths[:, None])[:, :, None] * 10
    fields = {"id": np.arange(count).astype(str), "text": text, "text_lengths": lengths}
    fields |= {"audio": random.normal(size=(count, 3)), "audio_lengths": np.ones(count)}
    if kind == "dirty":
        text[5, 0, :3] = np.nan, -np.inf, 1e300
        text[count - 1, 8] = 1
        lengths[[5, count - 1]] = 2, 3
    elif kind == "no lengths":
        del fields["text_lengths"], fields["audio_lengths"]
    elif kind == "fortran":
        fields["text"] = np.asfortranarray(text)
    elif kind == "whole numbers":
        fields["text"] = text.astype("int16")
    elif kind == "context":
        fields |= {"context_text": text[::-1].copy(), "context_text_lengths": lengths[::-1].copy()}
        fields["context_text"][0, 0, 0] = np.nan
    return fields


@pytest.mark.parametrize("block_bytes", [600, 8 << 20])  # 2 rows, or all
@pytest.mark.parametrize("kind", ["plain", "dirty", "no lengths", "fortran", "whole numbers", "context"])
def test_an_npz_streams_and_is_what_load_gives(write_npz, tmp_path, monkeypatch, kind, block_bytes):
    monkeypatch.setattr(cleaning, "BLOCK_BYTES", block_bytes)
    monkeypatch.setattr(scratch.Scratch, "empty", lambda *_: pytest.fail("nothing is to be decoded"))
    path = write_npz(awkward(70, kind))
    convert(path, tmp_path / "shards")
    wanted, found = load(path), load(tmp_path / "shards")
    assert_same(found, wanted)
    assert found.report.cleaned == wanted.report.cleaned
    assert set(found.report.warnings) == set(wanted.report.warnings)
    assert bool(wanted.report.warnings) == (kind in ("dirty", "no lengths", "context"))


def test_a_stream_is_read_forward(write_npz, tmp_path):
    path = write_npz(awkward(10, "plain"))
    with cleaning.features_in_files(tmp_path):
        stream = load(path)["all"].features["text"]
    wanted = load(path)["all"].features["text"]
    np.testing.assert_array_equal(stream[0:3], wanted[:3])
    for key in (slice(0, 3), slice(4, 6), slice(3, 11), slice(3, 3), 3):
        with pytest.raises(ValueError, match="read forward, from 3 on"):
            stream[key]
    np.testing.assert_array_equal(stream[3:10], wanted[3:])


def test_an_npz_that_ends_early(write_npz, tmp_path):
    path = write_npz(awkward(70, "plain"))
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        position = archive.getinfo("text.npy").header_offset + 2000
    data[position : position + 50] = bytes(50)
    path.write_bytes(data)
    with pytest.raises(DataError, match="text: truncated or corrupt"):
        convert(path, tmp_path / "shards")
    assert not (tmp_path / "shards").exists()


RESIDENT = """
import sys
import numpy as np
from plumkeras.data_pipelines import open_shards
from plumkeras.data_pipelines.batches.order import BatchStream
train = open_shards(sys.argv[1])["train"]
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1e3
before = peak()
for _ in BatchStream(train, 8, True):
    pass
print(peak() - before)
"""


def test_an_epoch_reads_in_bounded_memory(tmp_path):
    array = np.ones((500, 100, 1000), "float32")  # 200 MB
    convert(Dataset({"train": Split(np.arange(500), {"text": array}, {"text": [100] * 500})}), tmp_path / "shards")
    command = [sys.executable, "-c", RESIDENT, tmp_path / "shards"]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 120, f"{grown:.0f} MB"


def test_what_was_unmapped_is_read_again(everything, folder, monkeypatch):
    monkeypatch.setattr(features, "_MAX_RESIDENT", 100)
    for _ in range(2):
        assert_same(open_shards(folder), everything)


PEAK = """
import json, sys
from plumkeras.data_pipelines import convert
def peak():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1]) / 1e3
import tensorflow as tf
before = peak()
convert(sys.argv[1], sys.argv[2])
print(peak() - before)
"""


@pytest.mark.verify
@pytest.mark.parametrize("kind", ["npz", "pickle"])
def test_conversion_streams(tmp_path, kind):
    array = np.random.default_rng(0).normal(size=(1500, 50, 700))  # float64: 420 MB, 210 MB as float32
    fields = {"text": array, "text_lengths": np.full(1500, 50), "id": np.arange(1500).astype(str)}
    if kind == "npz":
        np.savez(tmp_path / "big", **{f"train/{field}": values for field, values in fields.items()})
        os.rename(tmp_path / "big.npz", tmp_path / "big")
    else:
        with (tmp_path / "big").open("wb") as file:
            pickle.dump({"train": {**fields, "regression_labels": np.zeros(1500)}}, file, protocol=4)
    command = [sys.executable, "-c", PEAK, tmp_path / "big", tmp_path / "shards"]
    grown = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert grown < 80, f"{grown:.0f} MB"
    np.testing.assert_array_equal(
        open_shards(tmp_path / "shards")["train"].features["text"][1234], array[1234].astype("f")
    )


# What is refused, and what is left then


def test_nothing_is_overwritten_unasked(everything, folder, tmp_path):
    schema = (folder / "schema.json").read_text()
    with pytest.raises(DataError, match=r"exists already; choose another, or replace it by --overwrite"):
        convert(everything, folder)
    assert (folder / "schema.json").read_text() == schema
    convert(everything, folder, overwrite=True)
    assert_same(load(folder), everything)
    convert(folder, folder, overwrite=True, modalities=["text", "audio"])  # onto itself
    assert_same(load(folder), Dataset({name: split.select(["text", "audio"]) for name, split in everything.items()}))
    assert not (folder / "train-features-vision.npy").exists()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds other files \('notes.txt'\)"):
        convert(everything, folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"
    os.rename(folder / "notes.txt", folder / "mine.npy")  # Nor arrays of other software.
    with pytest.raises(DataError, match=r"holds other files \('mine.npy'\)"):
        convert(everything, folder, overwrite=True)
    assert (folder / "mine.npy").read_text() == "mine"
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DataError, match="is a file"):
        convert(everything, tmp_path / "file", overwrite=True)
    (tmp_path / "empty").mkdir()
    convert(everything, tmp_path / "empty")
    convert(everything, tmp_path / "new" / "folder")
    assert sorted(os.listdir(tmp_path)) == ["empty", "file", "new", "shards"]


def test_the_earlier_folder_comes_back(everything, folder, tmp_path, monkeypatch):
    calls = []

    def replace(source, target, real=os.replace):
        calls.append(target)
        if len(calls) == 2:  # the earlier folder is aside, the new one isn't in its place yet
            raise OSError(errno.EIO, "Input/output error")
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(DataError, match="Input/output error"):
        convert(SOURCES["folds"](), folder, overwrite=True)
    assert os.listdir(tmp_path) == ["shards"]
    assert_same(load(folder), everything)


@pytest.mark.parametrize("overwrite", [False, True])
def test_whole_or_not_at_all(everything, folder, tmp_path, overwrite, monkeypatch):
    target = folder if overwrite else tmp_path / "other"
    before = sorted(os.listdir(folder))

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(everything, target, progress=interrupt, overwrite=overwrite)
    monkeypatch.setattr(os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(DataError, match=r"other|shards.*can't be written: .*No space left"):
        convert(everything, target, overwrite=overwrite)
    assert os.listdir(tmp_path) == ["shards"] and sorted(os.listdir(folder)) == before


def test_no_room(mmsa_tree, write_pickle, tmp_path, monkeypatch):
    path = big_mmsa(mmsa_tree, write_pickle)
    before = sorted(os.listdir(tmp_path))
    monkeypatch.setattr(cleaning, "BLOCK_BYTES", 1 << 16)
    monkeypatch.setattr(os, "posix_fallocate", lambda *_: (_ for _ in ()).throw(OSError(errno.ENOSPC, "No space left")))
    with pytest.raises(DataError, match=r": no room for \d MB in temporary files: .*No space left"):
        convert(path, tmp_path / "shards")
    assert sorted(os.listdir(tmp_path)) == before


KILLED = """
import os, signal, sys
from plumkeras.data_pipelines import convert
convert(sys.argv[1], sys.argv[2], overwrite=True, progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL))
"""


@pytest.mark.parametrize("overwrite", [False, True])
def test_killed_while_writing(everything, folder, tmp_path, overwrite):
    target = folder if overwrite else tmp_path / "other"
    done = subprocess.run([sys.executable, "-c", KILLED, folder, target], env=os.environ, stderr=subprocess.DEVNULL)
    assert done.returncode == -signal.SIGKILL
    assert target.exists() == overwrite
    assert_same(load(folder), everything)
    convert(folder, target, overwrite=True)
    assert_same(load(target), everything)


def rewrite(folder, change):
    """Changes the schema as whoever also knows how to make its checksum."""
    path = folder / "schema.json"
    tree = json.loads(path.read_text())
    del tree["sha256"]
    change(tree)
    path.write_text(json.dumps({**tree, "sha256": layout.checksum(tree)}))


def flip(path, position):
    """In place: a file that is written anew is empty for a moment, which kills a process that has it mapped."""
    with path.open("r+b") as file:
        position %= path.stat().st_size
        file.seek(position)
        byte = file.read(1)[0]
        file.seek(position)
        file.write(bytes([byte ^ 4]))


def cut(path, size):
    path.write_bytes(path.read_bytes()[:size])


def append(path):
    path.write_bytes(path.read_bytes() + b"1234")


def swap(path, other):
    path.write_bytes(other.read_bytes())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda d: cut(d / "train-features-text.npy", -1), "train-features-text.npy: truncated: it has"),
        (lambda d: cut(d / "train-features-text.npy", 0), "train-features-text.npy: truncated: it has 0"),
        (lambda d: append(d / "train-features-text.npy"), "train-features-text.npy: damaged: it has"),
        (lambda d: flip(d / "train-features-text.npy", 30), "train-features-text.npy: damaged: its header"),
        (
            lambda d: swap(d / "train-features-text.npy", d / "valid-features-text.npy"),
            "train-features-text.npy: trunc",
        ),
        (lambda d: (d / "valid-features-audio.npy").unlink(), "valid-features-audio.npy: there is no such"),
        (lambda d: (d / "train-index.npz").unlink(), "train-index.npz: there is no such file"),
        (lambda d: cut(d / "train-index.npz", 300), "train-index.npz: truncated or corrupt"),
        (lambda d: np.savez(d / "train-index.npz", ids=np.arange(3)), "train-index.npz: is damaged or was changed"),
        (lambda d: (d / "schema.json").write_text("{"), "schema.json: not valid JSON"),
        (lambda d: (d / "schema.json").write_bytes(b"\xff\xfe{}"), "schema.json: not valid JSON"),
        (lambda d: (d / "schema.json").write_text("[" * 100_000), "schema.json: not valid JSON"),
        (lambda d: (d / "schema.json").write_text('{"a": 1}'), "schema.json: is no schema of a data set"),
        (lambda d: flip(d / "schema.json", 120), "schema.json"),
        (lambda d: rewrite(d, lambda t: t.update(version=2)), "format plumkeras-shards 2; plumkeras-shards 1 is read"),
        (lambda d: rewrite(d, lambda t: t.update(format="plumkeras-tfrecord", version=1)), "is of the format .*again"),
        (lambda d: rewrite(d, lambda t: t.pop("splits")), "holds something else than plumkeras convert writes"),
        (lambda d: rewrite(d, lambda t: t.update(splits={})), "holds no split"),
        (lambda d: rewrite(d, lambda t: t.update(splits=[])), "holds something else"),
        (lambda d: rewrite(d, lambda t: t.update(task=3)), "holds something else"),
        (lambda d: rewrite(d, lambda t: t.update(label_range=[1])), "holds something else"),
        (lambda d: rewrite(d, lambda t: t.update(label_range=[1, "3"])), "holds something else"),
        (lambda d: rewrite(d, lambda t: t.update(label_range=[1, float("nan")])), "holds something else"),
        (
            lambda d: rewrite(d, lambda t: t.update(label_range=[-(10**400), 3])),
            r"an integer of 401 digits, which 64 bits do not hold",
        ),
        (lambda d: rewrite(d, lambda t: t["report"].update(warnings=[3])), "holds something else"),
        (lambda d: rewrite(d, lambda t: t["report"].update(cleaned={"train": {"text": 3}})), "holds something else"),
        (lambda d: rewrite(d, lambda t: t["splits"].update(dev=t["splits"]["train"])), "holds something else"),
        (lambda d: rewrite(d, lambda t: t["splits"]["train"]["features"].update(text=[9, 5])), "text.npy: truncated"),
        (lambda d: rewrite(d, lambda t: t["splits"]["train"]["features"].update(text=[9, -4])), "holds something else"),
        (lambda d: rewrite(d, lambda t: t["splits"]["train"]["features"].update(text="94")), "holds something else"),
        (
            lambda d: rewrite(d, lambda t: t["splits"]["train"]["features"].update(text=[2**30, 4])),
            "unfolds to more than",
        ),
        (lambda d: rewrite(d, lambda t: t["splits"]["train"]["features"].update(text=[3, 4])), "text_lengths"),
        (
            lambda d: rewrite(d, lambda t: t["splits"]["train"]["features"].update(pulse=[3, 4])),
            "features/pulse/lengths isn't one value",
        ),
        (lambda d: rewrite(d, lambda t: t["splits"]["train"].update(features={})), "has no features"),
    ],
)
def test_what_is_damaged_is_told_when_opened(folder, damage, said):
    damage(folder)
    with pytest.raises(DataError, match=said) as caught:
        open_shards(folder)
    assert str(folder) in str(caught.value)
    with pytest.raises(DataError, match=said):
        load(folder)


def lengths_of(arrays, first):
    """The lengths of an index with other ones in front, of the same sum."""
    lengths = arrays["features/text/lengths"].copy()
    total, lengths[: len(first)] = lengths.sum(), first
    lengths[-1] += total - lengths.sum()
    return lengths


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: a.update(labels=a["labels"][:-1]), "labels isn't one value of its kind per sample"),
        (lambda a: a.update(labels=a["labels"].astype("U")), "labels isn't one value"),
        (lambda a: a.update(ids=a["ids"][:, None]), "ids isn't one value"),
        (lambda a: a.update(ids=a["ids"][:0]), "is empty: 0 samples"),
        (lambda a: a.pop("ids"), "ids isn't one value"),
        (lambda a: a.update(raw_text=a["raw_text"] | 128), "raw_text isn't valid JSON"),
        (lambda a: a.update(raw_text=a["raw_text"][:-9]), "raw_text isn't valid JSON"),
        (lambda a: a.update(raw_text=np.frombuffer(b'{"a": 1}', "uint8")), "raw_text is a dict; a list is expected"),
        (lambda a: a.update(raw_text=np.frombuffer(b'["a"]', "uint8")), "raw_text has 1 samples, .* 23"),
        (lambda a: a.pop("features/text/crc32"), "features/text/crc32 isn't one value"),
        (lambda a: a.update({"features/text/lengths": a["features/text/lengths"] - 1}), "text.npy: damaged: it has"),
        (lambda a: a.update({"features/text/lengths": lengths_of(a, [-1, 10])}), "negative|-1"),
        (lambda a: a.update({"features/text/lengths": lengths_of(a, [0, 10])}), "text"),
    ],
)
def test_an_index_that_contradicts_itself(folder, change, said):
    path = folder / "train-index.npz"
    with np.load(path) as archive:
        arrays = dict(archive)
    change(arrays)
    np.savez(path, **arrays)
    rewrite(folder, lambda tree: tree["splits"]["train"].update(index_sha256=layout.digest(arrays)))
    with pytest.raises(DataError, match=said) as caught:
        open_shards(folder)
    assert str(folder) in str(caught.value)


def test_a_damaged_sample_is_told_when_read(folder, everything):
    path = folder / "train-features-audio.npy"
    position = 128 + 12 * int(everything["train"].lengths["audio"][:4].sum())
    flip(path, position)
    said = (
        r"train-features-audio.npy: damaged: features/audio of sample video_0\$4 isn't what was written; "
        "convert the data again with plumkeras convert"
    )
    stored = open_shards(folder)["train"]
    np.testing.assert_array_equal(stored.features["audio"][7], everything["train"].features["audio"][7])
    contexts = {
        "load": lambda: load(folder),
        "stream": lambda: list(BatchStream(stored, 4)),
        "sequence": lambda: make_sequence(stored, 4)[1],
    }
    for read in contexts.values():
        with pytest.raises(DataError, match=said):
            read()
    batches = make_dataset(stored, 2)
    for data in (batches, batches.map(lambda *x: x).prefetch(8), tf.distribute.MirroredStrategy(["/cpu:0"])):
        if isinstance(data, tf.distribute.Strategy):
            data = data.experimental_distribute_dataset(batches)
        for _ in range(2):
            with pytest.raises(DataError, match=said + "$"), data_errors(make_dataset(stored, 2), batches):
                list(data)
    # Mended, the same batches are whole again, and an error of something else stays what it is.
    flip(path, position)
    with pytest.raises(tf.errors.InvalidArgumentError), data_errors(batches):
        list(batches)
        tf.debugging.assert_equal(1, 2)
    flip(path, position)
    with pytest.raises(DataError, match=said):
        convert(folder, folder.parent / "copy")


def test_other_errors_pass_through(folder):
    batches = make_dataset(open_shards(folder)["train"], 2)
    batches.stream.error = DataError("read ahead")
    with pytest.raises(ValueError, match="of a callback"), data_errors(batches):
        raise ValueError("of a callback")
    with pytest.raises(ValueError, match="must come from `make_dataset`"), data_errors(batches.take(1)):
        pass


def test_folders_that_hold_no_shards(tmp_path):
    for path, said in ((tmp_path / "none", "no such folder"), (tmp_path, "holds no converted data set")):
        with pytest.raises(DataError, match=said):
            open_shards(path)
    (tmp_path / "schema.json").write_text("{}")  # other software's
    with contextlib.suppress(DataError):
        load(tmp_path)
        pytest.fail("no reader knows it")
