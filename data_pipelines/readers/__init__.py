"""Which reader a file belongs to, told by what is in it and never by its name."""

import contextlib
import hashlib
import os
import re

from plumkeras.data_pipelines.containers import hdf5
from plumkeras.data_pipelines.containers.budget import reading
from plumkeras.data_pipelines.readers import (
    csd,
    foreign,
    label_csv,
    mmsa,
    mult,
    mustard,
    npz,
    shards,
    tuple_folder,
    tuples,
    ur_funny,
)
from plumkeras.data_pipelines.readers.shared.labels import ANY
from plumkeras.data_pipelines.readers.shared.names import rename_in_tree
from plumkeras.data_pipelines.schema.report import Report
from plumkeras.data_pipelines.schema.validation import DataError, listing

# Each has `NAME`, `DESCRIPTION`, `matches(tree)` and `read(tree, release, path, ...)`.
PICKLE_READERS = (mmsa, mult, tuples)

# Each has `NAME`, `DESCRIPTION`, `matches(path)`, told by what the folder holds, `files(path)`, the relative names of
# what it reads, and `read(path, report, ...)`. Without `files` a reader says itself what the hash is. The last takes
# what is made of the files of others, and is often beside them.
DIRECTORY_READERS = (mustard, ur_funny, label_csv, csd, shards, tuple_folder)

_EXPECTED = (
    "expected a dict with train, valid and test, each a dict with id, text, audio, vision, and regression_labels, "
    "classification_labels or labels"
)

# How a pickle may begin before protocol 2, which has its own mark: a container, or a name.
_OLD_PICKLE = re.compile(rb"[}\]]q|[}\]]\(|\([dlcIX(]|\(S['\"]|c[\w.]+\n[\w.]+\n|P[^\n]*\n\.")


def read(path, modalities=None, request=ANY, max_bytes=None):
    """Reads a file of any supported format; see `plumkeras.data_pipelines.load`."""
    path = os.fspath(path)
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such file")
    try:
        with reading(path, max_bytes):
            return (_read_directory if os.path.isdir(path) else _read_file)(path, Report(), modalities, request)
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error}") from None


def _read_file(path, report, modalities, request):
    kind = _kind(path)
    if kind == "hdf5":
        csd.refuse_single(path)
    common = {"modalities": modalities, "request": request, "sha256": _sha256(path)}
    if kind == "zip":
        return npz.read(path, report, **common)
    tree, release = foreign.read_pickle(path)
    rename_in_tree(tree, path, report, modalities)
    for reader in PICKLE_READERS:
        if reader.matches(tree):
            return reader.read(tree, release, path, report, **common)
    raise DataError(
        f"{path}: a pickle of {_sketch(tree)}, of no known layout; {_EXPECTED}; {_formats()}{_folder_of(path)}"
    )


def _read_directory(path, report, modalities, request):
    for reader in DIRECTORY_READERS:
        if reader.matches(path):
            common = {"modalities": modalities, "request": request}
            if hasattr(reader, "files"):
                common["sha256"] = _sha256_of_folder(path, reader.files(path))
            return reader.read(path, report, **common)
    names = sorted(os.listdir(path))
    found = listing(name[:40] for name in names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
    known = "; ".join(reader.DESCRIPTION for reader in DIRECTORY_READERS)
    hint = foreign.describe_folder(path, names)
    raise DataError(
        f"{path}: is a directory of no known layout; it holds {found}; {hint}{'; ' * bool(hint)}known folders: {known}"
    )


def _kind(path):
    """`"zip"`, `"hdf5"` or `"pickle"`, from the first bytes."""
    with open(path, "rb") as file:
        head = file.read(256)
    if not head:
        raise DataError(f"{path}: is empty; download or copy it again")
    if said := foreign.describe(path):
        raise DataError(f"{path}: {said}{_folder_of(path)}")
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(hdf5.SIGNATURE):
        return "hdf5"
    if (head[0] == 0x80 and len(head) > 1 and 2 <= head[1] <= 5) or _OLD_PICKLE.match(head):
        return "pickle"
    if part := _folder_of(path):
        raise DataError(f"{path}: is no data set by itself{part}")
    if said := foreign.describe_text(path):
        raise DataError(f"{path}: {said}")
    raise DataError(f"{path}: unknown format (begins with {head[:8]!r}); {_formats()}")


def _formats():
    return "known formats: " + "; ".join(r.DESCRIPTION for r in (npz, *PICKLE_READERS, *DIRECTORY_READERS))


def _folder_of(path):
    """For an error: which folder to load in place of a file that is only a part of it."""
    folder, name = os.path.split(os.path.abspath(path))
    for reader in DIRECTORY_READERS:
        with contextlib.suppress(DataError, OSError):
            if hasattr(reader, "files") and reader.matches(folder) and name in reader.files(folder):
                return f". It is part of a {reader.DESCRIPTION}: load {folder}"
    return ""


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


def _sha256_of_folder(path, names):
    """One hash over the names, sorted, and the hash of each file."""
    whole = hashlib.sha256()
    for name in sorted(names):
        whole.update(f"{_sha256(os.path.join(path, name))}  {name}\n".encode("utf-8", "surrogateescape"))
    return whole.hexdigest()
