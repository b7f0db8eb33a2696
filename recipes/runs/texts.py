"""Texts in place of a data set: what a network with a text encoder is given of them."""

import os
import re
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import DataError, Dataset, Split
from plumkeras.features import listing, reads_text
from plumkeras.recipes.runs.data_checks import with_modalities
from plumkeras.recipes.runs.protocol import with_tokens

# How many empty texts a warning names.
_NAMED = 10


def check_reads_text(feature_dims, where):
    """Raises `DataError` unless a network of these widths reads texts."""
    if reads_text(feature_dims):
        return
    if "text" not in feature_dims:
        raise DataError(f"{where}: this run's network reads {listing(feature_dims)} and no text")
    raise DataError(
        f"{where}: this run's network reads feature vectors of text, not text; train one with --text.encoder "
        "all-MiniLM-L6-v2, or make vectors with plumkeras extract"
    )


def as_texts(data, feature_dims):
    """The texts that `data` of `Run.predict` is, a list of str; or None where it is something else.

    A list, or an array of texts, is texts. A str is one unless it names a file: one that is there, or what ends as the
    name of a file does, or has slashes and no space. None among texts is a text that is missing.

    Raises:
        DataError: there is something else among the texts, no text, or no file of the name.
    """
    if isinstance(data, str):
        if os.path.exists(data):
            return None
        if not _looks_like_a_path(data):
            return [data] if " " in data or reads_text(feature_dims) else None
        if reads_text(feature_dims):
            raise DataError(f"{data}: there is no such file; a text that ends as a file's name does goes into a list")
        return None
    if hasattr(data, "tolist"):  # Of numpy and of pandas.
        data = data.tolist()
    return checked_texts(data) if isinstance(data, (list, tuple)) else None


def checked_texts(texts):
    """Texts as a list of str, in which None, a text that is missing, is empty. Raises `DataError` for anything else."""
    if isinstance(texts, str):
        raise DataError("the texts are a single str; a list of them is expected, one a sample")
    texts = list(texts)
    if not texts:
        raise DataError("there is no text to predict: the list is empty")
    for position, text in enumerate(texts):
        if not isinstance(text, str | None):
            raise DataError(
                f"text {position} is a {type(text).__name__}; a str is expected, or None where a text is missing"
            )
    return [text or "" for text in texts]


def texts_data(path, config, feature_dims, texts, ids=None, what="number"):
    """The data set of texts alone, as a run's network reads it; every other modality is missing.

    Args:
        path: the file that describes the run or the export.
        config: `RecipeConfig` of the run.
        feature_dims: dict from modality to width, the network's.
        texts: list of str.
        ids: list of str, or None: numbers from 0.
        what: str. What the ids are, for the warning about texts that are empty.

    Returns:
        `Dataset` with one split, `all`. Its report says what is missing and what was cut.

    Raises:
        DataError: the network does not read texts, or there is no token in any of them.
    """
    check_reads_text(feature_dims, Path(path).parent)
    # Of objects: an array of str has the longest text's place for each, and ends a text at its last NUL.
    raw_text = np.empty(len(texts), object)
    raw_text[:] = texts
    dataset = Dataset({"all": Split.from_arrays(raw_text=raw_text, ids=ids)})
    dataset = with_tokens(config, dataset, Path(path).parent)
    split = dataset["all"]
    empty = np.flatnonzero(split.lengths["text"] == 0)
    if len(empty) == len(split):
        told = "the text is empty" if len(split) == 1 else f"all {len(split)} texts are empty"
        raise DataError(f"{told}: there is nothing to predict")
    dataset = with_modalities(feature_dims, dataset, tell_lacking=False)
    if len(empty):
        named = listing(split.ids[empty[:_NAMED]]) + (", ..." if len(empty) > _NAMED else "")
        dataset.report.warn(
            f"{len(empty)} of {len(split)} texts are empty ({what} {named}): their predictions say nothing"
        )
    return dataset


def _looks_like_a_path(text):
    return bool(re.search(r"\.\w{1,6}$", text) or (not re.search(r"\s", text) and re.search(r"[/\\]", text)))
