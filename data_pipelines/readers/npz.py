"""The native layout: `<split>/<field>` arrays in an npz file.

Fields are `id, raw_text, text, text_lengths, audio, audio_lengths, vision, vision_lengths` and `regression_labels`,
`classification_labels` or `multilabel_labels` (`[N, L]` of 0 and 1), any modality absent; one `lengths` may serve all
modalities. Without splits the fields are at the top, with `fold` for cross-validation. A field that comes with its own
`<field>_lengths` is a modality too, so that a fourth one can be added. Other names are read where they can't be
mistaken (see `names`): `acoustic`, `visual`, `video` and `language`; `train_text`, `train.text` and
`train/features/text`; `labels`, `label` and `y`. An array of objects holds sequences `[T, F]`, or texts; it goes
through the restricted unpickler. `group` names the video or speaker of each sample; `context_<modality>`,
`context_<modality>_lengths` and `context_raw_text` hold what was said before the utterance. At the top, `label_range`
(two numbers) replaces the range [-3, 3], `label_names` names the columns of `multilabel_labels`, and `metric_report`
says which metrics a regression has (`sentiment`, `sims` or `scale`).
"""

import contextlib
import functools
import math
import zipfile
import zlib

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.containers.object_arrays import DAMAGE, read_object_array
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.readers import foreign
from plumkeras.data_pipelines.readers.shared import fields, names
from plumkeras.data_pipelines.readers.shared.assembling import add_context, agreed_lengths, assemble, read_list
from plumkeras.data_pipelines.readers.shared.labels import ANY, labelled
from plumkeras.data_pipelines.schema.validation import METRIC_REPORTS, MODALITIES, SPLIT_ALIASES, DataError, listing

NAME = "npz"
DESCRIPTION = "npz with <split>/<field> arrays (PlumKeras)"
_CONTEXT = "context_"
# What is said at the top, of the labels of all splits.
_OF_THE_FILE = ("label_range", "label_names", "metric_report")
_KNOWN = {"id", "raw_text", "lengths", "fold", "group", "context_raw_text", "labels", "multilabel_labels"}
_KNOWN |= set(fields.LABEL_FIELDS)
_EXPECTED = (
    "expected <split>/<field> (train/text, train/text_lengths, train/regression_labels), or the fields alone; "
    f"splits are {listing(SPLIT_ALIASES)}, modalities {listing(MODALITIES)}"
)
# What is paid for an array, which takes its time however small it is.
_BYTES_PER_ARRAY = 16_384
_FAILURES = (*DAMAGE, zipfile.BadZipFile, zlib.error)


def read(path, report, modalities=None, request=ANY, sha256=None):
    """Reads a native npz file. Arguments and errors as `plumkeras.data_pipelines.load`."""
    with _open_archive(path) as archive:
        members = _members(archive, path)
        if not members:
            raise DataError(f"{path}: {foreign.describe_zip(path, archive.namelist())}")
        grouped = _group(members, path, report)
        stated = _stated(members)
        names.rename_modalities(grouped, path, report, _Member.may_be_features, modalities or (), modalities or ())
        declared = names.name_labels(grouped, path, report)
        splits = {}
        for name in list(grouped):
            splits[name] = _read_split(name, grouped.pop(name), path, report, modalities)
    return labelled(splits, request, report, path, declared=declared, format=NAME, sha256=sha256, **stated)


def read_arrays(path):
    """Every array of an npz file, as a dict by name, whatever its layout.

    Raises:
        DataError: the file is damaged, or holds an array of something else than numbers or texts.
    """
    with _open_archive(path) as archive:
        return {name: member.read() for name, member in _members(archive, path).items()}


def _open_archive(path):
    try:
        return zipfile.ZipFile(path)
    except _FAILURES as error:
        raise DataError(f"{path}: truncated or corrupt npz: {str(error)[:200]}; download or copy it again") from None


def _members(archive, path):
    return {
        name.removesuffix(".npy"): _Member(archive, archive.getinfo(name), path)
        for name in archive.namelist()
        if name.endswith(".npy")
    }


def _group(members, path, report):
    """Sorts members by split; `all` when they are at the top."""
    grouped, top = {}, {}

    def put(split, field, member, name):
        split = SPLIT_ALIASES[split]
        fields = grouped.setdefault(split, {})
        if field in fields:
            raise DataError(f"{path}: has {split}/{field} under two names, {fields[field].name} and {name}")
        fields[field] = member

    for name, member in members.items():
        split, field = names.split_and_field(name)
        if split in SPLIT_ALIASES:
            put(split, field, member, name)
        elif split is not None:
            report.warn(f"{name}: unknown split {split!r}, not read; splits are {listing(SPLIT_ALIASES)}")
        elif name not in _OF_THE_FILE:
            top[name] = member
    if not grouped:
        lengths = {f"{modality}_lengths" for modality in (*MODALITIES, *names.MODALITY_NAMES)}
        known = {*_KNOWN, *MODALITIES, *names.MODALITY_NAMES, *names.LABEL_NAMES, *lengths}
        for name, (split, field) in names.flat(top, known).items():
            put(split, field, top.pop(name), name)
    if not grouped:
        if not top:
            raise DataError(f"{path}: has no split; it has {_some(members)}; {_EXPECTED}")
        return {"all": top}
    for name in top:
        report.warn(f"{name}: unknown field beside the splits, not read; a field of a split is <split>/{name}")
    return {name: grouped[name] for name in ("train", "valid", "test") if name in grouped}


def _some(members):
    """A few names, for an error."""
    return listing([*(name[:40] for name in list(members)[:8]), *["..."] * (len(members) > 8)])


def _stated(members):
    """What the file says of its labels at the top, as `labelled` takes it."""
    found = {}
    if member := members.get("label_range"):
        values = member.read()
        if values.shape != (2,) or values.dtype.kind not in "iuf" or not values[0] < values[1]:
            raise DataError(f"{member.where} is {values!r}; a lower and an upper end are expected")
        found["label_range"] = tuple(values.tolist())
    if member := members.get("label_names"):
        found["names"] = tuple(fields.texts(member.read(), member.where))
    if member := members.get("metric_report"):
        said = str(member.read())
        if said not in METRIC_REPORTS:
            raise DataError(f"{member.where} is {said!r:.40}; one of {listing(METRIC_REPORTS)} is expected")
        found["metric_report"] = said
    return found


def _read_split(name, members, path, report, wanted):
    where = f"{path}: {name}"
    with_lengths = sorted(
        field
        for field in members
        if f"{field}_lengths" in members
        or (field.startswith(_CONTEXT) and field not in _KNOWN and members[field].dtype.kind == "O")
    )
    available = list(dict.fromkeys([*(m for m in MODALITIES if m in members), *with_lengths]))
    context = [f for f in available if f.startswith(_CONTEXT) and f.removeprefix(_CONTEXT) in available]
    context = {field.removeprefix(_CONTEXT): field for field in context}
    available = [field for field in available if field not in context.values()]
    if not available:
        raise DataError(f"{where} has no features; it has {_some(members)}; {_EXPECTED}")
    chosen = fields.pick_modalities(available, wanted, where)
    known = _KNOWN | {f + end for f in (*available, *context.values()) for end in ("", "_lengths")}
    for field in sorted(set(members) - known):
        hint = f"; a modality of your own needs {field}_lengths" if members[field].may_be_features() else ""
        report.warn(f"{name}/{field}: unknown field, not read{hint}")
    values = {
        field: members[field].read(objects=True)
        for field in members
        if field in _KNOWN and not field.startswith("classification_labels_")
    }

    listed = {}

    def read_features(modality, field=None):
        member = members[field or modality]
        if member.dtype.kind != "O":
            return member.read_features()
        features, counts, lengths = read_list(member.read(objects=True), member.where)
        if counts is None:
            features, counts = cleaning.clean_array(features)
            # Contexts have no other lengths.
            if field is not None and f"{field}_lengths" not in members:
                lengths = np.full(len(features), features.shape[1])
        if lengths is not None:
            listed[field or modality] = lengths
        return features, counts

    def given_lengths(modality):
        member = members.get(f"{modality}_lengths")
        given = None if member is None else fields.lengths(member.read(objects=True), member.where)
        return agreed_lengths(listed.get(modality), given, f"{where}/{modality}_lengths")

    def find_lengths(modality, frames):
        found = given_lengths(modality)
        if found is not None:
            return found, f"{modality}_lengths"
        if "lengths" not in values:
            return None
        lengths = fields.lengths(values["lengths"], f"{where}/lengths")
        # One vector for the whole utterance beside sequences: its length is never above 1.
        return (np.minimum(lengths, 1) if frames == 1 else lengths), "lengths"

    split = assemble(name, path, values, chosen, read_features, find_lengths, report)
    read_context, context_lengths = lambda m: read_features(m, context[m]), lambda m, _: given_lengths(context[m])
    return add_context(split, name, path, [m for m in chosen if m in context], read_context, context_lengths, report)


class _Member:
    """One array of the archive, read when asked for."""

    def __init__(self, archive, info, path):
        self.archive = archive
        self.info = info
        self.path = path
        self.name = info.filename.removesuffix(".npy")
        self.where = f"{path}: {self.name}"

    @functools.cached_property
    def dtype(self):
        """The array's type."""
        return self._header[1]

    @functools.cached_property
    def _header(self):
        with self._opened() as (_, shape, _, dtype):
            return shape, dtype

    def may_be_features(self):
        """Whether it is of the type and shape that features have."""
        shape, dtype = self._header
        return names.is_shape_of_features(len(shape), dtype.kind) or dtype.kind == "O"

    def read(self, objects=False):
        """The whole array.

        Args:
            objects: bool. Whether one of objects is admitted: texts, numbers, or sequences of different lengths.
        """
        with self._opened() as (stream, shape, is_fortran, dtype):
            if objects and dtype.kind == "O":
                spend(self.info.file_size, self.where)
                return read_object_array(stream, shape, self.where)
            if dtype.kind not in "iufbSU":
                raise DataError(f"{self.where} is of type {dtype}; numbers or texts are expected")
            # Once as bytes of the file, and once more as what is made of them.
            spend(2 * math.prod(shape) * dtype.itemsize, self.where)
            return self._take(stream, shape, dtype, is_fortran)

    def read_features(self):
        """The array as float32 `[N, T, F]`, cleaned while it is decoded, and the counts; see `cleaning.read_blocks`."""
        blocks = self._feature_blocks()
        return cleaning.read_blocks(blocks, next(blocks))

    def _feature_blocks(self):
        """Yields the shape, which opens the member for as long as it is read, and then some rows at a time."""
        with self._opened() as (stream, shape, is_fortran, dtype):
            fields.check_features(shape, dtype, self.where)
            rows = cleaning.block_rows(math.prod(shape[1:]) * dtype.itemsize)
            # What they become, and what is read at a time: all of it in Fortran order.
            at_once = math.prod(shape) if is_fortran else min(rows, shape[0]) * math.prod(shape[1:])
            spend(math.prod(shape) * max(4, dtype.itemsize) + 2 * at_once * dtype.itemsize, self.where)
            yield shape
            if is_fortran:
                yield from cleaning.row_blocks(self._take(stream, shape, dtype, is_fortran))
                return
            for start in range(0, shape[0], rows):
                yield self._take(stream, (min(rows, shape[0] - start), *shape[1:]), dtype)

    @contextlib.contextmanager
    def _opened(self):
        # Those of other methods grow by any factor at the first read.
        if self.info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise DataError(f"{self.where} isn't compressed as numpy does it; write it by np.savez_compressed")
        spend(_BYTES_PER_ARRAY, self.where)
        size = self.info.file_size
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
            raise DataError(f"{self.where}: truncated or corrupt: {str(error)[:200]}") from None

    def _take(self, stream, shape, dtype, is_fortran=False):
        data = stream.read(math.prod(shape) * dtype.itemsize)
        if len(data) != math.prod(shape) * dtype.itemsize:
            raise EOFError("its data end early")
        if not data:
            return np.empty(shape, dtype)
        return np.frombuffer(data, dtype).reshape(shape, order="F" if is_fortran else "C")
