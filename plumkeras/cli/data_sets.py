"""The data set that a command is about."""

from plumkeras.cli.words import UsageError, check_max_bytes
from plumkeras.data_pipelines import load, open_shards, tfrecord
from plumkeras.recipes import run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig
from plumkeras.recipes.protocol import prepare
from plumkeras.recipes.synthetic import generate


def for_run(directory, data, max_bytes=None):
    """The data set to put to a run or an export, checked against its network, and what is said of the network."""
    from plumkeras.recipes.checks import check_widths
    from plumkeras.recipes.run import description_path

    path = description_path(directory)
    described = run_directory.read_network(path)
    dataset = read(data, run_directory.read_config(path), max_bytes)
    check_widths(described["feature_dims"], dataset)
    return dataset, described


def read(path, recipe, max_bytes=None):
    """The file's data set, or the one that the recipe generates, as the recipe uses it."""
    if path is None and isinstance(recipe, SyntheticRecipeConfig):
        return generate(recipe.synthetic)[0]
    if path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return prepare(recipe, load_path(path, recipe.label_range, max_bytes))


def load_path(path, label_range=None, max_bytes=None):
    """The data set of a path; of shards, which may be larger than memory, the features stay in their files."""
    check_max_bytes(max_bytes)
    return (open_shards if tfrecord.matches(path) else load)(path, label_range=label_range, max_bytes=max_bytes)
