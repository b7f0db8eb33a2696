"""What a run leaves on disk, and the rules about not losing it."""

import hashlib
import json
import platform
import shutil
import sys
from importlib import metadata
from pathlib import Path

from plumkeras.recipes.config import ConfigError, from_dict, read_json, to_dict

CONFIG, METRICS, NETWORK, LOGS, PICTURE = "config.json", "metrics.json", "network.keras", "logs", "losses.png"
_FILES = (
    *(CONFIG, METRICS, NETWORK, PICTURE),
    *("alignment_history.csv", "refinement_history.csv", "predictions_valid.csv", "predictions_test.csv"),
)
_PACKAGES = ("plumkeras", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")


def start(directory, config, dataset, network):
    """Makes the directory, clears an earlier run of ours out of it, and writes `config.json`. Other files stay."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
    shutil.rmtree(directory / LOGS, ignore_errors=True)
    write_json(directory / CONFIG, describe(config, dataset, network))


def describe(config, dataset, network):
    """What `config.json` holds: the resolved configuration, the data, the command and the versions."""
    versions = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "recipe": to_dict(config),
        "seed": config.seed,
        "network": {
            "feature_dims": network.feature_dims,
            "task": network.task,
            "num_classes": network.num_classes,
        },
        "data": {
            "path": dataset.path and str(Path(dataset.path).absolute()),
            "format": dataset.format,
            "sha256": dataset.sha256 or fingerprint(dataset),
            "task": dataset.task,
            "label_range": dataset.label_range and list(dataset.label_range),
            "samples": {name: len(split) for name, split in dataset.items()},
            "feature_dims": dataset.feature_dims,
        },
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "versions": versions,
    }


def fingerprint(dataset):
    """SHA-256 over ids, features and labels of a data set that has no file."""
    digest = hashlib.sha256()
    for name, split in dataset.items():
        digest.update(name.encode())
        for array in (split.ids, *split.features.values(), *split.lengths.values(), split.labels):
            if array is not None:
                digest.update(array.tobytes())
    return digest.hexdigest()


def read_config(path):
    """The `RecipeConfig` of a `config.json`, or of a file that holds only the recipe's fields.

    Raises:
        ConfigError: the file is missing, no JSON, or has a field that does not exist.
    """
    values = read_json(path)
    if isinstance(values, dict) and isinstance(values.get("recipe"), dict):
        values = values["recipe"]
    return from_dict(values, str(path))


def read_network(path):
    """What the `config.json` of a run says of its network: `feature_dims`, `task` and `num_classes`.

    Raises:
        ConfigError: it says nothing of a network.
    """
    values = read_json(path)
    try:
        network = values["network"]
        return {
            "feature_dims": {str(m): int(width) for m, width in network["feature_dims"].items()},
            "task": str(network["task"]),
            "num_classes": int(network["num_classes"]),
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(f"{path}: says nothing of a network; is it the config.json of a run?") from None


def write_json(path, values):
    """Writes JSON beside the file and moves it into place, so that a reader never sees half of it."""
    partial = Path(f"{path}.partial")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
