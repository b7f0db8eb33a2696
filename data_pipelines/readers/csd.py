"""Folders of the CMU-MultimodalSDK's computational sequences (.csd files), aligned while they are read.

`csd_sequences` tells what each file is. Then, as the SDK's word-level recipe goes, one video at a time:

1. Only videos that every file has are read. Frames are cleaned before any mean is taken.
2. Words shorter than 1e-5 s and pauses (`sp`, as MISA does) are dropped.
3. Each word gets the mean of the frames that overlap it, zeros where none does. Without a file of words the intervals
   of the text vectors are the words; without both, frames stay as they are, and lengths differ by modality.
4. A segment of the labels takes the words that overlap it, the same in every modality, and is called `video[i]`, `i`
   being the label's row. Segments shorter than 1e-5 s or without words are dropped. A modality without a frame
   of its own in a whole segment is missing there: its length is 0.

Entries that are called `video[i]` in every file are aligned already, and become samples as they stand: of several label
rows in one entry the one that overlaps its frames longest is the label, and an entry that a file lacks lacks that
modality. Of labels of 7 columns the first, sentiment, is read. Videos of CMU-MOSI get their standard split, and so do
those of another data set whose folder holds the SDK's list (`cmu_mosei_std_folds.py`). Otherwise there is one split,
`all`.
"""

import collections
import contextlib
import os

import numpy as np

from plumkeras.data_pipelines.containers import hdf5
from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.readers import csd_folds, foreign
from plumkeras.data_pipelines.readers.csd_alignment import EPSILON, Timeline, collapse, is_interval, is_reference
from plumkeras.data_pipelines.readers.csd_sequences import Sequence, Survey, dimension_names, look
from plumkeras.data_pipelines.readers.shared import fields, ragged
from plumkeras.data_pipelines.readers.shared.assembling import assemble_padded
from plumkeras.data_pipelines.readers.shared.labels import ANY, labelled
from plumkeras.data_pipelines.schema.validation import MODALITIES, DataError, listing

NAME = "csd"
DESCRIPTION = "folder of .csd files of the CMU-MultimodalSDK (words or text vectors, features, labels)"
_PAUSE = "sp"
# What is paid for a segment beside its frames: the time that it takes.
_BYTES_PER_SEGMENT = 32_768


def matches(path):
    """Whether a folder holds HDF5 files, or such as say that they are .csd."""
    return any(name.lower().endswith(".csd") or hdf5.is_hdf5(os.path.join(path, name)) for name in os.listdir(path))


def files(path):
    """The names of the files that are read."""
    return [*(found.file for found in Survey(path).roles.values()), *csd_folds.files(path)]


def refuse_single(path):
    """Says of one .csd file what it is, and that it is no data set.

    Raises:
        DataError: always.
    """
    found = look(path)
    if found is None:
        raise DataError(
            f"{path}: is an HDF5 file that holds no computational sequence; read it by h5py and {foreign.TO_NPZ}. HDF5 "
            f"is read as a {DESCRIPTION}"
        )
    raise DataError(
        f"{path}: is one computational sequence, {found}, and no data set: load the folder that holds it together "
        "with the other .csd files"
    )


def read(path, report, modalities=None, request=ANY, sha256=None):
    """Reads a folder of .csd files. Arguments and errors as `plumkeras.data_pipelines.load`."""
    survey = Survey(path)
    survey.check()
    for warning in survey.warnings:
        report.warn(warning)
    available = [modality for modality in MODALITIES if modality in survey.roles]
    if "text" not in available and "words" in survey.roles:
        if modalities is not None and "text" in modalities:
            raise DataError(
                f"{path} has words but no text vectors; `plumkeras extract` makes them; read the others with "
                f"modalities={tuple(available)}"
            )
        report.warn("text: the folder has words but no vectors of them, so they are in raw_text alone")
    chosen = fields.pick_modalities(available, modalities, path)
    # Text vectors that were not asked for may still be the words.
    needed = {*chosen, "labels", "words" if "words" in survey.roles else "text"} & survey.roles.keys()
    tally = collections.Counter()
    splits = {}
    with contextlib.ExitStack() as stack:
        sequences = {}
        for role in sorted(needed):
            file = stack.enter_context(hdf5.opened(survey.roles[role].path))
            sequences[role] = Sequence(file, survey.roles[role], role)
        names = dimension_names(survey.roles["labels"])
        for name, videos in csd_folds.by_split(_shared_videos(sequences, path, report), path, report).items():
            segments = _Segments(path, chosen, tally)
            for video in videos:
                segments.add_video(video, {role: sequence.video(video) for role, sequence in sequences.items()})
            if segments.ids:
                splits[name] = segments.assemble(name, sequences, report)
    for text in _sentences(tally, chosen):
        report.warn(text)
    if not splits:
        raise DataError(f"{path}: no segment of the labels has any frame; {'; '.join(_sentences(tally, chosen))}")
    return labelled(splits, request, report, path, names=names, format=NAME, sha256=sha256)


def _shared_videos(sequences, path, report):
    """The videos that every file has, sorted; others go to the report."""
    shared = sorted(set.intersection(*(set(sequence.entries) for sequence in sequences.values())))
    if not shared:
        raise DataError(f"{path}: no video is in all of its .csd files ({listing(sequences)})")
    for role, sequence in sequences.items():
        if others := sorted(set(sequence.entries) - set(shared)):
            count = f"{len(others)} of {len(sequence.entries)} videos"
            report.warn(f"{role}: {count} aren't in every file, dropped; one is {others[0]}")
    return shared


class _Segments:
    """The segments of one split, gathered video by video.

    Args:
        path: str. The folder.
        modalities: iterable of str.
        tally: Counter. What was dropped, over all splits.
    """

    def __init__(self, path, modalities, tally):
        self.path, self.tally = path, tally
        self.frames = {modality: [] for modality in modalities}
        self.counts = {modality: collections.Counter() for modality in modalities}
        self.ids, self.videos, self.labels, self.texts = [], [], [], []

    def add_video(self, video, entries):
        """Aligns a video and adds its segments.

        Args:
            video: str.
            entries: dict by role of lists of `Entry`.
        """
        names = {role: {entry.name for entry in found} for role, found in entries.items()}
        is_aligned = all("[" in name for found in names.values() for name in found)
        if is_aligned and all(found <= names["labels"] for found in names.values()):
            self._add_aligned(video, entries)
        else:
            self._align(video, entries)

    def _align(self, video, entries):
        where = f"{self.path}: {video}"
        words, tokens = self._words(entries)
        aligned = {modality: self._clean(modality, entries[modality]) for modality in self.frames}
        if words is None:
            lines = {modality: Timeline(intervals, where) for modality, (intervals, _) in aligned.items()}
        else:
            line = Timeline(words, where)
            for modality, (intervals, features) in aligned.items():
                if modality == "text" and "words" not in entries:
                    # They are the words, each with a vector of its own.
                    own = features[is_reference(intervals)]
                    aligned[modality] = own, np.ones(len(own), dtype=bool)
                else:
                    aligned[modality] = collapse(words, intervals, features, where)
                self.tally["frameless", modality] += int(np.count_nonzero(~aligned[modality][1]))
        intervals = np.concatenate([entry.intervals for entry in entries["labels"]])
        labels = np.concatenate([entry.features for entry in entries["labels"]])
        for position in np.flatnonzero(is_reference(intervals)):
            start, end = intervals[position]
            said = None
            if words is None:
                frames = {m: features[lines[m].rows(start, end)] for m, (_, features) in aligned.items()}
            else:
                rows = line.rows(start, end)
                said = None if tokens is None else tokens[rows]
                # A word without a frame is zeros; a segment without any lacks the modality.
                frames = {m: means[rows] if found[rows].any() else means[:0] for m, (means, found) in aligned.items()}
            self._add(f"{video}[{position}]", video, labels[position], said, frames)
        self.tally["short"] += int(np.count_nonzero(~is_reference(intervals)))

    def _words(self, entries):
        """The words' intervals, those of the text vectors where there are no words, and their texts or None."""
        found = entries.get("words") or entries.get("text")
        if found is None:
            return None, None
        intervals = np.concatenate([entry.intervals for entry in found])
        keep = is_reference(intervals)
        tokens = None
        if "words" in entries:
            tokens = np.array([token for entry in found for token in entry.words()], dtype=object)
            self.tally["pauses"] += int(np.count_nonzero(tokens == _PAUSE))
            keep &= tokens != _PAUSE
            self.tally["short words"] += int(np.count_nonzero(~keep & (tokens != _PAUSE)))
            tokens = tokens[keep]
        self.tally["words"] += int(np.count_nonzero(keep))
        return intervals[keep], tokens

    def _add_aligned(self, video, entries):
        by_name = {role: {entry.name: entry for entry in found} for role, found in entries.items()}
        for label in entries["labels"]:
            if not len(label.features):
                self.tally["empty"] += 1
                continue
            pieces = {role: [found[label.name]] for role, found in by_name.items() if label.name in found}
            frames = {modality: self._clean(modality, pieces.get(modality, []))[1] for modality in self.frames}
            for modality in self.frames.keys() - pieces.keys():
                self.tally["absent", modality] += 1
            said = None
            if "words" in entries:
                tokens = [token for entry in pieces.get("words", []) for token in entry.words()]
                keep = np.array([token != _PAUSE for token in tokens], dtype=bool)
                self.tally["pauses"] += int(np.count_nonzero(~keep))
                frames = {m: rows[keep] if len(rows) == len(keep) else rows for m, rows in frames.items()}
                said = [token for token in tokens if token != _PAUSE]
            row = 0
            if len(label.features) > 1:
                self.tally["several labels"] += 1
                row = _own_row(label, [entry for role in pieces.keys() - {"labels"} for entry in pieces[role]])
            self._add(label.name, video, label.features[row], said, frames)

    def _clean(self, modality, entries):
        """The intervals and cleaned features of a video; what was cleaned is counted."""
        if not entries:
            return np.zeros((0, 2)), np.zeros((0, 1), dtype="float32")
        features = np.concatenate([entry.features for entry in entries])
        intervals = np.concatenate([entry.intervals for entry in entries])
        good = is_interval(intervals)
        if not good.all():
            self.tally["timeless", modality] += int(np.count_nonzero(~good))
            intervals, features = intervals[good], features[good]
        cleaned, counts = cleaning.clean_blocks(cleaning.row_blocks(features), features.shape)
        self.counts[modality].update(counts)
        return intervals, cleaned[:, 0]

    def _add(self, name, video, label, said, frames):
        if not any(map(len, frames.values())):
            self.tally["empty"] += 1
            return
        spend(_BYTES_PER_SEGMENT, f"{self.path}: {name}")
        for modality, rows in frames.items():
            where = f"{self.path}: {name}/{modality}"
            spend(rows.nbytes, where)
            self.frames[modality].append(ragged.Sequence(rows, where))
        self.ids.append(name)
        self.videos.append(video)
        self.labels.append(label)
        text = None if said is None else " ".join(said)
        spend(len(text or ""), f"{self.path}: {name}/raw_text")
        self.texts.append(text)

    def assemble(self, name, sequences, report):
        """The split."""
        values = {"id": self.ids, "group": self.videos, "labels": np.array(self.labels, dtype="float64")}
        if "words" in sequences:
            values["raw_text"] = self.texts

        padded = {}
        for modality, rows in self.frames.items():
            features, found, lengths = ragged.pad(rows, sequences[modality].width, f"{self.path}: {name}/{modality}")
            # What was cleaned was counted before the means were taken.
            padded[modality] = features, {kind: self.counts[modality][kind] for kind in found}, lengths
        return assemble_padded(name, self.path, values, padded, {}, report)


def _own_row(label, others):
    """Which row of a label's entry is the segment's own: others reach into it from its neighbours.

    Args:
        label: Entry.
        others: list of Entry. What the other files hold of the segment, which tells when it is.
    """
    intervals = np.concatenate([entry.intervals for entry in others]) if others else np.zeros((0, 2))
    intervals = intervals[is_interval(intervals)]
    start, end = (intervals[:, 0].min(), intervals[:, 1].max()) if len(intervals) else (-np.inf, np.inf)
    good = is_interval(label.intervals)
    starts, ends = np.where(good[:, None], label.intervals, 0).T
    overlaps = np.where(good, np.minimum(ends, end) - np.maximum(starts, start), -np.inf)
    # Of two that cover all of it the longer one; of equals the first.
    return max(range(len(overlaps)), key=lambda row: (overlaps[row], ends[row] - starts[row]))


def _sentences(tally, modalities):
    """What was dropped, for the report."""
    sentences = [("pauses", "words", f"pauses ({_PAUSE}) dropped, with their frames")]
    for m in modalities:
        sentences += [
            (("frameless", m), m, f"of {tally['words']} words have no frame, and are zeros"),
            (("absent", m), m, "segments aren't in its file, and lack the modality"),
            (("timeless", m), m, "frames end before they start, or at no time, dropped"),
        ]
    several = "segments have several label rows, of which the one that overlaps the segment longest is taken"
    sentences += [
        ("short words", "words", f"shorter than {EPSILON:g} s dropped"),
        ("short", "labels", f"segments shorter than {EPSILON:g} s dropped"),
        ("several labels", "labels", several),
        ("empty", "labels", "segments without a frame dropped"),
    ]
    return [f"{what}: {tally[kind]} {words}" for kind, what, words in sentences if tally[kind]]
