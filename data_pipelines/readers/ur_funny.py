"""The UR-FUNNY folder, V1 and V2: punchlines, with what was said before them as context.

Six pickles: `data_folds` (ids by split), `humor_label_sdk` (0 or 1), `covarep_features_sdk`, `openface_features_sdk`,
`word_embedding_list` (index -> vector) and the words' indexes: `language_sdk` with the sentences themselves (V2), or
`word_embedding_indexes_sdk` (V1). All but the first two are dicts by id of `punchline_...` (words) and `context_...`
(sentences of words).

The punchline is the utterance; the sentences of the context, in order and joined, are the context, of which the last
`CONTEXT_FRAMES` words are kept (all of them in its raw text). Every modality keeps its own length. A segment without an
entry in a file lacks that modality. Labels are the classes 0 and 1. A split of which
no segment has a label is unlabelled.
"""

import collections
import itertools
import math
import os

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.readers.foreign import read_pickle
from plumkeras.data_pipelines.readers.shared import fields, ragged
from plumkeras.data_pipelines.readers.shared.assembling import assemble_padded
from plumkeras.data_pipelines.readers.shared.labels import ANY, labelled
from plumkeras.data_pipelines.readers.shared.splits import take_parts
from plumkeras.data_pipelines.schema.validation import MODALITIES, DataError, listing

NAME = "ur_funny"
DESCRIPTION = "folder of UR-FUNNY, V1 or V2 (data_folds.pkl, humor_label_sdk.pkl, ...)"
_FOLDS, _LABELS, _VECTORS = "data_folds.pkl", "humor_label_sdk.pkl", "word_embedding_list.pkl"
_WORDS = {"v2": "language_sdk.pkl", "v1": "word_embedding_indexes_sdk.pkl"}
_FEATURES = {"audio": "covarep_features_sdk.pkl", "vision": "openface_features_sdk.pkl"}
_PARTS = ("punchline", "context")
# All contexts are padded to the longest, and one may be of any length. A frame of version 2 is 300 + 81 + 371 numbers,
# 3.0 kB, and there are 9,588 segments: at most 3.7 GB at 128 frames, where 512 would come to 14.8 GB. The data's own
# tutorial keeps 100 words (the last 5 sentences, 20 words each), our recipe 60.
CONTEXT_FRAMES = 128


def matches(path):
    """Whether a folder holds the folds or the labels of UR-FUNNY, and any other of its files."""
    held = [name for name in _names() if os.path.isfile(os.path.join(path, name))]
    return len(held) > 1 and (_FOLDS in held or _LABELS in held)


def _names():
    return (_FOLDS, _LABELS, *_WORDS.values(), _VECTORS, *_FEATURES.values())


def files(path):
    """The names of the files that are read."""
    names = [name for name in _names() if os.path.isfile(os.path.join(path, name))]
    # Of two versions of the words the second is read.
    return [name for name in names if name != _WORDS["v1"] or _WORDS["v2"] not in names]


def read(path, report, modalities=None, request=ANY, sha256=None):
    """Reads a UR-FUNNY folder. Arguments and errors as `plumkeras.data_pipelines.load`."""
    held = files(path)
    if _FOLDS not in held:
        raise DataError(f"{path}: has no {_FOLDS}; it has {listing(held)}")
    version = next((version for version, name in _WORDS.items() if name in held), None)
    available = {modality: name for modality, name in _FEATURES.items() if name in held}
    if version and _VECTORS in held:
        available["text"] = _WORDS[version]
    elif modalities is None:
        report.warn(f"text: {_VECTORS} and one of {listing(_WORDS.values())} are needed, not read")
    chosen = fields.pick_modalities([m for m in MODALITIES if m in available], modalities, path)
    segments = _Segments(path, held, report)
    texts = segments.sentences(_WORDS[version]) if version == "v2" else {}
    columns = {modality: segments.column(modality, available[modality]) for modality in chosen}
    splits = {}
    for name, ids in segments.ids.items():
        utterances = {modality: column[name, "punchline"] for modality, column in columns.items()}
        contexts = {m: column[name, "context"] for m, column in columns.items() if (name, "context") in column}
        values = {"id": ids, "classification_labels": segments.labels[name], **texts.get(name, {})}
        splits[name] = assemble_padded(name, path, values, utterances, contexts, report)
    form = f"{NAME}-{version}" if version else NAME
    return labelled(splits, request, report, path, declared=True, format=form, sha256=sha256)


class _Segments:
    """The segments of the folds that have labels, and what the files hold of them.

    Args:
        path: str. The folder.
        held: list of str. The files that are there.
        report: Report.

    `ids` and `labels` are dicts by split.
    """

    def __init__(self, path, held, report):
        self.path, self.report = path, report
        labels = self._table(_LABELS) if _LABELS in held else {}
        where = os.path.join(path, _FOLDS)
        folds, _ = read_pickle(where)
        if not isinstance(folds, dict):
            raise DataError(f"{where}: is a {type(folds).__name__}; a dict of ids by split is expected")
        self.ids, self.labels = {}, {}
        for name, ids in take_parts(folds, where, report).items():
            ids = fields.texts(ids, f"{where}: {name}")
            if not ids:
                raise DataError(f"{where}: {name} is empty: 0 samples")
            known = [segment for segment in ids if segment in labels]
            if known and len(known) < len(ids):
                lost = [segment for segment in ids if segment not in labels]
                report.warn(f"{name}: {len(lost)} of {len(ids)} segments have no label, dropped; one is {lost[0]}")
            # Of a split that has no label at all, every segment is kept.
            self.ids[name] = known or ids
            self.labels[name] = [
                _label(labels.get(segment), f"{path}: {_LABELS}/{segment}") for segment in self.ids[name]
            ]
        if not self.ids:
            raise DataError(f"{where}: has no split; known are train, dev, test")

    def _table(self, name):
        """One of the pickles, a dict by id; ids as texts, since files may differ in whether they are numbers."""
        tree, _ = read_pickle(os.path.join(self.path, name))
        if not isinstance(tree, dict):
            raise DataError(f"{self.path}: {name} is a {type(tree).__name__}; a dict by id is expected")
        return {str(key): value for key, value in tree.items()}

    def _values(self, name, keys, is_needed=True):
        """Yields split, segment, and by part what a file holds for a segment, None where it holds nothing.

        Args:
            name: str. The file.
            keys: tuple of str. What follows `punchline_` and `context_`: the first that is there.
            is_needed: bool. Whether an entry without a punchline is an error.
        """
        table = self._table(name)
        for split, ids in self.ids.items():
            if missing := sum(segment not in table for segment in ids):
                self.report.warn(f"{split}: {missing} of {len(ids)} segments aren't in {name}, and lack what it holds")
            for segment in ids:
                entry = table.get(segment, {})
                if not isinstance(entry, dict):
                    raise DataError(f"{self.path}: {name}/{segment} is a {type(entry).__name__}; a dict is expected")
                found = {part: [entry[f"{part}_{k}"] for k in keys if f"{part}_{k}" in entry] for part in _PARTS}
                if is_needed and segment in table and not found["punchline"]:
                    raise DataError(f"{self.path}: {name}/{segment} has no punchline_{keys[0]}")
                yield split, segment, {part: values[0] if values else None for part, values in found.items()}

    def sentences(self, name):
        """Dict by split of `raw_text` and `context_raw_text`."""
        found = {split: {"raw_text": [], "context_raw_text": []} for split in self.ids}
        for split, segment, values in self._values(name, ("sentence", "sentences"), is_needed=False):
            for part, field in zip(_PARTS, ("raw_text", "context_raw_text"), strict=True):
                where = f"{self.path}: {name}/{segment}/{part}"
                text = "" if values[part] is None else ragged.sentence(values[part], where)
                found[split][field].append(text or "")
        return found

    def column(self, modality, name):
        """One modality, padded: dict by split and part of `ragged.pad`; without contexts where there are none."""
        keys, read = ("features",), lambda value, is_nested, where: ragged.Sequence(value, where)
        if modality == "text":
            keys, read = ("embedding_indexes", "features"), self._word_reader()
        sequences, cut = collections.defaultdict(list), collections.defaultdict(list)
        for split, segment, values in self._values(name, keys):
            for part in _PARTS:
                where = f"{self.path}: {name}/{segment}/{part}"
                sequence = read([] if values[part] is None else values[part], part == "context", where)
                if part == "context" and (dropped := sequence.keep_last(CONTEXT_FRAMES)):
                    cut[split].append(dropped)
                sequences[split, part].append(sequence)
        width = ragged.common_width(itertools.chain(*sequences.values()))
        if width is None:
            raise DataError(f"{self.path}: {name} holds no frame of any segment")
        for split, dropped in cut.items():
            self.report.warn(
                f"{split}/context_{modality}: {sum(dropped)} frames cut: of {len(dropped)} contexts of more than "
                f"{CONTEXT_FRAMES} frames the last {CONTEXT_FRAMES} are kept"
            )
        if not any(sequence.length for split in self.ids for sequence in sequences[split, "context"]):
            sequences = {key: found for key, found in sequences.items() if key[1] != "context"}
        return {
            (split, part): ragged.pad(found, width, f"{self.path}: {split}/{modality} ({part})")
            for (split, part), found in sequences.items()
        }

    def _word_reader(self):
        """A function from the indexes of words to their vectors."""
        where = f"{self.path}: {_VECTORS}"
        tree, _ = read_pickle(os.path.join(self.path, _VECTORS))
        listed = ragged.Sequence(tree, where)
        if not listed.length:
            raise DataError(f"{where} holds no vector")
        cleaned, counts, _ = ragged.pad([listed], listed.width, where)
        vectors = cleaned[0]
        if sum(counts.values()):
            self.report.warn(f"{_VECTORS}: {sum(counts.values())} values that are NaN, infinite or beyond 1e6 set to 0")

        def read(value, is_nested, where):
            sentences = value if is_nested else [value]
            if not _is_list(sentences) or not all(map(_is_list, sentences)):
                raise DataError(f"{where} isn't a list of {'sentences, lists of ' if is_nested else ''}word indexes")
            words = [fields.lengths(sentence, where) for sentence in sentences if len(sentence)]
            for position in (int(word) for found in words for word in found if not 0 <= word < len(vectors)):
                raise DataError(f"{where} holds the word {position}; {_VECTORS} has {len(vectors)}")
            spend(sum(map(len, words)) * vectors[0].nbytes, where)
            return ragged.Sequence([vectors[found] for found in words], where)

        return read


def _is_list(value):
    return isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.ndim > 0)


def _label(value, where):
    """0, 1, or NaN for one that is blank."""
    found = float(fields.label_numbers([value], where)[0])
    if found not in (0, 1) and not math.isnan(found):
        raise DataError(f"{where} is {found:g}; 0 or 1 is expected")
    return found
