"""Files of other kinds: named for what they are, with what to do about them."""

import bz2
import gzip
import io
import json
import lzma
import pickle
import tarfile
import zipfile

import h5py
import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, load
from tests.testing.dataset_folders import csd_video, write_csd

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:0123\nsize 9\n"
PICKLE = pickle.dumps({"train": {"text": np.ones((2, 3))}})


def zipped(*names):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, PICKLE)
    return file.getvalue()


def tarred():
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("features.pkl"), io.BytesIO())
    return file.getvalue()


def npy():
    file = io.BytesIO()
    np.save(file, np.ones((2, 3)))
    return file.getvalue()


def referring(name):
    """A pickle that refers to something, as tensors and tables do."""
    module, _, attribute = name.rpartition(".")
    return b"\x80\x02}(X\x05\x00\x00\x00trainc" + f"{module}\n{attribute}\n".encode() + b"u."


def refused(path):
    with pytest.raises(DataError) as caught:
        load(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("data", "parts"),
    [
        (
            zipped("archive/data.pkl", "archive/data/0"),
            ("written by torch.save", "torch.load('mine.pkl', weights_only=True); numpy.savez("),
        ),
        (
            b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.",
            ("torch.save", "torch.load('mine.pkl', weights_only=True)"),
        ),
        (zipped("mosi.pkl"), ("is a zip archive without arrays", "'mosi.pkl'", "unzip it first")),
        (zipped("config.json", "model.weights.h5"), ("is a saved Keras model, not data",)),
        (gzip.compress(PICKLE), ("is compressed (gzip): unpack it first",)),
        (bz2.compress(PICKLE), ("is compressed (bzip2): unpack it first",)),
        (lzma.compress(PICKLE), ("is compressed (xz): unpack it first",)),
        (b"7z\xbc\xaf\x27\x1c\x00\x04", ("is compressed (7z): unpack it first",)),
        (tarred(), ("is compressed (tar): unpack it first",)),
        (npy(), ("is a single array (npy)", 'numpy.savez("features.npz"')),
        (b"MATLAB 5.0 MAT-file", ("is a MATLAB file: read it by scipy.io.loadmat", "numpy.savez")),
        (b"PAR1\x15\x04", ("is a Parquet table", "pandas.read_parquet('mine.pkl')", "numpy.savez")),
        (b"id,text\n1,so\n", ("is a csv, with the columns id, text", "plumkeras extract", "numpy.savez")),
        (b"id\ttext\n1\tso\n", ("is a csv, with the columns id, text",)),
        (json.dumps({"train": []}).encode(), ("is JSON", "numpy.savez")),
        (LFS, ("is a git-lfs pointer, not the file: fetch it by `git lfs pull`",)),
        (b"\n<!DOCTYPE html>\n<html>", ("is a web page, saved in place of the file: download the file itself",)),
        (b"\x00\x00\x00\x18ftypmp42", ("is a video file: `plumkeras extract FOLDER`",)),
        (b"", ("is empty; download or copy it again",)),
        (PICKLE[:-20], ("truncated or corrupt pickle", "download or copy it again")),
        (PICKLE, ("of no known layout; expected a dict with train, valid and test", "regression_labels")),
    ],
)
def test_files(tmp_path, data, parts):
    path = tmp_path / "mine.pkl"
    if data == PICKLE:
        data = pickle.dumps({"train": {"x": np.ones((2, 3))}})
    path.write_bytes(data)
    said = refused(path)
    for part in parts:
        assert part in said


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("torch._utils._rebuild_tensor_v2", "It holds PyTorch tensors."),
        ("tensorflow.python.framework.ops.convert_to_tensor", "It holds TensorFlow tensors."),
        ("jax._src.array._reconstruct_array", "It holds JAX arrays."),
        ("pandas.core.frame.DataFrame", "It holds a pandas table."),
        ("mine.Features", "are admitted. Where it was written"),
    ],
)
def test_pickles_of_other_things(tmp_path, name, kind):
    path = tmp_path / "mine.pkl"
    path.write_bytes(referring(name))
    said = refused(path)
    assert f"refers to `{name}`" in said and kind in said
    assert "only if you trust it, load it there as `data` and run: numpy.savez(" in said
    # In a folder of pickles too.
    for split in ("train", "test"):
        (tmp_path / f"{split}.pkl").write_bytes(referring(name))
    with pytest.raises(DataError, match=r"train\.pkl: refers to .* Where it was written"):
        load(tmp_path)


def test_what_the_advice_makes_is_read(tmp_path):
    """The line that an error tells to run, run."""
    data = {
        split: {"id": ["a", "b"], "text": np.ones((2, 3, 4)), "regression_labels": np.array([0.5, -1])}
        for split in ("train", "valid", "test")
    }
    path = tmp_path / "mine.pkl"
    path.write_bytes(referring("torch._utils._rebuild_tensor_v2"))
    line = refused(path).partition("and run: ")[2]
    assert line.startswith("numpy.savez(")
    exec(line.replace('"features.npz"', repr(str(tmp_path / "features.npz"))), {"numpy": np, "data": data})
    dataset = load(tmp_path / "features.npz")
    assert list(dataset) == ["train", "valid", "test"] and dataset.task == "regression"


def test_hdf5_that_is_no_csd(tmp_path):
    with h5py.File(tmp_path / "mine.h5", "w") as file:
        file["text"] = np.ones((2, 3))
    assert "holds no computational sequence; read it by h5py and put" in refused(tmp_path / "mine.h5")
    assert "its HDF5 files hold no computational sequences (mine.h5): read them by h5py and put" in refused(tmp_path)


def test_a_pointer_among_csd_files(tmp_path):
    write_csd(tmp_path / "labels.csd", "labels", {"video": csd_video()["labels"]})
    (tmp_path / "audio.csd").write_bytes(LFS)
    with pytest.raises(DataError, match=r"audio\.csd: is a git-lfs pointer"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("text.npy", "npy files are read as <modality>/<video_id>/<clip_id>.npy beside a label.csv; or load them by"),
        ("mine.pt", "read its files by what wrote them and put the arrays into an npz"),
        ("mine.mat", "read its files by what wrote them"),
        ("table.csv", "read its files by what wrote them"),
        ("mine.npz", "to read one of its files, load that: "),
        ("mine.zip", "unpack its archives first"),
    ],
)
def test_folders(tmp_path, name, part):
    (tmp_path / name).write_bytes(b"x")
    said = refused(tmp_path)
    assert f"it holds {name}; {part}" in said and "known folders: " in said
