"""The limits that the paper names: modalities that are missing, noise, wrong labels and a rare class, with remedies."""

import dataclasses
from pathlib import Path

import numpy as np

from plumkeras.files import write_json
from plumkeras.recipes.config import ConfigError, read_json, with_values
from plumkeras.recipes.execution import open_executor, run_tasks
from plumkeras.recipes.experiments.damage import LabelNoise, RareClass, deviations, missing, with_noise, without
from plumkeras.recipes.experiments.drawing import COLOURS, DASHES, MARKERS, grid
from plumkeras.recipes.experiments.results import CONDITIONS, Picture, Results
from plumkeras.recipes.experiments.rows import Row
from plumkeras.recipes.runs import predictions, run_directory
from plumkeras.recipes.runs.jobs import DataSource
from plumkeras.recipes.runs.protocol import fold_dataset, fold_masks, fold_numbers
from plumkeras.recipes.views.tables import ResultTable, Spread

SEEDS = (0, 1, 2)
OPTIONS = ()

# By name: title, and the fields that differ from the recipe.
REMEDIES = {
    "plain": ("as it is", {}),
    "modality_dropout": ("modality dropout 0.2", {"network.modality_dropout": 0.2}),
    "class_balance": ("balanced classes", {"class_weight": "balanced"}),
    "label_smoothing": ("label smoothing 0.1", {"objective.label_smoothing": 0.1}),
}
# Shares of redrawn labels, and of the samples of the rare class that stay. Without either, data are as they are.
WRONG = (0.2, 0.4)
KEPT = (0.25, 0.1)
# Of the standard deviation of each feature column.
NOISE = (0.5, 1.0, 2.0)

# With one seed, clean scores that differ by this share of them are taken for equal.
_NOISE = 0.02


def make_rows(setup):
    """Every remedy on clean data with all seeds, and on every kind of damaged training data with the first seed."""
    config = setup.config
    if config.model != "plum_net":
        raise ConfigError(f"robustness compares remedies of PLUM-Net; the recipe has model={config.model}")
    numbers = fold_numbers(setup.dataset)
    part = fold_dataset(setup.dataset, numbers[0]) if numbers else setup.dataset
    RareClass(KEPT[-1])(part)  # Refuses data that it cannot be done to.
    rows = {}
    for name, (title, fields) in REMEDIES.items():
        changed = with_values(config, fields)
        rows[name] = Row(title, changed)
        for kind, change in _changes().items():
            rows[f"{name}_{kind}"] = Row(f"{title}, {_told(change)}", changed, change, setup.seeds[:1])
    return rows


def _changes():
    wrong = {f"wrong_{100 * share:.0f}": LabelNoise(share) for share in WRONG}
    return wrong | {f"rare_{100 * kept:.0f}": RareClass(kept) for kept in KEPT}


def _told(change):
    if isinstance(change, LabelNoise):
        return f"{100 * change.share:.0f} % of labels redrawn"
    return f"{100 * change.kept:.0f} % of the last class"


@dataclasses.dataclass(frozen=True)
class Measurement:
    """The networks of a seed put to damaged samples: what any process of an executor can do.

    Attributes:
        directory: of the run or cross-validation.
        source: its data.
        config: its recipe.
        output: the file of what is found.
    """

    directory: Path
    source: DataSource
    config: object
    output: Path


def measure(task: Measurement) -> dict:
    """Dict by condition of dicts by split, `valid` and `test`, of metrics; read where the run has been measured."""
    own_id = run_directory.run_id(task.directory)
    if task.output.is_file() and (known := read_json(task.output)).get("run_id") == own_id:
        return known["conditions"]
    from plumkeras.recipes.runs.run import load_run

    dataset, run = task.source.prepared(task.config), load_run(task.directory)
    numbers = fold_numbers(dataset)
    parts = {number: fold_dataset(dataset, number) for number in numbers} or {None: dataset}
    pooled = {}
    for number, part in parts.items():
        network = (run if number is None else run.run(number)).network
        scale = deviations(part["train"])
        for split in ("valid", "test"):
            if split not in part or part[split].labels is None:
                continue
            for name, damaged in _conditions(part[split], network.modalities, scale):
                found = predictions.predict_split(network, damaged)["prediction"]
                if number is None:
                    pooled[name, split] = found
                else:
                    whole = pooled.setdefault((name, split), np.empty((len(dataset["all"]), *found.shape[1:])))
                    whole[fold_masks(dataset, number)[split]] = found
    found = {}
    for (name, split), predicted in pooled.items():
        labels = dataset["all" if numbers else split].labels
        found.setdefault(name, {})[split] = predictions.report(dataset, labels, predicted)
    task.output.parent.mkdir(exist_ok=True)
    write_json(task.output, {"run_id": own_id, "conditions": found})
    return found


def _conditions(split, modalities, scale):
    split = split.select(modalities)
    yield "clean", split
    for names in missing(modalities):
        yield f"without {' and '.join(names)}", without(split, names)
    for level in NOISE:
        yield f"noise {level:g}", with_noise(split, level, scale)


def make_results(outcome):
    """Tables and curves of what each kind of damage costs, and the remedy that validation would choose."""
    tasks = [
        (name, Measurement(directory, outcome.source, outcome.rows[name].config, _file(outcome, name, seed)))
        for name in REMEDIES
        for seed, directory in zip(outcome.seeds, outcome.run_directories(name), strict=True)
    ]
    options = outcome.options
    paths = [outcome.directory, *([outcome.source.path] if outcome.source.path else [])]
    with open_executor(options.jobs, options.scheduler, len(tasks), paths) as executor:
        reports = run_tasks(executor, measure, [task for _, task in tasks])
    measured = {name: [r for (row, _), r in zip(tasks, reports, strict=True) if row == name] for name in REMEDIES}
    conditions = list(measured["plain"][0])
    key = next(k for k in ("mae", "f1_weighted", "f1") if k in outcome.titles)
    title = outcome.titles[key].removesuffix(" %")

    def spread(values):
        std = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return Spread(float(np.mean(values)), std, percent=outcome.titles[key].endswith("%"))

    def trained(name, kind, split):
        return [outcome.metrics[f"{name}_{kind}"][split][key]]

    def of_conditions(split):
        return {n: {c: [r[c][split][key] for r in found] for c in conditions} for n, found in measured.items()}

    def of_changes(split):
        return {
            name: {kind: trained(name, kind, split) for kind in _changes()} | {"clean": at[split][name]["clean"][:1]}
            for name in REMEDIES
        }

    at = {split: of_conditions(split) for split in dict.fromkeys(("valid", outcome.split))}
    after = {split: of_changes(split) for split in at}
    better = min if key == "mae" else max
    seeds = " ".join(map(str, outcome.seeds))
    notes = [
        f"{title} on {outcome.split}, mean ± standard deviation (ddof 1) over seeds {seeds}; without: missing for "
        "every sample; noise: Gaussian, in standard deviations of each feature column, on every frame.",
        *outcome.notes()[:2],
    ]
    after_notes = [
        f"{title} on {outcome.split}, seed {outcome.seeds[0]}. Redrawn: so many of the training samples have a "
        "label drawn at random from all training labels; rare class: of the training samples of the last class (of a "
        "regression, those above 0) so many stay. Validation and test are clean.",
        *outcome.notes()[:1],
    ]
    tables = [
        _table("read", f"Damaged samples: {title}", conditions, at[outcome.split], spread, notes),
        _table(
            "trained",
            f"Damaged training data: {title}",
            ["clean", *_changes()],
            after[outcome.split],
            spread,
            after_notes,
            {kind: _told(change) for kind, change in _changes().items()},
        ),
    ]
    table, choice = _choice(at["valid"], after["valid"], spread, better, title)
    tables.append(table)
    return Results(
        f"Robustness of {outcome.config.name}",
        [
            f"Recipe `{outcome.config.name}` and remedies: `modality_dropout` hides modalities in training, "
            "`class_weight=balanced` weighs classes by their share, `label_smoothing` smooths the branch losses' "
            "labels. The paper names missing modalities, wrong labels and rare classes as the limits of PLUM-Net."
        ],
        [*tables, outcome.table("metrics", "Metrics of all rows"), outcome.times()],
        [
            Picture(
                "robustness",
                "What damage costs",
                f"{title} on {outcome.split}; {'lower' if key == 'mae' else 'higher'} is better.",
                lambda: _draw(at[outcome.split], after[outcome.split], title),
            )
        ],
        [choice],
    )


def _file(outcome, name, seed):
    return outcome.directory / CONDITIONS / f"{name}_seed_{seed}.json"


def _table(name, title, columns, found, spread, notes, told=None):
    header = ["", *((told or {}).get(column, column) for column in columns)]
    rows = [[REMEDIES[row][0], *(spread(values[column]) for column in columns)] for row, values in found.items()]
    return ResultTable(name, title, header, rows, notes)


def _choice(at, after, spread, better, title):
    """The table by which validation chooses, and the sentence that says what it chooses."""
    clean = {name: at[name]["clean"] for name in REMEDIES}
    damaged = {
        name: float(
            np.mean(
                [np.mean(at[name][c]) for c in at[name] if c != "clean"] + [after[name][kind][0] for kind in _changes()]
            )
        )
        for name in REMEDIES
    }
    several = len(clean["plain"]) > 1
    noise = float(np.std(clean["plain"], ddof=1)) if several else _NOISE * abs(clean["plain"][0])
    sign = 1 if better is min else -1
    fit = [n for n in REMEDIES if sign * (np.mean(clean[n]) - np.mean(clean["plain"])) <= noise]
    best = better(fit, key=damaged.get)
    rows = [
        [REMEDIES[n][0], spread(clean[n]), spread([damaged[n]]), "chosen" if n == best else "" if n in fit else "costs"]
        for n in REMEDIES
    ]
    table = ResultTable(
        "choice",
        f"Choice by validation: {title}",
        ["", "clean", "mean over all damage", ""],
        rows,
        [
            "On valid. Chosen: the least loss over all kinds of damage among the remedies whose score on clean data is "
            "not worse than without one by more than its standard deviation over seeds"
            f"{'' if several else f' (with one seed: {100 * _NOISE:g} %)'}; costs: it is."
        ],
    )
    said = "no remedy" if best == "plain" else REMEDIES[best][0]
    return (
        table,
        f"Validation chooses {said}: mean {title} over all damage {damaged[best]:.3f}, against {damaged['plain']:.3f} "
        f"without a remedy; on clean data {np.mean(clean[best]):.3f} against {np.mean(clean['plain']):.3f}.",
    )


def _draw(at, after, title):
    figure, axes = grid(2, 2, 6.2, 4.2)
    first = next(iter(at.values()))
    gone = [c for c in first if c == "clean" or c.startswith("without")]
    panels = (
        (axes[0, 0], at, gone, [c.removeprefix("without ").replace(" and ", "\n") for c in gone], "missing modality"),
        (axes[0, 1], at, ["clean", *(f"noise {x:g}" for x in NOISE)], ["0", *(f"{x:g}" for x in NOISE)], "noise, SD"),
        (
            axes[1, 0],
            after,
            ["clean", *(k for k in _changes() if k.startswith("wrong"))],
            ["0", *(f"{100 * x:.0f}" for x in WRONG)],
            "redrawn training labels, %",
        ),
        (
            axes[1, 1],
            after,
            ["clean", *(k for k in _changes() if k.startswith("rare"))],
            ["100", *(f"{100 * x:.0f}" for x in KEPT)],
            "training samples of the last class that stay, %",
        ),
    )
    for axis, found, columns, ticks, label in panels:
        places = np.arange(len(columns))
        for number, (name, (told, _)) in enumerate(REMEDIES.items()):
            means = [np.mean(found[name][column]) for column in columns]
            spread = [np.std(found[name][c], ddof=1) if len(found[name][c]) > 1 else 0 for c in columns]
            shift = 0.06 * (number - (len(REMEDIES) - 1) / 2)
            # Between modalities there is nothing.
            dash = "none" if columns is gone else DASHES[number % len(DASHES)]
            style = {"color": COLOURS[number], "marker": MARKERS[number], "linestyle": dash}
            axis.errorbar(places + shift, means, yerr=spread, label=told, markersize=4, capsize=2, **style)
        axis.set_xticks(places, ticks, fontsize=8)
        axis.set_xlabel(label)
        axis.grid(alpha=0.25)
    for axis in axes[:, 0]:
        axis.set_ylabel(title)
    # Above the axes: there is a point in every corner of some data.
    handles, told = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, told, loc="outside upper center", ncols=len(told), fontsize=9, frameon=False)
    return figure
