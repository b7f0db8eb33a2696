"""The data set that a command is about."""

from plumkeras.cli.words import UsageError, check_max_bytes, say, warn
from plumkeras.data_pipelines import load, open_shards, tfrecord, with_validation
from plumkeras.recipes import run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig
from plumkeras.recipes.protocol import prepare
from plumkeras.recipes.synthetic import generate


def for_run(directory, data, split=None, max_bytes=None):
    """What to put to a run or an export: the data set with one split, its name, and what is said of the network.

    Of the run of a fold, and a file with folds, the split is the part of the file that `split` names, and a line says
    what it is.

    Args:
        directory: path of the run or the export.
        data: path of the feature file, or None.
        split: name of the split, or None: `test`, or the only one there is.
        max_bytes: int or None, as in `load`.
    """
    from plumkeras.recipes.run import description_path, split_for

    path = description_path(directory)
    described, recipe = run_directory.read_network(path), run_directory.read_config(path)
    loaded = _load(data, recipe, max_bytes)
    dataset, name, told = split_for(path, recipe, described["feature_dims"], loaded, split)
    if told is not None:
        (warn if split == "all" else say)(told)
    return dataset, name, described


def read_for_training(path, recipe, max_bytes=None):
    """The data set as the recipe trains on it, with `valid` carved from `train` where it asks for that."""
    return with_validation(prepare(recipe, _load(path, recipe, max_bytes)), recipe.validation_fraction)


def _load(path, recipe, max_bytes):
    """The file's data set, or the one that the recipe generates."""
    if path is None and isinstance(recipe, SyntheticRecipeConfig):
        return generate(recipe.synthetic)[0]
    if path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return load_path(path, recipe.label_range, max_bytes)


def load_path(path, label_range=None, max_bytes=None):
    """The data set of a path; of shards, which may be larger than memory, the features stay in their files."""
    check_max_bytes(max_bytes)
    return (open_shards if tfrecord.matches(path) else load)(path, label_range=label_range, max_bytes=max_bytes)
