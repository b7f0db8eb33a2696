"""Everything that is refused before a backend starts, and before anything is written."""

import dataclasses
import os
import re
import zipfile
from pathlib import Path

import numpy as np

from plumkeras import json_text, locking
from plumkeras.data_pipelines import MODALITIES, DataError, suspicions
from plumkeras.features import check_width, lacking_all
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs.run_directory import CONFIG, NETWORK, SEARCH, is_finished, read_description, read_network

# A few KB with dozens of modalities.
_MAX_NETWORK_CONFIG = 2**20


def check_output(directory, overwrite, resume=False):
    """Refuses a directory that a run must not be written to. Nothing is changed.

    Raises:
        ConfigError: it is a file, holds a run while `overwrite` and `resume` are off, or holds something else.
    """
    directory = Path(directory)
    if _is_free(directory):
        return
    try:
        # Other software has files named config.json too.
        read_network(directory / CONFIG)
    except ConfigError:
        raise ConfigError(f"--output {directory}: is not empty and holds no run; choose another directory") from None
    if not (overwrite or resume):
        unfinished = "" if is_finished(directory) else " that is not finished; go on with it by --resume"
        raise ConfigError(
            f"--output {directory}: already holds a run{unfinished or '; choose another directory'} or add --overwrite"
        )


def check_search_output(directory, overwrite, resume=False):
    """Refuses a directory that a search must not be written to. Nothing is changed.

    Raises:
        ConfigError: it is a file, holds a search while `overwrite` and `resume` are off, or holds something else.
    """
    directory = Path(directory)
    if _is_free(directory):
        return
    try:
        described = read_description(directory / SEARCH)
    except ConfigError:
        described = {}
    # Other software has files named search.json too.
    if not isinstance(described.get("facts"), dict):
        raise ConfigError(f"--output {directory}: is not empty and holds no search; choose another directory")
    if not (overwrite or resume):
        raise ConfigError(
            f"--output {directory}: already holds a search; go on with it by --resume, choose another directory or "
            "add --overwrite"
        )


def _is_free(directory):
    """Whether nothing is in the directory. Raises `ConfigError` where nothing can be written to it."""
    if not directory.exists():
        parent = next(p for p in directory.absolute().parents if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ConfigError(f"--output {directory}: {parent} is not a directory that can be written to")
        return True
    if not directory.is_dir():
        raise ConfigError(f"--output {directory}: is a file, not a directory")
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"--output {directory}: the directory cannot be written to")
    return all(path.name.endswith(".partial") or path.name == locking.NAME for path in directory.iterdir())


def check_run(directory):
    """Raises `ConfigError` unless `directory` holds a finished run, whose network is the one it describes."""
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such run directory")
    if (folds := sorted(directory.glob("fold_*"))) and not (directory / NETWORK).exists():
        raise ConfigError(f"{directory}: holds a cross-validation; name the run of one fold, as {folds[0]}")
    for name in (CONFIG, NETWORK):
        if not (directory / name).is_file():
            begun = name == NETWORK and not is_finished(directory)
            how = "; go on with it by plumkeras train --resume" if begun else ""
            raise ConfigError(f"{directory}: holds no finished run: {name} is missing{how}")
    described = read_network(directory / CONFIG)
    for field, saved in _read_saved_network(directory / NETWORK).items():
        if saved != described[field]:
            raise ConfigError(
                f"{directory}: {NETWORK} and {CONFIG} are not of the same run: {field} is {saved!r} in the network and "
                f"{described[field]!r} in {CONFIG}; train again"
            )


def _read_saved_network(path):
    """What a `network.keras` says of itself, as `read_network`: without loading it, and without Keras."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            text = file.read(_MAX_NETWORK_CONFIG + 1)
        if len(text) > _MAX_NETWORK_CONFIG:
            raise ValueError("its config.json is too long")
        values = json_text.parse(text)
    # zipfile and zlib have many kinds of errors for bytes that make no sense.
    except Exception as error:
        told = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: cannot be read as a .keras file: {type(error).__name__}: {told}") from None
    try:
        found = values["class_name"]
        if found == "PLUMNet":
            return {field: values["config"][field] for field in ("feature_dims", "task", "num_classes")}
    except (KeyError, TypeError):
        found = "something that says nothing of itself"
    raise ConfigError(f"{path}: must hold a PLUMNet, as plumkeras train saves it. Received: {found!s:.80}")


def check_csv_target(path, overwrite):
    """Raises `ConfigError` when the csv file exists and may not be replaced, or its folder does not exist."""
    _check_file_target("--output", Path(path), overwrite, "a csv file")


def check_picture_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`, or when the name is not that of a PNG file."""
    path = Path(path)
    _check_file_target("--plot", path, overwrite, "a PNG file")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--plot {path}: a PNG file is written; end its name in .png")


def check_metrics_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`, or unless the file is named as one of JSON or csv."""
    if Path(path).suffix.lower() not in (".json", ".csv"):
        raise ConfigError(f"--output {path}: metrics are written as JSON or csv; end its name in .json or .csv")
    _check_file_target("--output", Path(path), overwrite, "a .json or .csv file")


def check_npz_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`."""
    _check_file_target("--output", Path(path), overwrite, "an npz file")


def _check_file_target(option, path, overwrite, kind):
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a directory; name {kind}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{option} {path}: exists; choose another file or add --overwrite")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"{option} {path}: {folder} is not a folder that can be written to")


def check_dataset(config, dataset):
    """Whether a data set can be trained on by a recipe.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset`. `train` and `valid` need labels; `test` may lack them, or be absent.

    Raises:
        DataError: a split, the labels, a wanted modality or every frame of it is missing, or a class stands in `valid`
            or `test` alone.
        ConfigError: the recipe names a modality that there never is.
    """
    where = dataset.path or "the data set"
    dataset.split("train")
    if "valid" not in dataset:
        raise DataError(
            f"{where}: no split 'valid', by which the epoch is chosen; it has {', '.join(dataset)}. Carve it from "
            "train, by video or group, with --validation-fraction 0.15"
        )
    for name in ("train", "valid"):
        if dataset.split(name).labels is None:
            hint = "; carve valid from train, by video or group, with --validation-fraction 0.15"
            raise DataError(f"{where}: {name} has no labels to train on{hint if name == 'valid' else ''}")
    has = ", ".join(dataset.modalities)
    for m in config.modalities:
        if m not in dataset.modalities:
            raise DataError(f"{where}: no modality {m!r}, which `modalities` asks for; it has {has}")
    for m in config.network.signed_log1p:
        if m not in (*MODALITIES, *dataset.modalities):
            raise ConfigError(f"network.signed_log1p names {m!r}, which is no modality; {where} has {has}")
    for m in config.modalities or dataset.modalities:
        if not re.fullmatch(r"[A-Za-z]\w*", m):
            raise DataError(f"{where}: a modality named {m!r}; letters, digits and _ are expected")
        if not dataset["train"].lengths[m].any():
            raise DataError(f"{where}: train/{m} has no frame at all: every length is 0; leave it out by --modalities")
    if dataset.task == "classification":
        _check_classes(dataset, where)


def _check_classes(dataset, where):
    classes = np.unique(dataset["train"].labels)
    if len(classes) < 2 or len(classes) != dataset.num_classes:
        raise DataError(
            f"{where}: train/classification_labels holds the classes {classes.tolist()[:8]}; two or more are expected, "
            "numbered from 0 without a gap"
        )
    for name in measured_splits(dataset):
        highest = int(dataset[name].labels.max())
        if highest >= dataset.num_classes:
            raise DataError(f"{where}: {name}/classification_labels holds class {highest}, which train lacks")


def measured_splits(dataset):
    """Names of the splits that training can measure: `valid`, and `test` where it has labels."""
    return [name for name in ("valid", "test") if name in dataset and dataset[name].labels is not None]


def unmeasured(dataset):
    """What training says of a data set whose test split it cannot measure: a sentence, or None."""
    if "test" not in dataset:
        return "the data have no test split: valid alone is measured"
    if dataset["test"].labels is None:
        return "test has no labels: valid alone is measured, and test is predicted"
    return None


def with_modalities(feature_dims, dataset):
    """The data set with every modality that a trained network reads: one that is absent is missing for every sample.

    Args:
        feature_dims: dict from modality to width, the network's.
        dataset: `Dataset`. Its report is given a warning for each absent modality, and for samples that lack all.

    Raises:
        DataError: a width differs, or the data set has none of the modalities.
    """
    where = dataset.path or "the data set"
    absent = [m for m in feature_dims if m not in dataset.modalities]
    if len(absent) == len(feature_dims):
        raise DataError(
            f"{where}: has none of the modalities that the network reads, {', '.join(feature_dims)}; it has "
            f"{', '.join(dataset.modalities)}"
        )
    for m, width in feature_dims.items():
        check_width(dataset.feature_dims.get(m, width), width, m, where)
    if absent:
        splits = {}
        for name, split in dataset.items():
            features = {m: np.zeros((len(split), 1, feature_dims[m]), "float32") for m in absent}
            lengths = {m: np.zeros(len(split), "int32") for m in absent}
            splits[name] = dataclasses.replace(
                split, features={**split.features, **features}, lengths={**split.lengths, **lengths}
            )
        dataset = dataset.replace(splits)
        dataset.report.warn(f"no {' and no '.join(absent)}, which the network reads: missing for every sample")
    for sentence in _lacking_all(dataset, feature_dims):
        dataset.report.warn(sentence)
    return dataset


def data_warnings(config, dataset):
    """What is said of the data a recipe uses, sentences: what loading cleaned and found, and what is suspicious."""
    modalities = config.modalities or dataset.modalities
    found = [
        *dataset.report.warnings,
        *suspicions(dataset, modalities=modalities, compressed=config.network.signed_log1p),
    ]
    return list(dict.fromkeys([*found, *_lacking_all(dataset, modalities)]))


def training_warnings(config, dataset):
    """As `data_warnings`, and which split training cannot measure."""
    sentence = None if "all" in dataset else unmeasured(dataset)
    return data_warnings(config, dataset) + ([sentence] if sentence else [])


def _lacking_all(dataset, modalities):
    """A sentence for each split in which samples lack every one of the modalities."""
    found = (lacking_all([s.lengths[m] > 0 for m in modalities], name, s.ids) for name, s in dataset.items())
    return [sentence for sentence in found if sentence]


def check_labels(network, dataset, name):
    """Raises `DataError` unless a split has labels that a trained network can be measured against.

    Args:
        network: dict with `task` and `num_classes`, as `run_directory.read_network` gives it.
        dataset: `Dataset`.
        name: name of the split.
    """
    where = dataset.path or "the data set"
    labels = dataset.split(name).labels
    if labels is None:
        raise DataError(f"{where}: {name} has no labels to measure against; plumkeras predict needs none")
    if dataset.task != network["task"]:
        raise DataError(f"{where}: has labels for {dataset.task}; the network was trained for {network['task']}")
    if dataset.task == "classification" and labels.max() >= network["num_classes"]:
        raise DataError(
            f"{where}: {name} holds class {labels.max()}; the network was trained on {network['num_classes']} classes"
        )


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
