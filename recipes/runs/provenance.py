"""Provenance of a run: configuration, data, command, backend and versions, as `config.json` records them."""

import hashlib
import platform
import sys
from importlib import metadata
from pathlib import Path

from plumkeras.recipes.config import to_dict

PACKAGES = ("plumkeras", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")
_ROWS = 256


def describe(config, dataset, network):
    """What `config.json` holds: the resolved configuration, the data, the command, the backend and the versions."""
    return {
        "recipe": to_dict(config),
        "seed": config.seed,
        "network": {
            "feature_dims": network.feature_dims,
            "task": network.task,
            "num_classes": network.num_classes,
        },
        **describe_surroundings(dataset),
    }


def describe_surroundings(dataset):
    """The data, the command, the backend and the versions: a dict."""
    import keras

    return {
        "data": describe_data(dataset),
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "backend": keras.backend.backend(),
        "versions": versions(),
    }


def describe_data(dataset):
    """Where data come from, their hash, labels, samples and widths: a dict."""
    return {
        "path": dataset.path and str(Path(dataset.path).absolute()),
        "format": dataset.format,
        "sha256": sha256(dataset),
        "task": dataset.task,
        "label_range": dataset.label_range and list(dataset.label_range),
        "label_names": dataset.label_names and list(dataset.label_names),
        "metric_report": dataset.metric_report,
        "samples": {name: len(split) for name, split in dataset.items()},
        "feature_dims": dataset.feature_dims,
    }


def versions():
    """Versions of Python and of the packages that matter, a dict."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def sha256(dataset):
    """The SHA-256 of a data set's file, or of its samples where there is none."""
    return dataset.sha256 or samples_sha256(dataset)


def samples_sha256(dataset):
    """SHA-256 over ids, features and labels of a data set that has no file."""
    digest = hashlib.sha256()
    for name, split in dataset.items():
        digest.update(name.encode())
        for array in (split.ids, *split.features.values(), *split.lengths.values(), split.labels):
            # A few rows at a time: features may be larger than memory.
            for start in range(0, 0 if array is None else len(array), _ROWS):
                digest.update(array[start : start + _ROWS].tobytes())
    return digest.hexdigest()
