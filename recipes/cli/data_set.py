"""The data set that a command is about."""

import functools

from plumkeras.data_pipelines import with_validation
from plumkeras.data_pipelines.loading import open_data
from plumkeras.recipes.cli.parsing import UsageError, check_max_bytes, say, warn
from plumkeras.recipes.models import is_synthetic
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.protocol import prepare
from plumkeras.recipes.synthetic import generate


def for_run(directory, data, split=None, max_bytes=None, tell=say, measured=False):
    """What to put to a run or an export: the data set with one split, and what is known of it.

    Of the run of a fold, and a file with folds, the split is the part of the file that `split` names, and a line says
    what it is.

    Args:
        directory: path of the run or the export.
        data: path of the feature file, or None: the run's own data.
        split: name of the split, or None: `test`, or the only one there is.
        max_bytes: int or None, as in `load`.
        tell: callable that prints a line.
        measured: whether the labels are needed, and so read as those that the network learned.

    Returns:
        `Dataset`, the name of its split, what is said of the network, and whether the data are the run's own.
    """
    from plumkeras.recipes.runs.network_data import description_path, split_for

    path = description_path(directory)
    described, recipe = run_directory.read_network(path), run_directory.read_config(path)
    loaded, is_own = load_for(path, recipe, data, max_bytes, tell, measured)
    dataset, name, told = split_for(path, recipe, described["feature_dims"], loaded, split)
    if told is not None:
        (warn if split == "all" else tell)(told)
    return dataset, name, described, is_own


def load_for(path, recipe, data, max_bytes=None, tell=say, measured=False):
    """The data set to put to a run: of a file, or the run's own, which a line says; and whether it is the run's own.

    Args:
        path: the file that describes the run.
        recipe: `RecipeConfig` of the run.
        data, max_bytes, tell, measured: as in `for_run`.
    """
    from plumkeras.recipes.runs.own_data import is_own, own_data, read_to_measure

    if data is not None:
        read = functools.partial(load_path, data, max_bytes)
        loaded = read_to_measure(path, recipe, read) if measured else read(**recipe.label_options)
        return loaded, is_own(path, recipe, loaded)
    loaded = own_data(path, recipe, "--data PATH", lambda source: load_path(source, max_bytes, **recipe.label_options))
    if loaded.path is None:
        tell("Data: generated as for the run")
    else:
        tell(f"Data: {loaded.path}, the run's own (same SHA-256)")
    return loaded, True


def read_for_training(path, recipe, max_bytes=None):
    """The data set as the recipe trains on it, with `valid` carved from `train` where it asks for that."""
    return with_validation(prepare(recipe, _load(path, recipe, max_bytes)), recipe.validation_fraction)


def _load(path, recipe, max_bytes):
    """The file's data set, or the one that the recipe generates."""
    if path is None and is_synthetic(recipe):
        return generate(recipe.synthetic)[0]
    if path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return load_path(path, max_bytes, **recipe.label_options)


def load_path(path, max_bytes=None, **label_options):
    """The data set of a path, see `data_pipelines.loading.open_data`."""
    check_max_bytes(max_bytes)
    return open_data(path, max_bytes=max_bytes, **label_options)
