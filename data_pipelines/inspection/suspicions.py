"""What is suspicious about a data set beyond what loading it found.

`inspect` prints it, and training says it again. It takes one pass over the training split's features, so that it isn't
part of loading.
"""

from collections.abc import Iterable

import numpy as np

from plumkeras.data_pipelines.inspection.known_files import compare_with_known
from plumkeras.data_pipelines.inspection.statistics import column_statistics
from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.validation import listing
from plumkeras.data_pipelines.schema.videos import shared_sources, sources
from plumkeras.features import TOKEN_IDS

# Beyond it the mean and the deviation of a column say little about most of its values.
LARGE = 1e4
_SIGNS = {"negative": -1, "zero": 0, "positive": 1}
_NAMED = 8


def suspicions(
    dataset: Dataset,
    *,
    modalities: Iterable[str] | None = None,
    compressed: Iterable[str] = (),
    statistics: dict | None = None,
) -> list[str]:
    """What may be wrong with a data set, though it can be trained on.

    Constant feature columns, large magnitudes, modalities that most samples lack, classes that a split lacks, videos
    or groups on both sides of a split, and what differs from the published file that this one is or looks like.

    Args:
        dataset: Dataset.
        modalities: iterable of str. Those that are used; None or none for all.
        compressed: iterable of str. The modalities whose magnitudes are dealt with, by `signed_log1p`.
        statistics: dict from modality to the `ColumnStatistics` of `fitted_on(dataset)`, where they are known already.

    Returns:
        A list of str, one sentence each, naming split and field. What `dataset.report` says isn't in it.
    """
    chosen = [m for m in dataset.modalities if not modalities or m in modalities]
    found = compare_with_known(dataset)
    found += _leaks(dataset)
    found += _missing_classes(dataset)
    for name, split in dataset.items():
        for m in chosen:
            missing = int(np.count_nonzero(split.lengths[m] == 0))
            if 2 * missing > len(split):
                found.append(f"{name}/{m}: {missing} of {len(split)} samples lack it")
    name = fitted_on(dataset)
    for m in chosen:
        if dataset.feature_dims[m] == TOKEN_IDS:
            continue
        known = statistics and statistics.get(m)
        columns = known or column_statistics(dataset[name].features[m], dataset[name].lengths[m])
        found += _columns(f"{name}/{m}", columns, m in compressed)
    return found


def fitted_on(dataset):
    """Name of the split whose features are looked at: `train`, or the first."""
    return "train" if "train" in dataset else next(iter(dataset))


def _columns(where, columns, is_compressed):
    found, width = [], len(columns.low)
    constant = np.flatnonzero(columns.constant)
    # Of a single frame every column is constant, which says nothing.
    if columns.frames > 1 and len(constant):
        named = listing(constant[:_NAMED]) + (", ..." if len(constant) > _NAMED else "")
        found.append(f"{where}: {len(constant)} of {width} feature columns never change: {named}")
    largest = columns.max_abs
    wrong = np.flatnonzero(~np.isfinite(largest))
    if len(wrong):
        # No reader lets them through; data made in memory may have them.
        found.append(f"{where}: column {wrong[0]} holds values that are NaN or infinite")
    elif largest.max() > LARGE and not is_compressed:
        found.append(
            f"{where}: magnitudes up to {largest.max():.3g} (column {largest.argmax()}), above {LARGE:g} in "
            f"{np.count_nonzero(largest > LARGE)} of {width} columns; consider signed_log1p for it"
        )
    return found


def _leaks(dataset):
    kind, parts = sources(dataset)
    found = []
    for first, second, count, samples, example in shared_sources(parts):
        found.append(
            f"{count} {kind} are both in {first} and in {second}, for one {example}: {samples} of "
            f"{len(parts[second])} {second} samples are of {kind} in {first}, so {kind} leak between splits"
        )
    for name, split in dataset.items():
        # A reader that knows better what its groups are has said it by itself.
        if split.folds is None or name not in parts or any("in several folds" in w for w in dataset.report.warnings):
            continue
        pairs = np.unique(np.stack([np.unique(parts[name], return_inverse=True)[1].ravel(), split.folds]), axis=1)
        numbers, folds = np.unique(pairs[0], return_counts=True)
        shared = np.flatnonzero(folds > 1)
        if len(shared):
            example = np.unique(parts[name])[numbers[shared[0]]]
            found.append(
                f"{name}/fold: {len(shared)} of {len(numbers)} {kind} are in several folds, for one {example}: "
                f"{kind} leak between folds"
            )
    return found


def _missing_classes(dataset):
    labels = {name: split.labels for name, split in dataset.items() if split.labels is not None}
    if dataset.task == "classification":
        taken = {name: set(np.unique(values).tolist()) for name, values in labels.items()}
        # Not every number up to the highest: a damaged file may hold any.
        known = sorted(set().union(*taken.values()))
        return [
            f"{name}/labels: no sample of class {listing([c for c in known if c not in classes][:_NAMED])}"
            for name, classes in taken.items()
            if len(classes) < len(known)
        ]
    if dataset.task == "multilabel":
        names = dataset.label_names or range(dataset.num_classes)
        absent = {n: [str(k) for k, on in zip(names, v.any(axis=0), strict=True) if not on] for n, v in labels.items()}
        return [f"{name}/labels: no sample has the label {listing(ks)}" for name, ks in absent.items() if ks]
    found = []
    for name, values in labels.items():
        low, high = dataset.label_range
        possible = {"negative": low < 0, "zero": low <= 0 <= high, "positive": high > 0}
        absent = [sign for sign, value in _SIGNS.items() if possible[sign] and not (np.sign(values) == value).any()]
        if absent:
            found.append(f"{name}/labels: no {' and no '.join(absent)} label")
    return found
