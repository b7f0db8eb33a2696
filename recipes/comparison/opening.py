"""What a path names, and where its predictions come from: files, or its networks put to another data file."""

import dataclasses
import functools
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import Dataset
from plumkeras.recipes.comparison.samples import Samples, read_samples
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import cross_validation, fold_evaluation, predictions, run_directory
from plumkeras.recipes.runs.data_checks import check_labels
from plumkeras.recipes.runs.network_data import description_path, split_for
from plumkeras.recipes.runs.own_data import is_own, read_to_measure
from plumkeras.recipes.runs.run import DataWarning, load_run
from plumkeras.recipes.runs.run_directory import EXPERIMENT, REFERENCE, SEEDS
from plumkeras.recipes.runs.seed_training import seed_directory
from plumkeras.recipes.serving import read_export as exported
from plumkeras.tasks import get_task


@dataclasses.dataclass(frozen=True)
class Opened:
    """A run, or the same run with several seeds.

    Attributes:
        directory: Path.
        parts: list of callables, one for each seed, to its `Samples`. Nothing can be wrong any more that could be
            known without a backend.
        data_sha256: str or `None`, of the data that it was trained on.
    """

    directory: Path
    parts: list[Callable]
    data_sha256: str | None


def open_run(directory, read=None, split=None):
    """Opens a run, a cross-validation, several seeds of one, a reference or an export, and checks it.

    Args:
        directory: path.
        read: callable from the keyword arguments of `load` about labels to the `Dataset` to put it to; `None`: the
            predictions that the directory holds are read.
        split: name of the split, or `None`: `test`, or the only one of the data set.

    Returns:
        `Opened`.

    Raises:
        ConfigError, DataError: it holds nothing that can be compared, or does not fit the data.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such directory")
    if (directory / EXPERIMENT).is_file():
        rows = sorted(path.name for path in directory.iterdir() if (path / SEEDS).is_file())
        raise ConfigError(f"{directory}: holds an experiment; name the directories of its rows: {', '.join(rows)}")
    if (directory / SEEDS).is_file():
        return _open_seeds(directory, read, split)
    if exported.find_version(directory) is not None:
        if read is None:
            raise ConfigError(f"{directory}: an export keeps no predictions; name a file to put it to by --data PATH")
        description = run_directory.read_description(description_path(directory))
    else:
        name = REFERENCE if (directory / REFERENCE).is_file() else run_directory.CONFIG
        if not (directory / name).is_file():
            raise ConfigError(f"{directory}: holds no run, cross-validation, seeds, search or export")
        description = run_directory.read_description(directory / name)
    return Opened(directory, [_part(directory, read, split)], _sha256(description))


def _open_seeds(directory, read, split):
    description = run_directory.read_description(directory / SEEDS)
    seeds = description.get("seeds")
    if not isinstance(seeds, list) or not seeds or not all(type(seed) is int for seed in seeds):
        raise ConfigError(f"{directory / SEEDS}: field seeds must be a list of numbers. Received: {seeds!r:.80}")
    parts = [_part(seed_directory(directory, seed), read, split) for seed in seeds]
    return Opened(directory, parts, _sha256(description))


def _sha256(description):
    data = description.get("data")
    return data.get("sha256") if isinstance(data, dict) else None


def _part(directory, read, split):
    if read is None:
        # Read here and now: what is wrong with it is known then.
        samples = read_samples(directory, split or "test")
        return lambda: samples
    if (directory / REFERENCE).is_file():
        raise ConfigError(f"{directory}: a reference has no network to put to other data; leave out --data")
    return (_put_folds if cross_validation.is_cross_validation(directory) else _put)(directory, read, split)


def _put(directory, read, split):
    """As `cli.evaluate` measures a run."""
    path = description_path(directory)
    config, described = run_directory.read_config(path), run_directory.read_network(path)
    loaded = read_to_measure(path, config, read)
    dataset, name, told = split_for(path, config, described["feature_dims"], loaded, split)
    check_labels(described, dataset, name)
    _warn(directory, [*([told] if told else []), *dataset.report.warnings])

    def predict():
        outputs = predictions.predict_split(load_run(directory).network, dataset[name])
        return _samples(directory, name, dataset, [dataset[name]], outputs["prediction"])

    return predict


def _put_folds(directory, read, split):
    """As `fold_evaluation.evaluate_folds` measures a cross-validation."""
    cross = cross_validation.CrossValidation(directory, load_run)
    path = directory / run_directory.CONFIG
    loaded = read_to_measure(path, cross.config, read)
    pooled = is_own(path, cross.config, loaded)
    parts, name = fold_evaluation.fold_parts(cross, loaded, split, pooled)
    fold_evaluation.check_parts(cross, parts, name)
    _warn(directory, [sentence for part in parts.values() for sentence in part.report.warnings])

    def predict():
        outputs = fold_evaluation.predict_folds(cross, parts, name)
        first = next(iter(parts.values()))
        if not pooled:
            mean = predictions.mean_outputs(list(outputs.values()))
            return _samples(directory, name, first, [first[name]], mean["prediction"])
        predicted = np.concatenate([one["prediction"] for one in outputs.values()])
        return _samples(directory, name, first, [part[name] for part in parts.values()], predicted)

    return predict


def _samples(directory, name, dataset, splits, predicted):
    task, names = get_task(dataset.task), dataset.label_names
    several = task.label_axes > 1
    if several and names is None:
        names = list(map(str, range(dataset.num_classes)))
    groups = None
    if all(split.groups is not None for split in splits):
        groups = np.concatenate([split.groups for split in splits])
    return Samples(
        directory,
        name,
        dataset.metric_report if task.name == "regression" else task.name,
        np.concatenate([split.ids for split in splits]),
        np.concatenate([split.labels for split in splits]),
        predicted if several else task.decide(predicted),
        list(names) if several else None,
        groups,
    )


def _warn(directory, sentences):
    for sentence in dict.fromkeys(sentences):
        warnings.warn(f"{directory}: {sentence}", DataWarning, stacklevel=2)


def reader(load, data):
    """What reads the data file once for runs that read its labels alike.

    Args:
        load: callable from a path and keyword arguments about labels to a `Dataset`.
        data: path, or a `Dataset`.
    """
    if isinstance(data, Dataset):
        return lambda **options: data

    @functools.cache
    def read(**options):
        return load(data, **options)

    return read
