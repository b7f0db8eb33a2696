"""`load`: any supported file to a `Dataset`."""

import os
from collections.abc import Iterable

from plumkeras.data_pipelines import readers
from plumkeras.data_pipelines.readers.shared.labels import LabelRequest, check_as_stored
from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.shards import layout
from plumkeras.data_pipelines.shards.reading import open_shards


def load(
    path: str | os.PathLike,
    modalities: Iterable[str] | None = None,
    label_range: tuple[float, float] | None = None,
    max_bytes: int | None = None,
    task: str | None = None,
    label_column: int | str | None = None,
) -> Dataset:
    """Reads a feature file; the format is told from its content.

    Args:
        path: str or path. A file or folder of any supported format; the error for any other names
            them. A pickle is read without running anything in it.
        modalities: iterable of str. Which modalities to read; None reads all.
        label_range: pair of floats. The range of regression labels, where the file's own
            (`label_range` in an npz; [-1, 1] with unimodal labels, as in SIMS; else [-3, 3])
            isn't right.
        max_bytes: int. What the file or folder may unfold to in memory: decompressed, padded, or named many times.
            Defaults to the larger of 1 GB and 100 times its size.
        task: a name of `plumkeras.tasks`: what the labels are, where what the file says or shows of them isn't meant.
        label_column: name or number (from 0) of the labels to read, where each sample has several.

    Returns:
        Dataset. `dataset.report` says what was cleaned and what is suspicious.

    Raises:
        DataError: the file is missing, damaged, of no known format, contradicts itself, or unfolds to more than
            `max_bytes`; or its labels aren't those of `task`.
        ValueError: there is no such task.
    """
    if modalities is not None:
        if isinstance(modalities, str):
            modalities = (modalities,)
        modalities = tuple(dict.fromkeys(modalities))
        if not modalities:
            raise ValueError("`modalities` must name at least one. Received: modalities=()")
    return readers.read(path, modalities, LabelRequest(task, label_column, label_range), max_bytes)


def open_data(path: str | os.PathLike, modalities=None, label_range=None, max_bytes=None, **labels) -> Dataset:
    """As `load`; of shards, which may be larger than memory, the features stay in their files.

    Args:
        path, modalities, label_range, max_bytes: as in `load`.
        **labels: `task` and `label_column`, as in `load`.
    """
    if not (os.path.isdir(path) and layout.matches(path)):
        return load(path, modalities, label_range, max_bytes, **labels)
    dataset = open_shards(path, modalities, label_range, max_bytes)
    check_as_stored(dataset, LabelRequest(labels.get("task"), labels.get("label_column")))
    return dataset
