"""`plumkeras.train`: a recipe on data, from Python."""

import dataclasses
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from plumkeras.data_pipelines import Dataset
from plumkeras.recipes import RecipeConfig, read_recipe
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError, with_values
from plumkeras.recipes.runs.cross_validation import CrossValidation
from plumkeras.recipes.runs.earlier_network import check_source
from plumkeras.recipes.runs.jobs import DataSource, Job, check_trainable, run_job
from plumkeras.recipes.runs.label_classes import with_label_classes
from plumkeras.recipes.runs.output_checks import check_output, check_seeds_output
from plumkeras.recipes.runs.run import Run, load_run
from plumkeras.recipes.runs.seed_runs import SeedRuns
from plumkeras.recipes.runs.seed_training import SeedPlan, check_seeds, train_seeds
from plumkeras.recipes.runs.user_callbacks import check_callbacks


def train(
    recipe: str | RecipeConfig,
    data: str | os.PathLike | Dataset | None = None,
    output: str | os.PathLike | None = None,
    seed: int | None = None,
    callbacks: list | dict | Callable | None = None,
    *,
    seeds: Sequence[int] | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    init_from: str | os.PathLike | None = None,
    resume: bool = False,
    overwrite: bool = False,
    verbose: int = 1,
    **fields,
) -> Run | CrossValidation | SeedRuns:
    """Trains a recipe's stages, measures `valid` and `test` once, and returns the run.

    The same as `plumkeras train`, which writes the same directory.

    Args:
        recipe: name of a recipe, path of a recipe file, or a `RecipeConfig`.
        data: path of a feature file, a `Dataset`, or None for a recipe that generates its data. Data with folds are
            cross-validated.
        output: the run directory to make. None: the run lives as long as what is returned, in a temporary directory.
        seed: seed of weights, dropout and data order. None: the recipe's, which is 0 unless it says otherwise.
        callbacks: Keras callbacks for all stages; a dict of lists by stage, `alignment` and `refinement`; or a
            function without arguments that returns either, called for each run, so that each fold has its own. None:
            those of the recipe file, which may define such a function, `callbacks`.
        seeds: several seeds in place of one: a run, or cross-validation, for each.
        jobs: with `seeds`, how many are trained at a time, each in a process of its own. By default as many as the
            machine carries, and one, in this process, where there are callbacks.
        scheduler: with `seeds`, address of a Dask scheduler whose workers train them.
        init_from: an earlier run, whose weights and standardisation this one starts from. It must have the same
            modalities, widths and network.
        resume: whether to resume the run in `output`. Defaults to `False`.
        overwrite: whether a run in `output` may be replaced. Defaults to `False`.
        verbose: 0 or 1, progress.
        **fields: fields of the recipe: `batch_size=16`, `refinement={"epochs": 4}`, or `**{"refinement.epochs": 4}`.

    Returns:
        `Run`; of data with folds `CrossValidation`; with `seeds` `SeedRuns`.

    Raises:
        ConfigError: the recipe, a field, a stage or the output does not exist or does not fit.
        DataError: the data cannot be read or trained on.
        TrainingError: training diverged, or the run cannot be written.
    """
    if seeds is None and (jobs, scheduler) != (None, None):
        raise ConfigError("jobs and scheduler are for several runs; give seeds too")
    if seeds is not None and seed is not None:
        raise ConfigError(f"seed={seed} is one run and seeds={seeds!r} several; choose one")
    config, own_callbacks = resolve(recipe, fields if seed is None else {**fields, "seed": seed})
    callbacks = own_callbacks if callbacks is None else callbacks
    check_callbacks(callbacks, config.STAGES)
    if resume and overwrite:
        raise ConfigError("overwrite=True replaces a run and resume=True resumes it; choose one")
    if seeds is not None:
        seeds = check_seeds(seeds, callbacks, jobs, scheduler)
    if output is not None:
        (check_output if seeds is None else check_seeds_output)(output, overwrite, resume)
    source = DataSource(dataset=data) if isinstance(data, Dataset) else DataSource(path=data and os.fspath(data))
    given = source.read(config)
    dataset = DataSource(dataset=given).prepared(config)
    check_trainable(config, dataset)
    if init_from is not None:
        check_source(init_from, with_label_classes(config, dataset), dataset)
    scratch = None
    if output is None:
        scratch = tempfile.TemporaryDirectory(prefix="plumkeras-")
        output = Path(scratch.name) / config.name
    how = {"init_from": init_from, "callbacks": callbacks}
    if seeds is None:
        run_job(Job(config, DataSource(dataset=given), Path(output), **how), verbose, resume, overwrite or not resume)
    else:
        plan = SeedPlan(config, source, Path(output), seeds, **how)
        train_seeds([plan], jobs, scheduler, resume, overwrite or not resume, verbose)
    run = load_run(output)
    run.data = given
    run.scratch = scratch
    return run


def resolve(recipe: str | RecipeConfig, fields: dict) -> tuple:
    """The configuration of a recipe with some of its fields replaced, and the callbacks of its file, or None.

    Args:
        recipe: name, path of a recipe file, or `RecipeConfig`.
        fields: values by field, named with dots, or dicts by section.

    Raises:
        ConfigError: the recipe or a field does not exist, or a value does not fit; names the nearest.
    """
    config, callbacks = (recipe, None) if isinstance(recipe, BaseRecipeConfig) else read_recipe(os.fspath(recipe))
    values = {}
    for name, value in fields.items():
        is_section = isinstance(value, dict) and dataclasses.is_dataclass(getattr(config, name, value))
        section = {f"{name}.{part}": v for part, v in value.items()} if is_section else {name: value}
        values.update(section)
    return with_values(config, values, f"recipe {config.name!r}"), callbacks
