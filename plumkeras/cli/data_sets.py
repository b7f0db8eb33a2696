"""The data set that a command is about."""

from plumkeras.cli.words import UsageError, say, warn
from plumkeras.data_pipelines import load, open_shards, tfrecord
from plumkeras.recipes import run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig
from plumkeras.recipes.protocol import prepare
from plumkeras.recipes.synthetic import generate


def for_run(directory, data, split):
    """The data set to put to a run or an export, checked against its network, and what is said of the network.

    Of the run of a fold, and a file with folds, that is the part that `split` names, and a line says what it is.
    """
    from plumkeras.recipes.checks import check_widths
    from plumkeras.recipes.fold_runs import fold_part
    from plumkeras.recipes.run import description_path

    path = description_path(directory)
    described = run_directory.read_network(path)
    dataset = read(data, run_directory.read_config(path))
    check_widths(described["feature_dims"], dataset)
    dataset, told = fold_part(path, dataset, split)
    if told is not None:
        (warn if split == "all" else say)(told)
    return dataset, described


def read(path, recipe):
    """The file's data set, or the one that the recipe generates, as the recipe uses it."""
    if path is None and isinstance(recipe, SyntheticRecipeConfig):
        return generate(recipe.synthetic)[0]
    if path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return prepare(recipe, load_path(path, recipe.label_range))


def load_path(path, label_range=None):
    """The data set of a path; of shards, which may be larger than memory, the features stay in their files."""
    return (open_shards if tfrecord.matches(path) else load)(path, label_range=label_range)
