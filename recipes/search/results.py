"""What a search has found, as files: a table of the trials, the best configuration, and a picture."""

import dataclasses
import json
import statistics
from pathlib import Path

from plumkeras.files import replacing, write_csv, write_json
from plumkeras.recipes.config import to_dict
from plumkeras.recipes.models import loss_title
from plumkeras.recipes.search.oracle import EMPTY_RECORD, values_of
from plumkeras.recipes.views.escaping import for_csv
from plumkeras.recipes.views.pictures.search import plot_search

TABLE, BEST, PICTURE = "trials.csv", "best_config.json", "search.png"


@dataclasses.dataclass(frozen=True)
class TrialResult:
    """What came of a trial.

    Attributes:
        number: int, in the order in which trials were begun; 0 is the recipe's own values.
        status: `"completed"`, `"failed"` or `"running"`.
        reason: str. Why it failed, or `None`.
        values: dict from field to value.
        objective: float. The mean over seeds, or `None`.
        objectives, best_epochs: lists by seed.
        seconds: float or None.
        worker: str or None.
        order: int. The position in the order in which trials ended; -1 of one that is running.
    """

    number: int
    status: str
    reason: str | None
    values: dict
    objective: float | None
    objectives: list
    best_epochs: list
    seconds: float | None
    worker: str | None
    order: int

    @property
    def objective_std(self):
        """The standard deviation of the objective over two or more seeds, ddof 1."""
        return statistics.stdev(self.objectives)


@dataclasses.dataclass(frozen=True)
class SearchResults:
    """The trials of a search, in the order in which they were begun.

    Attributes:
        search: `Search`.
        trials: list of `TrialResult`.
    """

    search: object
    trials: list

    @classmethod
    def of(cls, search, oracle):
        """What an oracle of `search.oracle` knows by now."""
        trials = []
        order = {name: position for position, name in enumerate(oracle.end_order)}
        for name, trial in oracle.trials.items():
            record = oracle.records.get(name)
            status = "running" if record is None else "failed" if record["reason"] else "completed"
            values = values_of(search, trial.hyperparameters)
            found = record or EMPTY_RECORD
            trials.append(TrialResult(int(name), status, values=values, order=order.get(name, -1), **found))
        return cls(search, sorted(trials, key=lambda trial: trial.number))

    @property
    def completed(self):
        return [trial for trial in self.trials if trial.status == "completed"]

    @property
    def best(self):
        """The completed trial with the lowest objective, the earliest of equals; `None` where there is none."""
        return min(self.completed, key=lambda trial: trial.objective, default=None)

    @property
    def own(self):
        """The trial of the recipe's own values, where it was completed; else `None`."""
        return next((trial for trial in self.completed if trial.number == 0), None)

    @property
    def gain(self):
        """By how much the best trial's objective is below that of the recipe's own values: mean over seeds, and the
        standard deviation (ddof 1) of the difference, which is `None` with one seed. `None` without such a trial."""
        if self.own is None:
            return None
        differences = [a - b for a, b in zip(self.own.objectives, self.best.objectives, strict=True)]
        return statistics.mean(differences), statistics.stdev(differences) if len(differences) > 1 else None

    @property
    def fields(self):
        """The names of what trials differ in."""
        extra = [self.search.epochs_field] if self.search.algorithm == "hyperband" else []
        return [*self.search.space, *extra]

    @property
    def objective_title(self):
        return loss_title(self.search.config.model, self.search.dataset.task)

    @property
    def samples(self):
        """The number of validation samples that an objective is the mean over."""
        return len(self.search.dataset["valid"])


def write_tables(results, directory):
    """Writes `trials.csv`, and `best_config.json` as soon as a trial has come to its end."""
    directory = Path(directory)
    seeds = results.search.seeds
    header = [
        *("trial", "status", "objective"),
        *(f"objective_seed_{seed}" for seed in seeds),
        *(f"kept_epoch_seed_{seed}" for seed in seeds),
        *("seconds", "worker"),
        *results.fields,
        "reason",
    ]
    rows = [_row(trial, results.fields, len(seeds)) for trial in results.trials]
    write_csv(directory / TABLE, [[for_csv(cell) for cell in row] for row in (header, *rows)])
    if results.best is not None:
        config = results.search.trial_config(results.best.values)
        write_json(directory / BEST, to_dict(config))


def _row(trial, fields, seeds):
    def padded(values):
        return [*values, *[""] * (seeds - len(values))]

    values = [trial.values[field] for field in fields]
    return [
        *(trial.number, trial.status, _cell(trial.objective)),
        *padded(trial.objectives),
        # Counted from 1, as in pictures and tables.
        *padded([epoch + 1 for epoch in trial.best_epochs]),
        *(_cell(trial.seconds), _cell(trial.worker)),
        *(value if isinstance(value, (str, int, float)) else json.dumps(value) for value in values),
        _cell(trial.reason),
    ]


def _cell(value):
    return "" if value is None else value


def write_picture(results, directory):
    """Draws `search.png`."""
    ranges = {name: getattr(kind, "sampling", None) for name, kind in results.search.space.items()}
    label = f"validation {results.objective_title}"
    with replacing(Path(directory) / PICTURE) as partial:
        plot_search(results.trials, results.best, results.fields, ranges, label, partial)
