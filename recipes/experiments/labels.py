"""Figure 4: the labels that each modality's prototypes give, beside the true ones, and their change over epochs."""

import csv

import numpy as np

from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.experiments.drawing import COLOURS, DASHES, curves, grid
from plumkeras.recipes.experiments.results import Picture, Results
from plumkeras.recipes.experiments.rows import Row
from plumkeras.recipes.runs import predictions, run_directory
from plumkeras.recipes.runs.label_classes import with_label_classes
from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers
from plumkeras.recipes.runs.stages import network_shape
from plumkeras.recipes.views.tables import ResultTable, Spread
from plumkeras.tasks import get_task

SEEDS = (0, 1, 2)
OPTIONS = ()
_ROW = "plum_net"


def make_rows(setup):
    """The recipe itself, which counts its labels."""
    config = setup.config
    if config.model != "plum_net" or "psl_tfb" not in config.network.modules:
        raise ConfigError(f"labels is of prototype labels, which the recipe {config.name!r} has none of")
    if config.prototype_policy == "none":
        raise ConfigError("labels is of prototype labels, and prototype_policy=none makes none")
    if get_task(setup.dataset.task).label_axes > 1:
        raise ConfigError("labels counts samples by class; multi-label data have no single class")
    return {_ROW: Row(config.name, with_values(config, {"record": ("labels",)}))}


def make_results(outcome):
    """Counts at the kept epoch, curves, and agreement with human labels where there are any."""
    config = with_label_classes(outcome.config, outcome.dataset)
    shape = network_shape(config, _parts(outcome.dataset)[0])
    names = predictions.class_names(outcome.dataset, shape["num_classes"], config.label_classes)
    modalities = list(shape["feature_dims"])
    counts = {m: _kept_counts(outcome, m, len(names)) for m in modalities}
    true = _true_counts(outcome, config, len(names))
    # Of the samples that have the modality: no other gets a label from it.
    true_of = {m: _true_counts(outcome, config, len(names), m) for m in modalities}
    runs = len(counts[modalities[0]])
    agreement = _agreement(outcome, config, modalities)
    of = "train of each fold, mean over folds" if "all" in outcome.dataset else f"train, n = {round(sum(true))}"
    tables = [_count_table(names, true, true_of, counts, of, outcome.seeds), agreement]
    pictures = [
        Picture(
            "labels",
            "Figure 4: labels of the modalities",
            f"Samples of {of}, by class: the true label, and what each modality's prototypes give at the kept epoch, "
            f"mean over {runs} runs; the line is the standard deviation.",
            lambda: _draw_counts(names, true, counts),
        ),
        Picture(
            "labels_by_epoch",
            "Labels over epochs",
            f"Samples of {of} in each class, after each epoch of both stages; dotted: the true count; the vertical "
            "line is the end of stage 1.",
            lambda: _draw_epochs(outcome, names, modalities, true),
        ),
    ]
    if (human := _human(outcome, config, modalities)) is not None:
        tables.insert(1, human)
    about = [
        f"Recipe `{config.name}`, seeds {' '.join(map(str, outcome.seeds))}. A modality's label of a sample is the "
        "class of its nearest prototype (eq. 5); prototypes are class means of the true labels (eq. 4).",
        "The paper's Figure 4 counts, of MOSI's 1284 training samples, 837 positive and 21 neutral ones by audio; by "
        "the true label 679 are positive, 53 neutral and 552 negative.",
    ]
    findings = [_finding(m, names, true_of[m], counts[m]) for m in modalities]
    if human is None:
        findings.append(
            "The data hold no human labels per modality, so that only the multimodal label can be compared."
        )
    return Results(
        f"Prototype labels, {config.name}",
        about,
        [*tables, outcome.table("metrics", "Metrics of these runs"), outcome.times()],
        pictures,
        findings,
    )


def _parts(dataset):
    """The data set, or that of each fold."""
    return [fold_dataset(dataset, number) for number in fold_numbers(dataset)] or [dataset]


def _run_directories(outcome):
    """Every run: of each seed, and each fold."""
    found = []
    for directory in outcome.run_directories(_ROW):
        folds = sorted(path for path in directory.glob("fold_*") if path.is_dir())
        found += folds or [directory]
    return found


def _kept_counts(outcome, modality, classes):
    """The counts of each run at the epoch that was kept, `[runs, C]`."""
    rows = []
    for directory in _run_directories(outcome):
        history = run_directory.read_history(directory, "refinement")
        kept = run_directory.read_metrics(directory / run_directory.METRICS)["best_epoch"] - 1
        rows.append([history[f"{modality}_label_{k}"][kept] for k in range(classes)])
    return np.array(rows)


def _true_counts(outcome, config, classes, modality=None):
    """Training samples by true class, mean over folds; with a modality, of those that have it."""
    task, counts = get_task(outcome.dataset.task), []
    for train in (part["train"] for part in _parts(outcome.dataset)):
        true = np.asarray(task.classes(train.labels, config.label_classes))
        counts.append(np.bincount(true[_has(train, modality)], minlength=classes))
    return np.mean(counts, axis=0)


def _has(split, modality):
    return slice(None) if modality is None else split.lengths[modality] > 0


def _count_table(names, true, true_of, counts, of, seeds):
    rows = [["true label", *(_whole(value) for value in true), ""]]
    for m, found in counts.items():
        cells = [
            f"{found[:, k].mean():.0f} ± {found[:, k].std(ddof=1):.0f}" if len(found) > 1 else _whole(found[0, k])
            for k in range(len(names))
        ]
        share = true_of[m] / true_of[m].sum()
        moved = 50 * np.abs(found / found.sum(axis=1, keepdims=True) - share).sum(axis=1)
        rows.append([m, *cells, f"{moved.mean():.1f}"])
    notes = [
        f"Samples of {of}, at the kept epoch; mean ± standard deviation (ddof 1) over the runs of the seeds "
        f"{' '.join(map(str, seeds))}. Last column: the share of samples that would have to change class to have the "
        "true distribution of those that have the modality."
    ]
    return ResultTable("labels", "Labels by class", ["", *names, "moved %"], rows, notes)


def _whole(value):
    return f"{value:.0f}"


def _predicted(outcome, split):
    """The rows of each seed's predictions file: lists of dicts."""
    for directory in outcome.run_directories(_ROW):
        with (directory / f"predictions_{split}.csv").open(newline="", encoding="utf-8") as file:
            yield list(csv.DictReader(file))


def _hard(rows, modality):
    return np.array([int(row[f"{modality}_hard_label"]) for row in rows])


def _labels(outcome):
    split = outcome.dataset["all"] if "all" in outcome.dataset else outcome.dataset[outcome.split]
    return split


def _agreement(outcome, config, modalities):
    """How often a modality's label is the true class, and that of the other modalities, on samples not trained on."""
    task, split = get_task(outcome.dataset.task), _labels(outcome)
    true = np.asarray(task.classes(split.labels, config.label_classes))
    rows = []
    for m in modalities:
        found = []
        for predicted in _predicted(outcome, outcome.split):
            hard = {other: _hard(predicted, other) for other in modalities}
            there = hard[m] >= 0
            values = [np.mean(hard[m][there] == true[there]), _kappa(hard[m][there], true[there])]
            for other in modalities:
                both = there & (hard[other] >= 0)
                values.append(np.nan if other == m or not both.any() else np.mean(hard[m][both] == hard[other][both]))
            found.append(values)
        cells = _cells(np.array(found))
        rows.append([m, *cells[:2], *(None if o == m else c for o, c in zip(modalities, cells[2:], strict=True))])
    header = ["", "accuracy against the true class %", "kappa", *(f"same as {m} %" for m in modalities)]
    notes = [
        f"{outcome.split}, n = {len(split)}: samples that were not trained on and have the modality; kappa: Cohen's; "
        "mean ± standard deviation (ddof 1) over seeds. The true class is that of the multimodal label."
    ]
    return ResultTable("agreement", "Agreement of labels", header, rows, notes)


def _cells(values):
    """Cells of shares, and of kappa in the second column, over seeds `[S, K]`."""
    return [
        Spread(float(column.mean()), float(column.std(ddof=1)) if len(column) > 1 else None, percent=index != 1)
        for index, column in enumerate(values.T)
    ]


def _kappa(first, second):
    """Cohen's kappa; NaN where both are of one class."""
    both = np.union1d(first, second)
    by_chance = sum(np.mean(first == k) * np.mean(second == k) for k in both)
    return float("nan") if by_chance == 1 else float((np.mean(first == second) - by_chance) / (1 - by_chance))


def _human(outcome, config, modalities):
    """The table of agreement with human labels per modality; None where there are none."""
    split, task = _labels(outcome), get_task(outcome.dataset.task)
    human = split.modality_labels or {}
    if not set(human) & set(modalities):
        return None
    rows = []
    for m in (m for m in modalities if m in human):
        labelled = np.isfinite(human[m])
        classes = np.asarray(task.classes(np.where(labelled, human[m], 0), config.label_classes))
        multimodal = np.asarray(task.classes(split.labels, config.label_classes))
        found = []
        for predicted in _predicted(outcome, outcome.split):
            hard = _hard(predicted, m)
            there = labelled & (hard >= 0)
            found.append([np.mean(hard[there] == classes[there]), _kappa(hard[there], classes[there])])
        truth = [[np.mean(multimodal[labelled] == classes[labelled]), _kappa(multimodal[labelled], classes[labelled])]]
        rows.append([m, *_cells(np.array(found)), *_cells(np.array(truth))])
    header = ["", "accuracy %", "kappa", "multimodal label: accuracy %", "kappa of it"]
    notes = [
        f"{outcome.split}, n = {len(split)}: prototype labels, and the multimodal label, against the label that people "
        "gave the modality alone; mean ± standard deviation (ddof 1) over seeds."
    ]
    return ResultTable("human", "Agreement with human labels per modality", header, rows, notes)


def _finding(modality, names, true, counts):
    mean = counts.mean(axis=0)
    k = int(np.argmax(np.abs(mean - true)))
    return (
        f"{modality.capitalize()} gives {mean[k]:.0f} of {mean.sum():.0f} samples the class {names[k]}, against "
        f"{true[k]:.0f} by the true label."
    )


def _draw_counts(names, true, counts):
    figure, ((axis,),) = grid(1, 1, 2 + 1.9 * len(names), 4.2)
    series = {"true label": true[None], **counts}
    width = 0.8 / len(series)
    for number, ((label, values), colour) in enumerate(zip(series.items(), ("#000000", *COLOURS), strict=False)):
        places = np.arange(len(names)) + (number - (len(series) - 1) / 2) * width
        error = values.std(axis=0, ddof=1) if len(values) > 1 else None
        hatch = (None, "//", "..", "\\\\", "xx")[number % 5]
        bars = axis.bar(
            places, values.mean(axis=0), width, yerr=error, label=label, color=colour, hatch=hatch, edgecolor="white"
        )
        axis.bar_label(bars, fmt="%.0f", fontsize=7, padding=2)
    axis.set_xticks(range(len(names)), names)
    axis.set_ylabel("samples")
    axis.legend(fontsize=8)
    return figure


def _draw_epochs(outcome, names, modalities, true):
    figure, axes = grid(1, len(modalities), 4.4, 3.9)
    stages = [outcome.histories(_ROW, stage) for stage in ("alignment", "refinement")]
    runs = [[h for h in run if h] for run in zip(*stages, strict=True)] if stages[0] else [[h] for h in stages[1]]
    for axis, m in zip(axes[0], modalities, strict=True):
        for k, (name, colour) in enumerate(zip(names, COLOURS, strict=False)):
            series = [np.concatenate([history[f"{m}_label_{k}"] for history in run]) for run in runs]
            curves(axis, series, name, colour, DASHES[k % len(DASHES)])
            axis.axhline(true[k], color=colour, linestyle=":", linewidth=1)
        if stages[0]:
            axis.axvline(len(stages[0][0][f"{m}_label_0"]) + 0.5, color=COLOURS[7], linewidth=1)
        axis.set(title=m, xlabel="epoch")
        axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("samples")
    axes[0, 0].legend(fontsize=8)
    return figure
