"""Word and label alignment as the CMU-MultimodalSDK does it, one video at a time."""

import numpy as np

from plumkeras.data_pipelines.containers.budget import spend

# The SDK's own: times closer than this are the same.
EPSILON = 1e-5
# What is paid for each interval that is looked at: all may overlap all.
_BYTES_PER_INTERVAL = 64


class Timeline:
    """Intervals in the order of their starts, to be searched.

    Args:
        intervals: float array `[T, 2]` of starts and ends, in seconds, in any order.
        where: str. File and video, for errors.
    """

    def __init__(self, intervals, where="the intervals"):
        self.where = where
        self.order = np.argsort(intervals[:, 0], kind="stable")
        self.starts, self.ends = intervals[self.order].T
        # Ends needn't be in order (a long frame can hold short ones); their running maximum is.
        self.latest = np.maximum.accumulate(self.ends)

    def rows(self, start, end):
        """The rows of `intervals` that overlap `start..end` by more than `EPSILON`, by their starts."""
        low = np.searchsorted(self.latest, start, side="right")
        high = np.searchsorted(self.starts, end, side="left")
        spend(_BYTES_PER_INTERVAL * (1 + max(0, int(high - low))), self.where)
        overlap = np.minimum(self.ends[low:high], end) - np.maximum(self.starts[low:high], start)
        return self.order[low:high][overlap > EPSILON]


def is_interval(intervals):
    """Which intervals `[T, 2]` have a start and an end, in that order."""
    return np.isfinite(intervals).all(axis=1) & (intervals[:, 0] <= intervals[:, 1])


def is_reference(intervals):
    """Which intervals `[T, 2]` something can be aligned to: the SDK skips those shorter than `EPSILON`."""
    good = is_interval(intervals)
    return good & (np.where(good[:, None], intervals, 0) @ [-1.0, 1.0] >= EPSILON)


def collapse(reference, intervals, features, where="the intervals"):
    """The mean of the frames that overlap each reference interval: the SDK's `align` with one mean.

    Every overlapping frame counts the same, however much of it overlaps.

    Args:
        reference: float array `[W, 2]`, the words.
        intervals: float array `[T, 2]`.
        features: float array `[T, F]`.
        where: str. File and video, for errors.

    Returns:
        float32 `[W, F]`, zeros where no frame overlaps, and a boolean array `[W]`: whether one does.
    """
    timeline = Timeline(intervals, where)
    spend(4 * len(reference) * features.shape[1], where)
    means = np.zeros((len(reference), features.shape[1]), dtype="float32")
    found = np.zeros(len(reference), dtype=bool)
    for position, (start, end) in enumerate(reference):
        rows = timeline.rows(start, end)
        if len(rows):
            found[position] = True
            spend(4 * len(rows) * features.shape[1], where)
            means[position] = features[rows].mean(axis=0, dtype="float64")
    return means, found
