"""Everything that is refused before a backend starts, and before anything is written."""

import os
from pathlib import Path

from plumkeras.data_pipelines import DataError
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.run_directory import CONFIG, NETWORK


def check_output(directory, overwrite):
    """Refuses a directory that a run must not be written to. Nothing is changed.

    Raises:
        ConfigError: it is a file, holds a run and `overwrite` is off, or holds something else.
    """
    directory = Path(directory)
    if not directory.exists():
        parent = next(p for p in directory.absolute().parents if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ConfigError(f"--output {directory}: {parent} is not a directory that can be written to")
        return
    if not directory.is_dir():
        raise ConfigError(f"--output {directory}: is a file, not a directory")
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"--output {directory}: the directory cannot be written to")
    if not any(directory.iterdir()):
        return
    if not (directory / CONFIG).is_file():
        raise ConfigError(f"--output {directory}: is not empty and holds no run; choose another directory")
    if not overwrite:
        raise ConfigError(f"--output {directory}: already holds a run; choose another directory or add --overwrite")


def check_run(directory):
    """Raises `ConfigError` unless `directory` holds a finished run."""
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such run directory")
    for name in (CONFIG, NETWORK):
        if not (directory / name).is_file():
            raise ConfigError(f"{directory}: holds no finished run: {name} is missing")


def check_csv_target(path, overwrite):
    """Raises `ConfigError` when the csv file exists and may not be replaced, or its folder does not exist."""
    path = Path(path)
    if path.is_dir():
        raise ConfigError(f"--output {path}: is a directory; name a csv file")
    if path.exists() and not overwrite:
        raise ConfigError(f"--output {path}: exists; choose another file or add --overwrite")
    if not path.absolute().parent.is_dir():
        raise ConfigError(f"--output {path}: the folder {path.absolute().parent} does not exist")


def check_dataset(config, dataset):
    """Whether a data set can be trained on by a recipe.

    Raises:
        DataError: a split, the labels or a wanted modality is missing.
    """
    where = dataset.path or "the data set"
    if "all" in dataset:
        raise DataError(f"{where}: has no train, valid and test splits, and training by folds is not supported yet")
    for name in ("train", "valid", "test"):
        if dataset.split(name).labels is None:
            raise DataError(f"{where}: {name} has no labels")
    for m in config.modalities:
        if m not in dataset.modalities:
            raise DataError(f"{where}: no modality {m!r}, which `modalities` asks for; it has {dataset.modalities}")


def check_widths(feature_dims, dataset):
    """Raises `DataError` unless the data set has the modalities of a trained network, at its widths."""
    where = dataset.path or "the data set"
    for modality, width in feature_dims.items():
        found = dataset.feature_dims.get(modality)
        if found is None:
            raise DataError(
                f"{where}: no modality {modality!r}, which the network reads; it has {', '.join(dataset.modalities)}"
            )
        if found != width:
            raise DataError(f"{where}: {modality} has width {found}; the network was trained on width {width}")


def choose_split(dataset, name=None):
    """Name of the split to predict: the one asked for, `test`, or the only one there is.

    Raises:
        DataError: there is no such split, or none was asked for and several could be meant.
    """
    if name is not None:
        dataset.split(name)
        return name
    if "test" in dataset:
        return "test"
    if len(dataset) == 1:
        return next(iter(dataset))
    raise DataError(f"{dataset.path or 'the data set'}: no split 'test'; choose one of {', '.join(dataset)} by --split")
