"""A search beside others: what its best trial has on validation, and what the recipe's own values have."""

import dataclasses
import statistics
from pathlib import Path

from plumkeras.recipes.config import ConfigError, read_json
from plumkeras.recipes.models import loss_title
from plumkeras.recipes.runs import run_directory

_TRIALS = "trials.json"


@dataclasses.dataclass(frozen=True)
class ComparedSearch:
    """A search for hyper-parameters. Nothing in it was measured on test.

    Attributes:
        name: str.
        directory: Path.
        objective: str. What it minimises, of the validation split.
        n: int. Samples of validation.
        seeds: list of ints, of each trial.
        completed: int. How many trials came to their end.
        best: float, the lowest objective, the mean over seeds.
        best_trial: int.
        own: float, that of the recipe's own values, or `None`: their trial failed.
        gain, gain_std: floats, `own - best`, the mean over seeds and the standard deviation (ddof 1), or `None`.
    """

    name: str
    directory: Path
    objective: str
    n: int
    seeds: list[int]
    completed: int
    best: float
    best_trial: int
    own: float | None
    gain: float | None
    gain_std: float | None


def is_search(directory) -> bool:
    """Whether a directory holds a search."""
    return (Path(directory) / run_directory.SEARCH).is_file()


def read_search(name, directory) -> ComparedSearch:
    """What a search has found.

    Args:
        name: what it is called beside others.
        directory: path.

    Raises:
        ConfigError: a file is missing or damaged, or no trial came to its end.
    """
    directory = Path(directory)
    described, state = run_directory.read_description(directory / run_directory.SEARCH), None
    path = directory / _TRIALS
    if path.is_file():
        state = read_json(path)
    try:
        model = described.get("recipe", {}).get("model", "plum_net")
        objective = f"validation {loss_title(model, described['data']['task'])}"
        n, seeds = int(described["data"]["samples"]["valid"]), [int(seed) for seed in described["seeds"]]
        records = {} if state is None else state["oracle"]["records"]
        found = {
            int(number): [float(value) for value in record["objectives"]]
            for number, record in records.items()
            if record["reason"] is None
        }
        means = {number: statistics.mean(values) for number, values in found.items()}
    except (KeyError, TypeError, ValueError, AttributeError, statistics.StatisticsError):
        raise ConfigError(f"{directory}: {run_directory.SEARCH} and {_TRIALS} are not those of a search") from None
    if not means:
        raise ConfigError(f"{directory}: no trial of the search has come to its end; resume it with --resume")
    best = min(sorted(means), key=means.get)
    gains = [a - b for a, b in zip(found.get(0, []), found[best], strict=False)]
    return ComparedSearch(
        name,
        directory,
        objective,
        n,
        seeds,
        len(means),
        means[best],
        best,
        means.get(0),
        statistics.mean(gains) if gains else None,
        statistics.stdev(gains) if len(gains) > 1 else None,
    )
