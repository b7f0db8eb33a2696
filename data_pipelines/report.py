"""What loading did to a file, and what a file holds.

`Report` travels with every `Dataset`: what was cleaned and what is suspicious, both known once
the file is read. `describe` computes the heavier statistics that only `plumkeras inspect` prints.
"""

import dataclasses

import numpy as np

# The published files by the SHA-256 that MMSA's README states.
KNOWN_FILES = {
    "78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524": "MMSA MOSI unaligned_50",
    "d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9": "MMSA MOSI aligned_50",
    "ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f": "MMSA MOSEI unaligned_50",
    "45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791": "MMSA MOSEI aligned_50",
    "c9e20c13ec0454d98bb9c1e520e490c75146bfa2dfeeea78d84de047dbdd442f": "MMSA SIMS unaligned_39",
}

_ROWS_PER_BLOCK = 256


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
        """Adds a warning, once."""
        if text not in self.warnings:
            self.warnings.append(text)

    def record_cleaning(self, split, modality, counts):
        """Keeps the counts of one modality of one split; what isn't zero becomes a warning."""
        self.cleaned.setdefault(split, {})[modality] = counts
        values = [
            f"{counts[kind]} {words}"
            for kind, words in (
                ("nan", "NaN"),
                ("inf", "infinite"),
                ("overflow", "beyond 1e6 in magnitude"),
            )
            if counts[kind]
        ]
        if values:
            self.warn(f"{split}/{modality}: values set to 0: {', '.join(values)}")
        if counts["padding_frames"]:
            self.warn(f"{split}/{modality}: {counts['padding_frames']} non-zero frames past the length, zeroed")


def describe(dataset):
    """Everything that `plumkeras inspect` prints about a data set.

    Args:
        dataset: Dataset.

    Returns:
        A JSON-serialisable dict: `path, format, sha256, known_file, task, label_range,
        num_classes, modalities, feature_dims, splits, constant_features,
        duplicate_ids_across_splits, cleaned, warnings`. `splits[name]` has `samples`,
        `duplicate_ids`, `labels`, `folds` and, per modality, `width, max_length, length
        {min, median, p95, max}, missing, padding_share`. `constant_features` counts, per modality,
        the columns that never change on the valid frames of the training split.
    """
    fitted_on = "train" if "train" in dataset else next(iter(dataset))
    return {
        "path": dataset.path,
        "format": dataset.format,
        "sha256": dataset.sha256,
        "known_file": KNOWN_FILES.get(dataset.sha256),
        "task": dataset.task,
        "label_range": None if dataset.label_range is None else list(dataset.label_range),
        "num_classes": dataset.num_classes,
        "modalities": list(dataset.modalities),
        "feature_dims": dict(dataset.feature_dims),
        "splits": {name: _describe_split(dataset, name) for name in dataset},
        "constant_features": {
            modality: constant_columns(dataset[fitted_on].features[modality], dataset[fitted_on].lengths[modality])
            for modality in dataset.modalities
        },
        "duplicate_ids_across_splits": {f"{first}/{second}": count for first, second, count, _ in shared_ids(dataset)},
        "cleaned": {split: dict(counts) for split, counts in dataset.report.cleaned.items()},
        "warnings": list(dataset.report.warnings),
    }


def _describe_split(dataset, name):
    split = dataset[name]
    modalities = {}
    for modality, features in split.features.items():
        lengths = split.lengths[modality]
        frames = features.shape[0] * features.shape[1]
        modalities[modality] = {
            "width": int(features.shape[2]),
            "max_length": int(features.shape[1]),
            "length": {
                "min": int(lengths.min()),
                "median": float(np.median(lengths)),
                "p95": float(np.percentile(lengths, 95)),
                "max": int(lengths.max()),
            },
            "missing": int(np.sum(lengths == 0)),
            "padding_share": 1.0 - float(lengths.sum(dtype="int64")) / frames,
        }
    return {
        "samples": len(split),
        "duplicate_ids": len(split) - len(np.unique(split.ids)),
        "labels": _describe_labels(split.labels, dataset.task),
        "folds": None if split.folds is None else {str(fold): int(count) for fold, count in _counts(split.folds)},
        "modalities": modalities,
    }


def _counts(values):
    return zip(*np.unique(values, return_counts=True), strict=True)


def _describe_labels(labels, task):
    if labels is None:
        return None
    if task == "classification":
        return {"classes": {str(value): int(count) for value, count in _counts(labels)}}
    wide = labels.astype("float64")
    return {
        "mean": float(wide.mean()),
        "std": float(wide.std()),
        "min": float(wide.min()),
        "max": float(wide.max()),
        "classes": {
            "negative": int(np.sum(labels < 0)),
            "zero": int(np.sum(labels == 0)),
            "positive": int(np.sum(labels > 0)),
        },
    }


def constant_columns(features, lengths):
    """How many feature columns never change on the valid frames.

    Args:
        features: array `[N, T, F]`.
        lengths: integer array `[N]`.

    Returns:
        int. All `F` of them when there is no valid frame.
    """
    lowest = np.full(features.shape[2], np.inf)
    highest = np.full(features.shape[2], -np.inf)
    for start in range(0, len(features), _ROWS_PER_BLOCK):
        block = features[start : start + _ROWS_PER_BLOCK]
        valid = np.arange(block.shape[1]) < lengths[start : start + _ROWS_PER_BLOCK, None]
        frames = block[valid]
        if len(frames):
            lowest = np.minimum(lowest, frames.min(axis=0))
            highest = np.maximum(highest, frames.max(axis=0))
    return int(np.sum(lowest >= highest))


def shared_ids(dataset):
    """Ids that stand in more than one split.

    Returns:
        A list of `(first split, second split, count, one such id)`.
    """
    names = list(dataset)
    found = []
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            both = np.intersect1d(dataset[first].ids, dataset[second].ids)
            if len(both):
                found.append((first, second, len(both), str(both[0])))
    return found
