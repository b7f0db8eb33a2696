"""What several seeds of one recipe come to: means, standard deviations, and their table."""

import statistics
from pathlib import Path

from plumkeras.recipes.views.tables import ResultTable, Spread
from plumkeras.recipes.views.terminal.metrics import metric_titles

TABLE = "metrics"


def seed_directory(directory, seed):
    """The directory of the run, or cross-validation, of a seed."""
    return Path(directory) / f"seed_{seed}"


def summarise(by_seed: dict[str, dict]) -> dict:
    """The `metrics.json` of several seeds: means and standard deviations (ddof 1) over them, and those of each.

    Args:
        by_seed: dict by seed of what the `metrics.json` of its run holds.

    Returns:
        Dict with `valid` and `test`, the means; `std`, the deviations of both, None with one seed; `seeds`, dict by
        seed of `valid` and `test`; `baseline` and `parameters`, of the first. A metric that is undefined for one seed
        has no mean.
    """
    first = next(iter(by_seed.values()))
    found = {"valid": None, "test": None, "std": {"valid": None, "test": None}}
    for name in ("valid", "test"):
        reports = [metrics.get(name) for metrics in by_seed.values()]
        if any(report is None for report in reports):
            continue
        found[name] = {key: _mean([report.get(key) for report in reports]) for key in reports[0]}
        found["std"][name] = {
            key: _std([report.get(key) for report in reports])
            for key, value in reports[0].items()
            if not isinstance(value, int)
        }
    found["seeds"] = {seed: {name: m.get(name) for name in ("valid", "test")} for seed, m in by_seed.items()}
    return {**found, "baseline": first.get("baseline", {}), "parameters": first.get("parameters")}


def _mean(values):
    if None in values:
        return None
    # A number of samples is the same for every seed.
    return values[0] if len(set(values)) == 1 else statistics.fmean(values)


def _std(values):
    return None if None in values or len(values) < 2 else statistics.stdev(values)


def seeds_table(metrics, task, recipe) -> ResultTable:
    """The table of several seeds: the mean with its deviation, each seed, and the baseline.

    Args:
        metrics: what `summarise` gives.
        task: a name of `plumkeras.tasks`.
        recipe: name of the recipe.
    """
    split = "test" if metrics["test"] is not None else "valid"
    titles, convention = metric_titles(metrics[split], task)
    seeds = metrics["seeds"]
    rows = [["mean" if len(seeds) < 2 else "mean ± std", *spreads(metrics, split, titles)]]
    for seed, found in seeds.items():
        rows.append([f"seed {seed}", *(cell(title, found[split].get(key)) for key, title in titles.items())])
    if baseline := (metrics.get("baseline") or {}).get(split):
        rows.append(["baseline", *(cell(title, baseline.get(key)) for key, title in titles.items())])
    notes = [f"{split}; standard deviation with ddof 1 over {len(seeds)} seeds.", convention]
    return ResultTable(TABLE, f"{recipe}, {len(seeds)} seeds", ["", *titles.values()], rows, notes)


def spreads(metrics, split, titles) -> list:
    """The cells of a row of means and deviations, by the titles of the metrics."""
    std = (metrics.get("std") or {}).get(split) or {}
    return [
        metrics[split][key]
        if isinstance(metrics[split].get(key), int)
        else Spread(metrics[split].get(key), std.get(key), title.endswith("%"))
        for key, title in titles.items()
    ]


def cell(title, value):
    """The cell of one value of a metric."""
    return value if isinstance(value, int) else Spread(value, percent=title.endswith("%"))
