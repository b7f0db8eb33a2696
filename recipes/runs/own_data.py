"""The data that a run was trained on, as long as they are where they were and what they were."""

from pathlib import Path

from plumkeras.data_pipelines import DataError, Dataset, load, with_validation
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.models import is_synthetic
from plumkeras.recipes.runs import fold_runs, provenance, run_directory
from plumkeras.recipes.runs.protocol import fold_dataset, prepare
from plumkeras.recipes.synthetic import generate


def own_data(path, config, instead="`data`", read=None):
    """The data set that a run was trained on, read again.

    Args:
        path: the file that describes the run or the export.
        config: `RecipeConfig` of the run.
        instead: what to give where the data are gone, for the message.
        read: callable from the path of the data to their `Dataset`, or None: `load`.

    Returns:
        `Dataset`, as loaded or generated.

    Raises:
        ConfigError: they were in memory, are not there any more, or have changed; or an export tells only their name.
    """
    source = _known(path).get("path")
    if source is None and is_synthetic(config):
        return generate(config.synthetic)[0]
    if not isinstance(source, str):
        raise ConfigError(f"{path}: names no file of data, as of a run on data in memory; give {instead}")
    if not Path(source).is_absolute():
        raise ConfigError(f"{path}: an export keeps only the name of its run's data, {source}; give {instead}")
    if not Path(source).exists():
        raise ConfigError(f"{path}: its data are not at {source} any more; give {instead}")
    dataset = load(source, **config.label_options) if read is None else read(source)
    if not is_own(path, config, dataset):
        raise ConfigError(
            f"{path}: {source} has changed since the run was trained on it (another SHA-256); give {instead}"
        )
    return dataset


def is_own(path, config, dataset) -> bool:
    """Whether a run was trained on this data set, by the SHA-256 in the file that describes the run."""
    known = _known(path).get("sha256")
    try:
        trained = prepare(config, dataset, Path(path).parent)
        number = fold_runs.fold_of(path, trained)
        if number is not None:
            trained = fold_dataset(trained, number)
        elif dataset.sha256 is None:
            # Known by its samples, as the recipe divides them.
            trained = with_validation(trained, config.validation_fraction)
    except DataError:
        return False  # Without the context, say, that the run's own data had.
    return provenance.sha256(trained) == known


def _known(path):
    known = run_directory.read_description(path).get("data")
    return known if isinstance(known, dict) else {}


def read_to_measure(path, config, read) -> Dataset:
    """Another file that a run is measured on. Labels that could be meant otherwise are read as those it has learned.

    Args:
        path: the file that describes the run.
        config: `BaseRecipeConfig` of the run.
        read: callable from the keyword arguments of `data_pipelines.load` about labels to the `Dataset`.
    """
    dataset, learned = read(**config.label_options), run_directory.read_network(path)["task"]
    if dataset.task_is_guessed and dataset.task != learned:
        return read(**{**config.label_options, "task": learned})
    return dataset
