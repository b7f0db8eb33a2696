"""The records of one split: what is in them, where they are, and the index that says so."""

import contextlib
import functools
import os
import struct
import zlib

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.schema.validation import DataError, check_token_ids
from plumkeras.data_pipelines.shards import layout

# What TFRecord puts around a record: its length and a checksum before, a checksum after.
_BEFORE, _AFTER = 12, 4
# `tf.train.Feature`'s kinds by their field numbers.
_BYTES, _FLOAT, _INT64 = 1, 2, 3
_KINDS = {_BYTES: "bytes", _FLOAT: "float", _INT64: "int64"}
_TEXT_KEYS = {"ids": "id", "raw_text": "raw_text", "groups": "group", "context_raw_text": "context_raw_text"}


class SplitWriter:
    """Writes a split's shards row by row, and its index in the end. A context manager.

    Args:
        folder: str. Where to.
        name: str. The split's name.
        split: Split. Its features are read in the order of the rows, and once.
        shards: int. How many, at most.

    Attributes:
        cleaned: dict from modality to what was set to zero while it was written: in arrays that no reader had
            cleaned, or by a stream.
        fields: dict from the name of each field of a record to its type.
    """

    def __init__(self, folder, name, split, shards):
        # Late, so that reading data doesn't start TensorFlow.
        try:
            import tensorflow as tf
        except ImportError as error:
            raise DataError(f"TFRecord shards are written by TensorFlow, which can't be imported: {error}") from None
        self._errors = tf.errors.OpError
        self._folder, self._name, self._split = folder, name, split
        count = min(shards, len(split))
        self._files = [layout.shard_name(name, number, count) for number in range(count)]
        self._writers = [tf.io.TFRecordWriter(os.path.join(folder, file)) for file in self._files]
        self._ends = [0] * count
        self._index = {"shard": np.arange(len(split), dtype="int32") % count}
        self.cleaned, self.fields = {}, {}
        self._sequences = []
        for sequences in layout.SEQUENCES:
            lengths = getattr(split, layout.length_field(sequences)) or {}
            for modality, array in (getattr(split, sequences) or {}).items():
                field = f"{sequences}/{modality}"
                self._index[f"{field}/lengths"] = lengths[modality]
                self._index[f"{field}/offsets"] = np.zeros(len(split), dtype="int64")
                self._index[f"{field}/crc32"] = np.zeros(len(split), dtype="uint32")
                key = modality if sequences == "features" else f"context_{modality}"
                self._sequences.append((key, field, array, lengths[modality]))
                self.fields[key] = {"type": "bytes", "dtype": "float32", "width": array.shape[2]}

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with self._readable():
            for writer in self._writers:
                writer.close()
        if error[0] is None:
            self._complete_index()
            np.savez(os.path.join(self._folder, layout.index_name(self._name)), **self._index)

    @contextlib.contextmanager
    def _readable(self):
        try:
            yield
        except self._errors as error:
            raise OSError(error.message) from None

    def write(self, rows):
        """Writes the records of consecutive rows."""
        blocks = {}
        for key, field, array, _ in self._sequences:
            block, counts = cleaning.clean_array(array[rows.start : rows.stop])
            if not rows.start:
                check_token_ids(f"{self._name}/{key}", key, block, [m for m in self._split.features if m != "text"])
            blocks[field] = block.astype("<f4", copy=False)
            known = self.cleaned.setdefault(key, getattr(array, "counts", {}))
            known.update({kind: known.get(kind, 0) + count for kind, count in counts.items()})
        with self._readable():
            for row in rows:
                self._write_record(row, {field: block[row - rows.start] for field, block in blocks.items()})

    def _write_record(self, row, features):
        shard = int(self._index["shard"][row])
        parts, end = [], self._ends[shard] + _BEFORE
        for key, kind, payload in self._small_fields(row):
            parts += (_head(key, kind, len(payload)), payload)
            end += len(parts[-2]) + len(payload)
        for key, field, _, lengths in self._sequences:
            payload = features[field][: lengths[row]]
            head = _head(key, _BYTES, payload.nbytes)
            self._index[f"{field}/offsets"][row] = end + len(head)
            self._index[f"{field}/crc32"][row] = zlib.crc32(payload)
            parts += (head, payload)
            end += len(head) + payload.nbytes
        self._writers[shard].write(b"".join(parts))
        self._ends[shard] = end + _AFTER

    def _small_fields(self, row):
        """Yields key, kind and bytes of everything but the features."""
        split = self._split
        for field, key in _TEXT_KEYS.items():
            if getattr(split, field) is not None:
                yield key, _BYTES, str(getattr(split, field)[row]).encode("utf-8", "surrogatepass")
        for key, _, _, lengths in self._sequences:
            yield f"{key}_length", _INT64, _varint(int(lengths[row]))
        if split.labels is not None:
            yield "label", *_number(split.labels[row])
        for modality, labels in (split.modality_labels or {}).items():
            yield f"{modality}_label", *_number(labels[row])
        if split.folds is not None:
            yield "fold", *_number(split.folds[row])

    def _complete_index(self):
        split = self._split
        for field in layout.TEXTS:
            if getattr(split, field) is not None:
                packed = layout.pack_texts(getattr(split, field))
                self._index[field], self._index[f"{field}_ends"] = packed
        for field in ("labels", "folds"):
            if getattr(split, field) is not None:
                self._index[field] = getattr(split, field)
        for modality, labels in (split.modality_labels or {}).items():
            self._index[f"modality_labels/{modality}"] = labels
        for key, kind, _ in self._small_fields(0):
            self.fields.setdefault(key, {"type": _KINDS[kind]})

    def entry(self):
        """What the schema says of the split."""
        sizes = np.bincount(self._index["shard"], minlength=len(self._files)).tolist()
        shapes = {
            sequences: {m: list(array.shape[1:]) for m, array in (getattr(self._split, sequences) or {}).items()}
            for sequences in layout.SEQUENCES
        }
        return {
            "samples": len(self._split),
            **shapes,
            "shards": [
                {"file": file, "samples": size, "bytes": end}
                for file, size, end in zip(self._files, sizes, self._ends, strict=True)
            ],
            "index": layout.index_name(self._name),
            "index_sha256": layout.digest(self._index),
        }


def _number(value):
    if isinstance(value, np.floating):
        return _FLOAT, struct.pack("<f", value)
    return _INT64, _varint(int(value))


def _varint(number):
    """A number that isn't negative as protocol buffers write it: seven bits a byte, the lowest first."""
    parts = bytearray()
    while number > 127:
        parts.append(number & 127 | 128)
        number >>= 7
    parts.append(number)
    return bytes(parts)


@functools.lru_cache(4096)
def _head(key, kind, size):
    """The bytes of a `tf.train.Example` of one feature, but for the `size` bytes of the value, which come last.

    Examples one after the other are read as one with the features of all. Writing these few bytes here, the position of
    the value within the record is known, and nothing is copied into a message and out of it again.
    """
    head = b"\n" + _varint(size)  # the first value of the list, or all of them, packed
    head = bytes([kind << 3 | 2]) + _varint(len(head) + size) + head  # the list, in a Feature
    head = b"\x12" + _varint(len(head) + size) + head  # the Feature, value of an entry in the map
    name = key.encode("utf-8", "surrogatepass")
    head = b"\n" + _varint(len(name)) + name + head  # its key
    for _ in ("the entry, in Features", "Features, in the Example"):
        head = b"\n" + _varint(len(head) + size) + head
    return head
