"""The MUStARD folder: `sarcasm_data.json`, and whatever features lie beside it.

    sarcasm_data.json                          id -> utterance, speaker, context, context_speakers, show, sarcasm
    split_indices.p                            five (train, test) pairs of positions in the json
    audio_features.p                           id -> [283, T]: transposed to T frames
    features/utterances_final/resnet_pool5.hdf5, features/context_final/...   id -> [frames, 2048]
    bert-output.jsonl, bert-output-context.jsonl                              one line per sentence

The folder, or its folder `data`, may be given. There is one split, `all`, in the order of the json, with the five
folds where `split_indices.p` is there; these are the data set's own, and speakers are in several of them.
`speaker_independent` makes the other protocol. Groups are `SHOW/SPEAKER` (a PERSON of one show is not that of another).

Of several visual files one is read, `resnet_pool5` first. Features of more axes than `[frames, width]` are averaged
over space. They come at the frame rate of the video, so clips of more than 128 frames are averaged over runs of
frames to 128. A sentence's BERT vector is that of [CLS], the mean of four layers; each sentence is one frame.
"""

import collections
import dataclasses
import os

import numpy as np

from plumkeras import json_text
from plumkeras.data_pipelines.readers import foreign
from plumkeras.data_pipelines.readers import mustard_features as features
from plumkeras.data_pipelines.readers.foreign import read_pickle
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.readers.shared.assembling import assemble_padded
from plumkeras.data_pipelines.readers.shared.labels import ANY, labelled
from plumkeras.data_pipelines.schema.token_ids import texts_alone
from plumkeras.data_pipelines.schema.validation import MODALITIES, DataError, listing

NAME = "mustard"
DESCRIPTION = "folder of MUStARD (sarcasm_data.json with audio_features.p, features/, bert-output.jsonl)"
_TABLE, _FOLDS = "sarcasm_data.json", "split_indices.p"


def matches(path):
    """Whether a folder, or its folder `data`, holds `sarcasm_data.json`."""
    return os.path.isfile(os.path.join(_home(path), _TABLE))


def _home(path):
    inner = os.path.join(path, "data")
    return inner if os.path.isfile(os.path.join(inner, _TABLE)) else path


def files(path):
    """The names of the files that are read."""
    home = _home(path)
    names = [_TABLE, _FOLDS, features.AUDIO, features.BERT, features.BERT_CONTEXT]
    for visual in features.visual_files(home)[:1]:
        names += [os.path.join(folder, visual) for folder in (features.VISION, features.VISION_CONTEXT)]
    held = [os.path.join(home, name) for name in names if os.path.isfile(os.path.join(home, name))]
    return [os.path.relpath(name, path) for name in held]


def read(path, report, modalities=None, request=ANY, sha256=None):
    """Reads a MUStARD folder. Arguments and errors as `plumkeras.data_pipelines.load`."""
    home = _home(path)
    table = _Table(os.path.join(home, _TABLE))
    readers = {}
    if os.path.isfile(os.path.join(home, features.BERT)):
        readers["text"] = features.read_text
    if os.path.isfile(os.path.join(home, features.AUDIO)):
        readers["audio"] = features.read_audio
    if visual := features.visual_files(home):
        readers["vision"] = features.read_vision
        if len(visual) > 1:
            report.warn(f"vision: {visual[0]} is read, {listing(visual[1:])} not")
    if "text" not in readers and "text" in (modalities or ()):
        raise DataError(
            f"{path}: holds {len(table.ids)} utterances as texts without vectors, and of features: {listing(readers)}. "
            "`plumkeras extract` makes vectors"
        )
    if "text" not in readers:
        report.warn(
            f"text: there is no {features.BERT}, so what was said is in raw_text alone; a text encoder reads it, and "
            "`plumkeras extract` makes vectors of it"
        )
    held = [m for m in MODALITIES if m in readers]
    # Texts alone are something to read, too.
    chosen = fields.pick_modalities(held, modalities, path) if held or modalities else []
    utterances, contexts = {}, {}
    for modality in chosen:
        utterances[modality], context = readers[modality](home, table.ids, table.sentences, report)
        if context is not None and context[2].any():
            contexts[modality] = context
    if os.path.isfile(os.path.join(home, _FOLDS)):
        table.values["fold"] = _folds(os.path.join(home, _FOLDS), table, report)
    else:
        report.warn(f"there is no {_FOLDS}, so there are no folds")
    split = assemble_padded("all", path, table.values, utterances, contexts, report)
    if not held:
        text, lengths = texts_alone(len(table.ids))
        split = dataclasses.replace(split, features=text, lengths=lengths)
    return labelled({"all": split}, request, report, path, declared=True, format=NAME, sha256=sha256)


class _Table:
    """`sarcasm_data.json`.

    Args:
        path: str.

    `ids` is a list of str, `values` the fields of the split that come from it, `sentences` how many each context has.
    """

    def __init__(self, path):
        self.path = path
        if said := foreign.describe(path):
            raise DataError(f"{path}: {said}")
        try:
            with open(path, encoding="utf-8-sig") as file:
                tree = json_text.parse(file.read(), object_pairs_hook=self._dict)
        except DataError:
            raise
        except ValueError as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
            raise DataError(f"{path}: damaged, or no JSON: {error}") from None
        if not isinstance(tree, dict) or not tree:
            raise DataError(
                f"{path}: is a {type(tree).__name__} of {str(tree)[:20]!r}; a dict of utterances is expected"
            )
        self.ids = list(tree)
        items = [self._item(name, item) for name, item in tree.items()]
        self.sentences = [len(item["context"]) for item in items]
        self.values = {
            "id": self.ids,
            "classification_labels": [item["sarcasm"] for item in items],
            "raw_text": [item["utterance"] for item in items],
            "context_raw_text": [" ".join(item["context"]) for item in items],
            "group": ["/".join(filter(None, (item["show"].strip(), item["speaker"].strip()))) for item in items],
        }

    def _dict(self, pairs):
        """A dict of JSON, in which nothing may occur twice: the second would replace the first."""
        found = dict(pairs)
        if len(found) < len(pairs):
            twice, _ = collections.Counter(name for name, _ in pairs).most_common(1)[0]
            raise DataError(f"{self.path}: lists {twice[:40]!r} twice: delete one of them")
        return found

    def _item(self, name, item):
        """An utterance, its fields known to be what they have to be."""
        if not isinstance(item, dict):
            raise DataError(f"{self.path}: {name} is a {type(item).__name__}; a dict is expected")
        item = {"context": [], "show": "", "sarcasm": None, **item}
        if item["sarcasm"] == "" or item["sarcasm"] != item["sarcasm"]:
            item["sarcasm"] = None  # blank
        kinds = {"utterance": str, "speaker": str, "show": str, "context": list, "sarcasm": (int, type(None))}
        for field, kind in kinds.items():
            if field not in item:
                raise DataError(f"{self.path}: {name} has no {field}")
            if not isinstance(item[field], kind):
                raise DataError(f"{self.path}: {name}/{field} is a {type(item[field]).__name__}")
        if not all(isinstance(sentence, str) for sentence in item["context"]):
            raise DataError(f"{self.path}: {name}/context holds something else than sentences")
        if item["sarcasm"] not in (0, 1, None):
            raise DataError(f"{self.path}: {name}/sarcasm is {item['sarcasm']!s:.40}; true or false is expected")
        return item


def _folds(path, table, report):
    """The fold in which each utterance is tested."""
    tree, _ = read_pickle(path)
    if not isinstance(tree, (list, tuple)) or not all(isinstance(p, (list, tuple)) and len(p) == 2 for p in tree):
        raise DataError(f"{path}: a list of pairs, train and test positions, is expected")
    folds = np.full(len(table.ids), -1)
    for number, pair in enumerate(tree):
        train, test = (fields.lengths(positions, f"{path}: fold {number}") for positions in pair)
        for positions in (train, test):
            if len(positions) and not 0 <= positions.min() <= positions.max() < len(folds):
                found = f"positions from {positions.min()} to {positions.max()}"
                raise DataError(f"{path}: fold {number} has {found}, for {len(folds)} utterances in {_TABLE}")
        if len(np.intersect1d(train, test)) or len(np.unique(test)) < len(test) or (folds[test] >= 0).any():
            raise DataError(f"{path}: fold {number} tests an utterance that it trains on, or that is tested twice")
        folds[test] = number
    if (folds < 0).any():
        raise DataError(f"{path}: no fold tests {table.ids[int(folds.argmin())]}")
    groups = np.array(table.values["group"])
    shared = sum(len(np.unique(folds[groups == group])) > 1 for group in np.unique(groups))
    if shared:
        report.warn(
            f"folds: {shared} of {len(np.unique(groups))} speakers are in several folds of {_FOLDS}; "
            "`speaker_independent` splits by show"
        )
    return folds
