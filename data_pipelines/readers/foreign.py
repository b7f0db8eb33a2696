"""Files of other kinds, named for what they are, with how to make one that is read."""

import os
import re

from plumkeras.data_pipelines.containers.pickles import unpickler
from plumkeras.data_pipelines.schema.validation import DataError, listing

HEAD = 512
TO_NPZ = (
    'put the arrays into an npz, numpy.savez("features.npz", **{"train/id": ids, "train/text": text, '
    '"train/text_lengths": lengths, "train/regression_labels": labels}), and the same for valid and test'
)
_FROM_DICT = (
    'numpy.savez("features.npz", **{f"{split}/{field}": numpy.asarray(value) for split, fields in data.items() '
    "for field, value in fields.items()})"
)
_FROM_TABLE = 'numpy.savez("features.npz", **{column: data[column].to_numpy() for column in data})'
_TORCH = (
    "was written by torch.save, and tensors aren't read. Convert it where PyTorch is installed: data = "
    f"torch.load(NAME, weights_only=True); {_FROM_DICT}"
)
_UNPACK = "is compressed ({}): unpack it first, and load what is in it"
# How files begin. NAME stands for the file's name.
_HEADS = (
    (b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", _TORCH),
    (
        b"version https://git-lfs.github.com/spec/",
        "is a git-lfs pointer, not the file: fetch it by `git lfs pull`",
    ),
    (b"/annex/objects/", "is a git-annex pointer, not the file: fetch it by `git annex get`"),
    (b"\x1f\x8b", _UNPACK.format("gzip")),
    (b"BZh", _UNPACK.format("bzip2")),
    (b"\xfd7zXZ\x00", _UNPACK.format("xz")),
    (b"\x28\xb5\x2f\xfd", _UNPACK.format("zstd")),
    (b"7z\xbc\xaf\x27\x1c", _UNPACK.format("7z")),
    (b"Rar!\x1a\x07", _UNPACK.format("rar")),
    (b"\x93NUMPY", f"is a single array (npy) without a name: {TO_NPZ}"),
    (b"MATLAB 5.0", f"is a MATLAB file: read it by scipy.io.loadmat and {TO_NPZ}"),
    (b"MATLAB 7.3", f"is a MATLAB file: read it by h5py (its axes are reversed) and {TO_NPZ}"),
    (b"PAR1", f"is a Parquet table: data = pandas.read_parquet(NAME); {_FROM_TABLE}"),
    (b"RIFF", "is a sound or video file: `plumkeras extract FOLDER` makes features of the clips in a folder"),
)
_REFERS = re.compile(r"refers to `([\w.]+)`")
_KINDS = {
    "torch": "PyTorch tensors",
    "tensorflow": "TensorFlow tensors",
    "jax": "JAX arrays",
    "pandas": "a pandas table",
}
_HTML = re.compile(rb"\s*(<!doctype html|<html|<\?xml)", re.IGNORECASE)
_OFTEN_DATA = (".npz", ".pkl", ".pickle", ".p")


def describe(path):
    """What a file is that no reader takes, and what to do about it: the predicate of a sentence, or None."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    for start, said in _HEADS:
        if head.startswith(start):
            return said.replace("NAME", repr(os.path.basename(path)))
    if head[257:262] == b"ustar":
        return _UNPACK.format("tar")
    if head[4:8] == b"ftyp":
        return "is a video file: `plumkeras extract FOLDER` makes features of the clips in a folder"
    if _HTML.match(head):
        return "is a web page, saved in place of the file: download the file itself, after a login if it needs one"
    return None


def describe_text(path):
    """As `describe`, for a file of text that nothing else is known of."""
    with open(path, "rb") as file:
        head = file.read(HEAD)
    try:
        line = head.decode("utf-8-sig", errors="strict" if len(head) < HEAD else "ignore").splitlines()[0]
    except (IndexError, UnicodeDecodeError):
        return None
    line = line.replace("\t", ";")
    if not line.isprintable():
        return None
    if line.startswith(("{", "[")):
        return f"is JSON: {TO_NPZ}"
    if "," in line or ";" in line:
        columns = re.split("[,;]", line)[:8]
        return (
            f"is a csv, with the columns {listing(name.strip()[:40] for name in columns)}; features aren't read from "
            "csv. Where it lists clips or texts, `plumkeras extract CLIPS --labels CSV` makes features of them; where "
            f"it holds numbers, {TO_NPZ}"
        )
    return None


def describe_zip(path, names):
    """What a zip archive without arrays is, and what to do about it: the predicate of a sentence."""
    if any(name.endswith("/data.pkl") or name == "data.pkl" for name in names):
        return _TORCH.replace("NAME", repr(os.path.basename(path)))
    if "model.weights.h5" in names:
        return "is a saved Keras model, not data"
    if not names:
        return "is a zip archive without arrays (.npy members)"
    some = listing([*(repr(name[:40]) for name in names[:4]), *["..."] * (len(names) > 4)])
    return f"is a zip archive without arrays (.npy members), of {some}: unzip it first, and load what is in it"


def describe_folder(path, names):
    """What could be done with the files of a folder that nothing reads: a sentence, or an empty text."""
    endings = {os.path.splitext(name)[1].lower() for name in names}
    data = [name for name in names if name.lower().endswith(_OFTEN_DATA)]
    if data:
        return f"to read one of its files, load that: {os.path.join(path, data[0][:80])}"
    if ".npy" in endings:
        return (
            "npy files are read as <modality>/<video_id>/<clip_id>.npy beside a label.csv; or load them by numpy.load "
            f"and {TO_NPZ}"
        )
    if {".mat", ".csv", ".pt", ".pth", ".parquet"} & endings:
        return f"read its files by what wrote them and {TO_NPZ}"
    if {".zip", ".gz", ".tar", ".tgz", ".7z", ".rar", ".bz2", ".xz"} & endings:
        return "unpack its archives first"
    return ""


def read_pickle(path):
    """As `unpickler.read_pickle`; what isn't read is named for what it is, with what to do about it."""
    if said := describe(path):
        raise DataError(f"{path}: {said}")
    try:
        return unpickler.read_pickle(path)
    except DataError as error:
        raise DataError(f"{error}{_advice(str(error))}") from None


def _advice(said):
    """What to do about a pickle that isn't read."""
    found = _REFERS.search(said)
    if not found:
        return "; download or copy it again" if "truncated or corrupt" in said else ""
    package = found[1].partition(".")[0]
    what = f". It holds {_KINDS[package]}" if package in _KINDS else ""
    return (
        f"{what}. Where it was written, and only if you trust it, load it there as `data` and run: "
        f"{_FROM_TABLE if package == 'pandas' else _FROM_DICT}"
    )
