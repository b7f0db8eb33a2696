"""What loading did to a file.

`Report` travels with every `Dataset`: what was cleaned and what is suspicious, both known once
the file is read. What takes a pass over the features is in `inspection`.
"""

import dataclasses
import itertools
import re

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.features import cleaned_words

# A crafted file can give rise to a warning for every few bytes, and nobody reads so many.
_MAX_WARNINGS = 1000
_OF_A_SPLIT = re.compile(r"(\w+)/([^:]+): (.*)", re.DOTALL)


@known_arguments_only()
@dataclasses.dataclass
class Report:
    """What was cleaned while a file was read, and what is suspicious about it.

    Args:
        cleaned: dict. `{split: {modality: {"nan", "inf", "overflow", "padding_frames"}}}`: how many
            values were not a number, infinite, or beyond 1e6 in magnitude (all set to zero), and
            how many frames past the length held something (zeroed).
        warnings: list of str. One sentence each, naming split and field.
    """

    cleaned: dict = dataclasses.field(default_factory=dict)
    warnings: list = dataclasses.field(default_factory=list)

    def warn(self, text):
        """Adds a warning, once; of very many the first ones are kept, and it is said that there were more."""
        if len(self.warnings) < _MAX_WARNINGS and text not in self.warnings:
            self.warnings.append(text if len(self.warnings) < _MAX_WARNINGS - 1 else "and more warnings, not kept")

    def record_cleaning(self, split, modality, counts):
        """Keeps the counts of one modality of one split; what isn't zero becomes a warning."""
        self.cleaned.setdefault(split, {})[modality] = counts
        if values := cleaned_words(counts):
            self.warn(f"{split}/{modality}: values set to 0: {values}")
        if counts["padding_frames"]:
            self.warn(f"{split}/{modality}: {counts['padding_frames']} non-zero frames past the length, zeroed")


def shared_ids(dataset):
    """Ids that are in more than one split.

    Returns:
        A list of `(first split, second split, count, one such id)`.
    """
    # Ids that only count the samples of each split say nothing of what they are.
    counted = {
        name for name, split in dataset.items() if np.array_equal(split.ids, np.arange(len(split.ids)).astype(np.str_))
    }
    found = []
    for first, second in itertools.combinations(dataset, 2):
        both = np.intersect1d(dataset[first].ids, dataset[second].ids)
        if len(both) and not {first, second} <= counted:
            found.append((first, second, len(both), str(both[0])))
    return found


def by_field(warnings):
    """Sentences of which those that say the same of several splits are one, for a person to read.

    Args:
        warnings: iterable of str, as in `Report.warnings`: `train/audio: 3 of 9 samples lack it`.

    Returns:
        A list of str: `audio: 3 of 9 samples lack it in train, 1 of 4 samples lack it in valid`.
    """
    groups = {}
    for sentence in warnings:
        found = _OF_A_SPLIT.fullmatch(sentence)
        split, field, text = found.groups() if found else (None, None, sentence)
        kind = (field, re.sub(r"\d+", "0", text)) if found else (None, sentence)
        groups.setdefault(kind, []).append((split, text))
    merged = []
    for (field, _), said in groups.items():
        if len(said) == 1:
            split, text = said[0]
            merged.append(text if split is None else f"{split}/{field}: {text}")
            continue
        # What they begin with in common is said once.
        words = [f"{text} in {split}".split(" ") for split, text in said]
        same = sum(1 for _ in itertools.takewhile(lambda at: len(set(at)) == 1, zip(*words, strict=False)))
        parts = ", ".join(" ".join(sentence[same:]) for sentence in words)
        merged.append(" ".join([f"{field}:", *words[0][:same], parts]))
    return merged
