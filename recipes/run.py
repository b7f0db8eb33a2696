"""A finished run, or an export of one: its configuration and its network, ready to predict."""

import warnings
from pathlib import Path

import numpy as np

from plumkeras.backends import check_backend
from plumkeras.data_pipelines import Dataset, Split, load, normalize_samples, with_validation
from plumkeras.data_pipelines.fingerprint import DriftWarning, drift
from plumkeras.features import complete_inputs
from plumkeras.recipes import checks, exported, fold_runs, predictions, run_directory
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.protocol import prepare


class DataWarning(UserWarning):
    """Data that can be predicted, but about which something is suspicious or missing."""


class Run:
    """What `load_run` returns.

    Attributes:
        directory: Path of the run.
        config: `RecipeConfig`, as resolved when the run was trained.
        network: the trained `PLUMNet`.
        fingerprint: dict, what the training features look like; or `None`, of a run of an earlier version.
    """

    def __init__(self, directory, config, network, fingerprint=None):
        self.directory, self.config, self.network = Path(directory), config, network
        self.fingerprint = fingerprint

    def predict(self, data, split=None, batch_size=256, max_bytes=None):
        """Predicts new samples.

        Args:
            data: the path of a feature file, a `Dataset`, or a dict of arrays: per modality `<modality>` `[N, T, F]`
                (or `[N, F]`, one frame each) and `<modality>_length` `[N]` (by default every frame counts). A modality
                that the dict lacks is missing for every sample, with a warning.
            split: name of the split of a file or `Dataset`. By default `test`, or the only one there is. The run of a
                fold has `train`, `valid`, `test` and `all` of a file with folds.
            batch_size: int. Defaults to `256`.
            max_bytes: int. As in `plumkeras.data_pipelines.load`, for a path.

        Returns:
            Dict of arrays with the network's outputs, in order: `prediction`, `text_soft_label`, ...

        Raises:
            DataError: the data cannot be read, lack the split or every modality, or have another width.

        Warns:
            DataWarning: what loading cleaned and found; a modality that is absent, and so missing for every sample.
            DriftWarning: the features are not such as the network was trained on; see `drift`.
            FoldWarning: of a file with folds, the fold that was left out is predicted by default, and in `all` are
                samples that the network was trained on.
        """
        if isinstance(data, dict):
            return self._predict_split(self._dataset_of(data), "all", batch_size)
        if not isinstance(data, Dataset):
            data = load(data, label_range=self.config.label_range, max_bytes=max_bytes)
        path = description_path(self.directory)
        dataset, name, told = split_for(path, self.config, self.network.feature_dims, data, split)
        fold_runs.warn_of_part(told, split)
        return self._predict_split(dataset, name, batch_size)

    def drift(self, split):
        """What says that a split's features are not such as the network was trained on: a list of sentences."""
        return [] if self.fingerprint is None else drift(self.fingerprint, split)

    def _predict_split(self, dataset, name, batch_size):
        for sentence in dataset.report.warnings:
            warnings.warn(sentence, DataWarning, stacklevel=3)
        for sentence in self.drift(dataset[name]):
            warnings.warn(sentence, DriftWarning, stacklevel=3)
        return predictions.predict_split(self.network, dataset[name], batch_size)

    def _dataset_of(self, arrays):
        complete = complete_inputs(arrays, self.network.feature_dims, may_be_absent=True)
        features = {m: complete[m] for m in self.network.modalities}
        lengths = {m: complete[f"{m}_length"] for m in self.network.modalities}
        ids = np.arange(len(next(iter(features.values())))).astype(str)
        split = Dataset({"all": Split(ids, features, lengths)})["all"]
        split = normalize_samples(split, [m for m in self.config.sample_norm if m in features])
        return checks.with_modalities(self.network.feature_dims, Dataset({"all": split}))


class ExportedRun(Run):
    """What `load_run` returns of an export: predictions by the SavedModel, with the outputs of its `explain` signature.

    Attributes:
        directory: Path of the version.
        config: `RecipeConfig` of the run that was exported.
        network: `plumkeras.recipes.exported.ExportedNetwork`.
        fingerprint: dict or `None`.
    """


def description_path(directory):
    """The file that describes a run or an export: its recipe, its network and its data.

    Raises:
        ConfigError: the directory holds neither a finished run nor an export.
    """
    version = exported.find_version(directory)
    if version is not None:
        return exported.metadata_path(version)
    checks.check_run(directory)
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
    dataset, told = fold_runs.fold_part(path, prepare(config, dataset), split)
    if split in ("train", "valid"):
        dataset = with_validation(dataset, config.validation_fraction)
    name = checks.choose_split(dataset, split)
    # The other splits are not predicted, and what is missing there is nobody's concern.
    return checks.with_modalities(feature_dims, dataset.replace({name: dataset[name]})), name, told


def load_run(directory):
    """Loads a run directory that `plumkeras train` wrote, or an export that `plumkeras export` made of it.

    A run is its `network.keras`, which runs no code when it is loaded (Keras's safe mode). An export is a SavedModel,
    and that is code: its graph can read and write files. Load exports of people you trust only.

    Args:
        directory: the path; of an export that of a version, or of the directory that holds them, for the newest.
            A directory that holds a run is loaded as a run, whatever else is in it.

    Returns:
        `Run`, or `ExportedRun`.

    Raises:
        ConfigError: there is no finished run and no export, or one of the files cannot be read.
    """
    version = exported.find_version(directory)
    if version is not None:
        return ExportedRun(version, *exported.read_export(version))
    checks.check_run(directory)
    config = run_directory.read_config(Path(directory) / run_directory.CONFIG)
    known = run_directory.read_fingerprint(Path(directory) / run_directory.FINGERPRINT)
    check_backend()
    import keras

    from plumkeras.devices import check_precision
    from plumkeras.plum_net import PLUMNet

    path = Path(directory) / run_directory.NETWORK
    try:
        check_precision(config.precision)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        network = keras.saving.load_model(path, compile=False, safe_mode=True, custom_objects={"PLUMNet": PLUMNet})
    except Exception as error:
        told = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: cannot be loaded: {type(error).__name__}: {told}") from error
    return Run(directory, config, network, known)
