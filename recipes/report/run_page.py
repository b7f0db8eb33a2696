"""The page of one run."""

from pathlib import Path

from plumkeras.recipes.config import ConfigError, read_json
from plumkeras.recipes.models import find_model
from plumkeras.recipes.report import curve_sections, html, origin_sections, result_sections
from plumkeras.recipes.report.disagreement import disagreement
from plumkeras.recipes.report.files import read_histories, read_predictions
from plumkeras.recipes.report.section import LeftOut, Section, section
from plumkeras.recipes.runs import run_directory


def render(directory, place) -> str:
    """The page of a finished run.

    Args:
        directory: path.
        place: path of the directory as seen from where the page will be.
    """
    described = run_directory.read_description(directory / run_directory.CONFIG)
    metrics = run_directory.read_metrics(directory / run_directory.METRICS)
    recipe = described.get("recipe") or {}
    again = None
    if not described.get("fold"):
        again = ["plumkeras", "train", "--config", run_directory.CONFIG, "--output", "../again"]
    return html.page(
        title=f"Run of {recipe.get('name', 'an unknown recipe')}, seed {described.get('seed', 'unknown')}",
        facts=section("facts", "What was run", _facts, directory, described, metrics),
        sections=[
            section("metrics", "Metrics", _metrics, directory, metrics),
            section("curves", "Training", _curves, directory, metrics),
            *prediction_sections(directory, metrics),
            *origin(described, again),
        ],
        warnings=warnings_of(described, metrics),
    )


def prediction_sections(directory, metrics) -> list:
    """The sections of a directory's predictions; `metrics` is what its `metrics.json` holds."""
    titles = {
        "predictions": "True against predicted",
        "calibration": "Calibration",
        "disagreement": "Where modalities disagree",
    }
    builders = (result_sections.true_against_predicted, result_sections.calibration_of, disagreement)
    read = section("predictions", "", read_predictions, directory, metrics)
    if read.left_out:
        return [Section(name, title, left_out=read.left_out) for name, title in titles.items()]
    return [section(*each, build, read.values) for each, build in zip(titles.items(), builders, strict=True)]


def origin(described, again) -> list:
    """The sections on where a result comes from."""
    return [
        section("configuration", "Configuration", origin_sections.configuration, described),
        section("versions", "Versions", origin_sections.versions, described),
        section("reproduce", "How to reproduce it", origin_sections.reproduce, described, again),
    ]


def warnings_of(described, metrics) -> list:
    """What was suspicious about the data, sentences."""
    found = metrics.get("warnings") or described.get("warnings") or []
    return [str(sentence) for sentence in found] if isinstance(found, list) else []


def _metrics(directory, metrics):
    return result_sections.metrics_table(metrics, run_directory.read_network(directory / run_directory.CONFIG)["task"])


def _curves(directory, metrics):
    modalities = list(run_directory.read_network(directory / run_directory.CONFIG)["feature_dims"])
    kept = metrics.get("best_epoch")
    return curve_sections.run_curves(read_histories(directory), modalities, kept if type(kept) is int else None)


def _facts(directory, described, metrics):
    recipe = described.get("recipe") or {}
    facts = [("Recipe", f"{recipe['name']} ({recipe.get('model', 'plum_net')})"), ("Seed", str(described.get("seed")))]
    if fold := run_directory.check_fold(described.get("fold"), directory / run_directory.CONFIG):
        tested, checked = (", ".join(map(str, fold[name])) for name in ("test", "valid"))
        facts.append(("Fold", f"tested on {tested}, validated on {checked}, trained on the rest"))
    facts += origin_sections.data_facts(described)
    if (parameters := metrics.get("parameters")) is not None:
        facts.append(("Parameters", f"{parameters:,}"))
    facts += _epochs(directory, metrics, recipe)
    if isinstance(source := described.get("init_from"), dict):
        facts.append(("Started from", f"the network of an earlier run, {source.get('run_id') or source.get('path')}"))
    return facts


def _epochs(directory, metrics, recipe):
    facts = []
    stage = list(find_model(recipe.get("model", "plum_net")).STAGES)[-1]
    if (best := metrics.get("best_epoch")) is not None:
        try:
            of = f" of {len(read_histories(directory)[stage]['epoch'])}"
        except (LeftOut, LookupError, ValueError, OSError):
            of = ""
        facts.append(("Kept epoch", f"{best}{of}, the best on validation"))
    try:
        seconds = read_json(Path(directory) / run_directory.TIMINGS)["epoch_seconds"].values()
        facts.append(("Training time", origin_sections.duration(sum(map(sum, seconds)))))
    except (ConfigError, LookupError, TypeError, AttributeError):
        pass  # An earlier version's, or damaged: it says nothing of the result.
    return facts
