"""Writes the native npz layout."""

import os

import numpy as np

from plumkeras.data_pipelines.readers.shared.fields import LETTERS
from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.token_ids import check_no_token_ids
from plumkeras.data_pipelines.schema.validation import DataError
from plumkeras.files import replacing


def save_npz(dataset: Dataset, path: str | os.PathLike, overwrite: bool = False) -> None:
    """Writes a data set as a native npz file, whole or not at all.

    Args:
        dataset: Dataset. Features are written as float32, splits as `<split>/<field>`, the single
            split `all` without prefix.
        path: str or path. Where to; nothing is appended to it.
        overwrite: bool. Whether an existing file may be replaced. Defaults to `False`.

    Raises:
        DataError: the file exists and `overwrite` is false, or a field has no place in the layout; token ids have none.
    """
    path = os.fspath(path)
    if os.path.exists(path) and not overwrite:
        raise DataError(f"{path}: exists already; choose another, or replace it by --overwrite, overwrite=True")
    check_no_token_ids(dataset)
    arrays = {}
    for name, split in dataset.items():
        prefix = "" if name == "all" and len(dataset) == 1 else f"{name}/"
        for field, array in _fields(dataset, split):
            arrays[prefix + field] = array
    if dataset.label_range is not None:
        arrays["label_range"] = np.array(dataset.label_range)
        arrays["metric_report"] = np.array(dataset.metric_report)
    if dataset.label_names is not None:
        arrays["label_names"] = np.array(dataset.label_names)
    with replacing(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)


def _fields(dataset, split):
    yield "id", split.ids
    if split.raw_text is not None:
        yield "raw_text", np.asarray(split.raw_text, dtype=np.str_)
    for modality, array in split.features.items():
        yield modality, array
        yield f"{modality}_lengths", split.lengths[modality]
    if split.labels is not None:
        yield f"{dataset.task}_labels", split.labels
    for modality, values in (split.modality_labels or {}).items():
        if modality not in LETTERS:
            raise DataError(f"labels of {modality!r} have no field in the npz layout")
        yield f"regression_labels_{LETTERS[modality]}", values
    if split.folds is not None:
        yield "fold", split.folds
    if split.groups is not None:
        yield "group", split.groups
    for modality, array in (split.context_features or {}).items():
        yield f"context_{modality}", array
        yield f"context_{modality}_lengths", split.context_lengths[modality]
    if split.context_raw_text is not None:
        yield "context_raw_text", np.asarray(split.context_raw_text, dtype=np.str_)
