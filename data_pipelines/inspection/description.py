"""`describe`: everything that `plumkeras inspect` says about a data set."""

import math

import numpy as np

from plumkeras.data_pipelines.inspection.known_files import known_file, source_of
from plumkeras.data_pipelines.inspection.statistics import column_statistics
from plumkeras.data_pipelines.inspection.suspicions import fitted_on, suspicions
from plumkeras.data_pipelines.schema.dataset import Dataset
from plumkeras.data_pipelines.schema.report import shared_ids
from plumkeras.data_pipelines.schema.videos import shared_sources, sources
from plumkeras.metrics.reports import correlation
from plumkeras.tasks import get_task

_LENGTH_BINS = 30
_LABEL_BINS = 12


def describe(dataset: Dataset) -> dict:
    """What a data set holds and what is wrong with it. All features are gone through once, a few rows at a time.

    Args:
        dataset: Dataset. One of `open_shards` stays in its files.

    Returns:
        A JSON-serialisable dict:

        - `path, format, sha256, source {format, sha256}` (of shards, the file that was converted), `known_file, task,
          label_range, num_classes, label_names, metric_report, modalities, feature_dims`.
        - `splits`: by name `samples, duplicate_ids, labels, modality_labels, raw_text, folds, sources {kind, count},
          context` and `modalities`, which has by modality `width, max_length, length {min, median, p95, max},
          length_histogram {edges, counts}, missing, padding_share, max_abs`. Labels come with mean, standard deviation,
          range, classes and histogram; human labels per modality with their correlation with the label.
        - `features`: by modality of the training split, or the first, `split, frames, constant` (numbers of the columns
          that never change), `std` and `max_abs` (one value a column, None where it isn't finite).
        - `constant_features` (counts by modality), `duplicate_ids_across_splits`, `shared_sources` (videos or groups in
          two splits, by pair of splits), `cleaned`, and `warnings`: those of loading and `suspicions`.
    """
    name = fitted_on(dataset)
    statistics = {
        split: {
            m: column_statistics(array, part.lengths[m], spread=split == name) for m, array in part.features.items()
        }
        for split, part in dataset.items()
    }
    kind, parts = sources(dataset)
    known = known_file(dataset)
    return {
        "path": dataset.path,
        "format": dataset.format,
        "sha256": dataset.sha256,
        "source": source_of(dataset),
        "known_file": known and known.name,
        "task": dataset.task,
        "label_range": None if dataset.label_range is None else [_number(end) for end in dataset.label_range],
        "num_classes": dataset.num_classes,
        "label_names": dataset.label_names and list(dataset.label_names),
        "metric_report": dataset.metric_report,
        "modalities": list(dataset.modalities),
        "feature_dims": dict(dataset.feature_dims),
        "splits": {
            split: _describe_split(dataset, split, statistics[split], kind, parts.get(split)) for split in dataset
        },
        "features": {m: _describe_columns(name, columns) for m, columns in statistics[name].items()},
        "constant_features": {m: int(columns.constant.sum()) for m, columns in statistics[name].items()},
        "duplicate_ids_across_splits": {f"{first}/{second}": count for first, second, count, _ in shared_ids(dataset)},
        "shared_sources": {f"{first}/{second}": count for first, second, count, *_ in shared_sources(parts)},
        "cleaned": {split: dict(counts) for split, counts in dataset.report.cleaned.items()},
        "warnings": [*dataset.report.warnings, *suspicions(dataset, statistics=statistics[name])],
    }


def _describe_split(dataset, name, statistics, kind, videos):
    split = dataset[name]
    has_context = split.context_features is not None or split.context_raw_text is not None
    return {
        "samples": len(split),
        "duplicate_ids": len(split) - len(np.unique(split.ids)),
        "labels": _describe_labels(split.labels, dataset),
        "modality_labels": split.modality_labels and _describe_modality_labels(split, dataset.task),
        "raw_text": _texts(split.raw_text),
        "folds": None if split.folds is None else get_task("classification").label_counts(split.folds),
        "sources": None if videos is None else {"kind": kind, "count": len(np.unique(videos))},
        "context": _describe_context(split) if has_context else None,
        "modalities": {
            m: _describe_sequences(features, split.lengths[m], statistics[m]) for m, features in split.features.items()
        },
    }


def _describe_sequences(features, lengths, columns):
    frames = features.shape[0] * features.shape[1]
    step = math.ceil((features.shape[1] + 1) / _LENGTH_BINS)
    counts, edges = np.histogram(lengths, np.arange(0, features.shape[1] + 1 + step, step))
    return {
        "width": int(features.shape[2]),
        "max_length": int(features.shape[1]),
        "length": {
            "min": int(lengths.min()),
            "median": float(np.median(lengths)),
            "p95": float(np.percentile(lengths, 95)),
            "max": int(lengths.max()),
        },
        # A bin is closed below and open above: the first begins with the samples that lack the modality.
        "length_histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
        "missing": int(np.sum(lengths == 0)),
        "padding_share": 1.0 - float(lengths.sum(dtype="int64")) / frames,
        "max_abs": _number(columns.max_abs.max(initial=0.0)),
    }


def _describe_context(split):
    """How many samples have a context, of any kind, and what its sequences are like."""
    lengths = split.context_lengths or {}
    has = [array > 0 for array in lengths.values()]
    if split.context_raw_text is not None:
        has.append(np.array([bool(str(text).strip()) for text in split.context_raw_text]))
    return {
        "samples": int(np.any(has, axis=0).sum()),
        "raw_text": _texts(split.context_raw_text),
        "modalities": {
            m: _describe_sequences(features, lengths[m], column_statistics(features, lengths[m]))
            for m, features in (split.context_features or {}).items()
        },
    }


def _describe_columns(split, columns):
    return {
        "split": split,
        "frames": columns.frames,
        "constant": np.flatnonzero(columns.constant).tolist(),
        "std": [_number(value) for value in columns.std],
        "max_abs": [_number(value) for value in columns.max_abs],
    }


def _number(value):
    """Six digits, or None for what JSON has no number for."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def _texts(texts):
    """How many samples have a text that isn't blank; None where there is no such field."""
    return None if texts is None else sum(bool(str(text).strip()) for text in texts)


def _describe_labels(labels, dataset):
    if labels is None:
        return None
    if dataset.task != "regression":
        return {"classes": get_task(dataset.task).label_counts(labels, dataset.label_names)}
    wide = labels.astype("float64")
    counts, edges = np.histogram(wide, _label_edges(wide, *dataset.label_range))
    return {
        **{name: float(getattr(wide, name)()) for name in ("mean", "std", "min", "max")},
        "classes": get_task(dataset.task).label_counts(labels),
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def _label_edges(labels, low, high):
    """Edges of a dozen bins around round values: whole and half ones in [-3, 3], every 0.2 in [-1, 1]."""
    if not math.isfinite(high - low):
        low, high = float(labels.min()), float(labels.max())
    width = (high - low) / _LABEL_BINS
    if not width > 0:
        return np.array([low - 0.5, low + 0.5])
    power = 10.0 ** math.floor(math.log10(width))
    width = next((step * power for step in (1, 2, 5, 10) if step * power >= width * (1 - 1e-9)), width)
    return low + width * (np.arange(math.floor((high - low) / width + 1e-9) + 2) - 0.5)


def _describe_modality_labels(split, task):
    found = {}
    compares = task == "regression" and split.labels is not None
    for m, labels in split.modality_labels.items():
        wide = labels.astype("float64")
        found[m] = {
            "mean": float(wide.mean()),
            "std": float(wide.std()),
            "correlation": correlation(wide, split.labels.astype("float64")) if compares else None,
        }
    return found
