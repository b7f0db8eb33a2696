"""Splits by group (speaker or video), where a data set has none: never a random sample of its utterances."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.schema.dataset import Dataset, Split
from plumkeras.data_pipelines.schema.validation import DataError, listing
from plumkeras.data_pipelines.schema.videos import sources_of


def carve_validation(split: Split, share: float = 0.2) -> tuple[Split, Split]:
    """Takes whole groups out of a split for validation.

    From the largest group to the smallest, each is taken that doesn't make the part larger than `share`; of equal ones
    the first by name. So the same data always give the same parts.

    Args:
        split: Split with `groups`, or with ids that are made of a video and a clip.
        share: float between 0 and 1. How many of the samples, at most. Defaults to `0.2`.

    Returns:
        The rest and the part, two Splits that share no group.

    Raises:
        DataError: the split has no groups or videos, or none is small enough.
        ValueError: `share` is out of its range.
    """
    if not 0 < share < 1:
        raise ValueError(f"`share` must be between 0 and 1. Received: share={share!r}")
    kind, groups = sources_of(split)
    if kind is None:
        raise DataError(
            "The split has no groups (speakers or videos) to carve a validation part by, and its ids are not made of a "
            "video and a clip"
        )
    names, counts = np.unique(groups, return_counts=True)
    room = share * len(split)
    taken = []
    for position in np.argsort(-counts, kind="stable"):
        if counts[position] <= room:
            taken.append(names[position])
            room -= counts[position]
    if not taken:
        raise DataError(
            f"None of the {len(names)} {kind} is small enough for {share:.0%} of {len(split)} samples; the "
            f"smallest has {counts.min()}"
        )
    part = np.isin(groups, taken)
    return split.take(~part), split.take(part)


def with_validation(dataset: Dataset, share: float) -> Dataset:
    """A data set with `valid` carved from `train`, whole videos or groups at a time, where it has no labelled one.

    Args:
        dataset: Dataset.
        share: float, as in `carve_validation`; 0 carves nothing.

    Returns:
        Dataset, the same one where there is nothing to do. Its report says what was carved.

    Raises:
        DataError: as `carve_validation`; or the data set has a labelled `valid`.
    """
    if not share or "train" not in dataset:
        return dataset
    if "valid" in dataset and dataset["valid"].labels is not None:
        where = dataset.path or "The data set"
        raise DataError(f"{where}: has a labelled valid split already; leave out --validation-fraction")
    whole = dataset["train"]
    try:
        train, valid = carve_validation(whole, share)
    except DataError as error:
        raise DataError(f"{dataset.path or 'The data set'}: valid cannot be carved from train: {error}") from None
    kind, groups = sources_of(valid)
    splits = {"train": train, "valid": valid, **{name: dataset[name] for name in dataset if name == "test"}}
    carved = dataset.replace(splits)
    carved.report.warn(
        f"valid: carved from train, which had {len(whole)} samples: {len(valid)} samples of {len(np.unique(groups))} "
        f"{kind}"
    )
    return carved


def speaker_independent(dataset: Dataset, show: str = "FRIENDS", share: float = 0.2) -> Dataset:
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
    return dataset.replace({"train": train, "valid": valid, "test": split.take(test)})
