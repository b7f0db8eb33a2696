"""Which samples a recipe trains, validates and tests on, and the context in front of an utterance."""

import dataclasses
import functools
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import (
    DataError,
    join_context,
    normalize_samples,
    speaker_independent,
)
from plumkeras.data_pipelines.extraction.extras import require
from plumkeras.data_pipelines.transforms.tokenizing import make_tokenizer, tokenize
from plumkeras.text_encoders import read_tokenizer

# What a run and an export call the tokenizer of their network.
TOKENIZER = "tokenizer.json"


def prepare(config, dataset, directory=None):
    """The data set as a recipe uses it: what `prepare_splits` and then `with_tokens` make of it. Raises as they do."""
    return with_tokens(config, prepare_splits(config, dataset), directory)


def prepare_splits(config, dataset):
    """The data set in its protocol's splits, standardised and with context in front if so asked for.

    Args:
        config: `RecipeConfig`; `protocol`, `sample_norm` and `context_frames` are read.
        dataset: `Dataset`, as loaded.

    Returns:
        `Dataset`, the same one where there is nothing to do.

    Raises:
        DataError: the data set lacks the context, groups, shows or modalities that the recipe asks for.
    """
    if config.protocol == "speaker_independent" and "all" in dataset:
        dataset = speaker_independent(dataset)
    if config.sample_norm:
        splits = {name: normalize_samples(split, config.sample_norm) for name, split in dataset.items()}
        dataset = dataset.replace(splits)
    if not config.context_frames:
        return dataset
    return dataset.replace({name: join_context(split, config.context_frames) for name, split in dataset.items()})


def with_tokens(config, dataset, directory=None):
    """The data set with token ids of its texts, where the recipe has a text encoder.

    Args:
        config: `RecipeConfig`; `text` is read.
        dataset: `Dataset`.
        directory: where a finished run, a cross-validation or an export keeps its network's tokenizer; or None: the
            encoder's own.

    Raises:
        DataError: a split has no texts.
    """
    if not config.text.encoder:
        return dataset
    return tokenize(dataset, tokenizer_of(config, directory), config.text.max_tokens, config.keeps_end)


def tokenizer_of(config, directory=None):
    """The `Tokenizer` of a recipe's text encoder; `directory` as in `with_tokens`."""
    # A cross-validation has those of its folds.
    places = () if directory is None else (Path(directory) / TOKENIZER, *Path(directory).glob(f"fold_*/{TOKENIZER}"))
    kept = next((place for place in places if place.is_file()), None)
    if kept is None:
        return make_tokenizer(_read_tokenizer(config.text.encoder))
    require("tokenizers", "text", "a text encoder")
    try:
        return make_tokenizer(kept.read_text(encoding="utf-8"))
    except Exception as error:  # The class of tokenizers is `Exception`.
        raise DataError(f"{kept}: is no tokenizer that can be read: {error}") from None


@functools.lru_cache(maxsize=4)
def _read_tokenizer(name):
    return read_tokenizer(name)


def fold_numbers(dataset):
    """Numbers of the folds of a data set that is to be cross-validated; empty where it has splits.

    Raises:
        DataError: it has neither splits nor folds, or fewer than three folds.
    """
    if "all" not in dataset:
        return []
    folds = dataset["all"].folds
    where = dataset.path or "the data set"
    if folds is None:
        raise DataError(f"{where}: has neither train, valid and test splits nor folds to cross-validate by")
    if dataset["all"].labels is None:
        raise DataError(f"{where}: has no labels (absent, or all blank) to train on")
    numbers = np.unique(folds).tolist()
    if len(numbers) < 3:
        raise DataError(
            f"{where}: has {len(numbers)} folds; one to test, one to validate and one to train are expected"
        )
    return numbers


def fold_masks(dataset, number):
    """Which samples of `all` a fold uses for what: `number` is `test`, the next fold `valid`, and the rest `train`."""
    numbers, folds = fold_numbers(dataset), dataset["all"].folds
    validation = numbers[(numbers.index(number) + 1) % len(numbers)]
    test, valid = folds == number, folds == validation
    return {"train": ~(test | valid), "valid": valid, "test": test}


def describe_fold(dataset, number):
    """What the `config.json` of a fold's run says of the fold: the number of each fold in `test`, `valid`, `train`."""
    folds = dataset["all"].folds
    return {name: np.unique(folds[mask]).tolist() for name, mask in fold_masks(dataset, number).items()}


def fold_dataset(dataset, number):
    """The splits of a fold, see `fold_masks`, as a data set of its own."""
    split = dataclasses.replace(dataset["all"], folds=None)
    # Not the file's hash: each fold is known by its own samples.
    return dataset.replace({name: split.take(mask) for name, mask in fold_masks(dataset, number).items()}, sha256=None)
