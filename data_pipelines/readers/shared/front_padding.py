"""Sequences that are padded in front: where they begin, and how they come to begin at frame 0."""

import numpy as np

from plumkeras.data_pipelines.features import cleaning


def bounds(array):
    """The first frame of each sample that isn't all zero, and the one after the last.

    Values that cleaning sets to zero count as zero.

    Args:
        array: numeric array `[N, T, F]` or `[N, F]`.

    Returns:
        Two int64 arrays `[N]`: `T` and 0 where every frame is zero.
    """
    first, stop = [np.empty(0, "int64")], [np.empty(0, "int64")]
    for block in cleaning.row_blocks(array):
        held = cleaning.clean_array(block)[0].any(axis=2)
        frames = held.shape[1]
        if not frames:
            held, frames = np.zeros((len(held), 1), bool), 0
        some = held.any(axis=1)
        first.append(np.where(some, held.argmax(axis=1), frames))
        stop.append(np.where(some, frames - held[:, ::-1].argmax(axis=1), 0))
    return np.concatenate(first), np.concatenate(stop)


def move_to_front(features, starts):
    """Moves each sample to frame 0 and zeroes what is left behind, in place.

    Args:
        features: float array `[N, T, F]`.
        starts: integer array `[N]`, the first valid frame of each sample.

    Returns:
        How many frames before the starts weren't zero, and in how many samples: these are lost.
    """
    frames = features.shape[1]
    lost, samples = 0, 0
    for row in np.flatnonzero(starts):
        start = starts[row]
        before = int(np.count_nonzero(features[row, :start].any(axis=1)))
        lost, samples = lost + before, samples + (before > 0)
        features[row, : frames - start] = features[row, start:].copy()
        features[row, frames - start :] = 0
    return lost, samples
