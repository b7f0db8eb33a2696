"""A finished run, or an export of one: its configuration and its network, ready to predict."""

import warnings
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import DataError, Dataset, Split, cleaning, load, normalize_samples
from plumkeras.data_pipelines.fingerprint import DriftWarning, drift
from plumkeras.recipes import checks, exported, predictions, run_directory
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.protocol import prepare


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
                (or `[N, F]`, one frame each) and `<modality>_length` `[N]` (by default every frame counts).
            split: name of the split of a file or `Dataset`. By default `test`, or the only one there is.
            batch_size: int. Defaults to `256`.
            max_bytes: int. As in `plumkeras.data_pipelines.load`, for a path.

        Returns:
            Dict of arrays with the network's outputs, in order: `prediction`, `text_soft_label`, ...

        Raises:
            DataError: the data cannot be read, or lack a modality, a width or the split.

        Warns:
            DriftWarning: the features are not such as the network was trained on; see `drift`.
        """
        if isinstance(data, dict):
            return self._predict_split(self._split_of(data), batch_size)
        if not isinstance(data, Dataset):
            data = load(data, label_range=self.config.label_range, max_bytes=max_bytes)
        dataset = prepare(self.config, data)
        checks.check_widths(self.network.feature_dims, dataset)
        chosen = dataset.split(checks.choose_split(dataset, split))
        return self._predict_split(chosen, batch_size)

    def drift(self, split):
        """What says that a split's features are not such as the network was trained on: a list of sentences."""
        return [] if self.fingerprint is None else drift(self.fingerprint, split)

    def _predict_split(self, split, batch_size):
        for sentence in self.drift(split):
            warnings.warn(sentence, DriftWarning, stacklevel=3)
        return predictions.predict_split(self.network, split, batch_size)

    def _split_of(self, arrays):
        for name in arrays:
            m = next((m for m in self.network.modalities if str(name).startswith(f"{m}_")), None)
            if m and name != f"{m}_length":
                raise DataError(f"the dict of arrays has {name!r}; the lengths of {m} are named '{m}_length'")
        features, lengths = {}, {}
        for m, width in self.network.feature_dims.items():
            if m not in arrays:
                raise DataError(f"the dict of arrays has no {m!r}; it has {', '.join(map(str, arrays))}")
            values = np.asarray(arrays[m], dtype="float32")
            if values.ndim == 2:
                values = values[:, None, :]
            if values.ndim != 3 or values.shape[2] != width:
                raise DataError(f"{m} must be [N, T, {width}]. Received: shape={values.shape}")
            features[m], _ = cleaning.clean_array(values)
            lengths[m] = np.asarray(arrays.get(f"{m}_length", np.full(len(values), values.shape[1])))
        ids = np.arange(len(next(iter(features.values())))).astype(str)
        dataset = Dataset({"all": Split(ids, features, lengths)})
        return normalize_samples(dataset["all"], [m for m in self.config.sample_norm if m in features])


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


def load_run(directory):
    """Loads a run directory that `plumkeras train` wrote, or an export that `plumkeras export` made of it.

    Args:
        directory: the path; of an export that of a version, or of the directory that holds them, for the newest.

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
    import keras

    from plumkeras.plum_net import PLUMNet

    path = Path(directory) / run_directory.NETWORK
    try:
        network = keras.saving.load_model(path, compile=False, custom_objects={"PLUMNet": PLUMNet})
    except Exception as error:
        raise ConfigError(f"{path}: cannot be loaded: {type(error).__name__}: {str(error).splitlines()[0]}") from error
    return Run(directory, config, network, known)
