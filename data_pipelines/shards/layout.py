"""The folder that `convert` writes: TFRecord shards, an index per split, and `schema.json`.

Sample `i` of a split is in shard `i % S` of its S shards `<split>-00000-of-0000S.tfrecord`, so that reading the
shards by turns (`tf.data`'s `interleave` with `block_length=1`) gives the samples in the order of the source. A record
is a `tf.train.Example` of the sample's fields; features are the raw bytes of little-endian float32, valid frames only.

`<split>-index.npz` holds what is known of the samples without their features (ids, labels, lengths and so on), and for
each sample and modality where the bytes are and their CRC-32. With it the training order is known before anything is
read, and any sample is read by itself. `schema.json` describes the rest. Each part's checksum is in the one above:
a record's in the index, the index's in the schema, the schema's in itself. That last one names the whole.
"""

import hashlib
import json
import os
import re

import numpy as np

from plumkeras import json_text
from plumkeras.data_pipelines.schema.validation import SPLITS, DataError, listing

FORMAT = "plumkeras-tfrecord"
VERSION = 1
SCHEMA = "schema.json"
# All of a split's shards are open at once.
MAX_SHARDS = 100

# The fields of a `Split` that an index holds, by kind.
TEXTS = ("ids", "raw_text", "groups", "context_raw_text")
SEQUENCES = ("features", "context_features")

_MAX_SCHEMA_BYTES = 16 << 20


def shard_name(split, number, count):
    """File name of a split's shard."""
    return f"{split}-{number:05d}-of-{count:05d}.tfrecord"


def index_name(split):
    """File name of a split's index."""
    return f"{split}-index.npz"


def length_field(sequences):
    """The field of a `Split` that has the lengths of `features` or `context_features`."""
    return {"features": "lengths", "context_features": "context_lengths"}[sequences]


def is_own_name(name):
    """Whether a file in such a folder is one that `convert` writes."""
    own = rf"({'|'.join(SPLITS)})-(index\.npz|\d{{5}}-of-\d{{5}}\.tfrecord)"
    return name == SCHEMA or re.fullmatch(own, name) is not None


def matches(path):
    """Whether a folder is one that `convert` wrote."""
    return os.path.isfile(os.path.join(path, SCHEMA)) and any(name.endswith(".tfrecord") for name in os.listdir(path))


def checksum(tree):
    """SHA-256 of what a JSON tree says, however it is written."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def digest(arrays):
    """SHA-256 of named arrays; of their file it would change with the date in it."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"{name} {array.dtype.str} {array.shape}\n".encode("utf-8", "surrogatepass"))
        whole.update(np.ascontiguousarray(array))
    return whole.hexdigest()


def pack_texts(texts):
    """Texts as UTF-8 bytes, one after the other, and where each ends: an array of texts is as wide as its longest."""
    parts = [str(text).encode("utf-8", "surrogatepass") for text in texts]
    return np.frombuffer(b"".join(parts), "uint8"), np.cumsum([len(part) for part in parts], dtype="int64")


def unpack_texts(data, ends, where):
    """The list of texts that `pack_texts` packed."""
    starts = np.concatenate([[0], ends[:-1]])
    if (ends < starts).any() or ends[-1] != len(data):
        raise DataError(f"{where} holds ends of texts that contradict its {len(data)} bytes")
    data = data.tobytes()
    try:
        return [
            data[start:end].decode("utf-8", "surrogatepass")
            for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
        ]
    except UnicodeDecodeError as error:
        raise DataError(f"{where} holds bytes that are no text: {error}") from None


def write_schema(directory, tree):
    """Writes `schema.json` with its checksum; returns the tree as written."""
    tree = {"format": FORMAT, "version": VERSION, **tree}
    tree = {**tree, "sha256": checksum(tree)}
    with open(os.path.join(directory, SCHEMA), "w", encoding="utf-8") as file:
        json.dump(tree, file, indent=2)
        file.write("\n")
    return tree


def read_schema(directory):
    """The tree of `schema.json`, its parts known to be there and to be of their types.

    Raises:
        DataError: the file is damaged, was changed, is of another version, or lacks a part.
    """
    path = os.path.join(directory, SCHEMA)
    if os.path.getsize(path) > _MAX_SCHEMA_BYTES:
        raise DataError(f"{path}: is larger than any schema")
    try:
        with open(path, encoding="utf-8") as file:
            tree = json_text.parse(file.read())
    except ValueError as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    if not isinstance(tree, dict) or tree.get("format") != FORMAT:
        raise DataError(f"{path}: is no schema of PlumKeras's TFRecord shards")
    if tree.get("version") != VERSION:
        raise DataError(f"{path}: is of version {tree.get('version')!r:.80}; version {VERSION} is read")
    rest = {key: value for key, value in tree.items() if key != "sha256"}
    if tree.get("sha256") != checksum(rest):
        raise DataError(f"{path}: is damaged or was changed: its checksum is another one")
    _check_schema(tree, path)
    return tree


def _check_schema(tree, path):
    task, label_range = _part(tree, "task", (str, None), path), _part(tree, "label_range", (list, None), path)
    if task not in ("regression", "classification", None):
        raise DataError(f"{path}: task is {task!r:.80}")
    if label_range is not None and not (len(label_range) == 2 and all(_is_number(x) for x in label_range)):
        raise DataError(f"{path}: label_range is {label_range!r:.80}; two numbers are expected")
    report = _part(tree, "report", (dict,), path)
    for warning in _part(report, "warnings", (list,), f"{path}: report"):
        if not isinstance(warning, str):
            raise DataError(f"{path}: report/warnings holds {warning!r:.80}")
    for name, modalities in _part(report, "cleaned", (dict,), f"{path}: report").items():
        for modality in _only(dict, modalities, f"{path}: report/cleaned/{name}"):
            for kind, count in _part(modalities, modality, (dict,), f"{path}: report/cleaned/{name}").items():
                _only(int, count, f"{path}: report/cleaned/{name}/{modality}/{kind}")
    splits = _part(tree, "splits", (dict,), path)
    if not splits or not set(splits) <= set(SPLITS):
        raise DataError(f"{path}: has the splits {listing(splits):.80}; known are {listing(SPLITS)}")
    for name in splits:
        _check_split(name, _part(splits, name, (dict,), f"{path}: splits"), f"{path}: splits/{name}")


def _check_split(name, split, where):
    _part(split, "index_sha256", (str,), where)
    shards = _part(split, "shards", (list,), where)
    if not 1 <= len(shards) <= MAX_SHARDS:
        raise DataError(f"{where} has {len(shards)} shards; 1 to {MAX_SHARDS} are read")
    for number, shard in enumerate(shards):
        file = _part(_only(dict, shard, f"{where}/shards"), "file", (str,), f"{where}/shards")
        # Nothing outside of the folder is read, whatever a schema says.
        if file != shard_name(name, number, len(shards)):
            raise DataError(f"{where}/shards names {file!r:.80} at position {number}")
        _part(shard, "bytes", (int,), f"{where}/shards/{file}")
    for sequences in SEQUENCES:
        for modality, shape in _part(split, sequences, (dict,), where).items():
            whole = isinstance(shape, list) and len(shape) == 2 and all(type(size) is int for size in shape)
            if not whole or not all(0 < size < 2**31 for size in shape):
                raise DataError(f"{where}/{sequences}/{modality} is {shape!r:.80}; [frames, width] is expected")


def _part(tree, key, kinds, where):
    """A part of the schema of one of some types; a type may be None."""
    if key not in tree:
        raise DataError(f"{where} has no {key!r}")
    value = tree[key]
    if not (value is None and None in kinds):
        _only(tuple(kind for kind in kinds if kind), value, f"{where}/{key}")
    return value


def _only(kinds, value, where):
    if not isinstance(value, kinds) or isinstance(value, bool):
        raise DataError(f"{where} is {value!r:.80}, which is of the wrong type")
    return value


def _is_number(value):
    # An integer in JSON may be one that no float holds.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
