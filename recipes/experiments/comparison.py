"""Tables 1 and 2: the recipe, every model of the package and simple references, on one protocol with one budget."""

import json
from pathlib import Path

from plumkeras.features import reads_text
from plumkeras.files import write_json
from plumkeras.recipes.config import ConfigError, read_json, value_of, with_values
from plumkeras.recipes.experiments.drawing import COLOURS, MARKERS, grid
from plumkeras.recipes.experiments.paper import PLUM_NET, TABLES
from plumkeras.recipes.experiments.references import fit_reference, is_written, reference_kinds, write_reference
from plumkeras.recipes.experiments.results import SETTINGS, Picture, Results
from plumkeras.recipes.experiments.rows import Row, read_row
from plumkeras.recipes.frozen import TRIALS, VALUES, preset_values
from plumkeras.recipes.models import MODELS, find_model, loss_title, with_model
from plumkeras.recipes.runs.data_checks import chosen_models
from plumkeras.recipes.runs.protocol import fold_numbers
from plumkeras.recipes.search.plan import SearchOptions, plan
from plumkeras.recipes.views.tables import ResultTable
from plumkeras.tasks import get_task

SEEDS = (0, 1, 2, 3, 4)
OPTIONS = ("models", "trials", "settings")

_SEARCHES, _FROZEN, _CONSTANT = "searches", "frozen", "constant"
_REFERENCES = {
    _CONSTANT: "constant",
    "ridge": "ridge on mean vectors",
    "ridge_text": "ridge on mean text vectors",
    "logistic": "logistic regression on mean vectors",
    "logistic_text": "logistic regression on mean text vectors",
}
# The paper's data sets, by the sizes of their splits, as in the files of MMSA and the authors'.
_PAPER = {
    "mosi": {"train": 1284, "valid": 229, "test": 686},
    "mosei": {"train": 16326, "valid": 1871, "test": 4659},
    "ur_funny": {"train": 7614, "valid": 980, "test": 994},
    "mustard": {"all": 690},
}


def check(setup):
    """Raises `ConfigError` for models that there are not, and for `--settings` that has not those of all."""
    models = chosen_models(setup.config, setup.dataset, setup.options.models)
    if (other := setup.options.settings) is None or _are_presets(other):
        return
    if other.resolve() == setup.directory.resolve():
        raise ConfigError(f"--settings {other}: is this comparison itself; name another one")
    if not (other / SETTINGS).is_file():
        raise ConfigError(f"--settings {other}: holds no comparison; {SETTINGS} is missing")
    given = read_json(other / SETTINGS)
    for model in models:
        if model != setup.config.model and model not in given:
            raise ConfigError(f"{other / SETTINGS}: has no settings of {model}; leave it out by --models")


def _are_presets(settings):
    return str(settings) == _FROZEN and not (settings / SETTINGS).is_file()


def _given_settings(setup):
    """The settings that are taken over, as `settings.json` has them, or None: they are searched."""
    other = setup.options.settings
    if other is None:
        return None
    if not _are_presets(other):
        return read_json(other / SETTINGS)
    unknown = {"objective": None, "own_objective": None}
    return {model: {"values": preset_values(model), "trials": TRIALS, **unknown} for model in VALUES}


def make_rows(setup):
    """A row for each model, by the settings that validation chose, and for each reference."""
    own = setup.config.model
    known = _read_settings(setup.directory / SETTINGS)
    given = _given_settings(setup)
    rows = {}
    for model in chosen_models(setup.config, setup.dataset, setup.options.models):
        config, before = with_model(setup.config, model), known.get(model, {})
        if given is not None and model != own:
            # What was taken over once stays, whatever becomes of the other comparison.
            is_taken = before.get("source") == str(setup.options.settings)
            found = before if is_taken else {**given[model], "source": str(setup.options.settings)}
        elif given is not None or setup.options.trials == 1:
            found = {"values": {}, "trials": 1, "objective": None, "own_objective": None, "source": "the recipe"}
        elif before.get("source") == "search" and before.get("trials") == setup.options.trials:
            found = before
        else:
            found = _search(setup, model, config)
        if known.get(model) != found:
            known[model] = found
            write_json(setup.directory / SETTINGS, known)
        rows[model] = Row(find_model(model).TITLE, with_values(config, found["values"]))
    modalities = setup.config.modalities or setup.dataset.modalities
    for kind in reference_kinds(setup.dataset.task, modalities, reads_text(setup.dataset.feature_dims)):
        rows[kind] = Row(_REFERENCES[kind], None)
    return rows


def _read_settings(path):
    return read_json(path) if path.is_file() else {}


def _search(setup, model, config):
    """The settings that a search chooses on validation, as `settings.json` has them of a model."""
    from plumkeras.recipes.search.tuning import tune
    from plumkeras.recipes.views.terminal import print_line, print_trial

    print_line(f"Search of {model}: {setup.options.trials} trials on validation")
    search = plan(config, setup.dataset, SearchOptions(trials=setup.options.trials))
    directory = setup.directory / _SEARCHES / model
    directory.parent.mkdir(exist_ok=True)
    # One trial at a time: what is proposed depends on how many are under way, and settings are not to depend on that.
    results = tune(search, directory, resume=True, on_trial=print_trial, jobs=1)
    return {
        "values": results.best.values if results.best.number else {},
        "trials": setup.options.trials,
        "objective": results.best.objective,
        "own_objective": results.own and results.own.objective,
        "source": "search",
    }


def measure_reference(setup, kind):
    """The metrics of a reference, fitted unless it has been."""
    directory, trials = setup.directory / kind, setup.options.trials
    if not is_written(directory, kind, setup.config, setup.dataset, trials):
        reference = fit_reference(kind, setup.config, setup.dataset, trials)
        write_reference(directory, reference, setup.config, setup.dataset)
    return read_row(directory)


def make_results(outcome):
    """The table beside the paper's, the settings, and the differences from the recipe's own model."""
    own = outcome.config.model
    names = [own, *(name for name in outcome.rows if name != own)]
    paper = _paper_rows(outcome)
    notes = [f"Settings: {outcome.options.trials} trials of one seed for each model and reference, on valid alone."]
    if outcome.options.trials == 1:
        notes = ["Every model and reference with its own settings: nothing was searched."]
    if (other := outcome.options.settings) is not None:
        where = (
            "the presets `<model>_frozen`, tuned on CMU-MOSI's valid" if _are_presets(other) else f"those of {other}"
        )
        notes = [f"Settings of the other models: {where}; see below."]
    if missing := [m for m in MODELS if m not in outcome.rows]:
        notes.append(f"Not in the table: {', '.join(missing)}; left out, or they need other data.")
    if paper:
        notes.append("The paper's rows are on its own features, which are not public.")
    n = outcome.metrics[own][outcome.split]["n"]
    searched = outcome.options.settings is None and outcome.options.trials > 1
    chosen = "The epoch and settings of each were" if searched else "The epoch of each was"
    differences = outcome.differences(names, f"from {outcome.rows[own].title}")
    table = outcome.table("comparison", "One protocol for all", names, paper, notes)
    return Results(
        f"Comparison on {Path(outcome.dataset.path).name if outcome.dataset.path else 'generated data'}",
        [
            f"Recipe `{outcome.config.name}` and the other models on the same samples, features and seeds.",
            f"{chosen} chosen on valid; every network and reference was put to test once.",
        ],
        [
            table,
            differences,
            _settings_table(outcome),
            outcome.times(),
        ],
        [
            Picture(
                "comparison",
                "All rows",
                f"{outcome.split}, n = {n}; a point for each seed, the line their mean.",
                lambda: _draw(outcome, names),
            )
        ],
        [_finding(outcome, names, key, differences) for key in _main(outcome)],
    )


def _main(outcome):
    """The metrics that findings and pictures are about."""
    return [key for key in ("mae", "acc2_non0", "f1_weighted", "accuracy") if key in outcome.titles][:2]


def _paper_rows(outcome):
    sizes = {name: len(split) for name, split in outcome.dataset.items()}
    name = next((name for name, of in _PAPER.items() if of == sizes), None)
    return [
        outcome.paper_cells(f"paper: {model}", {k: v for k, v in metrics.items() if v is not None})
        for model, metrics in TABLES.get(name, {}).items()
        if model == PLUM_NET or name is not None
    ]


def _settings_table(outcome):
    known = _read_settings(outcome.directory / SETTINGS)
    rows = []
    for name, row in outcome.rows.items():
        if row.config is None:
            described = read_json(outcome.directory / name / "reference.json")
            chosen = described.get("chosen") or {}
            rows.append([row.title, str(outcome.options.trials if chosen else 1), None, None, json.dumps(chosen)])
            continue
        found = known[name]
        changed = ", ".join(f"{field} {_value(row.config, field)}" for field in found["values"]) or "the recipe's own"
        objectives = [found["own_objective"], found["objective"]]
        rows.append([row.title, str(found["trials"]), *objectives, changed])
    notes = [
        "Objective: the prediction loss on valid at the kept epoch, seed 0; the lower, the better. The first trial is "
        "the recipe's own values, or the model's own."
    ]
    task = outcome.dataset.task
    titles = {row.title: loss_title(name, task) for name, row in outcome.rows.items() if row.config is not None}
    if others := [f"of {title} the {loss}" for title, loss in titles.items() if loss != get_task(task).loss_title]:
        notes.append(f"That is the {get_task(task).loss_title}; {', '.join(others)}.")
    numbers = fold_numbers(outcome.dataset)
    if numbers and any(found.get("source") == "search" for found in known.values()):
        notes.append(f"Searches left out fold {numbers[0]}; the other folds' samples were seen by them.")
    return ResultTable("settings", "Settings", ["", "trials", "own", "best", "chosen"], rows, notes)


def _value(config, field):
    value = value_of(config, field)
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _finding(outcome, names, key, differences):
    """Whether the recipe's own model is the best row by a metric, by how much, and whether that is shown."""
    title, own = outcome.titles[key], names[0]
    sign, scale, digits = (1, 1, 3) if key == "mae" else (-1, 100, 1)
    values = {name: outcome.metrics[name][outcome.split][key] for name in names}
    ranked = sorted(values, key=lambda name: sign * values[name])
    name = ranked[1] if ranked[0] == own else ranked[0]
    told, other = outcome.rows[own].title, outcome.rows[name].title
    there = f"{scale * values[name]:.{digits}f}"
    cell = next(row for row in differences.rows if row[0] == other)[differences.header.index(title)]
    interval = f"{cell.rstrip('*')}: {'a difference' if cell.endswith('*') else 'no difference is shown'}"
    said = f"By {title.removesuffix(' %')}, {told} has {scale * values[own]:.{digits}f}"
    if ranked[0] == own:
        return f"{said}, the best row; next is {other} with {there} (difference {interval})."
    return f"{said} and is not the best row: {other} has {there} (difference {interval})."


def _draw(outcome, names):
    keys = _main(outcome)
    figure, axes = grid(1, len(keys), 5.6, 1.2 + 0.34 * len(names))
    for axis, key in zip(axes[0], keys, strict=True):
        scale = 100 if outcome.titles[key].endswith("%") else 1
        means, points = {}, {}
        for name in names:
            found = outcome.metrics[name]
            means[name] = scale * found[outcome.split][key]
            points[name] = [scale * seed[outcome.split][key] for seed in found.get("seeds", {}).values()]
        # The constant is far from all others, whose differences are to be seen: its value stands at the edge.
        near = [value for name in names if name != _CONSTANT for value in (means[name], *points[name])]
        margin = 0.06 * (max(near) - min(near)) or 1.0
        low, high = min(near) - margin, max(near) + margin
        for place, name in enumerate(names):
            colour = COLOURS[0] if place == 0 else COLOURS[6] if outcome.rows[name].config is None else COLOURS[1]
            if not low <= means[name] <= high:
                edge, side, mark = (high, "right", "{} \u2192") if means[name] > high else (low, "left", "\u2190 {}")
                axis.text(edge, place, f" {mark.format(f'{means[name]:.3g}')} ", ha=side, va="center", color=colour)
                continue
            axis.plot([means[name]] * 2, [place - 0.3, place + 0.3], color=colour, linewidth=2)
            marker = MARKERS[0] if place == 0 else MARKERS[1]
            axis.plot(points[name], [place] * len(points[name]), marker, color=colour, markersize=4, alpha=0.6)
        axis.set_xlim(low, high)
        axis.set_yticks(range(len(names)), [outcome.rows[name].title for name in names])
        axis.set_ylim(len(names) - 0.4, -0.6)
        axis.set_xlabel(outcome.titles[key])
        axis.grid(alpha=0.25, axis="x")
    for axis in axes[0, 1:]:
        axis.set_yticklabels([])
    return figure
