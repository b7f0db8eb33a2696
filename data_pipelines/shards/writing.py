"""Writes TFRecord shards: `convert`."""

import copy
import os
import shutil
import tempfile
from collections.abc import Callable, Iterable

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.loading import load
from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.validation import DataError
from plumkeras.data_pipelines.shards import layout
from plumkeras.data_pipelines.shards.reading import open_shards
from plumkeras.data_pipelines.shards.records import SplitWriter


def convert(
    source: "str | os.PathLike | Dataset",
    directory: str | os.PathLike,
    *,
    shards: int = 8,
    overwrite: bool = False,
    progress: Callable | None = None,
    modalities: Iterable[str] | None = None,
    label_range: tuple[float, float] | None = None,
    max_bytes: int | None = None,
) -> dict:
    """Writes a data set as TFRecord shards with an index and `schema.json`; see `layout`.

    The source is gone through a few rows at a time, and memory doesn't grow with the data. An npz and other shards are
    read as they are written; any other format is decoded first, into temporary files beside the target, which need
    room on the disk for all features as float32 while it lasts. (Lists and texts in a pickle, which aren't arrays, stay
    in memory, and so does an array of an npz in Fortran order.) The folder is complete or not there at all.

    Args:
        source: Dataset, or the path of anything that `load` reads. Cleaning is as in `load`.
        directory: str or path. The folder to make.
        shards: int. Files per split, up to 100; a split of fewer samples gets one for each. Defaults to `8`.
        overwrite: bool. Whether a folder that an earlier conversion wrote may be replaced. Defaults to `False`.
        progress: callable, or None. Called with the number of samples that are written and that of all.
        modalities, label_range, max_bytes: as in `load`, for a path.

    Returns:
        The content of `schema.json`, a dict.

    Raises:
        DataError: as `load`; the folder exists and may not be replaced; there is no room.
        ValueError: `shards` is out of its range.
    """
    if not 1 <= shards <= layout.MAX_SHARDS:
        raise ValueError(f"`shards` must be within 1 and {layout.MAX_SHARDS}. Received: shards={shards!r}")
    directory = os.path.abspath(os.fspath(directory))
    _check_target(directory, overwrite)
    temporary = None
    try:
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".writing-", dir=os.path.dirname(directory))
        with cleaning.features_in_files(temporary) as scratch:
            dataset = source if isinstance(source, Dataset) else _open(source, modalities, label_range, max_bytes)
        schema = _write(dataset, temporary, shards, scratch, progress)
        # Again: that took a while, and the folder may have been filled meanwhile.
        _check_target(directory, overwrite)
        _put_in_place(temporary, directory)
    except OSError as error:
        raise DataError(f"{directory}: can't be written: {error}") from None
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)
    return schema


def _check_target(directory, overwrite):
    """Refuses a folder that must not be replaced, before anything is read."""
    if not os.path.lexists(directory):
        return
    if not os.path.isdir(directory):
        raise DataError(f"{directory}: is a file; a folder is expected")
    names = os.listdir(directory)
    others = [name for name in names if not layout.is_own_name(name)]
    if others or (names and layout.SCHEMA not in names):
        raise DataError(f"{directory}: holds other files ({(others or names)[0][:80]!r}); choose another folder")
    if names and not overwrite:
        raise DataError(f"{directory}: exists already; choose another, or replace it by --overwrite, overwrite=True")


def _put_in_place(temporary, directory):
    # mkdtemp makes it private; data get the permissions that any new folder would.
    mask = os.umask(0)
    os.umask(mask)
    os.chmod(temporary, 0o777 & ~mask)
    if not os.path.isdir(directory):
        os.replace(temporary, directory)
        return
    aside = f"{temporary}-replaced"
    os.replace(directory, aside)
    try:
        os.replace(temporary, directory)
    except OSError:
        os.replace(aside, directory)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def _open(path, modalities, label_range, max_bytes):
    if os.path.isdir(path) and layout.matches(path):
        return open_shards(path, modalities, label_range, max_bytes)
    return load(path, modalities, label_range, max_bytes)


def _write(dataset, folder, shards, scratch, progress):
    total, done = sum(len(split) for split in dataset.values()), 0
    splits, fields, cleaned = {}, {}, []
    for name, split in dataset.items():
        with SplitWriter(folder, name, split, shards) as writer:
            for start in range(0, len(split), cleaning.STREAM_ROWS):
                rows = range(start, min(start + cleaning.STREAM_ROWS, len(split)))
                writer.write(rows)
                scratch.release()
                done += len(rows)
                if progress is not None:
                    progress(done, total)
        splits[name] = {**writer.entry(), "classes": _classes(split.labels)}
        fields |= writer.fields
        cleaned += [(name, field, counts) for field, counts in writer.cleaned.items() if any(counts.values())]
    report = copy.deepcopy(dataset.report)
    for name, field, counts in cleaned:
        report.record_cleaning(name, field, {"padding_frames": 0, **counts})
    return layout.write_schema(
        folder,
        {
            "task": dataset.task,
            "label_range": None if dataset.label_range is None else list(dataset.label_range),
            "num_classes": dataset.num_classes,
            "source": {"format": dataset.format, "sha256": dataset.sha256},
            "fields": fields,
            "splits": splits,
            "report": {"cleaned": report.cleaned, "warnings": report.warnings},
        },
    )


def _classes(labels):
    """How many samples there are of each class, or of each sign."""
    if labels is None:
        return None
    if labels.dtype.kind == "i":
        return {str(value): int(count) for value, count in zip(*np.unique(labels, return_counts=True), strict=True)}
    signs = {"negative": labels < 0, "zero": labels == 0, "positive": labels > 0}
    return {sign: int(np.count_nonzero(found)) for sign, found in signs.items()}
