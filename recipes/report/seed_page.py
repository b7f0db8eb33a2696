"""The page of several seeds: their mean and spread, and each."""

from plumkeras.recipes.report import curve_sections, html
from plumkeras.recipes.report.fold_page import histories_of, report_links
from plumkeras.recipes.report.origin_sections import data_facts
from plumkeras.recipes.report.run_page import origin, warnings_of
from plumkeras.recipes.report.section import LeftOut, Table, section
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.views.terminal import metric_rows


def render(directory, place) -> str:
    """The page of a finished set of seeds; arguments as of `run_page.render`."""
    described = run_directory.read_description(directory / run_directory.SEEDS)
    metrics = run_directory.read_metrics(directory / run_directory.METRICS)
    recipe, seeds = described.get("recipe") or {}, described.get("seeds") or []
    return html.page(
        title=f"{recipe.get('name', 'An unknown recipe')}, {len(seeds)} seeds",
        about=["The same recipe on the same data, once for each seed of weights, dropout and data order."],
        facts=section("facts", "What was run", _facts, described, metrics),
        sections=[
            section("metrics", "Metrics", _mean_and_spread, described, metrics),
            section("seeds", "Seeds", _seeds, directory, place, described, metrics),
            section("curves", "Training", _curves, directory, metrics),
            *origin(described, None),
        ],
        warnings=warnings_of(described, metrics),
    )


def _facts(described, metrics):
    recipe = described.get("recipe") or {}
    facts = [("Recipe", f"{recipe['name']} ({recipe.get('model', 'plum_net')})")]
    facts += [("Seeds", ", ".join(map(str, described.get("seeds") or []))), *data_facts(described)]
    if (parameters := metrics.get("parameters")) is not None:
        facts.append(("Parameters", f"{parameters:,}"))
    return facts


def _mean_and_spread(described, metrics):
    """Mean ± standard deviation of each split, beside the baseline."""
    task, baseline, columns = described["data"]["task"], metrics.get("baseline") or {}, {}
    convention = ""
    for name in ("test", "valid"):
        if not metrics.get(name):
            continue
        deviation = (metrics.get("std") or {}).get(name) or {}
        reports = {"mean": metrics[name], "std": deviation, "baseline": baseline.get(name) or {}}
        rows, convention = metric_rows(reports, task)
        columns[name] = {
            title: mean if spread == "undefined" or title.split()[0] == "n" else f"{mean} ± {spread}"
            for title, mean, spread, _ in rows
        }
        if baseline.get(name):
            columns[f"{name}, baseline"] = {title: value for title, *_, value in rows}
    if not columns:
        raise LeftOut("nothing was measured")
    titles = dict.fromkeys(title for column in columns.values() for title in column)
    rows = [[title, *(column.get(title, "") for column in columns.values())] for title in titles]
    count = len(metrics.get("seeds") or {})
    told = f"Mean ± standard deviation (divided by the number of seeds less 1) of {count} seeds."
    return Table(["metric", *columns], rows, [told, convention])


def _seeds(directory, place, described, metrics):
    seeds, task, tables = metrics.get("seeds") or {}, described["data"]["task"], []
    for name in ("test", "valid"):
        reports = {f"seed {seed}": splits[name] for seed, splits in seeds.items() if splits.get(name)}
        if reports:
            rows, convention = metric_rows(reports, task)
            tables.append((name, Table(["metric", *reports], rows, [convention])))
    if not tables:
        raise LeftOut("no seed is named in metrics.json")
    return {"tables": tables, "links": report_links(directory, place, _names(metrics))}


def _names(metrics):
    return [f"seed_{int(seed)}" for seed in metrics.get("seeds") or {}]


def _curves(directory, metrics):
    histories = histories_of(directory, _names(metrics))
    if not histories and any((directory / name).glob("fold_*") for name in _names(metrics)):
        raise LeftOut("each seed is a cross-validation; its own report shows the training of its folds")
    return curve_sections.curves_of_several(histories)
