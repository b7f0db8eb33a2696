"""The native layout: `<split>/<field>` arrays in an npz file.

Fields are `id, raw_text, text, text_lengths, audio, audio_lengths, vision, vision_lengths` and
`regression_labels` or `classification_labels`, any modality absent; one `lengths` may serve all
modalities. Without splits the fields stand at the top, with `fold` for cross-validation. A field
that comes with its own `<field>_lengths` is a modality too, so that a fourth one can be added.
`label_range` (two numbers, at the top) replaces the range [-3, 3].
"""

import contextlib
import math
import os
import zipfile
import zlib

import numpy as np

from plumkeras.data_pipelines import cleaning
from plumkeras.data_pipelines.readers import fields
from plumkeras.data_pipelines.readers.assembling import assemble
from plumkeras.data_pipelines.schema import Dataset
from plumkeras.data_pipelines.validation import MODALITIES, DataError, listing

NAME = "npz"
DESCRIPTION = "npz with <split>/<field> arrays (PlumKeras)"
_ALIASES = {"train": "train", "valid": "valid", "dev": "valid", "val": "valid", "test": "test"}
_KNOWN = {"id", "raw_text", "lengths", "fold", *fields.LABEL_FIELDS}
# A real array compresses by 20 at the most; a large one that shrank by more than this is a bomb.
_MAX_RATIO = 250
_ALWAYS_ADMITTED = 64 << 20

# What zipfile, zlib and numpy's header parser raise on a damaged or crafted archive.
_FAILURES = (
    EOFError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    zipfile.BadZipFile,
    zlib.error,
)


def read(path, report, modalities=None, label_range=None, sha256=None):
    """Reads a native npz file. Arguments and errors as `plumkeras.data_pipelines.load`."""
    try:
        archive = zipfile.ZipFile(path)
    except _FAILURES as error:
        raise DataError(f"{path}: truncated or corrupt npz: {error}") from None
    with archive:
        members = {
            name.removesuffix(".npy"): _Member(archive, archive.getinfo(name), path)
            for name in archive.namelist()
            if name.endswith(".npy")
        }
        if not members:
            raise DataError(f"{path}: is a zip archive without arrays (.npy members)")
        grouped = _group(members, path, report)
        if "label_range" in members and label_range is None:
            label_range = _label_range(members["label_range"])
        splits = {}
        for name in list(grouped):
            splits[name] = _read_split(name, grouped.pop(name), path, report, modalities)
    return Dataset(splits, report=report, path=path, format=NAME, sha256=sha256, label_range=label_range)


def _group(members, path, report):
    """Sorts members by split; `all` when they stand at the top."""
    grouped = {}
    top = {}
    for name, member in members.items():
        prefix, slash, field = name.partition("/")
        if not slash:
            if name != "label_range":
                top[name] = member
        elif prefix in _ALIASES:
            if field in grouped.setdefault(_ALIASES[prefix], {}):
                raise DataError(f"{path}: has the split {_ALIASES[prefix]!r} under two names")
            grouped[_ALIASES[prefix]][field] = member
        else:
            report.warn(f"{name}: unknown split {prefix!r}, not read")
    if not grouped:
        if not top:
            raise DataError(f"{path}: has no split; known are {listing(_ALIASES)}, or fields at the top")
        return {"all": top}
    for name in top:
        report.warn(f"{name}: unknown field beside the splits, not read")
    return {name: grouped[name] for name in ("train", "valid", "test") if name in grouped}


def _label_range(member):
    values = member.read()
    if values.shape != (2,) or values.dtype.kind not in "iuf" or not values[0] < values[1]:
        raise DataError(f"{member.where} is {values!r}; a lower and an upper end are wanted")
    return tuple(values.tolist())


def _read_split(name, members, path, report, wanted):
    where = f"{path}: {name}"
    with_lengths = sorted(field for field in members if f"{field}_lengths" in members)
    available = list(dict.fromkeys([*(m for m in MODALITIES if m in members), *with_lengths]))
    chosen = fields.pick_modalities(available, wanted, where)
    known = _KNOWN | set(available) | {f"{modality}_lengths" for modality in available}
    for field in sorted(set(members) - known):
        report.warn(f"{name}/{field}: unknown field, not read")
    values = {
        field: members[field].read()
        for field in members
        if field in _KNOWN and not field.startswith("classification_labels_")
    }

    def read_features(modality):
        return members[modality].read_features()

    def find_lengths(modality, frames):
        field = f"{modality}_lengths"
        if field in members:
            return fields.lengths(members[field].read(), members[field].where), field
        if "lengths" not in values:
            return None
        lengths = fields.lengths(values["lengths"], f"{where}/lengths")
        # One vector for the whole utterance beside sequences: its length is never above 1.
        return (np.minimum(lengths, 1) if frames == 1 else lengths), "lengths"

    return assemble(name, path, values, chosen, read_features, find_lengths, report)


class _Member:
    """One array of the archive, read when asked for."""

    def __init__(self, archive, info, path):
        self.archive = archive
        self.info = info
        self.bytes_on_disk = os.path.getsize(path)
        self.where = f"{path}: {info.filename.removesuffix('.npy')}"

    def read(self):
        """The whole array."""
        with self._opened() as (stream, shape, is_fortran, dtype):
            if dtype.kind not in "iufbSU":
                raise DataError(f"{self.where} is of type {dtype}; numbers or texts are wanted")
            return self._take(stream, shape, dtype, is_fortran)

    def read_features(self):
        """The array as float32 `[N, T, F]`, cleaned while it is decoded, and the counts."""
        with self._opened() as (stream, shape, is_fortran, dtype):
            fields.check_features(shape, dtype, self.where)
            if is_fortran:
                whole = self._take(stream, shape, dtype, is_fortran)
                return cleaning.clean_blocks(cleaning.row_blocks(whole), shape)
            row_bytes = math.prod(shape[1:]) * dtype.itemsize
            rows = max(1, cleaning.BLOCK_BYTES // max(1, row_bytes))
            blocks = (
                self._take(stream, (min(rows, shape[0] - start), *shape[1:]), dtype)
                for start in range(0, shape[0], rows)
            )
            return cleaning.clean_blocks(blocks, shape)

    @contextlib.contextmanager
    def _opened(self):
        size = self.info.file_size
        packed = min(self.info.compress_size, self.bytes_on_disk)
        if size > _ALWAYS_ADMITTED and size > _MAX_RATIO * packed:
            raise DataError(f"{self.where} grows from {packed} to {size} bytes: a zip bomb, not an array")
        try:
            with self.archive.open(self.info) as stream:
                version = np.lib.format.read_magic(stream)
                if version == (1, 0):
                    header = np.lib.format.read_array_header_1_0(stream)
                else:
                    header = np.lib.format.read_array_header_2_0(stream)
                shape, _, dtype = header
                # The header says how much to allocate, so it must agree with what is there.
                wanted, there = math.prod(shape) * dtype.itemsize, size - stream.tell()
                if dtype.kind != "O" and (min(shape, default=0) < 0 or wanted != there):
                    raise DataError(
                        f"{self.where} has shape {shape} and type {dtype}, {wanted} bytes, but {there} bytes of data"
                    )
                yield (stream, *header)
        except DataError:
            raise
        except _FAILURES as error:
            raise DataError(f"{self.where}: truncated or corrupt: {error}") from None

    def _take(self, stream, shape, dtype, is_fortran=False):
        data = stream.read(math.prod(shape) * dtype.itemsize)
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise EOFError("its data end early")
        if not data:
            return np.empty(shape, dtype)
        return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")
