"""Checks of a data set against a recipe or a network, made before a backend starts."""

import dataclasses
import re

import numpy as np

from plumkeras.data_pipelines import MODALITIES, DataError, suspicions
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.features import TOKEN_IDS, check_width, lacking_all
from plumkeras.models.needs import NEEDS, Needs, refusal
from plumkeras.recipes import usual_task
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.models import MODELS, find_model, with_model
from plumkeras.recipes.runs.label_classes import label_classes_warning
from plumkeras.tasks import get_task


def check_dataset(config, dataset):
    """Whether a data set can be trained on by a recipe.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset`. `train` and `valid` need labels; `test` may lack them, or be absent.

    Raises:
        DataError: a split, the labels, a modality asked for or every frame of it is missing, or a class is in `valid`
            or `test` alone.
        ConfigError: the recipe names a modality that there never is, or its model cannot be trained on such data.
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
    if TOKEN_IDS in dataset.feature_dims.values() and not config.text.encoder:
        raise DataError(
            f"{where}: has texts without vectors; read them by a text encoder (--text.encoder all-MiniLM-L6-v2), or "
            "make vectors of them (plumkeras extract)"
        )
    for m in config.modalities:
        if m not in dataset.modalities:
            raise DataError(f"{where}: no modality {m!r}, which `modalities` asks for; it has {has}")
    for field in ("signed_log1p", "strided"):
        for m in getattr(config.network, field, ()):
            if m not in (*MODALITIES, *dataset.modalities):
                raise ConfigError(f"network.{field} names {m!r}, which is no modality; {where} has {has}")
    for m in config.modalities or dataset.modalities:
        if not re.fullmatch(r"[A-Za-z]\w*", m):
            raise DataError(f"{where}: a modality named {m!r}; letters, digits and _ are expected")
        if not dataset["train"].lengths[m].any():
            raise DataError(f"{where}: train/{m} has no frame at all: every length is 0; leave it out by --modalities")
    if reason := model_refusal(config, dataset):
        raise ConfigError(f"{where}: {reason}")
    if config.task not in (None, dataset.task):
        raise ConfigError(f"{where}: has {dataset.task} labels, and `task` asks for {config.task}")
    if get_task(dataset.task).has_classes:
        _check_classes(dataset, where)


def model_refusal(config, dataset):
    """Why a recipe's model cannot be trained on a data set, and what to do; None where it can."""
    used = config.modalities or dataset.modalities
    if reason := refusal(config.model, {m: dataset.feature_dims[m] for m in used}, dataset.task):
        return reason
    if config.context_frames:
        for m, (count, total, longest) in _cut_samples(config, dataset).items():
            return (
                f"{config.model} reads the first {config.network.frames} frames, and behind a context the utterance "
                f"comes last: in {count} of {total} training samples {m} is longer; set network.frames to {longest}"
            )
    return None


def chosen_models(config, dataset, asked=()):
    """The recipe's own model, then those asked for, or all that can be trained on the data.

    Raises:
        ConfigError: there is no model of a name that is asked for, or it cannot be trained on the data.
    """

    def reason(model):
        try:
            return model_refusal(with_model(config, model), dataset)
        except ConfigError as error:
            return f"{model}: {error}"

    for model in asked:
        find_model(model)
        if why := reason(model):
            raise ConfigError(f"--models: {why}")
    return list(dict.fromkeys([config.model, *(asked or [model for model in MODELS if not reason(model)])]))


def _cut_samples(config, dataset):
    """By modality, of which of the training samples a model of a fixed number of frames reads not all: how many, of
    how many, and the longest."""
    frames, found = getattr(config.network, "frames", None), {}
    if frames is not None:
        split = _training_part(dataset)
        for m in config.modalities or dataset.modalities:
            longest = int(split.lengths[m].max(initial=0))
            if longest > frames:
                found[m] = int((split.lengths[m] > frames).sum()), len(split), longest
    return found


def _training_part(dataset):
    """`train`, or all samples of data with folds."""
    return dataset["train"] if "train" in dataset else dataset["all"]


def model_warnings(config, dataset):
    """What a model does not make of the data, sentences."""
    model, used, split = config.model, config.modalities or dataset.modalities, _training_part(dataset)
    found = []
    for m, (count, total, longest) in _cut_samples(config, dataset).items():
        found.append(
            f"{model} reads the first {config.network.frames} frames: in {count} of {total} training samples {m} is "
            f"longer; network.frames={longest} reads them all"
        )
    if NEEDS.get(model, Needs()).aligned:
        first = "text" if "text" in used else used[0]
        for m in used:
            ours, theirs = split.lengths[m], split.lengths[first]
            if apart := int(((ours > 1) & (theirs > 0) & (ours != theirs)).sum()):
                found.append(
                    f"{model} matches frames by position: in {apart} of {len(split)} training samples {m} has neither "
                    f"one frame nor as many as {first}; aligned features are expected"
                )
    if model == "iccn" and len(used) == 2:
        found.append("iccn correlates the text's pairs with two modalities or more; with one its correlation is 0")
    return found


def _check_classes(dataset, where):
    task, labels = get_task(dataset.task), dataset["train"].labels
    counts = task.label_counts(labels, dataset.label_names)
    empty = [name for name, count in counts.items() if not count]
    if empty or len(counts) < 2 or len(counts) != dataset.num_classes:
        if task.label_axes > 1:
            raise DataError(f"{where}: no sample of train has the label {', '.join(empty[:8])}; leave it out")
        raise DataError(
            f"{where}: train/classification_labels holds the classes {list(map(int, counts))[:8]}; two or more are "
            "expected, numbered from 0 without a gap"
        )
    for name in measured_splits(dataset):
        try:
            task.check_values(dataset[name].labels, dataset.num_classes, name, dataset[name].ids)
        except DataError:
            highest = int(dataset[name].labels.max())
            raise DataError(f"{where}: {name}/classification_labels holds class {highest}, which train lacks") from None


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


def with_modalities(feature_dims, dataset, tell_lacking=True):
    """The data set with every modality that a trained network reads: one that is absent is missing for every sample.

    Args:
        feature_dims: dict from modality to width, the network's.
        dataset: `Dataset`. Its report is given a warning for each absent modality, and for samples that lack all.
        tell_lacking: bool. Whether to warn of samples that lack all.

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
            features = {m: _nothing(len(split), feature_dims[m]) for m in absent}
            lengths = {m: np.zeros(len(split), "int32") for m in absent}
            splits[name] = dataclasses.replace(
                split, features={**split.features, **features}, lengths={**split.lengths, **lengths}
            )
        dataset = dataset.replace(splits)
        dataset.report.warn(f"no {' and no '.join(absent)}, which the network reads: missing for every sample")
    for sentence in _lacking_all(dataset, feature_dims) if tell_lacking else ():
        dataset.report.warn(sentence)
    return dataset


def _nothing(count, width):
    """Features of samples that lack a modality."""
    return TokenIds(np.zeros((count, 1))) if width == TOKEN_IDS else np.zeros((count, 1, width), "float32")


def data_warnings(config, dataset):
    """What is said of the data a recipe uses, sentences: what loading cleaned and found, and what is suspicious."""
    modalities = config.modalities or dataset.modalities
    found = [
        *dataset.report.warnings,
        *suspicions(dataset, modalities=modalities, compressed=getattr(config.network, "signed_log1p", ())),
    ]
    return list(dict.fromkeys([*found, *_lacking_all(dataset, modalities)]))


def training_warnings(config, dataset):
    """As `data_warnings`, and which split training cannot measure, and classes that are cut at quantiles."""
    sentence = None if "all" in dataset else unmeasured(dataset)
    found = [sentence, _other_task(config, dataset), label_classes_warning(config, dataset)]
    found += model_warnings(config, dataset)
    return data_warnings(config, dataset) + [sentence for sentence in found if sentence]


def _other_task(config, dataset):
    """What is said where a recipe that comes with the package is for another task than the data's."""
    usual = usual_task(config.name)
    if usual in (None, dataset.task) or config.task is not None:
        return None
    return f"the recipe {config.name!r} is for {usual}, and the data are for {dataset.task}; --task says which is meant"


def _lacking_all(dataset, modalities):
    """A sentence for each split in which samples lack every one of the modalities."""
    found = (lacking_all([s.lengths[m] > 0 for m in modalities], name, s.ids) for name, s in dataset.items())
    return [sentence for sentence in found if sentence]


def check_labels(network, dataset, name):
    """Raises `DataError` unless a split has labels that a trained network can be measured against.

    Args:
        network: dict as `run_directory.read_network` gives it.
        dataset: `Dataset`.
        name: name of the split.
    """
    where = dataset.path or "the data set"
    labels = dataset.split(name).labels
    if labels is None:
        raise DataError(f"{where}: {name} has no labels to measure against; plumkeras predict needs none")
    if dataset.task != network["task"]:
        raise DataError(f"{where}: has labels for {dataset.task}; the network was trained for {network['task']}")
    task = get_task(dataset.task)
    if task.label_axes > 1:
        _check_label_sets(network, dataset, where)
    elif task.has_classes and labels.max() >= network["num_classes"]:
        raise DataError(
            f"{where}: {name} holds class {labels.max()}; the network was trained on {network['num_classes']} classes"
        )


def _check_label_sets(network, dataset, where):
    known, given = network["label_names"], dataset.label_names
    if dataset.num_classes != network["num_classes"] or (known and given and list(known) != list(given)):
        there = ", ".join(given) if given else f"{dataset.num_classes} labels"
        learned = ", ".join(known) if known else f"{network['num_classes']} labels"
        raise DataError(f"{where}: has the labels {there}; the network was trained on {learned}")


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
