"""Trees of MMSA-FET: `label.csv`, and features of the clips that it lists.

`label.csv` has the columns `video_id, clip_id, text, label, label_T, label_A, label_V, annotation, mode`, in any order;
only the first two must be there. `clip_id` is text (`0001` isn't `1`). Features are looked for

- in pickles of MMSA-FET beside it or in a folder beside it (`feature.pkl`, `Processed/unaligned_39.pkl`): one for
  all modalities or one each, matched by the ids `video_id$_$clip_id` (or `video_id_clip_id`);
- as `<modality>/<video_id>/<clip_id>.npy`, `[T, F]` or `[F]`, `modality` being text, audio or vision.

Split, text and labels are those of `label.csv`. A clip without features of a modality lacks that modality (length 0);
one without any is left out. Videos are the groups.
"""

import dataclasses
import math
import os

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.containers.object_arrays import DAMAGE
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.readers import foreign, mmsa
from plumkeras.data_pipelines.readers.foreign import read_pickle
from plumkeras.data_pipelines.readers.label_table import SEPARATORS, LabelTable
from plumkeras.data_pipelines.readers.shared import fields, names, ragged
from plumkeras.data_pipelines.readers.shared.labels import ANY, SIMS, LabelRequest, labelled
from plumkeras.data_pipelines.readers.shared.splits import parts
from plumkeras.data_pipelines.schema.dataset import Split
from plumkeras.data_pipelines.schema.validation import MODALITIES, SPLIT_ALIASES, DataError, listing

NAME = "label_csv"
DESCRIPTION = "folder of MMSA-FET: label.csv with feature pickles or <modality>/<video_id>/<clip_id>.npy"
_TABLE = "label.csv"
# The labels of the table count, so those of a pickle may have any range.
_ANY_RANGE = LabelRequest(label_range=(-math.inf, math.inf))
_MAX_HEADER = 1 << 16


def matches(path):
    """Whether a folder holds a `label.csv`."""
    return os.path.isfile(os.path.join(path, _TABLE))


def files(path):
    """The names of the files that are read."""
    return [_TABLE, *_pickles(path), *(os.path.relpath(file, path) for _, file in _npy_files(path))]


def read(path, report, modalities=None, request=ANY, sha256=None):
    """Reads an MMSA-FET tree. Arguments and errors as `plumkeras.data_pipelines.load`."""
    table = LabelTable(os.path.join(path, _TABLE), request.column)
    sources = _sources(path, table, modalities, report)
    if not sources:
        raw = " from the clips in Raw/" if os.path.isdir(os.path.join(path, "Raw")) else ""
        raise DataError(
            f"{path}: label.csv lists {len(table.ids)} clips, but there are no features of them"
            f"{f' for {listing(modalities)}' if modalities else ''}; `plumkeras extract` makes them{raw}"
        )
    chosen = fields.pick_modalities([m for m in MODALITIES if m in sources], modalities, path)
    held = np.any([sources[modality].held for modality in chosen], axis=0)
    for row in np.flatnonzero(~held)[:1]:
        lost = f"{np.count_nonzero(~held)} of {len(held)} clips of label.csv have no features"
        report.warn(f"{lost}, dropped; one is {table.ids[row]}")
    splits = {}
    for name, rows in table.splits(("mode",), report).items():
        rows = rows[held[rows]]
        if not len(rows):
            continue
        features, lengths = {}, {}
        for modality in chosen:
            features[modality], lengths[modality] = sources[modality].take(name, rows, report)
            if count := np.count_nonzero(~sources[modality].held[rows]):
                report.warn(f"{name}/{modality}: {count} clips have none, and lack the modality")
        splits[name] = Split(
            ids=table.ids[rows],
            features=features,
            lengths=lengths,
            labels=None if table.regression is None else table.regression[rows].astype("float32"),
            modality_labels=_complete(table, rows, name, report),
            raw_text=None if table.raw_text is None else table.raw_text[rows],
            groups=table.videos[rows],
        )
    if not splits:
        raise DataError(f"{path}: no clip of label.csv has features and a mode among {listing(SPLIT_ALIASES)}")
    # The column has been chosen.
    request = dataclasses.replace(request, column=None)
    options = SIMS if table.unimodal else {}
    return labelled(splits, request, report, path, **options, format=NAME, sha256=sha256)


def _complete(table, rows, name, report):
    """Human labels of those modalities in which no row of the split lacks one, a dict; blank ones say nothing."""
    found = {modality: values[rows] for modality, values in table.unimodal.items()}
    for modality, values in found.items():
        if missing := np.count_nonzero(np.isnan(values)):
            if missing < len(values):
                letter = fields.LETTERS[modality]
                report.warn(
                    f"{name}: {missing} of {len(values)} clips have no label_{letter}, so the column is not read"
                )
            values[:] = np.nan
    return found


def _pickles(path):
    """The pickles in the folder and in folders beside, but for those of clips and npy files."""
    found = []
    for folder in ("", *sorted(os.listdir(path))):
        if folder in ("Raw", *MODALITIES) or not os.path.isdir(os.path.join(path, folder)):
            continue
        for name in sorted(os.listdir(os.path.join(path, folder))):
            file = os.path.join(path, folder, name)
            if os.path.isfile(file):
                with open(file, "rb") as stream:
                    head = stream.read(2)
                if (len(head) == 2 and head[0] == 0x80 and 2 <= head[1] <= 5) or name.endswith(".pkl"):
                    found.append(os.path.join(folder, name))
    return found


def _npy_files(path):
    """Yields modality and path of the npy files."""
    for modality in MODALITIES:
        folder = os.path.join(path, modality)
        for video in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
            inner = os.path.join(folder, video)
            for name in sorted(os.listdir(inner)) if os.path.isdir(inner) else ():
                if name.endswith(".npy") and os.path.isfile(os.path.join(inner, name)):
                    yield modality, os.path.join(inner, name)


def _sources(path, table, wanted, report):
    """Dict from modality to where its features come from: `_Stored` or `_Arrays`."""
    sources = {}

    def claim(modalities, where):
        for modality in modalities:
            if modality in sources:
                raise DataError(
                    f"{path}: {modality} is both in {sources[modality].where} and in {where}; keep one of them in "
                    "the folder, or load a pickle itself"
                )

    for name in _pickles(path):
        file = os.path.join(path, name)
        tree, release = read_pickle(file)
        names.rename_in_tree(tree, file, report, wanted)
        if not mmsa.matches(tree):
            report.warn(
                f"{name}: a pickle, but not of MMSA-FET (a dict of id, text, audio or vision by split), not read"
            )
            continue
        held = [m for m in MODALITIES if any(m in part for part in parts(tree) or [tree])]
        held = [m for m in held if wanted is None or m in wanted]
        claim(held, name)
        if held:
            dataset = mmsa.read(tree, release, file, report, modalities=held, request=_ANY_RANGE)
            places = _places(dataset, table, name, report)
            sources |= {modality: _Stored(name, dataset, modality, places) for modality in held}
    for modality in sorted({modality for modality, _ in _npy_files(path)}):
        if wanted is None or modality in wanted:
            claim([modality], f"{modality}/")
            sources[modality] = _Arrays(path, modality, table)
    return sources


def _places(dataset, table, name, report):
    """For each row of the table, the split and the row that it has in a pickle; None where it has none."""
    rows = {spelt: row for end in reversed(SEPARATORS) for row, spelt in enumerate(table.spellings(end))}
    places = [None] * len(table.ids)
    unknown = []
    differing = 0
    for split, samples in dataset.items():
        for position, sample in enumerate(samples.ids.tolist()):
            if sample not in rows:
                unknown.append(sample)
                continue
            if places[rows[sample]] is not None:
                raise DataError(
                    f"{dataset.path}: holds {sample!r} twice, as sample {places[rows[sample]][1]} of "
                    f"{places[rows[sample]][0]} and {position} of {split}: remove one"
                )
            places[rows[sample]] = split, position
            if samples.labels is not None and table.regression is not None:
                differing += bool(abs(samples.labels[position] - table.regression[rows[sample]]) > 1e-3)
    if not any(places):
        raise DataError(
            f"{dataset.path}: none of its {len(unknown)} ids is in label.csv; one is {unknown[0]!r}, there "
            f"{str(table.ids[0])!r}"
        )
    if unknown:
        report.warn(f"{name}: {len(unknown)} samples aren't in label.csv, dropped; one is {unknown[0]}")
    if differing:
        report.warn(f"{name}: {differing} labels differ from those in label.csv, which count")
    return places


class _Stored:
    """One modality of a pickle.

    Args:
        where: str. The pickle's name.
        dataset: Dataset. The pickle, read.
        modality: str.
        places: list. What `_places` gives.
    """

    def __init__(self, where, dataset, modality, places):
        self.where, self.dataset, self.modality, self.places = where, dataset, modality, places
        self.held = np.array([place is not None for place in places])

    def take(self, name, rows, report):
        """Features `[N, T, F]` and lengths `[N]` of rows of the table."""
        places = [self.places[row] for row in rows]
        if name in self.dataset and places == [(name, row) for row in range(len(self.dataset[name]))]:
            split = self.dataset[name]
            return split.features[self.modality], split.lengths[self.modality]
        arrays = {split: samples.features[self.modality] for split, samples in self.dataset.items()}
        frames = max(array.shape[1] for array in arrays.values())
        shape = len(rows), frames, self.dataset.feature_dims[self.modality]
        spend(4 * math.prod(shape), f"{self.dataset.path}: {name}/{self.modality}")
        features = np.zeros(shape, dtype="float32")
        lengths = np.zeros(len(rows), dtype="int32")
        for row, place in enumerate(places):
            if place is not None:
                split, position = place
                lengths[row] = count = self.dataset[split].lengths[self.modality][position]
                features[row, :count] = arrays[split][position, :count]
        return features, lengths


class _Arrays:
    """One modality as npy files.

    Args:
        path: str. The folder.
        modality: str.
        table: LabelTable.
    """

    def __init__(self, path, modality, table):
        self.path, self.modality, self.where = path, modality, f"{modality}/"
        # Names are looked up, never made into paths: `..` in a table leads nowhere.
        files = {os.path.relpath(file, os.path.join(path, m)): file for m, file in _npy_files(path) if m == modality}
        keys = [os.path.join(v, f"{c}.npy") for v, c in zip(table.videos.tolist(), table.clips.tolist(), strict=True)]
        self.files = [files.pop(key, None) for key in keys]
        self.held = np.array([file is not None for file in self.files])
        self.unknown = sorted(files)
        self.width = None

    def take(self, name, rows, report):
        """Features `[N, T, F]` and lengths `[N]` of rows of the table."""
        where = f"{self.path}: {name}/{self.modality}"
        if self.unknown:
            report.warn(f"{self.where}: {len(self.unknown)} files aren't in label.csv; one is {self.unknown[0]}")
        files = [self.files[row] for row in rows]
        sequences = [ragged.Sequence([] if file is None else _npy(file), file or where) for file in files]
        self.width = ragged.common_width(sequences, self.width)
        features, counts, lengths = ragged.pad(sequences, self.width or self._first_width(), where)
        counts["padding_frames"] = cleaning.zero_padding(features, lengths)
        report.record_cleaning(name, self.modality, counts)
        return features, lengths

    def _first_width(self):
        """The width of any file, for a split that has none."""
        widths = (array.shape[1] for array in map(_npy, filter(None, self.files)) if array.size)
        width = next(widths, None)
        if width is None:
            raise DataError(f"{self.path}: no file in {self.where} has a frame")
        return width


def _npy(path):
    """An npy file as `[T, F]`.

    Raises:
        DataError: it is damaged, or holds something else than numbers `[T, F]` or `[F]`.
    """
    start = b""
    try:
        with open(path, "rb") as file:
            start = file.read(12)
        # numpy reserves as much for the header as the file says that it has.
        length = int.from_bytes(start[8:10] if start[6:7] == b"\x01" else start[8:], "little")
        if length > _MAX_HEADER:
            raise ValueError(f"its header would be {length} bytes long")
        # Mapped first: sizes are checked against the file, and nothing in it is unpickled.
        array = np.array(np.lib.format.open_memmap(path, mode="r"))
    except DAMAGE as error:
        said = foreign.describe(path) if not start.startswith(b"\x93NUMPY") else None
        raise DataError(f"{path}: {said or f'truncated or corrupt, or no array: {error}'}") from None
    if array.dtype.kind not in "iufb" or array.ndim not in (1, 2):
        raise DataError(f"{path} has shape {array.shape} and type {array.dtype}; numbers [frames, width] are expected")
    return array[None] if array.ndim == 1 else array
