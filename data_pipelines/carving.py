"""Splits by group (speaker or video), where a data set has none: never a random sample of its utterances."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.report import Report
from plumkeras.data_pipelines.schema import Dataset
from plumkeras.data_pipelines.validation import DataError, listing


def carve_validation(split, share=0.2):
    """Takes whole groups out of a split for validation.

    From the largest group to the smallest, each is taken that doesn't make the part larger than `share`; of equal ones
    the first by name. So the same data always give the same parts.

    Args:
        split: Split with `groups`.
        share: float between 0 and 1. How many of the samples, at most. Defaults to `0.2`.

    Returns:
        The rest and the part, two Splits that share no group.

    Raises:
        DataError: the split has no groups, or none is small enough.
        ValueError: `share` is out of its range.
    """
    if not 0 < share < 1:
        raise ValueError(f"`share` must be between 0 and 1. Received: share={share!r}")
    if split.groups is None:
        raise DataError("The split has no groups (speakers or videos) to carve a validation part by")
    names, counts = np.unique(split.groups, return_counts=True)
    room = share * len(split)
    taken = []
    for position in np.argsort(-counts, kind="stable"):
        if counts[position] <= room:
            taken.append(names[position])
            room -= counts[position]
    if not taken:
        raise DataError(
            f"No group of {len(names)} is small enough for {share:.0%} of {len(split)} samples; the smallest has "
            f"{counts.min()}"
        )
    part = np.isin(split.groups, taken)
    return split.take(~part), split.take(part)


def speaker_independent(dataset, show="FRIENDS", share=0.2):
    """MUStARD's speaker-independent protocol: one show is the test, validation is carved from the others by speaker.

    As the data set's own code does it (its docstring has test and train the other way round).

    Args:
        dataset: Dataset of `load`, with groups `SHOW/SPEAKER`.
        show: str. The show to test on. Defaults to `"FRIENDS"`.
        share: float. As in `carve_validation`.

    Returns:
        Dataset of `train`, `valid` and `test`.

    Raises:
        DataError: the data set has other splits than `all`, no groups, or no such show.
    """
    where = dataset.path or "The data set"
    split = dataset.split("all")
    if split.groups is None:
        raise DataError(f"{where}: has no groups, so no speakers")
    shows = np.array([group.partition("/")[0] for group in split.groups.tolist()])
    test = shows == show
    if not test.any() or test.all():
        raise DataError(f"{where}: no show {show!r} beside others; it has {listing(np.unique(shows))}")
    # The folds of the other protocol mean nothing here.
    split = dataclasses.replace(split, folds=None)
    train, valid = carve_validation(split.take(~test), share)
    return Dataset(
        {"train": train, "valid": valid, "test": split.take(test)},
        report=Report(dict(dataset.report.cleaned), list(dataset.report.warnings)),
        path=dataset.path,
        format=dataset.format,
        sha256=dataset.sha256,
        task=dataset.task,
        label_range=dataset.label_range,
    )
