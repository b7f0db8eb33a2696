"""Trains one recipe with several seeds, each in a run directory of its own, `seed_<n>`, and sums up what came of it."""

import contextlib
import dataclasses
import os
from pathlib import Path

from plumkeras.files import partial_path, write_json
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError, to_dict
from plumkeras.recipes.execution import open_executor, run_tasks
from plumkeras.recipes.report import report_or_warn
from plumkeras.recipes.runs import provenance, resuming, run_directory
from plumkeras.recipes.runs.data_checks import training_warnings
from plumkeras.recipes.runs.jobs import DataSource, Job, check_trainable, run_job
from plumkeras.recipes.runs.label_classes import with_label_classes
from plumkeras.recipes.runs.output_checks import check_seeds_output
from plumkeras.recipes.runs.protocol import fold_numbers
from plumkeras.recipes.runs.run_directory import METRICS, SEEDS
from plumkeras.recipes.runs.seed_tables import TABLE, seed_directory, seeds_table, summarise
from plumkeras.recipes.views.terminal.metrics import short_metrics
from plumkeras.recipes.views.terminal.tables import print_line

_TABLE_FILES = tuple(f"{TABLE}{ending}" for ending in (".csv", ".md", ".tex"))


@dataclasses.dataclass(frozen=True)
class SeedPlan:
    """One recipe with several seeds.

    Attributes:
        config: the recipe; its own seed is not used.
        source: its data.
        directory: of the seeds.
        seeds: whole numbers, each once.
        change, init_from, callbacks: as of a `Job`.
    """

    config: BaseRecipeConfig
    source: DataSource
    directory: Path
    seeds: tuple[int, ...]
    change: object = None
    init_from: str | None = None
    callbacks: object = None

    def begin(self, resume: bool, overwrite: bool) -> list[Job]:
        """Writes `seeds.json` and returns the jobs of the seeds that are not finished.

        Raises:
            ConfigError: the directory holds something else, or runs of another recipe or other data.
            DataError: the recipe cannot be trained on the data.
        """
        directory = Path(self.directory)
        check_seeds_output(directory, overwrite, resume)
        dataset = self.source.prepared(self.config)
        check_trainable(self.config, dataset)
        config = with_label_classes(self.config, dataset)
        asked = {"recipe": to_dict(config), "seeds": list(self.seeds), "change": self.change and str(self.change)}
        known = {}
        if resume and (directory / SEEDS).is_file():
            resuming.check_same(directory, config, dataset, name=SEEDS)
            known = run_directory.read_description(directory / SEEDS)
            if known.get("change") != asked["change"]:
                raise ConfigError(
                    f"{directory}: its runs are of data with {known.get('change')}, and now it is {asked['change']}; "
                    "choose another --output"
                )
        else:
            directory.mkdir(parents=True, exist_ok=True)
            self.clear(directory)
        if {name: known.get(name) for name in asked} != asked:
            (directory / METRICS).unlink(missing_ok=True)
            surroundings = provenance.describe_surroundings(dataset)
            warnings = training_warnings(self.config, dataset)
            write_json(directory / SEEDS, {**asked, **surroundings, "warnings": warnings})
        jobs, sha256 = [], provenance.sha256(dataset)
        for seed in self.seeds:
            job = Job(
                dataclasses.replace(self.config, seed=seed),
                self.source,
                seed_directory(directory.absolute(), seed),
                self.change,
                self.init_from and os.path.abspath(self.init_from),
                self.callbacks,
                sha256,
            )
            if not _is_finished(job, dataset):
                jobs.append(job)
        if jobs:
            (directory / METRICS).unlink(missing_ok=True)
        return jobs

    @staticmethod
    def clear(directory: Path) -> None:
        """Removes what several seeds of ours leave in a directory, all but `seeds.json`. Other files stay."""
        for name in (METRICS, *_TABLE_FILES, run_directory.REPORT):
            (directory / name).unlink(missing_ok=True)
            partial_path(directory / name).unlink(missing_ok=True)
        run_directory.clear_runs(directory, "seed")

    def finish(self) -> dict:
        """Writes `metrics.json` and its tables, unless they are there; returns what the former holds."""
        directory = Path(self.directory)
        if run_directory.is_finished(directory):
            return run_directory.read_metrics(directory / METRICS)
        found = {
            str(seed): run_directory.read_metrics(seed_directory(directory, seed) / METRICS) for seed in self.seeds
        }
        described = run_directory.read_description(directory / SEEDS)
        metrics = summarise(found)
        metrics["warnings"] = described.get("warnings", [])
        seeds_table(metrics, described["data"]["task"], self.config.name).write(directory)
        write_json(directory / METRICS, metrics)
        report_or_warn(directory)
        return metrics


def check_seeds(seeds, callbacks=None, jobs=None, scheduler=None) -> tuple[int, ...]:
    """The seeds as a tuple.

    Raises:
        ConfigError: one is no whole number from 0 to 2**32 - 1, or is there twice; or there are callbacks, which are
            objects of this process, and other processes asked for.
    """
    seeds = tuple(seeds)
    for seed in seeds:
        if type(seed) is not int or not 0 <= seed < 2**32:
            raise ConfigError(f"seeds must be whole numbers from 0 to 2**32 - 1. Received: {seed!r:.40}")
    if not seeds or len(set(seeds)) < len(seeds):
        raise ConfigError(f"seeds must be one or more, each once. Received: {' '.join(map(str, seeds)) or 'none'}")
    if callbacks is not None and (scheduler is not None or jobs not in (None, 1)):
        raise ConfigError("callbacks work in this process alone; leave out jobs and scheduler, or the callbacks")
    return seeds


def train_seeds(plans, jobs=None, scheduler=None, resume=False, overwrite=False, verbose=1) -> list[dict]:
    """Trains all seeds of one or several plans that are not finished, by one executor.

    Args:
        plans: list of `SeedPlan`s with directories of their own.
        jobs, scheduler: as in `execution.open_executor`.
        resume: whether to go on with what the directories hold.
        overwrite: whether to replace what they hold.
        verbose: 0 or 1, a line as each run ends.

    Returns:
        The `metrics.json` of each plan.

    Raises:
        ConfigError, DataError, TrainingError: as `plumkeras.train`; or the scheduler is not there.
    """
    paths = [path for plan in plans for path in (plan.directory, plan.source.path, plan.init_from) if path]
    with contextlib.ExitStack() as stack:
        executor = None
        if scheduler is not None:
            # First: a cluster that is not there costs nothing of what the directories hold.
            executor = stack.enter_context(open_executor(jobs, scheduler, paths=paths))
        for plan in plans:
            stack.enter_context(run_directory.locked(plan.directory))
        todo = [job for plan in plans for job in plan.begin(resume, overwrite)]
        if any(job.callbacks is not None for job in todo):
            jobs = 1
        if todo:
            devices = max(job.config.devices for job in todo)
            executor = executor or stack.enter_context(open_executor(jobs, None, len(todo), paths, devices))
            if verbose:
                at_a_time = f", {executor.workers} at a time" if executor.workers > 1 else ""
                print_line(f"{len(todo)} {'run' if len(todo) == 1 else 'runs'} to train{at_a_time}")
            run_tasks(executor, run_job, todo, _Progress(todo, len(plans) > 1) if verbose else None)
        return [plan.finish() for plan in plans]


class _Progress:
    """Prints a line about each run that ends."""

    def __init__(self, jobs, several):
        self.jobs, self.several, self.done = jobs, several, 0

    def __call__(self, index, metrics):
        self.done += 1
        directory = Path(self.jobs[index].directory)
        name = f"{directory.parent.name} " if self.several else ""
        split = "test" if metrics["test"] else "valid"
        said = f"{split} {short_metrics(metrics[split])}" if metrics[split] else "done"
        print_line(f"{name}seed {self.jobs[index].config.seed} ({self.done} of {len(self.jobs)}): {said}")


def _is_finished(job, dataset):
    """Whether the run of a job is finished, with all its epochs; raises `ConfigError` where another one is there."""
    if not run_directory.is_finished(job.directory):
        return False
    if job.change is not None and not fold_numbers(dataset):
        dataset = job.change(dataset)
    resuming.check_same(job.directory, with_label_classes(job.config, dataset, job.directory), dataset)
    return not resuming.raises_epochs(job.directory, job.config)
