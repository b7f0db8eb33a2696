"""Reads the folders that `convert` wrote: `open_shards`, a data set whose features stay in the files."""

import math
import os
from collections.abc import Iterable

import numpy as np

from plumkeras import json_text
from plumkeras.data_pipelines.containers.budget import reading, spend
from plumkeras.data_pipelines.readers import npz
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.schema.dataset import Dataset, Split
from plumkeras.data_pipelines.schema.report import Report
from plumkeras.data_pipelines.schema.validation import DataError
from plumkeras.data_pipelines.shards import layout
from plumkeras.data_pipelines.shards.features import ShardFeatures, map_frames

# What a character of JSON can become: an object for every few.
_BYTES_PER_CHARACTER = 40


def open_shards(
    directory: str | os.PathLike,
    modalities: Iterable[str] | None = None,
    label_range: tuple[float, float] | None = None,
    max_bytes: int | None = None,
) -> Dataset:
    """Opens a folder that `convert` wrote, and leaves the features in it.

    Everything but the features is read at once, from the index. Batches, statistics and predictions are then made of
    samples read by themselves, in any order, so that memory doesn't grow with the data; the batches of a seed and an
    epoch are those of the same data in memory. A sample is checked against its checksum when it is first read. The
    files must not be changed while they are open.

    Args:
        directory: str or path.
        modalities: iterable of str. Which modalities to offer; None offers all.
        label_range: pair of floats. In place of the one that was converted.
        max_bytes: int. As in `load`; the features are counted as they are in memory, padded.

    Returns:
        Dataset. Its splits are what `load` gives, but `features` are `StoredFeatures`.

    Raises:
        DataError: the folder is damaged, incomplete, or none of this kind.

    Example:

    >>> import tempfile
    >>> from plumkeras.data_pipelines import convert, make_dataset, make_synthetic, open_shards
    >>> folder = tempfile.mkdtemp()
    >>> _ = convert(make_synthetic({"train": 8})[0], folder)
    >>> train = open_shards(folder)["train"]
    >>> inputs, labels = next(iter(make_dataset(train, batch_size=4, training=True, seed=1)))
    >>> inputs["text"].shape[0], train.lengths["text"].shape
    (4, (8,))
    """
    directory = os.fspath(directory)
    if not os.path.isdir(directory):
        raise DataError(f"{directory}: there is no such folder")
    if not layout.matches(directory):
        raise DataError(f"{directory}: holds no converted data set; plumkeras convert writes such a folder")
    try:
        schema = layout.read_schema(directory)
        with reading(directory, max_bytes):
            splits = {name: _open_split(directory, name, entry, modalities) for name, entry in schema["splits"].items()}
    except OSError as error:
        raise DataError(f"{directory}: can't be read: {error}") from None
    return Dataset(
        splits,
        report=Report(schema["report"]["cleaned"], list(schema["report"]["warnings"])),
        path=directory,
        format=layout.NAME,
        sha256=schema["sha256"],
        task=schema["task"],
        label_range=schema["label_range"] if label_range is None else label_range,
        label_names=schema["label_names"],
        metric_report=schema["metric_report"] if label_range is None else None,
    )


def _open_split(directory, name, entry, wanted):
    index = _Index(os.path.join(directory, layout.index_name(name)), entry["index_sha256"])
    chosen = fields.pick_modalities(entry["features"], wanted, f"{directory}: {name}")
    parts = {field: index.column(field, kinds) for field, kinds in layout.COLUMNS.items() if field in index.arrays}
    parts |= {field: index.texts(field) for field in layout.TEXTS if field in index.arrays}
    labelled = [field for field in index.arrays if field.startswith("modality_labels/")]
    parts["modality_labels"] = {field.partition("/")[2]: index.column(field, "f") for field in labelled} or None
    for sequences, lengths in layout.SEQUENCES.items():
        features = {
            modality: _open_features(directory, name, f"{sequences}/{modality}", entry[sequences][modality], index)
            for modality in chosen
            if modality in entry[sequences]
        }
        parts[sequences] = features or None
        parts[lengths] = {modality: stored.lengths for modality, stored in features.items()} or None
    return Split(**parts)


def _open_features(directory, split, field, shape, index):
    # Padding isn't stored, so that a few bytes could stand for any number of frames.
    spend(4 * len(index.ids) * math.prod(shape), f"{index.path}/{field}")
    lengths, sums = index.column(f"{field}/lengths", "i"), index.column(f"{field}/crc32", "u")
    path = os.path.join(directory, layout.features_name(split, *field.split("/", 1)))
    ends = np.cumsum(lengths, dtype="int64")
    frames = map_frames(path, int(ends[-1]), shape[1])
    return ShardFeatures(path, field, shape, frames, index.ids, ends - lengths, lengths, sums)


class _Index:
    """What is known of a split's samples without their features.

    Raises:
        DataError: the file is missing, or isn't the one that the schema's checksum is of.
    """

    def __init__(self, path, sha256):
        if not os.path.isfile(path):
            raise layout.damaged(path, "there is no such file, though the schema names it")
        self.path, self.arrays = path, npz.read_arrays(path)
        if layout.digest(self.arrays) != sha256:
            raise layout.damaged(path, "is damaged or was changed: its checksum is another one")
        self.ids = self.arrays.get("ids", np.empty(0))
        if not len(self.column("ids", "U")):
            raise DataError(f"{path} is empty: 0 samples")
        fields.pay_for_samples(len(self.ids), path)

    def column(self, field, kinds):
        """A field of one value per sample; of labels there may be several."""
        found = self.arrays.get(field)
        shape = () if found is None else found.shape[:1] if field == "labels" else found.shape
        if found is None or found.dtype.kind not in kinds or shape != (self.ids.size,):
            raise layout.damaged(self.path, f"{field} isn't one value of its kind per sample")
        return found

    def texts(self, field):
        """A field of texts of any length."""
        data, where = self.arrays[field], f"{self.path}/{field}"
        spend(_BYTES_PER_CHARACTER * data.size, where)
        try:
            return fields.raw_text(json_text.parse(data.tobytes()), where)
        except ValueError as error:
            raise layout.damaged(self.path, f"{field} isn't valid JSON: {error}") from None
