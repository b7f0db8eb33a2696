"""The steps that every reader takes once it has a split's fields."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.readers.shared import fields, ragged
from plumkeras.data_pipelines.readers.shared.label_fields import split_labels
from plumkeras.data_pipelines.readers.shared.names import is_ragged
from plumkeras.data_pipelines.schema.dataset import Split
from plumkeras.data_pipelines.schema.validation import DataError, check_lengths

# By a file's field: the field of a `Split`, and what reads it.
_OTHERS = {
    "raw_text": ("raw_text", fields.raw_text),
    "fold": ("folds", fields.lengths),
    "group": ("groups", fields.ids),
    "context_raw_text": ("context_raw_text", fields.raw_text),
}


def assemble(name, path, values, modalities, read_features, find_lengths, report):
    """Makes a split.

    Args:
        name: str. The split's name.
        path: str. The file, for errors.
        values: dict. The fields other than features, as the file gives them.
        modalities: iterable of str. Which to read.
        read_features: callable from a modality to cleaned features `[N, T, F]` and their counts.
            The next one is read only when the last is done, which bounds the memory.
        find_lengths: callable from a modality and its number of frames to lengths `[N]` and the
            name of the field that they come from, or None where the file doesn't say.
        report: Report.

    Returns:
        Split, its padding zeroed.
    """
    where = f"{path}: {name}"
    ids = fields.ids(values["id"], f"{where}/id") if "id" in values else None
    features, lengths = {}, {}
    for modality in modalities:
        features[modality], counts = read_features(modality)
        count, frames = features[modality].shape[:2]
        if ids is None:
            report.warn(f"{name}/id: no ids in the file, so samples are numbered")
            fields.pay_for_samples(count, where)
            ids = np.arange(count).astype(np.str_)
        if count != len(ids):
            raise DataError(f"{where}/{modality} has {count} samples, {name}/id {len(ids)}")
        found = find_lengths(modality, frames)
        if found is not None:
            lengths[modality], field = found
            if len(lengths[modality]) != count:
                raise DataError(f"{where}/{field} has {len(lengths[modality])} samples, {name}/{modality} {count}")
            check_lengths(lengths[modality], frames, ids, f"{where}/{field}")
        elif frames == 1:
            lengths[modality] = np.ones(count, dtype="int32")
        else:
            lengths[modality] = cleaning.trailing_lengths(features[modality])
            report.warn(f"{name}/{modality}: no lengths in the file, so trailing all-zero frames are taken as padding")
        counts["padding_frames"] = cleaning.zero_padding(features[modality], lengths[modality])
        report.record_cleaning(name, modality, counts)
    labels, modality_labels = split_labels(values, where, ids, report, name)
    others = {
        name: read(values[field], f"{where}/{field}")
        for field, (name, read) in _OTHERS.items()
        if values.get(field) is not None
    }
    return Split(ids, features, lengths, labels, modality_labels, **others)


def assemble_padded(name, path, values, utterances, contexts, report):
    """Makes a split of sequences that are padded already, with their contexts.

    Args:
        name, path, values, report: as in `assemble`.
        utterances: dict by modality of (features, counts, lengths).
        contexts: the same of the contexts, of some of the modalities.

    Returns:
        Split.
    """

    def take(found):
        return lambda modality: found[modality][:2]

    split = assemble(name, path, values, utterances, take(utterances), lambda m, _: (utterances[m][2], m), report)
    return add_context(split, name, path, contexts, take(contexts), lambda m, _: contexts[m][2], report)


def add_context(split, name, path, modalities, read_features, find_lengths, report):
    """Gives a split its context's features: what was said before each utterance.

    Args:
        split: Split.
        name, path: as in `assemble`.
        modalities: iterable of str. Those that have a context.
        read_features: callable from a modality to the context's cleaned features `[N, Tc, F]` and their counts.
        find_lengths: callable from a modality and its number of frames to lengths `[N]`.
        report: Report.

    Returns:
        Split; the same where `modalities` is empty.
    """
    features, lengths = {}, {}
    for modality in modalities:
        field = f"context_{modality}"
        features[modality], counts = read_features(modality)
        frames = features[modality].shape[1]
        lengths[modality] = find_lengths(modality, frames)
        for what, array in ((field, features[modality]), (f"{field}_lengths", lengths[modality])):
            if len(array) != len(split):
                raise DataError(f"{path}: {name}/{what} has {len(array)} samples, {name}/id {len(split)}")
        check_lengths(lengths[modality], frames, split.ids, f"{path}: {name}/{field}_lengths")
        counts["padding_frames"] = cleaning.zero_padding(features[modality], lengths[modality])
        report.record_cleaning(name, field, counts)
    if not features:
        return split
    return dataclasses.replace(split, context_features=features, context_lengths=lengths)


def read_array(array, where, release):
    """Features of a mapped pickle, cleaned block by block.

    Args:
        array: what the file has; anything but a numeric array `[N, T, F]` or `[N, F]` is refused.
        where: str. File, split and field, for errors.
        release: callable. Forgets the mapped pages that were read so far.

    Returns:
        Float32 `[N, T, F]` and the counts, as `cleaning.clean_blocks`.
    """
    check_array(array, where)

    def blocks():
        for block in cleaning.row_blocks(array):
            yield block
            release()

    return cleaning.clean_blocks(blocks(), array.shape)


def take_lists(parts, modalities, path):
    """Puts arrays in the place of features that come as lists, one sequence for each sample.

    Args:
        parts: dict by split of the splits' fields.
        modalities: iterable of str.
        path: str. The file.

    Returns:
        Dict by (split, modality) of features `[N, T, F]`, counts and lengths as `ragged.pad`, for sequences of
        different lengths. Those of the same length are the rows of an array, padding and all.
    """
    padded = {}
    for name, part in parts.items():
        for modality in modalities:
            if is_ragged(part.get(modality)):
                part[modality], counts, lengths = read_list(part[modality], f"{path}: {name}/{modality}")
                if lengths is not None:
                    padded[name, modality] = part[modality], counts, lengths
    return padded


def read_list(values, where):
    """Features that come as a list, one sequence `[T, F]` (or `[F]`, or None) for each sample.

    Args:
        values: list, tuple, or array of objects.
        where: str. File, split and field, for errors.

    Returns:
        Features `[N, T, F]`, counts and lengths as `ragged.pad`; or, where all are of the same length, an array
        `[N, T, F]` or `[N, F]` as it is, None and None.
    """
    items = values.tolist() if isinstance(values, np.ndarray) else values
    if not isinstance(items, (list, tuple)):
        raise DataError(
            f"{where} is one {type(items).__name__}; a sequence [frames, width] for each sample is expected"
        )
    sequences = []
    for row, item in enumerate(items):
        if isinstance(item, (str, bytes)):
            raise DataError(
                f"{where}: sample {row} is a text, where vectors are expected: call the field raw_text, and make "
                "vectors of it by `plumkeras extract`"
            )
        if isinstance(item, np.ndarray) and item.ndim == 1 and item.size and item.dtype.kind in "iufb":
            item = item[None]
        sequences.append(ragged.Sequence([] if item is None else item, f"{where}: sample {row}"))
    width = ragged.common_width(sequences)
    if width is None:
        raise DataError(f"{where}: none of its {len(sequences)} sequences has a frame")
    if len({sequence.length for sequence in sequences}) > 1:
        return ragged.pad(sequences, width, where)
    rows = [np.concatenate(sequence.pieces) for sequence in sequences]
    spend(len(rows) * rows[0].size * 8, where)
    array = np.stack(rows)
    return (array[:, 0] if all(map(_is_vector, items)) else array), None, None


def _is_vector(item):
    if isinstance(item, np.ndarray):
        return item.ndim == 1
    return bool(item) and isinstance(item[0], (int, float, np.number))


def agreed_lengths(listed, given, where):
    """The lengths of sequences in a list, or those that the file states, or None where there are neither.

    Raises:
        DataError: both are there, and differ.
    """
    if listed is None or given is None:
        return given if listed is None else listed
    if len(given) == len(listed):
        for row in np.flatnonzero(given != listed)[:1]:
            raise DataError(
                f"{where} holds {given[row]} for sample {row}, whose sequence has {listed[row]} frames; leave the "
                "lengths out, since a list of sequences states them"
            )
    return given


def check_array(array, where):
    """Raises `DataError` unless a value is an array that can be features."""
    if not isinstance(array, np.ndarray):
        raise DataError(f"{where} is a {type(array).__name__}; an array is expected")
    fields.check_features(array.shape, array.dtype, where)
