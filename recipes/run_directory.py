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
_PACKAGES = ("plumkeras", "keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")


def start(directory, config, dataset):
    """Makes the directory, clears an earlier run of ours out of it, and writes `config.json`."""
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    ours = [CONFIG, METRICS, NETWORK, PICTURE]
    for path in [
        *(directory / name for name in ours),
        *directory.glob("*_history.csv"),
        *directory.glob("predictions_*"),
    ]:
        path.unlink(missing_ok=True)
    shutil.rmtree(directory / LOGS, ignore_errors=True)
    write_json(directory / CONFIG, describe(config, dataset))


def describe(config, dataset):
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
        "network_inputs": {m: dataset.feature_dims[m] for m in config.modalities or dataset.modalities},
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


def read_feature_dims(path):
    """Dict from modality to width of the network of a run, from its `config.json`.

    Raises:
        ConfigError: the file does not say.
    """
    try:
        return {str(m): int(width) for m, width in read_json(path)["network_inputs"].items()}
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(f"{path}: holds no network_inputs; is it the config.json of a run?") from None


def write_json(path, values):
    """Writes JSON beside the file and moves it into place, so that a reader never sees half of it."""
    partial = Path(f"{path}.partial")
    partial.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")
    partial.replace(path)
