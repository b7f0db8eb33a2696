"""`extract`: a folder of clips, or a data set with texts, to a data set with features."""

import dataclasses
import os

import numpy as np

from plumkeras.data_pipelines.extraction import audio, clips, vision
from plumkeras.data_pipelines.extraction.text import TextEncoder, TextOptions
from plumkeras.data_pipelines.loading import load
from plumkeras.data_pipelines.readers.shared import ragged
from plumkeras.data_pipelines.readers.shared.label_fields import split_labels
from plumkeras.data_pipelines.schema.dataset import MODALITIES, Dataset, Split
from plumkeras.data_pipelines.schema.report import Report
from plumkeras.data_pipelines.schema.validation import DataError, TokenIdsError
from plumkeras.features import TOKEN_IDS


@dataclasses.dataclass(frozen=True)
class Extracted:
    """A data set of extracted features, and what was skipped.

    Args:
        dataset: Dataset. Its report says what was skipped, cut and cleaned.
        listed: int. How many samples there were to extract.
        skipped: dict from clip id to the reason why it isn't in the data set.
    """

    dataset: Dataset
    listed: int
    skipped: dict


def extract(path, labels=None, audio_options=None, text_options=None, vision_options=None, task="regression",
            label_range=None, progress=None, max_bytes=None):  # fmt: skip
    """Makes features of clips; or adds token vectors to a data set that has texts and no vectors of them.

    A clip whose sound or frames can't be decoded is left out: never fatal, and named in the report. A clip that lacks
    a modality which others have gets length 0 there.

    Args:
        path: str or path. A folder of WAV, FLAC, MP3 and OGG files (folders inside it too), or whatever `load` reads.
        labels: str or path. The csv of the clips (`clips.read_table` names its columns). Defaults to `label.csv` in
            the folder; without one every sound file is a clip without text and label.
        audio_options: AudioOptions or None.
        text_options: TextOptions or None. Without an encoder texts are kept and no vectors made.
        vision_options: VisionOptions or None. Without frames there is no vision.
        task: `"regression"` or `"classification"`. What the column `label` holds.
        label_range: pair of floats. The range of regression labels. Defaults to [-3, 3], [-1, 1] with labels per
            modality.
        progress: callable with how many samples are done, and of how many; called anew for each modality.
        max_bytes: int. What a data set, the frames of a clip or a sound may be decoded to. Defaults to the larger of
            1 GB and 100 times the size of the file or folder.

    Returns:
        Extracted.

    Raises:
        DataError: there are no clips, an option or the csv is wrong, no clip is left, or an extra isn't installed.
    """
    path = os.fspath(path)
    text_options, vision_options = text_options or TextOptions(), vision_options or vision.VisionOptions()
    progress = progress or (lambda done, total: None)
    if not os.path.exists(path):
        raise DataError(f"{path}: there is no such file")
    sounds = clips.media_files(path, clips.AUDIO_ENDINGS) if os.path.isdir(path) else {}
    if not sounds and not vision_options.frames and labels is None:
        if os.path.isdir(path) and not os.listdir(path):
            raise DataError(f"{path}: is empty: no WAV, FLAC, MP3 or OGG file, and no data set")
        return _add_text(path, text_options, label_range, progress, max_bytes)
    if not os.path.isdir(path):
        raise DataError(f"{path}: a csv and frames go with a folder of clips, and this is a file")
    report = Report()
    table = os.fspath(labels) if labels is not None else os.path.join(path, clips.TABLE)
    if labels is not None or os.path.isfile(table):
        listed = clips.read_table(table, report)
    elif vision_options.frames and not sounds:
        listed = clips.from_files(vision.open_frames(vision_options.frames, max_bytes).clips)
    else:
        listed = clips.from_files(sounds)
    audio_options = audio_options or audio.AudioOptions()
    made = _features(path, listed, sounds, report, audio_options, vision_options, progress, max_bytes)
    skipped = {}
    for modality, rows in made.items():
        for row, value in enumerate(rows):
            if isinstance(value, str):
                skipped.setdefault(str(listed.ids[row]), f"{modality}: {value}")
    if text_options.text_encoder is not None:
        made["text"] = _token_vectors(listed, text_options, report, progress)
    for row, name in enumerate(listed.ids.tolist()):
        if name not in skipped and all(rows[row] is None for rows in made.values()):
            skipped[name] = "has no sound, frames or text to extract"
    for name, reason in skipped.items():
        report.warn(f"clip {name} skipped: {reason}")
    # A modality whose every file is bad has no width, and so no place.
    made = {m: made[m] for m in MODALITIES if any(isinstance(value, np.ndarray) for value in made.get(m, ()))}
    splits = _splits(path, listed, made, skipped, task, report)
    if label_range is None and listed.modality_labels:
        label_range = (-1.0, 1.0)  # SIMS
    dataset = Dataset(splits, report=report, path=path, format="extracted", label_range=label_range)
    return Extracted(dataset, len(listed.ids), skipped)


def _features(path, listed, sounds, report, audio_options, options, progress, max_bytes):
    """Dict from modality to a list with a clip's features, a text where they can't be made, None where it has none."""
    made = {}
    if sounds:
        made["audio"], longer = _of_held(
            listed,
            sounds,
            lambda keys: audio.extract_audio([sounds[key] for key in keys], audio_options, progress, max_bytes),
        )
        _note(
            report, "audio", longer, f"are longer than {audio_options.seconds:g} seconds; what lies behind was dropped"
        )
        unlisted = set(sounds) - {_key(names, sounds) for names in listed.keys}
        _note(report, "audio", len(unlisted), "in the folder are in no line of the csv")
    if options.frames:
        frames = vision.open_frames(options.frames, max_bytes)
        made["vision"], thinned = _of_held(
            listed, frames.clips, lambda keys: vision.extract_vision(keys, options, progress, frames)
        )
        _note(report, "vision", thinned, f"have more than {options.max_images} frames, of which as many were kept")
        if options.vision_weights is None:
            report.warn("vision: features of random weights, at the user's wish: for trials, not for results")
    for modality, rows in made.items():
        _note(report, modality, sum(row is None for row in rows), "of the csv have no file, and lack the modality")
        if all(row is None for row in rows):
            raise DataError(
                f"{path}: no clip of the csv has {modality}; clip {listed.ids[0]!s} is looked for as "
                f"{', '.join(listed.keys[0][:4])}"
            )
    return made


def _note(report, modality, count, words):
    if count:
        report.warn(f"{modality}: {count} clips {words}")


def _key(names, held):
    """The first of a clip's names that there is a file of, or None."""
    return next((name for name in names if name in held), None)


def _of_held(listed, held, make):
    """Makes the features of those clips that there are files of, and puts them in the csv's order."""
    keys = [_key(names, held) for names in listed.keys]
    rows = [row for row, key in enumerate(keys) if key is not None]
    made = [None] * len(keys)
    values, count = make([keys[row] for row in rows]) if rows else ([], 0)
    for row, value in zip(rows, values, strict=True):
        made[row] = value
    return made, count


def _token_vectors(listed, options, report, progress):
    if listed.texts is None:
        raise DataError("a text encoder needs texts, and the csv of the clips has no column text")
    encoder = TextEncoder(options.text_encoder)
    features, lengths = _encode(encoder, listed.texts, options, report, "text", progress)
    return [features[row, :count] if count else None for row, count in enumerate(lengths)]


def _encode(encoder, texts, options, report, where, progress, keep_end=False):
    """Features and lengths of texts; cut and empty ones go to the report."""
    features, lengths, cut = encoder.encode(
        [str(text) for text in texts], options.max_tokens, options.text_batch_size, keep_end, progress
    )
    if cut:
        end = "last" if keep_end else "first"
        report.warn(f"{where}: {cut} texts have more than {options.max_tokens} tokens, of which the {end} were kept")
    if empty := np.count_nonzero(lengths == 0):
        report.warn(f"{where}: {empty} texts are empty, and lack the modality")
    return features, lengths


def _splits(path, listed, made, skipped, task, report):
    splits = {}
    kept = np.array([name not in skipped for name in listed.ids.tolist()])
    for name, rows in listed.splits.items():
        rows = rows[kept[rows]]
        if not len(rows):
            report.warn(f"{name}: no clip is left, so there is no such split")
            continue
        features, lengths = {}, {}
        for modality, values in made.items():
            where, width = f"{path}: {name}/{modality}", next(v.shape[1] for v in values if isinstance(v, np.ndarray))
            frames = [ragged.Sequence([] if values[row] is None else values[row], where) for row in rows]
            features[modality], counts, lengths[modality] = ragged.pad(frames, width, where)
            report.record_cleaning(name, modality, {**counts, "padding_frames": 0})
        known = {} if listed.labels is None else {f"{task}_labels": listed.labels[rows]}
        labels, _ = split_labels(known, f"{path}: {name}", listed.ids[rows], report, name)
        splits[name] = Split(
            ids=listed.ids[rows],
            features=features,
            lengths=lengths,
            labels=labels,
            modality_labels={m: values[rows] for m, values in listed.modality_labels.items()} or None,
            raw_text=None if listed.texts is None else listed.texts[rows],
            groups=None if listed.groups is None else listed.groups[rows],
        )
    if not splits:
        reason = f"; clip {next(iter(skipped))}: {next(iter(skipped.values()))}" if skipped else ""
        raise DataError(f"{path}: none of {len(listed.ids)} clips is left{reason}")
    return splits


def _add_text(path, options, label_range, progress, max_bytes):
    """A data set with token vectors of its texts, and of its contexts."""
    if options.text_encoder is None:
        raise DataError(
            f"{path}: holds no WAV, FLAC, MP3 or OGG file; to add token vectors to a data set, name a text encoder"
        )
    try:
        dataset = load(path, label_range=label_range, max_bytes=max_bytes)
    except TokenIdsError as error:
        if not error.others:
            raise
        # The vectors take their place.
        dataset = load(path, modalities=error.others, label_range=label_range, max_bytes=max_bytes)
    if dataset.feature_dims.get("text", TOKEN_IDS) != TOKEN_IDS:
        raise DataError(f"{path}: has text vectors already ({dataset.feature_dims['text']} wide)")
    for name, split in dataset.items():
        if split.raw_text is None:
            raise DataError(f"{path}: {name} has no raw_text, of which token vectors could be made")
    encoder = TextEncoder(options.text_encoder)
    splits = {}
    for name, split in dataset.items():
        features, lengths = _encode(encoder, split.raw_text, options, dataset.report, f"{name}/text", progress)
        others = [m for m in split.features if m != "text"]
        changed = {
            "features": {"text": features, **{m: split.features[m] for m in others}},
            "lengths": {"text": lengths, **{m: split.lengths[m] for m in others}},
        }
        if split.context_raw_text is not None:
            # What was said last before the utterance counts most.
            features, lengths = _encode(
                encoder, split.context_raw_text, options, dataset.report, f"{name}/context_text", progress, True
            )
            changed["context_features"] = {"text": features, **(split.context_features or {})}
            changed["context_lengths"] = {"text": lengths, **(split.context_lengths or {})}
        splits[name] = dataclasses.replace(split, **changed)
    return Extracted(dataset.replace(splits), sum(map(len, dataset.values())), {})
