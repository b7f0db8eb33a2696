"""What a run's network is given of a data set: the split, and the modalities that it reads."""

from pathlib import Path

from plumkeras.data_pipelines import with_validation
from plumkeras.recipes.runs import data_checks, fold_runs, output_checks, run_directory
from plumkeras.recipes.runs.packed import is_packed
from plumkeras.recipes.runs.protocol import prepare_splits, with_tokens
from plumkeras.recipes.serving import read_export as exported


def description_path(directory):
    """The file that describes a run, an export or a packed run: its recipe, its network and its data.

    Raises:
        ConfigError: the directory holds none of these, or a run that is not finished.
    """
    version = exported.find_version(directory)
    if version is not None:
        return exported.metadata_path(version)
    if not is_packed(directory):
        output_checks.check_run(directory)
    return Path(directory) / run_directory.CONFIG


def split_for(path, config, feature_dims, dataset, split=None):
    """The one split of a data set that is put to a run or an export, as its network reads it.

    Args:
        path: the file that describes the run or the export.
        config: `RecipeConfig` of the run.
        feature_dims: dict from modality to width, the network's.
        dataset: `Dataset`, as loaded.
        split: name of the split, or None: `test`, or the only one there is.

    Returns:
        `Dataset` with that split alone, the split's name, and a sentence on what it is of a file with folds, or None.

    Raises:
        DataError: there is no such split, a width differs, or the data set has none of the modalities.
    """
    dataset, told = fold_runs.fold_part(path, prepare_splits(config, dataset), split)
    if split in ("train", "valid"):
        dataset = with_validation(dataset, config.validation_fraction)
    name = data_checks.choose_split(dataset, split)
    # The other splits are not predicted, and what is missing there is nobody's concern.
    dataset = with_tokens(config, dataset.replace({name: dataset[name]}), Path(path).parent)
    return data_checks.with_modalities(feature_dims, dataset), name, told
