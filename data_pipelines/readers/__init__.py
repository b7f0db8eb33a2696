"""Which reader a file belongs to, told by what is in it and never by its name."""

import hashlib
import os
import re

from plumkeras.data_pipelines.readers import mmsa, npz
from plumkeras.data_pipelines.report import Report
from plumkeras.data_pipelines.unpickler import read_pickle
from plumkeras.data_pipelines.validation import DataError

# Each has `NAME`, `DESCRIPTION`, `matches(tree)` and `read(tree, release, path, ...)`.
PICKLE_READERS = (mmsa,)

# How a pickle may begin before protocol 2, which has its own mark: a container, or a name.
_OLD_PICKLE = re.compile(rb"[}\]]q|[}\]]\(|\([dlcIX(]|\(S['\"]|c[\w.]+\n[\w.]+\n|P[^\n]*\n\.")


def read(path, modalities=None, label_range=None):
    """Reads a file of any supported format; see `plumkeras.data_pipelines.load`."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such file")
    if os.path.isdir(path):
        raise DataError(f"{path}: is a directory; a file is wanted, {_formats()}")
    report = Report()
    try:
        kind = _kind(path)
        common = {
            "modalities": modalities,
            "label_range": label_range,
            "sha256": _sha256(path),
        }
        if kind == "zip":
            return npz.read(path, report, **common)
        tree, release = read_pickle(path)
        for reader in PICKLE_READERS:
            if reader.matches(tree):
                return reader.read(tree, release, path, report, **common)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error}") from None
    raise DataError(f"{path}: a pickle of {_sketch(tree)}, of no known layout; {_formats()}")


def _kind(path):
    """`"zip"` or `"pickle"`, from the first bytes."""
    with open(path, "rb") as file:
        head = file.read(256)
    if not head:
        raise DataError(f"{path}: is empty")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if (head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5) or _OLD_PICKLE.match(head):
        return "pickle"
    raise DataError(f"{path}: unknown format (begins with {head[:8]!r}); {_formats()}")


def _formats():
    return "known formats: " + "; ".join(r.DESCRIPTION for r in (npz, *PICKLE_READERS))


def _sketch(tree):
    """What an object looks like, for the error that nobody reads it."""
    if isinstance(tree, dict):
        keys = [str(key)[:40] for key in list(tree)[:6]]
        part = next(iter(tree.values()), None)
        inner = [str(key)[:40] for key in list(part)[:8]] if isinstance(part, dict) else None
        return f"a dict with keys {keys}" + (f", the first with {inner}" if inner else "")
    return f"a {type(tree).__name__}"


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
