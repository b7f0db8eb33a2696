"""A run or a cross-validation as a task: what any process of an executor can train, given this much."""

import dataclasses
import functools
import json
import os
from collections.abc import Callable
from pathlib import Path

from plumkeras.data_pipelines import Dataset, with_validation
from plumkeras.data_pipelines.loading import open_data
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError
from plumkeras.recipes.models import is_synthetic
from plumkeras.recipes.runs import provenance
from plumkeras.recipes.runs.data_checks import check_dataset
from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers, prepare
from plumkeras.recipes.synthetic import generate


@dataclasses.dataclass(frozen=True)
class DataSource:
    """Where the data of runs are: in a file, in memory, or nowhere, where the recipe generates them.

    Attributes:
        path: the file or folder, or None.
        dataset: `Dataset` in memory, or None.
        max_bytes: as in `data_pipelines.load`.
    """

    path: str | None = None
    dataset: Dataset | None = None
    max_bytes: int | None = None

    def __post_init__(self):
        if self.path is not None:
            # A worker of a cluster may be in another folder.
            object.__setattr__(self, "path", os.path.abspath(self.path))

    def read(self, config: BaseRecipeConfig) -> Dataset:
        """The data set as loaded; a process reads a file once for all recipes that read its labels alike."""
        if self.dataset is not None:
            return self.dataset
        if self.path is None:
            if not is_synthetic(config):
                raise ConfigError(f"recipe {config.name!r} needs data: the path of a feature file, or a Dataset")
            return generate(config.synthetic)[0]
        return _open(self.path, _stamp(self.path), self.max_bytes, json.dumps(config.label_options, sort_keys=True))

    def prepared(self, config: BaseRecipeConfig) -> Dataset:
        """The data set as a recipe trains on it; see `protocol.prepare` and `with_validation`."""
        return with_validation(prepare(config, self.read(config)), config.validation_fraction)


def _stamp(path):
    """What tells that a file, or one of a folder, has changed: sizes and times."""
    files = [path] if not os.path.isdir(path) else sorted(p for p in Path(path).rglob("*") if p.is_file())
    found = [(str(p), os.stat(p)) for p in files if os.path.exists(p)]
    return tuple((name, facts.st_size, facts.st_mtime_ns) for name, facts in found)


@functools.lru_cache(maxsize=1)
def _open(path, stamp, max_bytes, label_options):
    options = json.loads(label_options)
    if options["label_range"] is not None:
        options["label_range"] = tuple(options["label_range"])
    return open_data(path, max_bytes=max_bytes, **options)


@dataclasses.dataclass(frozen=True)
class Job:
    """One training of many.

    Attributes:
        config: the recipe.
        source: its data.
        directory: of the run or cross-validation.
        change: callable from the data set of a run (of each fold) to the one that is trained on, or None.
        init_from: as in `plumkeras.train`.
        callbacks: as in `plumkeras.train`; only of a job that is done in the process that made it.
        sha256: of the data that are meant, or None: whatever the source has.
    """

    config: BaseRecipeConfig
    source: DataSource
    directory: Path
    change: Callable | None = None
    init_from: str | None = None
    callbacks: object = None
    sha256: str | None = None


def check_trainable(config: BaseRecipeConfig, dataset: Dataset) -> list[int]:
    """Raises as `check_dataset` unless every fold, or the data set, can be trained on; the numbers of the folds."""
    numbers = fold_numbers(dataset)
    for part in [fold_dataset(dataset, number) for number in numbers] or [dataset]:
        check_dataset(config, part)
    return numbers


def run_job(job: Job, verbose: int = 0, resume: bool = True, overwrite: bool = False) -> dict:
    """Trains the run of a job, resumes it, or leaves it as it is where it is finished; returns its `metrics.json`.

    Args:
        job: what to train.
        verbose, resume, overwrite: as in `training.train_run`.
    """
    dataset = job.source.prepared(job.config)
    if job.sha256 not in (None, provenance.sha256(dataset)):
        raise ConfigError(f"{job.source.path or job.directory}: the data have changed since this was begun")
    numbers = check_trainable(job.config, dataset)
    how = {"verbose": verbose, "resume": resume, "overwrite": overwrite}
    how |= {"callbacks": job.callbacks, "init_from": job.init_from}
    # Late: they start a backend.
    from plumkeras.recipes.runs import fold_training, training

    if numbers:
        return fold_training.cross_validate(job.config, dataset, job.directory, change=job.change, **how)
    if job.change is not None:
        dataset = job.change(dataset)
    return training.train_run(job.config, dataset, job.directory, **how)
