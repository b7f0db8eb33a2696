"""The data set that a command is about."""

from plumkeras.cli.words import UsageError, check_max_bytes, say, warn
from plumkeras.data_pipelines import load, open_shards, tfrecord, with_validation
from plumkeras.recipes import run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig
from plumkeras.recipes.protocol import prepare, with_splits
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
    from plumkeras.recipes.checks import choose_split, with_modalities
    from plumkeras.recipes.fold_runs import fold_part
    from plumkeras.recipes.run import description_path

    path = description_path(directory)
    described, recipe = run_directory.read_network(path), run_directory.read_config(path)
    dataset, told = fold_part(path, read(data, recipe, max_bytes), split)
    if told is not None:
        (warn if split == "all" else say)(told)
    if split in ("train", "valid"):
        dataset = with_validation(dataset, recipe.validation_fraction)
    name = choose_split(dataset, split)
    dataset = with_modalities(described["feature_dims"], with_splits(dataset, {name: dataset[name]}))
    return dataset, name, described


def read(path, recipe, max_bytes=None):
    """The file's data set, or the one that the recipe generates, as the recipe uses it."""
    if path is None and isinstance(recipe, SyntheticRecipeConfig):
        return generate(recipe.synthetic)[0]
    if path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return prepare(recipe, load_path(path, recipe.label_range, max_bytes))


def read_for_training(path, recipe, max_bytes=None):
    """As `read`, with `valid` carved from `train` where the recipe asks for it."""
    return with_validation(read(path, recipe, max_bytes), recipe.validation_fraction)


def load_path(path, label_range=None, max_bytes=None):
    """The data set of a path; of shards, which may be larger than memory, the features stay in their files."""
    check_max_bytes(max_bytes)
    return (open_shards if tfrecord.matches(path) else load)(path, label_range=label_range, max_bytes=max_bytes)
