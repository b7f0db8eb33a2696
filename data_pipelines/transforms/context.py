"""`join_context`: what was said before an utterance, put in front of it."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.schema.dataset import Split
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.schema.validation import DataError


def join_context(split: Split, frames: int | None) -> Split:
    """The split with the last context frames of each utterance in front of it.

    Args:
        split: Split, as UR-FUNNY and MUStARD give it. A modality without context stays as it is.
        frames: int. How many context frames at most; of a longer context the last ones stay, those next to the
            utterance. 0 drops the context.

    Returns:
        Split without context fields. In `raw_text` the whole context comes before the utterance, unless `frames`
        is 0. A modality that an utterance lacks (length 0) stays missing: a context alone is no utterance.

    Raises:
        DataError: the split has no context at all.
        ValueError: `frames` is negative.

    Example:

    >>> import numpy as np
    >>> from plumkeras.data_pipelines import Split, join_context
    >>> split = Split(["a"], {"text": [[[9.0], [0.0]]]}, {"text": [1]},
    ...               context_features={"text": [[[1.0], [2.0], [3.0]]]}, context_lengths={"text": [3]})
    >>> joined = join_context(split, frames=2)
    >>> joined.features["text"].ravel().tolist(), joined.lengths["text"].tolist()
    ([2.0, 3.0, 9.0, 0.0], [3])
    """
    if frames < 0:
        raise ValueError(f"`frames` must be 0 or more. Received: frames={frames!r}")
    if split.context_features is None and split.context_raw_text is None:
        raise DataError("The split has no context to put in front of its utterances")
    features, lengths = dict(split.features), dict(split.lengths)
    for modality, context in (split.context_features or {}).items() if frames else ():
        features[modality], lengths[modality] = _join(
            context, split.context_lengths[modality], features[modality], lengths[modality], frames
        )
    raw_text = split.raw_text
    if frames and raw_text is not None and split.context_raw_text is not None:
        pairs = zip(split.context_raw_text, raw_text, strict=True)
        raw_text = np.array([f"{before} {said}".strip() for before, said in pairs], dtype=object)
    no_context = dict.fromkeys(("context_features", "context_lengths", "context_raw_text"))
    return dataclasses.replace(split, features=features, lengths=lengths, raw_text=raw_text, **no_context)


def _join(context, context_lengths, utterances, lengths, frames):
    taken = np.where(lengths > 0, np.minimum(context_lengths, frames), 0).astype("int32")
    # No longer than the data needs: the room for the context is that of the longest one.
    room = int(taken.max())
    join = _JoinedFeatures if isinstance(utterances, StoredFeatures) else _put_in_front
    return join(context, context_lengths, taken, utterances, lengths, room), taken + lengths


def _put_in_front(context, context_lengths, taken, utterances, lengths, room):
    joined = np.zeros((len(utterances), room + utterances.shape[1], utterances.shape[2]), "float32")
    for row, count in enumerate(taken):
        stop = context_lengths[row]
        joined[row, :count] = context[row, stop - count : stop]
        joined[row, count : count + lengths[row]] = utterances[row, : lengths[row]]
    return joined


class _JoinedFeatures(StoredFeatures):
    """Stored utterances with stored context in front, joined when they are read."""

    def __init__(self, context, context_lengths, taken, utterances, lengths, room):
        super().__init__((len(utterances), room + utterances.shape[1], utterances.shape[2]))
        self._context, self._utterances, self._room = context, utterances, room
        self._counts = (context_lengths, taken, lengths)

    def take(self, rows):
        rows = self._numbers(rows)
        stops, taken, lengths = (array[rows] for array in self._counts)
        context, utterances = self._context.take(rows), self._utterances.take(rows)
        return _JoinedFeatures(context, stops, taken, utterances, lengths, self._room)

    def _read(self, rows, start, stop):
        stops, taken, lengths = (array[rows] for array in self._counts)
        context, utterances = self._context[rows], self._utterances[rows]
        return _put_in_front(context, stops, taken, utterances, lengths, self._room)[:, start:stop]
