"""`normalize_samples`: frames standardised within each sample, as MISA and MultiBench do it."""

import dataclasses
from collections.abc import Iterable

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.schema.dataset import Split
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.schema.validation import DataError, listing

# MISA's own.
_EPSILON = 1e-6


def normalize_samples(split: Split, modalities: Iterable[str]) -> Split:
    """The split with every feature of some modalities standardised over the valid frames of each sample.

    `(x - mean) / (std + 1e-6)`, so that a sample of one frame becomes zeros. Utterance and context are taken each by
    itself. It is done to the data, before a network sees them: what is served by a network alone has to come so.

    Args:
        split: Split. Stored features stay in their files.
        modalities: iterable of str.

    Returns:
        Split.

    Raises:
        DataError: the split lacks one of `modalities`.

    Example:

    >>> from plumkeras.data_pipelines import Split, normalize_samples
    >>> split = Split(["a"], {"audio": [[[1.0], [3.0], [0.0]]]}, {"audio": [2]})
    >>> normalize_samples(split, ["audio"]).features["audio"].round(3).ravel().tolist()
    [-1.0, 1.0, 0.0]
    """
    for m in modalities:
        if m not in split.features:
            raise DataError(f"The split has no modality {m!r} to standardise; it has {listing(split.features)}")

    def done(features, lengths):
        return features and {
            m: _normalize(array, lengths[m]) if m in modalities else array for m, array in features.items()
        }

    return dataclasses.replace(
        split,
        features=done(split.features, split.lengths),
        context_features=done(split.context_features, split.context_lengths),
    )


def _normalize(features, lengths):
    if isinstance(features, StoredFeatures):
        return _NormalizedFeatures(features, lengths)
    normalized = np.empty_like(features)
    rows = cleaning.block_rows(features[:1].nbytes)
    for start in range(0, len(features), rows):
        some = slice(start, start + rows)
        normalized[some] = _standardized(features[some], lengths[some])
    return normalized


def _standardized(frames, lengths):
    valid = (np.arange(frames.shape[1]) < lengths[:, None])[:, :, None]
    counts = np.maximum(lengths, 1)[:, None, None]
    centred = np.where(valid, frames - frames.sum(axis=1, keepdims=True, dtype="float64") / counts, 0)
    deviation = np.sqrt(np.square(centred).sum(axis=1, keepdims=True) / counts)
    return (centred / (deviation + _EPSILON)).astype("float32")


class _NormalizedFeatures(StoredFeatures):
    """Stored features, standardised when they are read."""

    def __init__(self, features, lengths):
        super().__init__(features.shape)
        self._features, self._lengths = features, lengths

    def take(self, rows):
        rows = self._numbers(rows)
        return _NormalizedFeatures(self._features.take(rows), self._lengths[rows])

    def _read(self, rows, start, stop):
        # The statistics are those of all frames, whichever are read.
        return _standardized(self._features[rows], self._lengths[rows])[:, start:stop]
