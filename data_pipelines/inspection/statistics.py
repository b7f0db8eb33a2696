"""What feature columns hold, in one pass over blocks of rows."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.features import TOKEN_IDS, FrameMoments


@dataclasses.dataclass(frozen=True, eq=False)
class ColumnStatistics:
    """Range and spread of each feature column over the valid frames.

    Args:
        frames: int. How many valid frames there are.
        low, high: arrays `[F]`; where there is no valid frame infinity and minus infinity.
        std: float64 `[F]`, or None where it wasn't asked for.
    """

    frames: int
    low: np.ndarray
    high: np.ndarray
    std: np.ndarray | None

    @property
    def constant(self):
        """Boolean `[F]`: which columns never change; all of them when there is no valid frame."""
        return self.low >= self.high

    @property
    def max_abs(self):
        """Array `[F]`: the largest magnitude, 0 where there is no valid frame."""
        return np.maximum(np.abs(self.low), np.abs(self.high)) if self.frames else np.zeros_like(self.low)


def column_statistics(features, lengths, spread=False):
    """Goes through features once, a few rows at a time; stored ones are read on the way.

    Args:
        features: array or StoredFeatures `[N, T, F]`.
        lengths: integer array `[N]`.
        spread: bool. Whether standard deviations are computed too, at twice the time. Defaults to `False`.

    Returns:
        ColumnStatistics.
    """
    width = features.shape[2]
    low, high = np.full(width, np.inf, "float32"), np.full(width, -np.inf, "float32")
    moments, total = FrameMoments(width), 0
    for frames in _valid_frames(features, lengths):
        low, high = np.minimum(low, frames.min(axis=0)), np.maximum(high, frames.max(axis=0))
        if spread:
            with np.errstate(invalid="ignore", over="ignore"):
                moments.update(frames)
        total += len(frames)
    return ColumnStatistics(total, low, high, np.sqrt(moments.variance) if spread else None)


def _valid_frames(features, lengths):
    """Yields the valid frames `[n, F]`, a block at a time."""
    count, steps, width = features.shape
    if width == TOKEN_IDS:  # Which have no columns.
        return
    rows = max(1, cleaning.BLOCK_BYTES // (4 * steps * width))
    span = max(1, cleaning.BLOCK_BYTES // (4 * rows * width))
    for start in range(0, count, rows):
        block = features[start : start + rows]
        held = np.arange(steps) < lengths[start : start + rows, None]
        # A single sample may be larger than a block.
        for first in range(0, steps, span):
            frames = block[:, first : first + span][held[:, first : first + span]]
            if len(frames):
                yield frames
