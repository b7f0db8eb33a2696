"""The page of a cross-validation: its folds pooled, and each."""

from urllib.parse import quote

from plumkeras.recipes.report import curve_sections, html, result_sections
from plumkeras.recipes.report.files import read_histories
from plumkeras.recipes.report.origin_sections import data_facts
from plumkeras.recipes.report.run_page import origin, prediction_sections, warnings_of
from plumkeras.recipes.report.section import LeftOut, section
from plumkeras.recipes.runs import run_directory


def render(directory, place) -> str:
    """The page of a finished cross-validation; arguments as of `run_page.render`."""
    described = run_directory.read_description(directory / run_directory.CONFIG)
    metrics = run_directory.read_metrics(directory / run_directory.METRICS)
    recipe = described.get("recipe") or {}
    again = ["plumkeras", "train", "--config", run_directory.CONFIG, "--output", "../again"]
    return html.page(
        title=f"Cross-validation of {recipe.get('name', 'an unknown recipe')}, seed {described.get('seed', 'unknown')}",
        about=[
            "Each fold was tested once, by a network that was trained without it. All metrics and predictions, but for "
            "those under Folds, are of the folds' predictions pooled."
        ],
        facts=section("facts", "What was run", _facts, described, metrics),
        sections=[
            section("metrics", "Metrics", _metrics, directory, metrics),
            section("folds", "Folds", _folds, directory, place, metrics),
            section("curves", "Training", _curves, directory, metrics),
            *prediction_sections(directory, metrics),
            *origin(described, again),
        ],
        warnings=warnings_of(described, metrics),
    )


def report_links(directory, place, names) -> list:
    """Links to the reports in folders of a directory: list of (name, address or None where there is none)."""
    there = [(directory / name / run_directory.REPORT).is_file() for name in names]
    addresses = [quote(f"{place}/{name}/{run_directory.REPORT}") for name in names]
    return [(name, address if found else None) for name, address, found in zip(names, addresses, there, strict=True)]


def histories_of(directory, names) -> dict:
    """The histories of the runs in folders of a directory, as far as there are any."""
    found = {}
    for name in names:
        try:
            found[name] = read_histories(directory / name)
        except LeftOut:
            continue
    return found


def _names(metrics):
    return [f"fold_{int(number)}" for number in metrics["folds"]]


def _facts(described, metrics):
    recipe = described.get("recipe") or {}
    facts = [("Recipe", f"{recipe['name']} ({recipe.get('model', 'plum_net')})"), ("Seed", str(described.get("seed")))]
    facts += [*data_facts(described), ("Folds", str(len(metrics.get("folds") or {})))]
    if (parameters := metrics.get("parameters")) is not None:
        facts.append(("Parameters", f"{parameters:,}, each network"))
    return facts


def _metrics(directory, metrics):
    task = run_directory.read_network(directory / run_directory.CONFIG)["task"]
    return result_sections.metrics_table(metrics, task)


def _folds(directory, place, metrics):
    task = run_directory.read_network(directory / run_directory.CONFIG)["task"]
    reports = {f"fold {number}": report for number, report in metrics["folds"].items()}
    if not reports:
        raise LeftOut("no fold is named in metrics.json")
    table = result_sections.metrics_table({"baseline": {"test": None}}, task, reports)
    return {"table": table, "links": report_links(directory, place, _names(metrics))}


def _curves(directory, metrics):
    return curve_sections.curves_of_several(histories_of(directory, _names(metrics)))
