"""The rows of an experiment: a recipe each, with what was measured of its seeds."""

import dataclasses
import os
import platform
import statistics
from collections.abc import Callable
from pathlib import Path

from plumkeras.data_pipelines import Dataset
from plumkeras.recipes.config import BaseRecipeConfig, read_json
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.jobs import DataSource
from plumkeras.recipes.runs.run_directory import METRICS, TIMINGS
from plumkeras.recipes.runs.seed_tables import cell, seed_directory, spreads
from plumkeras.recipes.views.tables import ResultTable
from plumkeras.recipes.views.terminal.metrics import metric_titles


@dataclasses.dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        title: text.
        config: the recipe; None of a reference, which is no network.
        change: what is done to its training data, or None; as of a `jobs.Job`.
        seeds: its seeds, or None: the experiment's.
        note: text, of its settings, or None.
    """

    title: str
    config: BaseRecipeConfig | None
    change: Callable | None = None
    seeds: tuple[int, ...] | None = None
    note: str | None = None


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What the tables and pictures of an experiment are made of.

    Attributes:
        directory: of the experiment; each row has the directory of its name in there.
        config: the recipe as given.
        source: its data.
        dataset: `Dataset` as the recipe uses it.
        seeds: the experiment's.
        rows: dict by name of `Row`.
        metrics: dict by name of what the row's `metrics.json` holds.
        options: the experiment's options.
    """

    directory: Path
    config: BaseRecipeConfig
    source: DataSource
    dataset: Dataset
    seeds: tuple[int, ...]
    rows: dict[str, Row]
    metrics: dict[str, dict]
    options: object

    @property
    def split(self) -> str:
        """The split that is told: `test`, or `valid` where test has no labels."""
        return "test" if all(found["test"] is not None for found in self.metrics.values()) else "valid"

    @property
    def titles(self) -> dict:
        """The titles of the metrics, by metric."""
        return metric_titles(next(iter(self.metrics.values()))[self.split], self.dataset.task)[0]

    @property
    def convention(self) -> str:
        """What the metrics are, a text."""
        return metric_titles(next(iter(self.metrics.values()))[self.split], self.dataset.task)[1]

    def row_seeds(self, name: str) -> tuple[int, ...]:
        """The seeds of a row."""
        return self.rows[name].seeds or self.seeds

    def run_directories(self, name: str) -> list[Path]:
        """The run directory of each seed of a row."""
        return [seed_directory(self.directory / name, seed) for seed in self.row_seeds(name)]

    def histories(self, name: str, stage: str) -> list[dict]:
        """The history of a stage by seed, and by fold where there are folds: dicts of float arrays by quantity."""
        found = []
        for directory in self.run_directories(name):
            folds = sorted(path for path in directory.glob("fold_*") if path.is_dir())
            found += [run_directory.read_history(path, stage) for path in folds or [directory]]
        return [history for history in found if history]

    def notes(self) -> list[str]:
        """What every table says: samples, seeds, the rule of selection, conventions."""
        report = next(iter(self.metrics.values()))[self.split]
        n = f"n = {report['n']}" + (f" ({report['n_non0']} not 0)" if "n_non0" in report else "")
        seeds = " ".join(map(str, self.seeds))
        over = f"mean ± standard deviation (ddof 1) over the seeds {seeds}" if len(self.seeds) > 1 else f"seed {seeds}"
        folds = ", all folds pooled" if "all" in self.dataset else ""
        rule = "The epoch of each run was chosen on valid; test took part in no choice."
        return [f"{self.split}, {n}{folds}; {over}, unless the row says otherwise.", rule, self.convention]

    def table(self, name: str, title: str, names=None, extra=(), notes=()) -> ResultTable:
        """A table of rows: title, seeds, parameters, and the metrics with their deviations.

        Args:
            name, title: of the table.
            names: the rows, by default all.
            extra: further rows of cells, under the others.
            notes: further sentences.
        """
        titles = {key: title for key, title in self.titles.items() if not key.startswith("n")}
        header = ["", "seeds", "parameters", *titles.values()]
        rows = []
        for row in self.rows if names is None else names:
            found = self.metrics[row]
            seeds = len(found.get("seeds", ())) or "-"
            parameters = f"{found['parameters']:,}" if found.get("parameters") else "-"
            rows.append([self.rows[row].title, str(seeds), parameters, *spreads(found, self.split, titles)])
        return ResultTable(name, title, header, [*rows, *extra], [*self.notes(), *notes])

    def baseline_row(self) -> list:
        """The cells of the constant prediction, for `table`."""
        baseline = next(found["baseline"] for found in self.metrics.values() if found.get("baseline"))[self.split]
        titles = {key: title for key, title in self.titles.items() if not key.startswith("n")}
        return ["constant", "-", "0", *(cell(title, baseline.get(key)) for key, title in titles.items())]

    def paper_cells(self, title: str, metrics: dict) -> list:
        """The cells of a row of the paper for `table`, from its figures by metric."""
        shown = {key: name for key, name in self.titles.items() if not key.startswith("n")}
        # It has percent as they are printed.
        scaled = {key: value / 100 if shown.get(key, "").endswith("%") else value for key, value in metrics.items()}
        cells = [cell(name, scaled[key]) if key in scaled else None for key, name in shown.items()]
        return [title, "-", "-", *cells]

    def differences(self, names, title: str, seeds=None) -> ResultTable:
        """The table of differences of rows to the first of them, with 95 % intervals of a paired bootstrap.

        Args:
            names: the rows; the first is what the others are compared with.
            title: end of the table's title.
            seeds: compare the runs of these seeds alone, or None: of all.
        """
        from plumkeras.recipes.comparison import compare

        where = [self.directory / name for name in names]
        if seeds is not None and len(seeds) == 1:
            where = [seed_directory(directory, seeds[0]) for directory in where]
        comparison = compare(where, split=self.split)
        titles = {key: name for key, name in self.titles.items() if not key.startswith("n")}
        rows = []
        for name, found in zip(names[1:], comparison.differences.values(), strict=True):
            rows.append([self.rows[name].title, *(_difference(found[key], titles[key]) for key in titles)])
        drawn = f"{comparison.groups} {comparison.grouping}" if comparison.groups else f"{comparison.n} samples"
        notes = [
            f'Row minus "{self.rows[names[0]].title}", on {self.split} (n = {comparison.n}), with 95 % intervals of a '
            f"paired bootstrap over {drawn}, and over the seeds of each that has three or more. *: the interval "
            "leaves out 0; without it, no difference is shown.",
            self.convention,
        ]
        slug = "differences_" + "_".join(title.split())
        return ResultTable(slug, f"Differences {title}", ["", *titles.values()], rows, notes)

    def times(self) -> ResultTable:
        """The table of seconds: of a run, and of an epoch of each stage; and the hardware."""
        rows, stages = [], []
        for name, row in self.rows.items():
            if row.config is None:
                continue
            seconds = [_seconds(directory) for directory in self.run_directories(name)]
            stages = list(dict.fromkeys([*stages, *(stage for run in seconds for stage in run)]))
            rows.append((row.title, seconds))
        body = []
        for title, seconds in rows:
            total = statistics.fmean(sum(sum(epochs) for epochs in run.values()) for run in seconds)
            # The first epoch of a stage compiles it.
            later = {s: [t for run in seconds for t in run.get(s, ())[1:]] for s in stages}
            each = [statistics.median(values) if values else None for values in later.values()]
            body.append([title, str(len(seconds)), f"{total:.1f}", *("" if v is None else f"{v:.2f}" for v in each)])
        header = ["", "runs", "s of a run", *(f"s of an epoch of {stage}" for stage in stages)]
        notes = [
            "A run: all epochs of all stages, validation included, mean over runs (of folds, all folds); an epoch: the "
            f"median without the first, which compiles. Runs may have been trained side by side. {hardware()}."
        ]
        return ResultTable("times", "Time", header, body, notes)


def _difference(found, title):
    """A cell: the difference, its interval, and a star where that leaves out 0."""
    if found.difference is None or found.low is None:
        return "undefined"
    scale, digits = (100, 1) if title.endswith("%") else (1, 3)
    value, low, high = (f"{scale * number:+.{digits}f}" for number in (found.difference, found.low, found.high))
    return f"{value} [{low}, {high}]{'*' if found.is_shown else ''}"


def _seconds(directory):
    """Seconds of each epoch by stage, of a run or of all folds."""
    found = {}
    folds = sorted(path for path in directory.glob("fold_*") if path.is_dir())
    for path in folds or [directory]:
        if (path / TIMINGS).is_file():
            for stage, seconds in read_json(path / TIMINGS)["epoch_seconds"].items():
                found[stage] = [*found.get(stage, []), *seconds]
    return found


def hardware() -> str:
    """The machine in a few words."""
    model = platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{os.cpu_count()} CPU cores ({model})"


def read_row(directory: Path) -> dict:
    """The `metrics.json` of a row."""
    return run_directory.read_metrics(directory / METRICS)
