"""Reads the shards that `convert` wrote: `open_shards`, a data set whose features stay in the files."""

import os
import weakref
import zlib
from collections.abc import Iterable

import numpy as np

from plumkeras.data_pipelines.batches.buffers import BufferPool
from plumkeras.data_pipelines.containers.budget import reading, spend
from plumkeras.data_pipelines.readers import npz
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.schema.dataset import Dataset, Split
from plumkeras.data_pipelines.schema.report import Report
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.schema.validation import DataError
from plumkeras.data_pipelines.shards import layout

_BYTES_PER_TEXT = 128


def open_shards(
    directory: str | os.PathLike,
    modalities: Iterable[str] | None = None,
    label_range: tuple[float, float] | None = None,
    max_bytes: int | None = None,
) -> Dataset:
    """Opens a folder that `convert` wrote, and leaves the features in it.

    Everything but the features is read at once, from the index. Batches, statistics and predictions are then made of
    samples read by themselves, in any order, so that memory doesn't grow with the data; the batches of a seed and an
    epoch are those of the same data in memory. A record is checked against its checksum when it is first read.

    Args:
        directory: str or path.
        modalities: iterable of str. Which modalities to offer; None offers all.
        label_range: pair of floats. In place of the one that was converted.
        max_bytes: int. As in `load`; the features are counted as they are in memory, padded.

    Returns:
        Dataset. Its splits are what `load` gives, but `features` are `StoredFeatures`.

    Raises:
        DataError: the folder is damaged, incomplete, or none of this kind.

    Example:

    >>> import tempfile
    >>> from plumkeras.data_pipelines import convert, make_dataset, make_synthetic, open_shards
    >>> folder = tempfile.mkdtemp()
    >>> _ = convert(make_synthetic({"train": 8})[0], folder, shards=2)
    >>> train = open_shards(folder)["train"]
    >>> inputs, labels = next(iter(make_dataset(train, batch_size=4, training=True, seed=1)))
    >>> inputs["text"].shape[0], train.lengths["text"].shape
    (4, (8,))
    """
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise DataError(f"{directory}: there is no such folder")
    if not layout.matches(directory):
        raise DataError(f"{directory}: holds no TFRecord shards; plumkeras convert writes such a folder")
    try:
        schema = layout.read_schema(directory)
        with reading(directory, max_bytes):
            splits = {name: _open_split(directory, name, entry, modalities) for name, entry in schema["splits"].items()}
    except OSError as error:
        raise DataError(f"{directory}: can't be read: {error}") from None
    return Dataset(
        splits,
        report=Report(schema["report"]["cleaned"], list(schema["report"]["warnings"])),
        path=directory,
        format="tfrecord",
        sha256=schema["sha256"],
        task=schema["task"],
        label_range=schema["label_range"] if label_range is None else label_range,
    )


def _open_split(directory, name, entry, wanted):
    where = os.path.join(directory, layout.index_name(name))
    if not os.path.isfile(where):
        raise DataError(f"{where}: there is no such file, though the schema names it")
    arrays = npz.read_arrays(where)
    if layout.digest(arrays) != entry["index_sha256"]:
        raise DataError(f"{where}: is damaged or was changed: its checksum is another one")
    index = _Index(arrays, where)
    files = _ShardFiles(directory, entry["shards"])
    chosen = fields.pick_modalities(entry["features"], wanted, f"{directory}: {name}")
    parts = {"ids": np.array(index.texts("ids"), dtype=np.str_)}
    for field in layout.TEXTS[1:]:
        if field in arrays:
            texts = index.texts(field)
            parts[field] = np.empty(len(texts), dtype=object)
            parts[field][:] = texts
    if "labels" in arrays:
        parts["labels"] = index.array("labels", "int32" if arrays["labels"].dtype.kind == "i" else "float32")
    if "folds" in arrays:
        parts["folds"] = index.array("folds", "int32")
    labelled = [field for field in arrays if field.startswith("modality_labels/")]
    if labelled:
        parts["modality_labels"] = {field.partition("/")[2]: index.array(field, "float32") for field in labelled}
    for sequences in layout.SEQUENCES:
        shapes = {m: shape for m, shape in entry[sequences].items() if m in chosen}
        shapes = {m: shapes[m] for m in chosen if m in shapes}
        if not shapes:
            continue
        features = {m: _features(f"{sequences}/{m}", shape, index, files) for m, shape in shapes.items()}
        parts[sequences] = features
        parts[layout.length_field(sequences)] = {m: array.lengths for m, array in features.items()}
        # Padding isn't stored, so that a few bytes could stand for any number of frames.
        spend(sum(len(index) * frames * width * 4 for frames, width in shapes.values()), where)
    return Split(**parts)


def _features(field, shape, index, files):
    lengths, offsets = index.array(f"{field}/lengths", "int32"), index.array(f"{field}/offsets", "int64")
    sums, shards = index.array(f"{field}/crc32", "uint32"), index.array("shard", "int32")
    for row in np.flatnonzero((shards < 0) | (shards >= len(files.sizes)))[:1]:
        raise DataError(f"{index.where}/shard holds {shards[row]} at position {row}; there are {len(files.sizes)}")
    for row in np.flatnonzero((lengths < 0) | (lengths > shape[0]))[:1]:
        raise DataError(f"{index.where}/{field}/lengths holds {lengths[row]} at position {row}; frames are {shape[0]}")
    room = files.sizes[shards] - lengths.astype("int64") * shape[1] * 4
    for row in np.flatnonzero((offsets < 0) | (offsets > room))[:1]:
        raise DataError(f"{index.where}/{field}/offsets holds {offsets[row]} at position {row}, outside of the shard")
    return ShardFeatures(field, shape, index.ids, files, shards, offsets, lengths, sums)


class _Index:
    """The arrays of an index, each known to be one value per sample."""

    def __init__(self, arrays, where):
        self.arrays, self.where = arrays, where
        self.ids = self.texts("ids")
        fields.pay_for_samples(len(self.ids), where)

    def __len__(self):
        return len(self.ids)

    def array(self, field, dtype, count=None):
        count = len(self) if count is None else count
        found = self.arrays.get(field)
        if found is None:
            raise DataError(f"{self.where} has no {field!r}")
        if found.dtype != dtype or found.ndim != 1 or count not in (len(found), -1):
            raise DataError(f"{self.where}/{field} has shape {found.shape} and type {found.dtype}; {dtype} is expected")
        return found

    def texts(self, field):
        ends = self.array(f"{field}_ends", "int64", -1 if field == "ids" else None)
        if not len(ends):
            raise DataError(f"{self.where}/{field} is empty: 0 samples")
        spend(_BYTES_PER_TEXT * len(ends), f"{self.where}/{field}")
        return layout.unpack_texts(self.array(field, "uint8", -1), ends, f"{self.where}/{field}")


class ShardFeatures(StoredFeatures):
    """The features of one modality in a split's shards, read when they are asked for.

    Args:
        field: str. Named in errors.
        shape: pair of ints, frames and width.
        ids: sequence of str, for errors.
        files: _ShardFiles.
        shards, offsets, lengths, sums: arrays `[N]`: each sample's shard, the position of its bytes there, its number
            of frames, and the CRC-32 of the bytes.
    """

    def __init__(self, field, shape, ids, files, shards, offsets, lengths, sums):
        super().__init__((len(shards), *shape))
        self.field, self.lengths = field, lengths
        self._ids, self._files = ids, files
        self._shards, self._offsets, self._sums = shards, offsets, sums
        self._is_checked = np.zeros(len(self), dtype=bool)
        self._buffers = BufferPool()

    @property
    def stored_bytes(self):
        """How many bytes the samples take in the files."""
        return int(self.lengths.sum(dtype="int64")) * self.shape[2] * 4

    def take(self, rows):
        rows = self._numbers(rows)
        ids = [self._ids[row] for row in rows.tolist()]
        picked = (array[rows] for array in (self._shards, self._offsets, self.lengths, self._sums))
        return ShardFeatures(self.field, self.shape[1:], ids, self._files, *picked)

    def _read(self, rows, start, stop):
        found = self._buffers.empty((len(rows), stop - start, self.shape[2]))
        # One after the other: threads would fight over the interpreter, and what reads ahead of training is a thread.
        for row, frames in zip(rows.tolist(), found, strict=True):
            length = int(self.lengths[row])
            if start == 0 and length <= stop:
                self._read_record(row, frames[:length])
            else:
                whole = np.empty((length, self.shape[2]), dtype="<f4")
                self._read_record(row, whole)
                part = whole[start:stop]
                length = len(part)
                frames[:length] = part
            frames[length:] = 0
        return found.astype(self.dtype, copy=False)

    def _read_record(self, row, array):
        shard = int(self._shards[row])
        self._files.read(shard, int(self._offsets[row]), array)
        if self._is_checked[row]:
            return
        if zlib.crc32(array) != self._sums[row]:
            raise DataError(
                f"{self._files.path(shard)}: damaged: {self.field} of sample {self._ids[row]!s} isn't what was written"
            )
        self._is_checked[row] = True


class _ShardFiles:
    """A split's shards, open until the last features that need them are gone.

    Args:
        directory: str.
        shards: list of dicts with `file` and `bytes`, as in the schema.

    Raises:
        DataError: a shard is missing, or of another size than the schema says.
    """

    def __init__(self, directory, shards):
        self._paths = [os.path.join(directory, shard["file"]) for shard in shards]
        self._handles = []
        weakref.finalize(self, _close, self._handles)
        for path in self._paths:
            self._handles.append(_open(path))
        self.sizes = np.array([os.fstat(handle).st_size for handle in self._handles], dtype="int64")
        for path, size, shard in zip(self._paths, self.sizes.tolist(), shards, strict=True):
            if size != shard["bytes"]:
                kind = "truncated" if size < shard["bytes"] else "damaged"
                raise DataError(f"{path}: {kind}: it has {size} bytes; {shard['bytes']} were written")

    def path(self, number):
        return self._paths[number]

    def read(self, number, offset, array):
        """Fills an array from a position of a shard."""
        if not array.size:
            return
        view = memoryview(array).cast("B")
        try:
            while view:
                count = os.preadv(self._handles[number], [view], offset)
                if not count:
                    raise DataError(f"{self._paths[number]}: truncated: nothing at byte {offset}")
                view, offset = view[count:], offset + count
        except OSError as error:
            raise DataError(f"{self._paths[number]}: can't be read: {error}") from None


def _open(path):
    try:
        return os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file, though the schema names it") from None


def _close(handles):
    for handle in handles:
        os.close(handle)
