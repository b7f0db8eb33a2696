"""One vector a sample for models that know no sequences: the mean features of its modalities."""

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.features import FrameMoments


def pooled_features(dataset, modalities, compressed=()) -> dict[str, np.ndarray]:
    """The features of each sample, averaged over the valid frames and standardised by the training split.

    A missing modality is zeros, the mean of the training samples that have it. Where training samples lack it, a last
    column says which samples do (1).

    Args:
        dataset: `Dataset` with `train`.
        modalities: the modalities to take, whose columns follow each other.
        compressed: modalities whose frames are first compressed by sign(x) log(1 + |x|).

    Returns:
        Dict by split of float64 `[N, F]`.
    """
    columns = {name: [] for name in dataset}
    for m in modalities:
        present = {name: split.lengths[m] > 0 for name, split in dataset.items()}
        means = {
            name: frame_means(split.features[m], split.lengths[m], m in compressed) for name, split in dataset.items()
        }
        moments = FrameMoments(dataset.feature_dims[m])
        moments.update(means["train"][present["train"]])
        for name, values in means.items():
            standardised = (values - moments.mean) / moments.divisor()
            columns[name].append(np.where(present[name][:, None], standardised, 0.0))
            if not present["train"].all():
                columns[name].append(1.0 - present[name][:, None])
    return {name: np.concatenate(found, axis=1) for name, found in columns.items()}


def frame_means(features, lengths, compress=False) -> np.ndarray:
    """The mean of each sample's valid frames, a few samples at a time.

    Args:
        features: array or `StoredFeatures` `[N, T, F]`.
        lengths: int `[N]`.
        compress: whether the frames are first compressed by sign(x) log(1 + |x|).

    Returns:
        float64 `[N, F]`, zeros for a sample without frames.
    """
    count, steps, width = features.shape
    found = np.zeros((count, width))
    rows = max(1, cleaning.BLOCK_BYTES // (8 * max(1, steps * width)))
    for start in range(0, count, rows):
        length = np.asarray(lengths[start : start + rows])[:, None]
        frames = np.where((np.arange(steps) < length)[:, :, None], features[start : start + rows], 0.0)
        if compress:
            frames = np.sign(frames) * np.log1p(np.abs(frames))
        found[start : start + rows] = frames.sum(axis=1) / np.maximum(length, 1)
    return found
