"""Writes a data set as memory-mapped `.npy` files: `convert`."""

import contextlib
import copy
import json
import os
import shutil
import tempfile
import zlib
from collections.abc import Callable, Iterable

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.loading import open_data
from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.token_ids import check_no_token_ids
from plumkeras.data_pipelines.schema.validation import DataError, check_token_ids
from plumkeras.data_pipelines.shards import layout


def convert(
    source: "str | os.PathLike | Dataset",
    directory: str | os.PathLike,
    *,
    overwrite: bool = False,
    progress: Callable | None = None,
    modalities: Iterable[str] | None = None,
    label_range: tuple[float, float] | None = None,
    max_bytes: int | None = None,
    task: str | None = None,
    label_column: int | str | None = None,
) -> dict:
    """Writes a data set as `.npy` files with an index and `schema.json`, from which training streams; see `layout`.

    The source is gone through a few rows at a time, and memory doesn't grow with the data. An npz and a folder that was
    converted before are read as they are written; any other format is decoded first, into temporary files beside the
    target, which need room on the disk for all features as float32 while it lasts. (Lists and texts in a pickle, which
    aren't arrays, stay in memory, and so does an array of an npz in Fortran order.) The folder is complete or not there
    at all.

    Args:
        source: Dataset, or the path of anything that `load` reads. Cleaning is as in `load`.
        directory: str or path. The folder to make.
        overwrite: bool. Whether a folder that an earlier conversion wrote may be replaced. Defaults to `False`.
        progress: callable, or None. Called with the number of samples that are written and that of all.
        modalities, label_range, max_bytes, task, label_column: as in `load`, for a path.

    Returns:
        The content of `schema.json`, a dict.

    Raises:
        DataError: as `load`; the folder exists and may not be replaced; there is no room.
    """
    directory = os.path.abspath(os.fspath(directory))
    _check_target(directory, overwrite)
    temporary = None
    try:
        os.makedirs(os.path.dirname(directory), exist_ok=True)
        temporary = tempfile.mkdtemp(prefix=".writing-", dir=os.path.dirname(directory))
        with cleaning.features_in_files(temporary) as scratch:
            dataset = source
            if not isinstance(source, Dataset):
                dataset = open_data(source, modalities, label_range, max_bytes, task=task, label_column=label_column)
        check_no_token_ids(dataset)
        schema = _write(dataset, temporary, scratch, progress)
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


def _write(dataset, folder, scratch, progress):
    total, done = sum(len(split) for split in dataset.values()), 0

    def advance(rows):
        nonlocal done
        scratch.release()
        done += rows
        if progress is not None:
            progress(done, total)

    splits, report = {}, copy.deepcopy(dataset.report)
    for name, split in dataset.items():
        splits[name], writers = _write_split(split, name, folder, advance)
        for writer in writers:
            if any(writer.cleaned.values()):
                report.record_cleaning(name, writer.key, {"padding_frames": 0, **writer.cleaned})
    return layout.write_schema(
        folder,
        {
            "task": dataset.task,
            "label_range": None if dataset.label_range is None else list(dataset.label_range),
            "label_names": dataset.label_names and list(dataset.label_names),
            "metric_report": dataset.metric_report,
            "source": {"format": dataset.format, "sha256": dataset.sha256},
            "splits": splits,
            "report": {"cleaned": report.cleaned, "warnings": report.warnings},
        },
    )


def _write_split(split, name, folder, advance):
    """Writes a split's files.

    Args:
        split: Split. Its features are read in the order of the rows, and once.
        name: str. The split's name.
        folder: str. Where to.
        advance: callable. Called with the number of rows that were written.

    Returns:
        Dict, what the schema says of the split; and the list of its `_FeaturesWriter`s.
    """
    entry = {"samples": len(split)}
    writers = []
    with contextlib.ExitStack() as files:
        for sequences in layout.SEQUENCES:
            entry[sequences] = {m: list(array.shape[1:]) for m, array in (getattr(split, sequences) or {}).items()}
            for modality in entry[sequences]:
                path = os.path.join(folder, layout.features_name(name, sequences, modality))
                file = files.enter_context(open(path, "wb"))
                writers.append(_FeaturesWriter(file, split, name, sequences, modality))
        for start in range(0, len(split), cleaning.STREAM_ROWS):
            rows = range(start, min(start + cleaning.STREAM_ROWS, len(split)))
            for writer in writers:
                writer.write(rows)
            advance(len(rows))
        for writer in writers:
            writer.finish()
    index = _columns(split)
    for writer in writers:
        index |= {f"{writer.field}/lengths": writer.lengths, f"{writer.field}/crc32": writer.sums}
    np.savez(os.path.join(folder, layout.index_name(name)), **index)
    return {**entry, "index_sha256": layout.digest(index)}, writers


class _FeaturesWriter:
    """Writes one modality's frames, a few rows at a time.

    Args:
        file: binary file to write to.
        split: Split.
        name: str. The split's name.
        sequences: str. `"features"` or `"context_features"`.
        modality: str.

    Attributes:
        sums: uint32 `[N]`, the CRC-32 of each sample's frames, filled in while they are written.
        cleaned: dict of what was set to zero while they were written: in arrays that no reader had cleaned, or by a
            stream, which counts it itself.
    """

    def __init__(self, file, split, name, sequences, modality):
        self.field, self.key = f"{sequences}/{modality}", modality if sequences == "features" else f"context_{modality}"
        self.lengths = getattr(split, layout.SEQUENCES[sequences])[modality]
        self.sums = np.zeros(len(split), dtype="uint32")
        self._file, self._features = file, getattr(split, sequences)[modality]
        self.cleaned = getattr(self._features, "counts", {})
        self._where, self._others = f"{name}/{self.key}", [m for m in split.features if m != "text"]
        file.write(layout.npy_header(0, 0))

    def write(self, rows):
        """Writes the frames of consecutive rows."""
        block, counts = cleaning.clean_array(self._features[rows.start : rows.stop])
        if not rows.start:
            check_token_ids(self._where, self.key, block, self._others)
        for kind, count in counts.items():
            self.cleaned[kind] = self.cleaned.get(kind, 0) + count
        for row, sample in zip(rows, np.ascontiguousarray(block, dtype="<f4"), strict=True):
            valid = sample[: self.lengths[row]]
            self.sums[row] = zlib.crc32(valid)
            self._file.write(valid)

    def finish(self):
        """Writes the header. A stream finds the lengths while it is read, so that they are known only then."""
        self._file.seek(0)
        self._file.write(layout.npy_header(self.lengths.sum(dtype="int64"), self._features.shape[2]))


def _columns(split):
    """What the index says of a split's samples but for their features."""
    index = {field: getattr(split, field) for field in layout.COLUMNS if getattr(split, field) is not None}
    for field in layout.TEXTS:
        if getattr(split, field) is not None:
            texts = json.dumps([str(text) for text in getattr(split, field)], ensure_ascii=False)
            index[field] = np.frombuffer(texts.encode("utf-8", "surrogatepass"), "uint8")
    return index | {f"modality_labels/{m}": labels for m, labels in (split.modality_labels or {}).items()}
