"""The folder that `convert` writes: `.npy` files of features, an index per split, and `schema.json`.

`<split>-features-<modality>.npy` holds the valid frames of a split's samples, one sample after the other, as
little-endian float32 `[sum of lengths, width]`; `<split>-context_features-<modality>.npy` those of the context.
`<split>-index.npz` holds the rest of the samples (ids, labels, lengths and so on), and the CRC-32 of each sample's
frames. `schema.json` describes the data set. Each part's checksum is in the one above: that of a sample's frames in the
index, that of the index in the schema, that of the schema in itself, which names the whole.
"""

import hashlib
import json
import os
import re
from urllib.parse import quote

import numpy as np

from plumkeras import json_text
from plumkeras.data_pipelines.schema.validation import METRIC_REPORTS, SPLITS, DataError
from plumkeras.files import write_json
from plumkeras.tasks import TASKS

NAME = "shards"
FORMAT = "plumkeras-shards"
VERSION = 1
SCHEMA = "schema.json"

# The fields of a `Split` that are sequences, with the field of their lengths.
SEQUENCES = {"features": "lengths", "context_features": "context_lengths"}
# Those that an index holds as they are, by kind of array, and those it holds as bytes of a JSON list: an array of
# texts is as wide as its longest.
COLUMNS = {"ids": "U", "groups": "U", "labels": "if", "folds": "i"}
TEXTS = ("raw_text", "context_raw_text")

_MAX_SCHEMA_BYTES = 16 << 20
_CONVERT_AGAIN = "convert the data again with plumkeras convert"


def damaged(path, problem):
    """The error for a file that isn't what `convert` wrote."""
    return DataError(f"{path}: {problem}; {_CONVERT_AGAIN}")


def index_name(split):
    """File name of a split's index."""
    return f"{split}-index.npz"


def features_name(split, sequences, modality):
    """File name of a modality's frames; a modality may have any name."""
    return f"{split}-{sequences}-{quote(modality, safe='', errors='surrogatepass')}.npy"


def is_own_name(name):
    """Whether a file in such a folder is one that `convert` writes."""
    own = rf"({'|'.join(SPLITS)})-(index\.npz|({'|'.join(SEQUENCES)})-.+\.npy)"
    return name == SCHEMA or re.fullmatch(own, name) is not None


def matches(path):
    """Whether a folder is one that `convert` wrote."""
    schema = os.path.join(path, SCHEMA)
    return os.path.isfile(schema) and any(is_own_name(name) for name in os.listdir(path) if name != SCHEMA)


def npy_header(rows, width):
    """The 128 bytes before the values in a `.npy` file of float32 `[rows, width]`."""
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}"
    return b"\x93NUMPY\x01\x00\x76\x00" + header.ljust(117).encode() + b"\n"


def digest(arrays):
    """SHA-256 of named arrays; that of their npz would depend on how it was packed."""
    whole = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        whole.update(f"{name} {array.dtype.str} {array.shape}\n".encode("utf-8", "surrogatepass"))
        whole.update(np.ascontiguousarray(array))
    return whole.hexdigest()


def checksum(tree):
    """SHA-256 of what a JSON tree says, however it is written."""
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def write_schema(directory, tree):
    """Writes `schema.json` with its checksum; returns the tree as written."""
    tree = {"format": FORMAT, "version": VERSION, **tree}
    tree = {**tree, "sha256": checksum(tree)}
    write_json(os.path.join(directory, SCHEMA), tree)
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
        raise damaged(path, f"not valid JSON: {error}") from None
    if not isinstance(tree, dict) or not str(tree.get("format")).startswith("plumkeras-"):
        raise DataError(f"{path}: is no schema of a data set that plumkeras convert wrote")
    if (tree["format"], tree.get("version")) != (FORMAT, VERSION):
        found = f"{tree['format']} {tree.get('version')!r}"
        raise damaged(path, f"is of the format {found:.80}; {FORMAT} {VERSION} is read")
    rest = {key: value for key, value in tree.items() if key != "sha256"}
    if tree.get("sha256") != checksum(rest):
        raise damaged(path, "is damaged or was changed: its checksum is another one")
    try:
        is_whole = _is_whole(tree)
    except (AttributeError, KeyError, TypeError):
        is_whole = False
    if not is_whole:
        raise damaged(path, "holds something else than plumkeras convert writes")
    return tree


def _is_whole(tree):
    """Whether a schema has all parts that are read, with values that may be used; or one of several errors."""
    label_range, splits, report = tree["label_range"], tree["splits"], tree["report"]
    counts = [count for split in report["cleaned"].values() for kinds in split.values() for count in kinds.values()]
    shapes = [shape for split in splits.values() for sequences in SEQUENCES for shape in split[sequences].values()]
    return (
        tree["task"] in (*TASKS, None)
        and tree["metric_report"] in (*METRIC_REPORTS, None)
        and (tree["label_names"] is None or all(type(name) is str for name in tree["label_names"]))
        # An integer may be one that no float holds.
        and (label_range is None or [abs(end) < 1e300 for end in label_range] == [True, True])
        and all(type(count) is int for count in counts)
        and all(type(warning) is str for warning in report["warnings"])
        and splits.keys() <= set(SPLITS)
        and all(isinstance(split["index_sha256"], str) for split in splits.values())
        and all([type(size) is int and size > 0 for size in shape] == [True, True] for shape in shapes)
    )
