"""The run of a fold, put to a file with folds: by default it is measured on the samples that it has not seen."""

import warnings

from plumkeras.data_pipelines import DataError
from plumkeras.recipes.runs import provenance, run_directory
from plumkeras.recipes.runs.protocol import fold_dataset, fold_masks, fold_numbers


class FoldWarning(UserWarning):
    """Predictions are of a part of a file, or of samples that the network was trained on."""


def fold_part(path, dataset, split=None):
    """The part of a file with folds that is asked for, as the run of a fold sees the file.

    Args:
        path: the file that describes the run or the export.
        dataset: `Dataset`.
        split: `test` (the fold that was left out), `valid`, `train`, `all`, or None: `test`.

    Returns:
        `Dataset` that has the split, and a sentence that says what it is. The data set itself and None where the run is
        not that of a fold, or the file has no such folds.

    Raises:
        DataError: there is no such split.
    """
    number = fold_of(path, dataset)
    if number is None:
        return dataset, None
    masks, name = fold_masks(dataset, number), split or "test"
    count = {part: int(mask.sum()) for part, mask in masks.items()}
    where = dataset.path or "the data set"
    if name == "all":
        return dataset, (
            f"{where}: all {len(dataset['all'])} samples, of which the network was trained on {count['train']} and its "
            f"epoch chosen on {count['valid']}; the {count['test']} of fold {number} alone (--split test) are unseen"
        )
    if name not in masks:
        raise DataError(f"{where}: no split {name!r}; for the run of fold {number} it has train, valid, test and all")
    # Only this one: taking samples copies them.
    part = dataset.replace({name: dataset["all"].take(masks[name])})
    roles = {"test": "which was left out", "valid": "on which the epoch was chosen", "train": "trained on"}
    folds = f"fold {number}" if name == "test" else f"for the run of fold {number}"
    return part, f"{where}: {name} is {count[name]} of {len(dataset['all'])} samples, {folds}, {roles[name]}"


def warn_of_part(told, split):
    """Warns of what `fold_part` said, unless the part was asked for by its name.

    Warns:
        FoldWarning
    """
    if told is not None and split in (None, "all"):
        warnings.warn(told, FoldWarning, stacklevel=3)


def fold_of(path, dataset):
    """The number of the fold that a run left out, if the data set has such folds; else `None`."""
    if "all" not in dataset or dataset["all"].folds is None:
        return None
    try:
        numbers = fold_numbers(dataset)
    except DataError:
        return None
    values = run_directory.read_description(path)
    if "fold" in values:
        fold = run_directory.check_fold(values["fold"], path)
        return fold["test"][0] if fold and fold["test"][0] in numbers else None
    # Version 0.1.0 did not keep the number; but the hash is that of the fold's own samples.
    known = values.get("data", {}).get("sha256") if isinstance(values.get("data"), dict) else None
    if known in (None, dataset.sha256):
        return None
    return next((n for n in numbers if provenance.sha256(fold_dataset(dataset, n)) == known), None)
