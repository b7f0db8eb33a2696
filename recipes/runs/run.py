"""A finished run, or an export of one: its configuration and its network, ready to predict."""

import functools
import html
import os
import warnings
from pathlib import Path

from plumkeras.backends import check_backend
from plumkeras.data_pipelines import Dataset, Split, load
from plumkeras.data_pipelines.inspection.fingerprint import DriftWarning, drift
from plumkeras.data_pipelines.schema.dataset import html_table
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.models import find_model, network_class
from plumkeras.recipes.runs import cross_validation, data_checks, fold_runs, output_checks, predictions, run_directory
from plumkeras.recipes.runs.array_data import arrays_data
from plumkeras.recipes.runs.network_data import description_path, split_for
from plumkeras.recipes.runs.own_data import own_data, read_to_measure
from plumkeras.recipes.runs.packed import is_packed, read_packed
from plumkeras.recipes.runs.seed_runs import SeedRuns, holds_seeds
from plumkeras.recipes.runs.texts import as_texts, texts_data
from plumkeras.recipes.serving import read_export as exported
from plumkeras.recipes.views import terminal
from plumkeras.recipes.views.terminal import metric_rows, short_metrics
from plumkeras.tasks import get_task


class DataWarning(UserWarning):
    """Data that can be predicted, but about which something is suspicious or missing."""


# What `Run.embeddings` gives of each modality.
EMBEDDINGS = ("aligned_embedding", "aligned_common", "common_embedding", "private_embedding", "refined_embedding")


class Run:
    """A finished run: what `train` and `load_run` return.

    Attributes:
        directory: Path of the run.
        config: `RecipeConfig`, as resolved when the run was trained.
        network: the trained network, a `MultimodalNetwork`.
        fingerprint: dict, what the training features look like; or `None`, of a run of an earlier version.
        data: `Dataset` that the run was trained on, where `train` has just returned it, else `None`.
    """

    # Keeps the temporary directory of a run that was given none.
    scratch = None
    data = None

    def __init__(self, directory, config, network, fingerprint=None):
        self.directory, self.config, self.network = Path(directory), config, network
        self.fingerprint = fingerprint

    @property
    def metrics(self) -> dict:
        """What `metrics.json` holds: the metrics of `valid` and of `test` (None where it was not measured)."""
        return run_directory.read_metrics(self.directory / run_directory.METRICS)

    @property
    def class_names(self) -> list[str]:
        """Names of the classes `0..C-1`, of labels and of prototype labels."""
        names = run_directory.read_network(description_path(self.directory))["label_names"]
        scheme = self.config.label_classes
        return get_task(self.network.task).class_names(self.network.num_classes, scheme, names)

    @property
    def history(self) -> dict:
        """Dict by stage of dicts of float arrays `[epochs]`, by quantity."""
        found = {stage: run_directory.read_history(self.directory, stage) for stage in self.config.STAGES}
        return {stage: history for stage, history in found.items() if history}

    def __repr__(self):
        return f"<{type(self).__name__} {self.config.name}, seed {self.config.seed}: {self._told()}>"

    def _repr_html_(self):
        rows, convention = metric_rows(self._measured(), self.network.task)
        table = html_table(f"Run {self.config.name}, seed {self.config.seed}", [["", *self._measured()], *rows])
        return f"{table}<p><small>{html.escape(convention)}</small></p>"

    def _measured(self):
        return {name: self.metrics[name] for name in ("valid", "test") if self.metrics.get(name)}

    def _told(self):
        """The first two metrics of the last split measured."""
        name, report = list(self._measured().items())[-1]
        return f"{name} {short_metrics(report)}"

    def summary(self):
        """Prints what was trained on what, and the metrics with their conventions and numbers of samples."""
        terminal.print_run(self)

    def evaluate(self, data=None, split=None) -> dict:
        """Measures the run.

        Args:
            data: the path of a feature file, a `Dataset` or a `Split`, with labels. None: what the run was trained on.
            split: name of the split. By default `test`, or the only one there is.

        Returns:
            Dict, as `metrics.sentiment_report`, `sims_report`, `regression_report`, `classification_report` or
            `multilabel_report`, by the task and the data set's `metric_report`.

        Raises:
            DataError: as `predict`; or the samples have no labels, or those of another task.
            ConfigError: the run's own data are not there any more, or have changed.
        """
        dataset, name = self._prepared(self._own_data() if data is None else data, split, measured=True)
        described = run_directory.read_network(description_path(self.directory))
        data_checks.check_labels(described, dataset, name)
        return predictions.report(dataset, dataset[name].labels, self._predict_split(dataset, name, 256)["prediction"])

    def embeddings(self, data=None, split=None) -> dict:
        """Vectors of each modality, for plots and probes.

        Args:
            data, split: as in `predict`; no data: what the run was trained on.

        Returns:
            Dict by modality of dicts of float32 `[N, d]`: `aligned_embedding`, `aligned_common`, `common_embedding`,
            `private_embedding`, `refined_embedding`, as far as the network's modules give them. Zero where a sample
            lacks the modality.
        """
        outputs = self.predict(self._own_data() if data is None else data, split)
        return {
            m: {name: outputs[f"{m}_{name}"] for name in EMBEDDINGS if f"{m}_{name}" in outputs}
            for m in self.network.modalities
        }

    def _own_data(self):
        """The data set that the run was trained on."""
        if self.data is not None:
            return self.data
        return own_data(description_path(self.directory), self.config)

    def predict(self, data, split=None, batch_size=256, max_bytes=None):
        """Predicts new samples.

        Args:
            data: the path of a feature file, a `Dataset`, a `Split`, or a dict of arrays: per modality `<modality>`
                `[N, T, F]`, `[N, F]` (one frame each) or a list of `[T, F]`, and `<modality>_length` `[N]` (by default
                every frame counts). A modality that the dict lacks is missing for every sample, with a warning.
                A network with a text encoder also takes a text or a list of texts (None: it is missing), and in a dict
                `raw_text`, or `text_ids` `[N, T]` and `text_length`. A str that is no text but the path of a file is
                one that is there, ends as a file's name does, or has slashes and no space.
            split: name of the split of a file or `Dataset`. By default `test`, or the only one there is. The run of a
                fold has `train`, `valid`, `test` and `all` of a file with folds.
            batch_size: int. Defaults to `256`.
            max_bytes: int. As in `plumkeras.data_pipelines.load`, for a path.

        Returns:
            Dict of arrays with the network's outputs, in order: `prediction`, `text_soft_label`, ...

        Raises:
            DataError: the data cannot be read, lack the split or every modality, or have another width; or they are
                texts, and the network reads none, or all are empty.

        Warns:
            DataWarning: what loading cleaned and found; a modality that is absent, and so missing for every sample.
            DriftWarning: the features are not such as the network was trained on; see `drift`.
            FoldWarning: of a file with folds, the fold that was left out is predicted by default, and in `all` are
                samples that the network was trained on.
        """
        texts = as_texts(data, self.network.feature_dims)
        if texts is not None:
            path = description_path(self.directory)
            dataset = texts_data(path, self.config, self.network.feature_dims, texts)
            return self._predict_split(dataset, "all", batch_size, with_drift=False)
        dataset, name = self._prepared(data, split, max_bytes)
        return self._predict_split(dataset, name, batch_size)

    def _prepared(self, data, split, max_bytes=None, measured=False):
        """The data as the network reads them: a data set with one split, and its name."""
        path = description_path(self.directory)
        if isinstance(data, dict):
            return arrays_data(data, self.config, self.network, path.parent), "all"
        if isinstance(data, Split):
            known = run_directory.read_description(path).get("data") or {}
            label_range = self.config.label_range or known.get("label_range")
            options = {"label_names": known.get("label_names"), "metric_report": known.get("metric_report")}
            data = Dataset({"all": data}, label_range=label_range, **options)
        if not isinstance(data, Dataset):
            read = functools.partial(load, data, max_bytes=max_bytes)
            data = read_to_measure(path, self.config, read) if measured else read(**self.config.label_options)
        dataset, name, told = split_for(path, self.config, self.network.feature_dims, data, split)
        fold_runs.warn_of_part(told, split)
        return dataset, name

    def drift(self, split):
        """What says that a split's features are not such as the network was trained on: a list of sentences."""
        return [] if self.fingerprint is None else drift(self.fingerprint, split)

    def _predict_split(self, dataset, name, batch_size, with_drift=True):
        for sentence in dataset.report.warnings:
            warnings.warn(sentence, DataWarning, stacklevel=3)
        for sentence in self.drift(dataset[name]) if with_drift else ():
            warnings.warn(sentence, DriftWarning, stacklevel=3)
        return predictions.predict_split(self.network, dataset[name], batch_size)


class ExportedRun(Run):
    """What `load_run` returns of an export: predictions by the SavedModel, with the outputs of its `explain` signature.

    Attributes:
        directory: Path of the version.
        config: `RecipeConfig` of the run that was exported.
        network: `plumkeras.recipes.serving.read_export.ExportedNetwork`.
        fingerprint: dict or `None`.
    """

    history = {}  # noqa: RUF012 -- an export keeps none, and it is never written to

    @property
    def metrics(self) -> dict:
        """The metrics of the run that was exported, by split."""
        return run_directory.read_description(exported.metadata_path(self.directory)).get("metrics", {})


def load_run(directory: str | os.PathLike) -> "Run | cross_validation.CrossValidation | SeedRuns":
    """Loads a run directory that `plumkeras train` wrote, or what `plumkeras export` or `pack_run` made of it.

    A run is its `network.keras`, which runs no code when it is loaded (Keras's safe mode). An export is a SavedModel,
    and that is code: its graph can read and write files. Load exports of people you trust only.

    Args:
        directory: the path; of an export that of a version, or of the directory that holds them, for the newest.
            A directory that holds a run is loaded as a run, whatever else is in it.

    Returns:
        `Run`, `ExportedRun`; of a cross-validated directory `CrossValidation`, of one with several seeds `SeedRuns`.

    Raises:
        ConfigError: there is no finished run and no export, or one of the files cannot be read.
    """
    version = exported.find_version(directory)
    if version is not None:
        return ExportedRun(version, *exported.read_export(version))
    if holds_seeds(directory):
        return SeedRuns(directory, load_run)
    if cross_validation.is_cross_validation(directory):
        return cross_validation.CrossValidation(directory, load_run)
    if not is_packed(directory):
        output_checks.check_run(directory)
    config = run_directory.read_config(Path(directory) / run_directory.CONFIG)
    known = run_directory.read_fingerprint(Path(directory) / run_directory.FINGERPRINT)
    check_backend()
    if is_packed(directory):
        return Run(directory, config, read_packed(directory), known)
    import keras

    from plumkeras.devices import check_precision

    path, model = Path(directory) / run_directory.NETWORK, find_model(config.model)
    try:
        check_precision(config.precision)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    try:
        classes = {model.NETWORK: network_class(model.NAME)}
        network = keras.saving.load_model(path, compile=False, safe_mode=True, custom_objects=classes)
    except Exception as error:
        told = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: cannot be loaded: {type(error).__name__}: {told}") from error
    return Run(directory, config, network, known)
