"""What the features that a network was trained on look like, and whether a file's features look like them.

A file of another extractor of the same width, in another scale or with its columns in another order can be read, and
predictions from it mean nothing. Means and deviations tell.
"""

import math

import numpy as np

from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.inspection.known_files import known_file, source_of
from plumkeras.data_pipelines.inspection.suspicions import fitted_on
from plumkeras.features import TOKEN_IDS, FrameMoments
from plumkeras.metrics.reports import correlation

# Below so many samples a deviation says little, so only what cannot be chance is told.
_FEW = 20
# The limits were set on CMU-MOSI's splits and folds, where a file of other speakers moves half of the acoustic columns
# by 0.4 standard deviations, and on corruptions of them; see the tests.
_SCALE, _AGREEMENT, _EXPECTED, _LENGTHS = 4.0, 0.5, 0.8, 3.0
_SHIFT, _ERRORS, _ONE_SPEAKER = 0.45, 3.0, 20.0
# Columns that change by no more than this share of their mean are constant but for rounding, as in
# `layers.FeatureStandardization`.
_CONSTANT = 1e-3


class DriftWarning(UserWarning):
    """A file's features are not such as a network was trained on."""


def fingerprint(data, modalities=None):
    """Statistics of features, one pass over them, a few rows at a time.

    Args:
        data: Dataset, of which the training split counts (or the first); or Split.
        modalities: iterable of str, or None for all.

    Returns:
        A JSON-serialisable dict: `split` and `source {format, sha256, known_file}` (None for a Split), `samples`, and
        `modalities`: by name `width`, `samples` (those that have it), `missing` (share of those that lack it),
        `mean_length`, `frames`, and per feature `mean` and `std` over the valid frames, and `sample_std`, the standard
        deviation of one sample's part in the mean, from which the mean's standard error follows.
    """
    split, name, source = data, None, None
    if hasattr(data, "split"):
        name, known = fitted_on(data), known_file(data)
        split, source = data[name], {**source_of(data), "known_file": known and known.name}
    chosen = split.modalities if modalities is None else tuple(modalities)
    # Token ids have no columns; whether they are those of the encoder is told when the text becomes ids.
    chosen = [m for m in chosen if split.features[m].shape[2] != TOKEN_IDS]
    return {
        "split": name,
        "source": source,
        "samples": len(split),
        "modalities": {m: _moments(split.features[m], split.lengths[m]) for m in chosen},
    }


def _moments(features, lengths):
    count, steps, width = features.shape
    rows = max(1, cleaning.BLOCK_BYTES // (4 * max(1, steps * width)))
    moments = FrameMoments(width)
    # Of the samples' sums: their squares, and their products with the lengths.
    sums_squared, sums_lengths = np.zeros(width), np.zeros(width)
    origin = None
    for start in range(0, count, rows):
        length = np.asarray(lengths[start : start + rows], "int64")
        frames = features[start : start + rows][np.arange(steps) < length[:, None]].astype("float64")
        if not len(frames):
            continue
        moments.update(frames)
        if origin is None:
            # Squares of sums far from 0 would lose the digits.
            origin = frames.mean(axis=0)
        frames -= origin
        length = length[length > 0]
        sums = np.add.reduceat(frames, np.cumsum(length) - length, axis=0)
        sums_squared += np.einsum("nf,nf->f", sums, sums)
        sums_lengths += length @ sums
    lengths = np.asarray(lengths, "int64")
    has, frames = int(np.count_nonzero(lengths)), int(lengths.sum())
    mean = moments.mean - (0 if origin is None else origin)
    # The mean over all frames is a ratio of sums over samples; this is its linearised variance, times the samples.
    residual = sums_squared - 2 * mean * sums_lengths + mean**2 * float(lengths @ lengths)
    spread = np.sqrt(np.maximum(residual, 0) / max(has, 1)) * has / max(frames, 1)
    return {
        "width": int(width),
        "samples": has,
        "missing": 1.0 - has / max(count, 1),
        "mean_length": frames / max(has, 1),
        "frames": frames,
        "mean": _numbers(moments.mean),
        "std": _numbers(np.sqrt(moments.variance)),
        "sample_std": _numbers(spread),
    }


def _numbers(values):
    return [float(f"{value:.8g}") for value in values]


def drift(known, split):
    """What says that a split's features are not such as a network was trained on.

    Silent for other splits of the same data, for other speakers, and where there are too few samples to tell; and where
    columns that change places are alike, as those of standardised features are.

    Args:
        known: what `fingerprint` gave of the training data.
        split: Split with the same modalities and widths.

    Returns:
        A list of sentences, for each modality at most one about its features.
    """
    found = []
    seen = fingerprint(split, known["modalities"])["modalities"]
    for m, trained in known["modalities"].items():
        here = seen[m]
        if not trained["samples"]:
            continue
        if not here["samples"]:
            # Where some samples lack it in training, a few may all lack it by chance.
            if trained["missing"] ** len(split) < 0.01:
                found.append(
                    f"{m}: every sample lacks it; in training {100 * trained['missing']:.0f} % of the samples did"
                )
            continue
        if told := _features(trained, here):
            found.append(f"{m}: {told}")
        ratio = here["mean_length"] / max(trained["mean_length"], 1)
        if here["samples"] >= _FEW and not 1 / _LENGTHS <= ratio <= _LENGTHS:
            found.append(
                f"{m}: samples have {here['mean_length']:.1f} frames on average, in training "
                f"{trained['mean_length']:.1f}; are the frames cut in another way?"
            )
    return found


def _features(trained, here):
    """The sentence about a modality's features, or None."""
    mean, std, spread = (np.array(trained[name]) for name in ("mean", "std", "sample_std"))
    new_mean, new_std = np.array(here["mean"]), np.array(here["std"])
    lively = std > np.maximum(_CONSTANT * np.abs(mean), 1e-6)
    if not lively.any():
        return None
    if not new_mean.any() and not new_std.any():
        return "every frame is zero"
    if here["samples"] < _FEW:
        return None
    mean, std, spread, new_mean, new_std = (a[lively] for a in (mean, std, spread, new_mean, new_std))
    factor = float(np.median(np.maximum(new_std, 1e-9 * std) / std))
    # Of features with long tails the deviation of a few samples is far too small.
    allowed = _SCALE * math.exp(3 / math.sqrt(here["samples"]))
    if not 1 / allowed <= factor <= allowed:
        return (
            f"the features spread {_times(factor)} as much as in training (median over the columns); are they in "
            "another scale?"
        )
    profile, new_profile = mean / std, new_mean / std
    errors = spread / std * math.sqrt(1 / trained["samples"] + 1 / here["samples"])
    # What two files of the same kind would agree by; doubled, for the samples of a speaker resemble each other.
    expected = math.sqrt(1 / (1 + 2 * float(np.mean(errors**2)) / max(float(np.var(profile)), 1e-12)))
    if expected > _EXPECTED and len(mean) > 2:
        agreement = correlation(profile, new_profile) or 0.0
        if agreement < _AGREEMENT * expected:
            return (
                f"the means of the columns do not follow those of training (correlation {agreement:.2f}); are the "
                "columns in another order, or from another extractor?"
            )
    shift = float(np.median(np.abs(new_profile - profile)))
    # A few dozen samples may be all of one speaker.
    if shift > _SHIFT + _ERRORS * float(np.median(errors)) + _ONE_SPEAKER / here["samples"]:
        return (
            f"the means of the columns are {shift:.1f} standard deviations from those of training (median over the "
            "columns); are the features from another extractor, or not centred in the same way?"
        )
    return None


def _times(factor):
    return f"{factor:.3g} times" if factor >= 0.01 else "less than a hundredth"
