"""Runs an experiment: trains its rows, and makes tables and pictures of what came of them.

An experiment is a module with these names:

- `SEEDS`: the usual seeds.
- `OPTIONS`: names of the fields of `ExperimentOptions` that it reads.
- `make_rows(setup)`: dict by name of `Row`, from a `Setup`. What the data or the recipe cannot carry is refused here.
- `check(setup)`, of one whose `make_rows` does more than that: refuses the same.
- `make_results(outcome)`: `Results`, from an `Outcome`.
"""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.data_pipelines import Dataset
from plumkeras.files import partial_path, write_json
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError, to_dict, with_values
from plumkeras.recipes.execution import open_executor
from plumkeras.recipes.execution.options import ExecutionOptions
from plumkeras.recipes.experiments import find_experiment
from plumkeras.recipes.experiments.results import CONDITIONS, PAGE, SETTINGS
from plumkeras.recipes.experiments.rows import Outcome
from plumkeras.recipes.report import report_or_warn
from plumkeras.recipes.runs import provenance, resuming, run_directory
from plumkeras.recipes.runs.jobs import DataSource, check_trainable
from plumkeras.recipes.runs.output_checks import check_experiment_output
from plumkeras.recipes.runs.run_directory import EXPERIMENT, METRICS, REFERENCE, REPORT, RESULTS, SEARCH
from plumkeras.recipes.runs.seed_training import SeedPlan, check_seeds, train_seeds
from plumkeras.recipes.runs.train import resolve

# Fields of a recipe that an experiment sets itself, and why.
SET_BY_EXPERIMENTS = {
    "seed": "it has seeds, one or more",
    "devices": "it trains each run on one device, so that a repeated run is the same",
}
# Of the files of a search, those that say what it has found.
_SEARCHED = ("trials.json", "trials.csv", "best_config.json", "search.png")


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExperimentOptions(ExecutionOptions):
    """What is run, and where."""

    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="[SEED ...]")] = ()
    """Seeds of every row; each experiment has its own usual ones."""
    rows: Literal["table3", "all"] = "table3"
    """Of ablation: the four rows of Table 3, or these and every other choice changed alone, with the first seed."""
    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="[MODEL ...]")] = ()
    """Of comparison: models beside the recipe's own; by default all."""
    trials: int = 8
    """Of comparison: settings that each model and reference may try, with one seed, on validation; 1: its own alone."""
    stage1_epochs: int | None = None
    """Of alignment: epochs of stage 1; by default 100, and 150 on generated data."""
    settings: Annotated[Path | None, tyro.conf.arg(metavar="DIR|frozen")] = None
    """Of comparison: a comparison whose chosen settings are used in place of a search; or frozen, those of the presets
    <model>_frozen."""


@dataclasses.dataclass(frozen=True)
class Setup:
    """What the rows of an experiment are made from.

    Attributes:
        config: the recipe.
        source: its data.
        dataset: `Dataset` as the recipe uses it.
        directory: of the experiment.
        seeds: of every row.
        options: `ExperimentOptions`.
    """

    config: BaseRecipeConfig
    source: DataSource
    dataset: Dataset
    directory: Path
    seeds: tuple[int, ...]
    options: ExperimentOptions


def experiment(
    name: str,
    recipe: str | BaseRecipeConfig,
    data: str | os.PathLike | Dataset | None = None,
    output: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
    **fields,
) -> dict:
    """Runs an experiment of the paper; the same as `plumkeras experiment`.

    Args:
        name: of `EXPERIMENTS`: comparison, ablation, labels, embeddings, alignment or robustness.
        recipe, data: as in `plumkeras.train`.
        output: the directory to make. An experiment that it holds goes on, if it is the same one.
        overwrite: whether another experiment there is replaced.
        **fields: fields of `ExperimentOptions`, such as `seeds=[0, 1]` and `jobs=1`; all others are fields of the
            recipe.

    Returns:
        Dict, what `results.json` holds: `title`, `about`, `tables`, `pictures` and `findings`.

    Raises:
        As `run_experiment`.
    """
    if output is None:
        raise ConfigError("an experiment needs an output directory, where it goes on after it was stopped")
    names = {field.name for field in dataclasses.fields(ExperimentOptions)}
    given = {field: fields.pop(field) for field in names & fields.keys()}
    given |= {field: tuple(given[field]) for field in {"seeds", "models"} & given.keys()}
    if given.get("settings") is not None:
        given["settings"] = Path(given["settings"])
    for field in ("seed", "devices"):
        if field in fields:
            raise ConfigError(f"{field} is no option of an experiment: {SET_BY_EXPERIMENTS[field]}")
    config, _ = resolve(recipe, fields)
    source = DataSource(dataset=data) if isinstance(data, Dataset) else DataSource(path=data and os.fspath(data))
    return run_experiment(name, config, source, output, ExperimentOptions(**given), overwrite)


def run_experiment(
    name: str,
    config: BaseRecipeConfig,
    source: DataSource,
    directory,
    options: ExperimentOptions | None = None,
    overwrite: bool = False,
    command: str = "",
) -> dict:
    """Runs an experiment, or what of it is not finished, and writes its directory.

    It holds `experiment.json` (what was run), a directory of seeds for each row, the tables and pictures, `page.md`,
    `results.json` and `report.html`. Rows are trained with `deterministic`, on one device each.

    Args:
        name: of `EXPERIMENTS`.
        config: the recipe.
        source: its data.
        directory: path. An experiment that it holds goes on, if it is the same one.
        options: `ExperimentOptions`, or None: the usual.
        overwrite: whether an experiment that the directory holds is replaced.
        command: the line that repeats it, for the page; none of what was run from Python.

    Returns:
        Dict, what `results.json` holds.

    Raises:
        ConfigError: the experiment, an option or the directory does not exist or does not fit; or the recipe cannot
            carry the experiment.
        DataError: the data cannot.
        TrainingError: a run diverged, or cannot be written.
    """
    module, options, directory = find_experiment(name), options or ExperimentOptions(), Path(directory)
    _check_options(name, module, options)
    seeds = check_seeds(options.seeds or module.SEEDS)
    config = with_values(config, {"deterministic": True, "devices": 1, "seed": 0})
    check_experiment_output(directory, overwrite)
    if options.scheduler is not None:
        # A cluster that is not there costs nothing of what the directory holds.
        with open_executor(scheduler=options.scheduler):
            pass
    dataset = source.prepared(config)
    check_trainable(config, dataset)
    setup = Setup(config, source, dataset, directory, seeds, options)
    # Before anything is written or cleared away.
    getattr(module, "check", module.make_rows)(setup)
    with run_directory.locked(directory):
        is_new = _begin(name, config, dataset, directory, seeds, options, overwrite)
        rows = module.make_rows(setup)
        plans = {
            row: SeedPlan(made.config, source, directory / row, made.seeds or seeds, made.change)
            for row, made in rows.items()
            if made.config is not None
        }
        before = {row: _finished(plan) for row, plan in plans.items()}
        if not is_new and (directory / RESULTS).is_file() and all(before.values()):
            return run_directory.read_description(directory / RESULTS)
        _forget_results(directory)
        metrics = dict(
            zip(plans, train_seeds(list(plans.values()), options.jobs, options.scheduler, True), strict=True)
        )
        for row, made in rows.items():
            if made.config is None:
                metrics[row] = module.measure_reference(setup, row)
        metrics = {row: metrics[row] for row in rows}
        outcome = Outcome(directory, config, source, dataset, seeds, rows, metrics, options)
        results = module.make_results(outcome)
        results.write(directory, command)
        report_or_warn(directory)
    return run_directory.read_description(directory / RESULTS)


def _check_options(name, module, options):
    usual = ExperimentOptions()
    for field in ("rows", "models", "trials", "stage1_epochs", "settings"):
        if field not in module.OPTIONS and getattr(options, field) != getattr(usual, field):
            raise ConfigError(f"--{field.replace('_', '-')} is no option of {name}; leave it out")
    for field in ("trials", "stage1_epochs"):
        if getattr(options, field) is not None and getattr(options, field) < 1:
            raise ConfigError(f"--{field.replace('_', '-')} must be at least 1. Received: {getattr(options, field)}")


def _begin(name, config, dataset, directory, seeds, options, overwrite):
    """Writes `experiment.json`; returns whether something is asked that the directory's experiment was not."""
    path = directory / EXPERIMENT
    told = {option: getattr(options, option) for option in find_experiment(name).OPTIONS}
    told = {option: value if isinstance(value, (str, int)) else _plain(value) for option, value in told.items()}
    asked = {"experiment": name, "recipe": to_dict(config), "seeds": list(seeds), "options": told}
    known = {}
    if path.is_file() and not overwrite:
        known = run_directory.read_description(path)
        _check_same(known, asked, dataset, path)
    elif path.is_file():
        _clear(directory)
    if {field: known.get(field) for field in asked} == asked:
        return False
    directory.mkdir(parents=True, exist_ok=True)
    _forget_results(directory)
    write_json(path, {**asked, **provenance.describe_surroundings(dataset)})
    return True


def _plain(value):
    return list(value) if isinstance(value, tuple) else value and str(value)


def _check_same(known, asked, dataset, path):
    """Raises `ConfigError` unless the directory's experiment is of the same kind, recipe and data."""

    def flat(values, sha256):
        recipe, options = resuming.flat(values.get("recipe") or {}), values.get("options") or {}
        # Rows, models and seeds may be others: these change the rows that are there.
        fixed = {f"--{name}": options.get(name) for name in ("trials", "settings", "stage1_epochs")}
        return {"experiment": values.get("experiment"), **recipe, **fixed, "data.sha256": sha256}

    # Fields that a later version added have their defaults in an older file.
    recipe = to_dict(run_directory.read_config(path))
    then = flat({**known, "recipe": recipe}, (known.get("data") or {}).get("sha256"))
    now = flat(asked, provenance.sha256(dataset))
    if field := resuming.first_difference(then, now):
        raise ConfigError(
            f"--output {path.parent}: holds another experiment: {field} is {then.get(field)!r} there, and now it is "
            f"{now.get(field)!r}; choose another directory or add --overwrite"
        )


def _forget_results(directory):
    """Removes the tables, pictures and pages of an experiment; the runs that they are about stay."""
    try:
        found = run_directory.read_description(directory / RESULTS)
        names = [f"{table['name']}{ending}" for table in found["tables"] for ending in (".csv", ".md", ".tex")]
        for picture in found["pictures"]:
            names += [picture["file"], f"{Path(picture['file']).stem}.png"]
    except (ConfigError, KeyError, TypeError):
        names = []
    # The list of them last.
    for name in (*names, PAGE, REPORT, RESULTS):
        # Names of a file in this directory alone.
        path = directory / Path(name).name
        path.unlink(missing_ok=True)
        partial_path(path).unlink(missing_ok=True)


def _clear(directory):
    """Removes what an experiment of ours leaves, all but `experiment.json`. Other files stay."""
    _forget_results(directory)
    # What an earlier experiment has found out would pass for this one's.
    for path in (*directory.glob(f"*/{REFERENCE}"), *directory.glob(f"searches/*/{SEARCH}")):
        for name in (METRICS, *_SEARCHED, "predictions_valid.csv", "predictions_test.csv", path.name):
            (path.parent / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    for path in (directory / SETTINGS, *directory.glob(f"{CONDITIONS}/*.json")):
        path.unlink(missing_ok=True)
    for path in sorted(path.parent for path in directory.glob(f"*/{run_directory.SEEDS}")):
        with run_directory.locked(path):
            SeedPlan.clear(path)
            (path / run_directory.SEEDS).unlink()
        with contextlib.suppress(OSError):
            path.rmdir()


def _finished(plan):
    return run_directory.is_finished(plan.directory) and _seeds_of(plan.directory) == list(plan.seeds)


def _seeds_of(directory):
    return run_directory.read_description(Path(directory) / run_directory.SEEDS).get("seeds")
