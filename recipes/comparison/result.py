"""What a comparison has found, as objects, as tables, as JSON and as csv."""

import dataclasses
import html
from pathlib import Path

from plumkeras.data_pipelines.schema.dataset import html_table
from plumkeras.metrics import BootstrapInterval, PairedDifference, report_metrics
from plumkeras.metrics.bootstrap import SEEDS_TO_RESAMPLE
from plumkeras.recipes.comparison.samples import task_of_kind
from plumkeras.recipes.comparison.searches import ComparedSearch
from plumkeras.recipes.views.escaping import for_csv
from plumkeras.recipes.views.tables import ResultTable, Spread
from plumkeras.recipes.views.terminal import metric_titles

# Of fewer samples or videos, percentile intervals hold the truth less often than they say.
_FEW = 20


@dataclasses.dataclass(frozen=True)
class ComparedRun:
    """A run, or several seeds of it, on the samples of a comparison.

    Attributes:
        name: str, the end of its path that tells it from the others.
        directory: Path.
        reports: tuple of dicts, the metrics of each seed, as in `metrics.json`.
        metrics: dict from metric to the mean over seeds; `None` where that of a seed is undefined.
        std: dict from metric to the standard deviation over seeds (ddof 1); `None` of one seed.
        intervals: dict from metric to `BootstrapInterval`; empty where there are other runs.
    """

    name: str
    directory: Path
    reports: tuple[dict, ...]
    metrics: dict[str, float | None]
    std: dict[str, float | None]
    intervals: dict[str, BootstrapInterval]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """What `plumkeras.compare` returns.

    Attributes:
        split: str.
        data: str, the file that the networks were put to; `None`: the predictions that the runs keep were read.
        kind: str, whose metrics these are, as in `plumkeras.metrics.report_metrics`; `None` where there is no run.
        rows: tuple of `ComparedRun`, the one that the others are compared with first.
        differences: dict from the name of each other run to a dict from metric to `PairedDifference`, in which `first`
            is the first run's.
        searches: tuple of `ComparedSearch`.
        n: int, samples.
        grouping: `"videos"` or `"groups"`, which were drawn as a whole; `None`: samples were drawn.
        groups: int, how many of them; `None` where samples were drawn.
        notes: tuple of sentences, what is suspicious about the comparison.
    """

    split: str
    data: str | None
    kind: str | None
    rows: tuple[ComparedRun, ...]
    differences: dict[str, dict[str, PairedDifference]]
    searches: tuple[ComparedSearch, ...]
    n: int
    grouping: str | None
    groups: int | None
    notes: tuple[str, ...] = ()

    @property
    def titles(self) -> dict[str, str]:
        """The titles of the metrics, and of the numbers of samples, by their names; those of shares end in `%`."""
        report = self.rows[0].reports[0]
        return {key: title for key, title in self._titled()[0].items() if key in report}

    def _titled(self):
        return metric_titles(self.rows[0].reports[0], task_of_kind(self.kind))

    def conclusion(self, name: str, metric: str) -> str:
        """What a difference says: `"better"` or `"worse"` than the first run, `"no difference shown"`, `"undefined"`.

        Raises:
            KeyError: there is no such run beside the first, or no such metric.
        """
        found = self.differences[name][metric]
        if found.low is None:
            return "undefined"
        if not found.is_shown:
            return "no difference shown"
        is_better = (found.difference < 0) == report_metrics(self.kind)[metric].lower_is_better
        return "better" if is_better else "worse"

    # === Tables ===

    def table(self) -> ResultTable:
        """The metrics of the runs, a row each."""
        rows = []
        for run in self.rows:
            cells = [
                Spread(run.metrics[key], run.std[key], title.endswith("%"))
                if key in run.metrics
                else run.reports[0][key]
                for key, title in self.titles.items()
            ]
            rows.append([run.name, len(run.reports), *cells])
        notes = [self._titled()[1]]
        if any(len(run.reports) > 1 for run in self.rows):
            notes.append("Mean ± standard deviation over seeds (ddof 1).")
        title = f"Metrics on {self.split}" + (f" of {self.data}" if self.data else "")
        return ResultTable("metrics", title, ["run", "seeds", *self.titles.values()], rows, notes)

    def interval_tables(self) -> list[ResultTable]:
        """For each run but the first the differences from it, a row a metric; of one run alone its own intervals."""
        found = []
        for number, (name, differences) in enumerate(self.differences.items(), 1):
            rows = [
                [*self._shown(key, one, one.difference, "+"), self.conclusion(name, key)]
                for key, one in differences.items()
            ]
            title = f"{name}: difference from {self.rows[0].name} on {self.split}"
            header = ["metric", "difference", f"{self._level} interval", "conclusion"]
            notes = [self._how(next(iter(differences.values())))]
            found.append(ResultTable(f"difference_{number}", title, header, rows, notes))
        if len(self.rows) == 1:
            (run,) = self.rows
            rows = [self._shown(key, one, one.value, "-") for key, one in run.intervals.items()]
            title = f"{run.name}: intervals on {self.split}"
            notes = [self._how(next(iter(run.intervals.values())))]
            found.append(ResultTable("intervals", title, ["metric", "value", f"{self._level} interval"], rows, notes))
        return found

    def search_table(self) -> ResultTable:
        """The validation objectives of the searches, a row each."""
        rows = [
            [
                *(one.name, one.completed, len(one.seeds), one.n, one.objective, f"{one.best:.4f}"),
                "undefined" if one.own is None else f"{one.own:.4f}",
                "" if one.gain is None else f"{one.gain:.4f}",
                "" if one.gain_std is None else f"{one.gain_std:.4f}",
            ]
            for one in self.searches
        ]
        header = ["search", "trials", "seeds", "n", "objective", "best", "recipe's own", "gain", "gain std"]
        notes = [
            "Searches: objectives of the validation split by which the best trial was chosen, means over seeds; never "
            "of test, and so not to be compared with the runs. Train best_config.json to compare it."
        ]
        return ResultTable("searches", "Searches, on validation alone", header, rows, notes)

    def tables(self) -> list[ResultTable]:
        """All of these tables that have rows."""
        found = [self.table(), *self.interval_tables()] if self.rows else []
        return found + ([self.search_table()] if self.searches else [])

    @property
    def _level(self):
        run = self.rows[0]
        one = next(iter((next(iter(self.differences.values())) if self.differences else run.intervals).values()))
        return f"{100 * one.level:g}%"

    def _shown(self, metric, found, value, sign):
        """The title of a metric, a value and its interval, as texts."""
        title = self.titles[metric]
        scale, digits = (100, 2) if title.endswith("%") else (1, 4)
        if value is None or found.low is None:
            return [title, "undefined" if value is None else f"{scale * value:{sign}.{digits}f}", "undefined"]
        low, high = (f"{scale * end:{sign}.{digits}f}" for end in (found.low, found.high))
        return [title, f"{scale * value:{sign}.{digits}f}", f"[{low}, {high}]"]

    def _how(self, one):
        """How an interval came to be, sentences."""
        pairs = isinstance(one, PairedDifference)
        drawn = f"{self.n} samples" if self.grouping is None else f"{self.groups} {self.grouping} of {self.n} samples"
        text = f"Bootstrap of {one.resamples} draws of the {drawn}" + (", the same for both runs. " if pairs else ". ")
        resampled = one.resampled_seeds if pairs else (one.resampled_seeds,)
        if all(resampled):
            text += "Seeds are drawn too. "
        elif any(resampled):
            text += f"Seeds are drawn too of the run with {SEEDS_TO_RESAMPLE} or more, and not of the other. "
        else:
            text += (
                f"With fewer than {SEEDS_TO_RESAMPLE} seeds it is about these networks alone; other seeds may differ. "
            )
        if pairs:
            text += "Each interval stands alone: of twenty between equals, about one leaves out 0 by chance. "
        left_out = max(
            found.undefined
            for run in (self.differences.values() if pairs else [self.rows[0].intervals])
            for found in run.values()
        )
        if left_out:
            text += f"Up to {left_out} draws on which a metric was undefined were left out. "
        units = self.groups or self.n
        if units < _FEW:
            text += f"Only {units} {self.grouping or 'samples'}: the intervals are too narrow. "
        return text.strip()

    # === Files ===

    def to_json(self) -> dict:
        """What `plumkeras compare --json` prints."""
        return {
            **{name: getattr(self, name) for name in ("split", "data", "kind", "n", "grouping", "groups")},
            "convention": self._titled()[1] if self.rows else None,
            "runs": [{**dataclasses.asdict(run), "directory": str(run.directory)} for run in self.rows],
            "baseline": self.rows[0].name if self.rows else None,
            "differences": {
                name: {
                    metric: {**dataclasses.asdict(found), "conclusion": self.conclusion(name, metric)}
                    for metric, found in by_metric.items()
                }
                for name, by_metric in self.differences.items()
            },
            "searches": [{**dataclasses.asdict(one), "directory": str(one.directory)} for one in self.searches],
            "notes": list(self.notes),
        }

    def csv_rows(self) -> list[list]:
        """A row for each run and metric, and for each search, the header first; numbers in full."""
        header = ["run", "split", "metric", "seeds", "n", "value", "std", "difference", "low", "high", "conclusion"]
        rows = []
        for run in self.rows:
            compared = self.differences.get(run.name, {})
            for metric, value in run.metrics.items():
                found = compared.get(metric)
                ends = found or run.intervals.get(metric)
                rows.append(
                    [
                        *(run.name, self.split, metric, len(run.reports), self.n, value, run.std[metric]),
                        *(found and found.difference, ends and ends.low, ends and ends.high),
                        found and self.conclusion(run.name, metric),
                    ]
                )
        for one in self.searches:
            rows.append([one.name, "valid", one.objective, len(one.seeds), one.n, one.best, *[None] * 5])
        return [[for_csv(cell) for cell in row] for row in (header, *rows)]

    def __repr__(self):
        names = ", ".join(one.name for one in (*self.rows, *self.searches))
        return f"<Comparison of {names}: {self.split}, n {self.n}>"

    def _repr_html_(self):
        tables = self.tables()
        notes = dict.fromkeys([*self.notes, *(note for table in tables for note in table.notes)])
        parts = [html_table(table.title, [table.header, *table.texts()]) for table in tables]
        return f"{''.join(parts)}<p><small>{html.escape(' '.join(notes))}</small></p>"
