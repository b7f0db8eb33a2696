"""The steps that every reader takes once it has a split's fields."""

import numpy as np

from plumkeras.data_pipelines import cleaning
from plumkeras.data_pipelines.readers import fields
from plumkeras.data_pipelines.schema import Split
from plumkeras.data_pipelines.validation import DataError, check_lengths


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
    labels, modality_labels = fields.labels(values, where, ids, report, name)
    text, folds = values.get("raw_text"), values.get("fold")
    return Split(
        ids=ids,
        features=features,
        lengths=lengths,
        labels=labels,
        modality_labels=modality_labels,
        raw_text=None if text is None else fields.raw_text(text, f"{where}/raw_text"),
        folds=None if folds is None else fields.lengths(folds, f"{where}/fold"),
    )
