"""The features that may lie beside MUStARD's `sarcasm_data.json`; see `mustard`.

Each reader takes the folder, the ids, how many sentences each context has and a report, and returns the
utterances and the contexts (or None), padded as by `ragged.pad`.
"""

import os

import numpy as np

from plumkeras import json_text
from plumkeras.data_pipelines.containers import hdf5
from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.readers.foreign import read_pickle
from plumkeras.data_pipelines.readers.shared import ragged
from plumkeras.data_pipelines.schema.validation import DataError

AUDIO = "audio_features.p"
BERT, BERT_CONTEXT = "bert-output.jsonl", "bert-output-context.jsonl"
VISION, VISION_CONTEXT = (os.path.join("features", f"{part}_final") for part in ("utterances", "context"))
_PREFERRED = ("resnet_pool5.hdf5", "resnet_res5c.hdf5", "i3d_avg_pool.hdf5", "c3d_fc7.hdf5")
_AUDIO_WIDTH = 283
MAX_FRAMES = 128


def visual_files(folder):
    """The names of the visual files of the utterances, the one that is read first."""
    folder = os.path.join(folder, VISION)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    names = [name for name in names if hdf5.is_hdf5(os.path.join(folder, name)) or name.endswith((".hdf5", ".h5"))]
    return sorted(names, key=lambda name: _PREFERRED.index(name) if name in _PREFERRED else len(_PREFERRED))


def read_audio(folder, ids, sentences, report):
    """Audio frames `[T, 283]`, stored the other way round; there is no context."""
    path = os.path.join(folder, AUDIO)
    tree, _ = read_pickle(path)
    if not isinstance(tree, dict):
        raise DataError(f"{path}: is a {type(tree).__name__}; a dict by id is expected")
    _say_missing(ids, tree, AUDIO, report)
    sequences = []
    for name in ids:
        where = f"{path}: {name}"
        value = tree.get(name, [])
        if isinstance(value, np.ndarray) and (value.ndim == 1 or not value.size):
            value = value[:, None] if value.size else []
        frames = ragged.Sequence(value, where)
        if frames.length and (frames.length == _AUDIO_WIDTH or frames.width != _AUDIO_WIDTH):
            frames = ragged.Sequence(np.concatenate(frames.pieces).T, where)
        sequences.append(frames)
    return _padded(sequences, path), None


def read_vision(folder, ids, sentences, report):
    """Visual frames of the utterances, and of the contexts where their file of the same name is there."""
    name = visual_files(folder)[0]
    utterances = _read_clips(os.path.join(folder, VISION, name), ids, report)
    path = os.path.join(folder, VISION_CONTEXT, name)
    if not os.path.isfile(path):
        return utterances, None
    return utterances, _read_clips(path, ids, report, utterances[0].shape[2])


def _read_clips(path, ids, report, width=None):
    name = os.path.relpath(path, os.path.dirname(os.path.dirname(path)))
    counts = dict.fromkeys(("nan", "inf", "overflow"), 0)
    sequences = []
    shortened = 0
    with hdf5.opened(path) as file:
        held = set(hdf5.children(file, path))
        _say_missing(ids, held, name, report)
        for clip in ids:
            where = f"{path}: {clip}"
            frames = _read_clip(file, clip, where, counts) if clip in held else np.zeros((0, 1))
            if len(frames) > MAX_FRAMES:
                shortened += 1
                frames = _shorten(frames)
            spend(frames.nbytes, where)
            sequences.append(ragged.Sequence(frames, where))
    if shortened:
        report.warn(
            f"vision: {shortened} of {len(ids)} clips in {name} have more than {MAX_FRAMES} frames, averaged over runs "
            "of frames to that"
        )
    return _padded(sequences, path, width, counts)


def _read_clip(file, clip, where, counts):
    """The frames of a clip, cleaned (and counted) and averaged over space: float32 `[T, F]`."""
    with hdf5.guarded(where):
        dataset = file[clip]
    pieces = []
    for block in hdf5.blocks(dataset, where):
        if block.dtype.kind not in "iufb" or block.ndim < 2:
            raise DataError(f"{where} has shape {dataset.shape} and type {dataset.dtype}; [frames, width] is expected")
        cleaned, found = cleaning.clean_blocks([block[None]], (1, *block.shape))
        for kind in counts:
            counts[kind] += found[kind]
        space = tuple(range(2, block.ndim))
        pieces.append(cleaned[0].mean(axis=space, dtype="float64").astype("float32") if space else cleaned[0])
    return np.concatenate(pieces) if pieces else np.zeros((0, 1), "float32")


def _shorten(frames):
    """Means over `MAX_FRAMES` runs of frames, as equal in length as can be."""
    starts = np.arange(MAX_FRAMES) * len(frames) // MAX_FRAMES
    sums = np.add.reduceat(frames, starts, axis=0, dtype="float64")
    return (sums / np.diff(starts, append=len(frames))[:, None]).astype("float32")


def read_text(folder, ids, sentences, report):
    """A BERT vector for each utterance, and for each sentence of the contexts where their file is there."""
    path = os.path.join(folder, BERT)
    vectors = list(_read_bert(path))
    if len(vectors) != len(ids):
        raise DataError(f"{path}: has {len(vectors)} lines, for {len(ids)} utterances")
    said = zip(ids, vectors, strict=True)
    utterances = _padded([ragged.Sequence(vector[None], f"{path}: {name}") for name, vector in said], path)
    path = os.path.join(folder, BERT_CONTEXT)
    if not os.path.isfile(path):
        return utterances, None
    vectors = list(_read_bert(path))
    if len(vectors) != sum(sentences):
        raise DataError(f"{path}: has {len(vectors)} lines, for {sum(sentences)} sentences of context")
    sequences = []
    for name, stop, count in zip(ids, np.cumsum(sentences), sentences, strict=True):
        said = [vector[None] for vector in vectors[stop - count : stop]]
        sequences.append(ragged.Sequence(said, f"{path}: {name}"))
    return utterances, _padded(sequences, path, utterances[0].shape[2])


def _read_bert(path):
    """Yields the vector of each line: [CLS], the mean of its layers."""
    number = 0
    try:
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                if not line.strip():
                    continue
                where = f"{path}: line {number}"
                layers = ragged.Sequence([x["values"] for x in json_text.parse(line)["features"][0]["layers"]], where)
                if not layers.length:
                    raise DataError(f"{where} has no values")
                # What overflows here is cleaned later.
                with np.errstate(all="ignore"):
                    vector = np.concatenate(layers.pieces).mean(axis=0)
                yield vector
    except DataError:
        raise
    except (LookupError, TypeError, ValueError) as error:
        said = str(error)[:200]
        raise DataError(f"{path}: line {number} isn't what BERT's extract_features writes: {said}") from None


def _padded(sequences, where, width=None, counts=None):
    """Sequences padded; `counts` are of what was cleaned before."""
    width = ragged.common_width(sequences, width)
    if width is None:
        raise DataError(f"{where}: holds no frame of any utterance")
    features, found, lengths = ragged.pad(sequences, width, where)
    return features, {kind: found[kind] + (counts or {}).get(kind, 0) for kind in found}, lengths


def _say_missing(ids, held, name, report):
    """Reports utterances that a file lacks."""
    missing = [clip for clip in ids if clip not in held]
    if missing:
        count = f"{len(missing)} of {len(ids)} utterances aren't in {name}"
        report.warn(f"{count}, and lack what it holds; one is {missing[0]}")
