"""Which video or speaker a sample is of, and which of them are on both sides of a split."""

import itertools
import re

import numpy as np

# `vid$_$clip` of MMSA, `vid[3]` of the SDK once aligned, `vid_start_end` of MulT's MOSEI (times, of which one has a
# fraction), `vid_clip`.
_IDS = (
    re.compile(r"(.+)\$_\$[^$]*"),
    re.compile(r"(.+)\[\d+\]"),
    re.compile(r"(.+)_(?:\d+\.\d+_\d+(?:\.\d+)?|\d+_\d+\.\d+)"),
    re.compile(r"(.+)_\d+"),
)


def video_of(sample_id):
    """The video part of an id, or None where the id isn't made of a video and a clip.

    Example:

    >>> [video_of(name) for name in ("03bSnISJMiM_1", "03bSnISJMiM$_$11", "vid[3]", "-3g5yACwYnA_4.8_13.2", "17")]
    ['03bSnISJMiM', '03bSnISJMiM', 'vid', '-3g5yACwYnA', None]
    """
    found = next(filter(None, (pattern.fullmatch(sample_id) for pattern in _IDS)), None)
    # `1_90` and `2_471` of MUStARD number two lists; a video has a name.
    return None if found is None or re.fullmatch(r"\d{1,2}", found[1]) else found[1]


def sources(dataset):
    """What each sample was cut from.

    Returns:
        What it is (`"groups"`, where the file names them, or `"videos"`, told by the ids), and a dict by split of text
        arrays `[N]`. `(None, {})` where nothing tells: ids that aren't all made of a video and a clip, or that differ
        by their number alone.
    """
    if all(split.groups is not None for split in dataset.values()):
        return "groups", {name: split.groups for name, split in dataset.items()}
    videos = videos_of(np.concatenate([split.ids for split in dataset.values()]))
    if videos is None:
        return None, {}
    ends = np.cumsum([len(split.ids) for split in dataset.values()])
    return "videos", dict(zip(dataset, np.split(videos, ends[:-1]), strict=True))


def videos_of(ids):
    """The videos of samples, a text array `[N]`; None for ids that `sources` can tell nothing by."""
    found = [video_of(str(sample)) for sample in ids]
    return None if None in found or len(set(found)) < 2 else np.array(found)


def sources_of(split):
    """What the samples of one split were cut from: as `sources`, but with one text array `[N]`, or None."""
    kind, found = sources({"split": split})
    return kind, found.get("split")


def shared_sources(parts):
    """Videos or groups that are in more than one part.

    Args:
        parts: dict from the part's name to a text array `[N]`.

    Returns:
        A list of `(first part, second part, number of shared videos, number of the second part's samples of them, one
        such video)`.
    """
    found = []
    for first, second in itertools.combinations(parts, 2):
        both = np.intersect1d(parts[first], parts[second])
        if len(both):
            samples = int(np.count_nonzero(np.isin(parts[second], both)))
            found.append((first, second, len(both), samples, str(both[0])))
    return found
