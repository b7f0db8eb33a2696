"""Which clips there are: the csv that lists them, and the files of a folder that belong to it."""

import dataclasses
import os

import numpy as np

from plumkeras.data_pipelines.containers.csv_table import ClipTable
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.schema.validation import DataError, all_nan, check_complete

AUDIO_ENDINGS = (".wav", ".flac", ".mp3", ".ogg", ".oga")
IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".bmp")
TABLE = "label.csv"
_SPLIT_COLUMNS = ("mode", "split")


@dataclasses.dataclass(frozen=True, eq=False)
class Clips:
    """The clips, in the order of the csv.

    Args:
        ids: text array `[N]`.
        keys: list of lists of str. The names without ending, relative to a folder, that each clip's file may have.
        groups: text array `[N]` or None. The video of each.
        texts: array `[N]` or None.
        labels: float64 `[N]` or None.
        modality_labels: dict by modality of float64 `[N]`.
        splits: dict from split to row numbers, in the csv's order.
    """

    ids: np.ndarray
    keys: list
    groups: np.ndarray | None
    texts: np.ndarray | None
    labels: np.ndarray | None
    modality_labels: dict
    splits: dict


def media_files(folder, endings):
    """Dict from relative path without ending to path of a folder's files, folders inside it too.

    Raises:
        DataError: two files differ in nothing but the ending.
    """
    found = {}
    for where, inner, names in os.walk(folder):
        inner.sort()
        for name in sorted(names):
            stem, ending = os.path.splitext(name)
            if ending.lower() not in endings or name.startswith("."):
                continue
            path = os.path.join(where, name)
            key = os.path.relpath(os.path.join(where, stem), folder).replace(os.sep, "/")
            if key in found:
                raise DataError(f"{folder}: {found[key]} and {path} are of one clip; keep one of them")
            found[key] = path
    return found


def from_files(keys):
    """The clips where no csv lists them: one per file, without text and labels, in the split `all`."""
    keys = sorted(keys)
    return Clips(fields.ids(keys, "id"), [[key] for key in keys], None, None, None, {}, {"all": np.arange(len(keys))})


def read_table(path, report):
    """Reads a csv of clips.

    Args:
        path: str. Its columns, in any order: `video_id` and `clip_id`, or `id`, or `path` (relative to the folder of
            clips), or both of the last; and where there are such `text`, `label`, `label_T`, `label_A`, `label_V`,
            and `mode` or `split` (train, valid, test).
        report: Report. Rows of no split go there.

    Returns:
        Clips.

    Raises:
        DataError: it is damaged, lacks a column, lists a clip twice, or holds something else than numbers for labels.
    """
    table = ClipTable(path)
    columns = table.columns
    keys, groups = [[] for _ in table.lines], None
    if "path" in columns:
        for own, text in zip(keys, columns["path"], strict=True):
            own.append(os.path.splitext(os.path.normpath(text.strip()).replace(os.sep, "/"))[0])
    if "video_id" in columns and "clip_id" in columns:
        pairs = list(zip(columns["video_id"], columns["clip_id"], strict=True))
        names = [f"{video}$_${clip}" for video, clip in pairs]
        groups = fields.ids(columns["video_id"], f"{path}: video_id")
        for own, (video, clip) in zip(keys, pairs, strict=True):
            own += [f"{video}/{clip}", f"Raw/{video}/{clip}", f"{video}_{clip}", f"{video}$_${clip}"]
    elif "id" in columns:
        names = columns["id"]
        for own, name in zip(keys, names, strict=True):
            own.append(name)
    elif "path" in columns:
        names = [own[0] for own in keys]
    else:
        raise DataError(
            f"{path}: names no clips: video_id and clip_id, id, or path is expected; its columns are {table.names()}"
        )
    ids = fields.ids(list(names), f"{path}: id")
    table.check_unique(ids)
    unimodal = {modality: table.numbers(f"label_{letter}") for modality, letter in fields.LETTERS.items()}
    unimodal = {modality: values for modality, values in unimodal.items() if values is not None}
    labels, splits = table.numbers("label"), table.splits(_SPLIT_COLUMNS, report)
    # Now, before hours of extraction: a split has all its labels or none.
    for name, rows in splits.items():
        for column, values in {"label": labels, **unimodal}.items():
            if values is not None and not all_nan(values[rows]):
                check_complete(f"{path}: {name}/{column}", values[rows], ids[rows])
    return Clips(ids, keys, groups, table.texts("text"), labels, unimodal, splits)
