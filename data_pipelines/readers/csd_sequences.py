"""Computational sequences (.csd files): what each is, told by its content, and its entries, video by video.

A .csd is HDF5: `/<root>/data/<entry>/features` and `intervals` beside `/<root>/metadata`. What it holds is told by
the names that it gives itself (root, metadata), its file's name, its type and its width.
"""

import collections
import dataclasses
import math
import os
import re

import numpy as np

from plumkeras import json_text
from plumkeras.data_pipelines.containers import hdf5
from plumkeras.data_pipelines.containers.pickles.values import as_text
from plumkeras.data_pipelines.readers import foreign
from plumkeras.data_pipelines.schema.validation import DataError, listing

# Words in a sequence's names, the preferred one first where a folder has several for one role.
_NAMES = {
    "labels": ("opinion", "sentiment", "alllabels", "label"),
    "text": ("glove", "wordvector", "bert", "embedding"),
    "audio": ("covarep", "opensmile", "acoustic", "audio", "librosa", "mfcc", "wav2vec"),
    "vision": ("facet", "openface2", "openface", "visual", "vision", "face", "video"),
}
# Widths that say it too: GloVe, BERT; COVAREP, HKT's, MMSA's, IS09, emobase2010; FACET 4.1 and 4.2, OpenFace.
_WIDTHS = {
    "labels": (1, 7),
    "text": (300, 768, 1024),
    "audio": (74, 81, 5, 33, 384, 1582),
    "vision": (47, 35, 46, 20, 75, 371, 709, 713),
}
# The second is what the SDK's template writes, for want of a comma.
_DIMENSION_NAMES = ("dimension names", "dimension namescomputational sequence version")
_MAX_NAMES, _MAX_NAME = 10_000, 100
_SAID = "; ".join(f"{role} ({', '.join(words)})" for role, words in _NAMES.items())
_NO_HDF5 = "truncated or corrupt: a .csd is an HDF5 file, this isn't one; download or copy it again"
_LABEL_COLUMNS = "1 column (sentiment) or 7 (sentiment, then the emotions)"
# An entry is a group with two arrays, and their headers alone take more bytes than that.
_MIN_ENTRY = 400


@dataclasses.dataclass(frozen=True)
class Found:
    """A sequence as a look at its file shows it.

    Args:
        path, file: str. The file, and its name in the folder.
        root: str. The root group.
        names: str. What it and its file are called, in small letters and digits.
        width: int. Columns of its features.
        is_text: bool. Whether they are texts.
        videos, rows: int. How many there are.
    """

    path: str
    file: str
    root: str
    names: str
    width: int
    is_text: bool
    videos: int
    rows: int

    def __str__(self):
        kind = "texts" if self.is_text else "numbers"
        return f"{self.root!r} ({self.videos} videos, {self.rows} rows, {self.width} {kind} each)"


def look(path):
    """What a .csd file holds, as a `Found`; None where it is another kind of HDF5 file.

    Raises:
        DataError: it is damaged.
    """
    with hdf5.opened(path) as file, hdf5.guarded(path):
        for root in hdf5.children(file, path):
            data = hdf5.child(file[root], "data")
            if data is None:
                continue
            entries = hdf5.children(data, f"{path}: {root}/data")
            if len(entries) * _MIN_ENTRY > os.path.getsize(path):
                raise DataError(f"{path}: names {len(entries)} entries, more than a file of its size can hold")
            rows = width = 0
            is_text = False
            for name in entries:
                where = f"{path}: {name}/features"
                features = hdf5.child(data[name], "features")
                shape = hdf5.check(features, where)
                if not rows and shape:
                    width, is_text = math.prod(shape[1:]), features.dtype.kind in "SO"
                rows += shape[0] if shape else 0
            if rows:
                said = " ".join([root, os.path.basename(path), _metadata(file[root], "root name", path)]).lower()
                names = re.sub("[^a-z0-9]", "", said)
                videos = len({name.partition("[")[0] for name in entries})
                return Found(path, os.path.basename(path), root, names, width, is_text, videos, rows)
    return None


def _metadata(root, name, path, longest=200):
    """One of the metadata as text: JSON in the first element of an array, as the SDK writes it."""
    value = hdf5.child(hdf5.child(root, "metadata"), name)
    if value is None:
        return ""
    values = np.atleast_1d(hdf5.read(value, f"{path}: {name}")).ravel()[:1].tolist()
    return "".join(as_text(value)[:longest] for value in values if isinstance(value, (bytes, str)))


def dimension_names(found):
    """What a file calls its columns: a list of str, or None where it has no such list."""
    names = _said_of_columns(found)
    return [str(name)[:_MAX_NAME] for name in names] if isinstance(names, list) else None


def _said_of_columns(found):
    with hdf5.opened(found.path) as file, hdf5.guarded(found.path):
        said = [_metadata(file[found.root], name, found.path, _MAX_NAMES) for name in _DIMENSION_NAMES]
    text = next(filter(None, said), "")
    try:
        return json_text.parse(text)
    except ValueError:
        return text


def _columns(found):
    """What a file calls its columns, for an error."""
    names = _said_of_columns(found)
    if isinstance(names, list):
        names = listing(str(name)[:40] for name in names[:16])
    return str(names)[:400] or "not given"


def role_of(found):
    """`"words"`, `"labels"`, `"text"`, `"audio"`, `"vision"`, `"other labels"` (see `Survey`), or None."""
    if found.is_text:
        return "words" if found.width == 1 and "phone" not in found.names else None
    are_labels = any(word in found.names for word in _NAMES["labels"])
    if are_labels and found.width in _WIDTHS["labels"]:
        return "labels"
    for role in ("text", "audio", "vision"):
        if any(word in found.names for word in _NAMES[role]):
            return role
    if are_labels:
        return "other labels"
    return next((role for role, widths in _WIDTHS.items() if found.width in widths), None)


class Survey:
    """Which file of a folder plays which role.

    Args:
        path: str. The folder.

    `roles` is a dict from role to `Found`, `warnings` a list of str about the files that aren't read, `other_labels`
    another about the files of labels whose columns aren't known.

    Raises:
        DataError: a file is damaged.
    """

    def __init__(self, path):
        self.path = path
        self.roles, self.warnings = {}, []
        candidates = collections.defaultdict(list)
        for name in sorted(os.listdir(path)):
            file = os.path.join(path, name)
            if hdf5.is_hdf5(file):
                found = look(file)
                candidates[role_of(found) if found else None].append(found or name)
            elif name.lower().endswith(".csd") and os.path.isfile(file):
                said = foreign.describe(file)
                raise DataError(f"{file}: {said or _NO_HDF5}")
        self.others = [name for name in candidates[None] if isinstance(name, str)]
        for file in candidates.pop(None, []):
            what = f"{file.file}: {file}" if isinstance(file, Found) else f"{file}: no computational sequence"
            self.warnings.append(f"{what}, not read; what a sequence is, its name says: {_SAID}")
        labels = candidates.get("other labels", [])
        if "labels" not in candidates and len(labels) == 1 and len(dimension_names(labels[0]) or ()) == labels[0].width:
            candidates["labels"] = candidates.pop("other labels")
        self.other_labels = [
            f"{found.root!r} in {found.file} has {found.width} columns ({_columns(found)})"
            for found in candidates.pop("other labels", [])
        ]
        for said in self.other_labels:
            self.warnings.append(f"labels: {said}; expected {_LABEL_COLUMNS}, not read")
        for role, found in candidates.items():
            found.sort(key=lambda f: (_preference(f, role), f.names))
            self.roles[role] = found[0]
            if len(found) > 1:
                others = listing(f"{other.root!r} in {other.file}" for other in found[1:])
                self.warnings.append(
                    f"{role}: {found[0].root!r} in {found[0].file} is read; not read for the same: {others}. "
                    "Take it out of the folder to choose another one"
                )

    def check(self):
        """Raises `DataError` unless there are labels and something to learn them from."""
        held = "; ".join(f"{role}: {found}" for role, found in self.roles.items()) or "nothing known"
        if "labels" not in self.roles and self.other_labels:
            raise DataError(
                f"{self.path}: its labels aren't read: {'; '.join(self.other_labels)}; expected {_LABEL_COLUMNS}: "
                "put a file of the sentiment labels into the folder, or write one with that column alone"
            )
        if not self.roles and self.others:
            raise DataError(
                f"{self.path}: its HDF5 files hold no computational sequences ({listing(self.others[:4])}): read them "
                f"by h5py and {foreign.TO_NPZ}"
            )
        if "labels" not in self.roles:
            raise DataError(f"{self.path}: has no labels among its .csd files; they hold {held}")
        if not self.roles.keys() & {"text", "audio", "vision"}:
            raise DataError(f"{self.path}: has no features among its .csd files; they hold {held}")


def _preference(found, role):
    words = _NAMES.get(role, ())
    ranks = [rank for rank, word in enumerate(words) if word in found.names]
    # Emotions are labels too, but not the ones that are read.
    return ("emotion" in found.names and role == "labels", min(ranks, default=len(words)))


@dataclasses.dataclass(frozen=True)
class Entry:
    """Intervals float64 `[T, 2]` and features `[T, F]` of one entry."""

    name: str
    intervals: np.ndarray
    features: np.ndarray

    def words(self):
        """The features, where they are words, as a list of str."""
        return [as_text(row[0]) for row in self.features.tolist()]


class Sequence:
    """An opened file, read one video at a time.

    Args:
        file: `h5py.File`.
        found: Found.
        role: str.
    """

    def __init__(self, file, found, role):
        self.where = found.path
        with hdf5.guarded(self.where):
            self.data = file[found.root]["data"]
        self.width = found.width
        self.is_text = role == "words"
        # An entry is a video, or a piece of one, called `video[i]`.
        self.entries = collections.defaultdict(list)
        for name in hdf5.children(self.data, f"{self.where}: {found.root}/data"):
            self.entries[name.partition("[")[0]].append(name)

    def video(self, video):
        """The entries of a video."""
        return [self._entry(name) for name in sorted(self.entries[video], key=_position)]

    def _entry(self, name):
        where = f"{self.where}: {name}"
        with hdf5.guarded(where):
            group = self.data[name]
        names = hdf5.children(group, where)
        for field in ("features", "intervals"):
            if field not in names:
                raise DataError(f"{where} has no {field}")
        with hdf5.guarded(where):
            intervals, features = (hdf5.read(group[f], f"{where}/{f}") for f in ("intervals", "features"))
        if intervals.shape == (2,):
            intervals, features = intervals[None], features[None] if features.ndim == 1 else features
        if intervals.dtype.kind not in "iuf" or intervals.ndim != 2 or intervals.shape[1] != 2:
            raise DataError(
                f"{where}/intervals has shape {intervals.shape} and type {intervals.dtype}; a start and an end in "
                "seconds for each frame are expected"
            )
        if features.ndim < 1 or len(features) != len(intervals):
            raise DataError(f"{where}/features has shape {features.shape}, for {len(intervals)} intervals")
        features = features.reshape(len(features), -1) if features.size else np.zeros((0, self.width))
        if len(features) and (features.shape[1] != self.width or (features.dtype.kind in "SO") != self.is_text):
            raise DataError(
                f"{where}/features is {features.shape[1]} wide, of type {features.dtype}; the file's first is "
                f"{self.width} wide and holds {'texts' if self.is_text else 'numbers'}"
            )
        return Entry(name, intervals[: len(features)].astype("float64"), features)


def _position(name):
    index = name.partition("[")[2].rstrip("]")
    return (int(index) if index.isdecimal() and len(index) < 10 else -1, name)
