"""The data set that a command is about."""

import sys
from pathlib import Path

from plumkeras.cli.words import UsageError
from plumkeras.data_pipelines import load, open_shards, tfrecord
from plumkeras.recipes import run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig, read_json
from plumkeras.recipes.protocol import prepare
from plumkeras.recipes.synthetic import generate


def for_run(directory, data):
    """The data set to put to a run or an export, checked against its network, and what is said of the network."""
    from plumkeras.recipes.checks import check_widths
    from plumkeras.recipes.run import description_path

    path = description_path(directory)
    described = run_directory.read_network(path)
    recipe = run_directory.read_config(path)
    if data is None and not isinstance(recipe, SyntheticRecipeConfig):
        dataset = _own_data(path, recipe)
    else:
        dataset = read(data, recipe)
    check_widths(described["feature_dims"], dataset)
    return dataset, described


def _own_data(path, recipe):
    """The data that a run was trained on, where they are still what they were; a line says which.

    Raises:
        UsageError: they are not there, have changed, or were not read from a file.
    """
    values = read_json(path).get("data")
    known = values if isinstance(values, dict) else {}
    where = known.get("path")
    if not isinstance(where, str) or not Path(where).exists():
        gone = f"its own data, {where}, are no longer there" if where else "it does not say which data are its own"
        raise UsageError(f"{path}: {gone}; give --data PATH, a feature file")
    dataset = read(where, recipe)
    # Of a file with folds, the hash of a fold's run is that of its samples.
    if run_directory.sha256(dataset) != known.get("sha256"):
        raise UsageError(
            f"{where}: is not what {path} was trained on (another SHA-256); give it by --data all the same"
        )
    # Not on standard output, which may be read by a program.
    print(f"Data: {where}, the run's own (same SHA-256)", file=sys.stderr)
    return dataset


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
