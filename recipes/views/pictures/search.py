"""The picture of a search."""

import itertools

import numpy as np

from plumkeras.recipes.views.pictures.losses import COLOURS, new_figure


def plot_search(trials, best, fields, ranges, label, path):
    """Draws what a search found: the objective by trial, and against each hyper-parameter.

    Objectives so far above the others that these could not be told apart are drawn at the upper edge, as triangles.

    Args:
        trials: list of objects with `number`, `status` (`"completed"`, `"failed"` or another), `objective` and `values`
            (dict by field). Number 0 is the recipe's own values.
        best: the best of them.
        fields: names of the hyper-parameters.
        ranges: dict by field: `"linear"` or `"log"` for a range of numbers; any other is drawn as a list of values.
        label: what the objective is.
        path: where the PNG goes.
    """
    completed = [trial for trial in trials if trial.status == "completed"]
    columns = min(max(len(fields), 2), 4)
    rows = -(-len(fields) // columns)
    figure = new_figure(3.4 * columns, 3.8 + 2.9 * rows)
    top, below = figure.subfigures(2, 1, height_ratios=(3.6, 2.9 * rows))
    limits = _objective_limits([trial.objective for trial in completed])
    by_trial = top.subplots()
    _by_trial(by_trial, trials, completed, best, limits)
    by_trial.set_ylabel(label)
    axes = below.subplots(rows, columns, squeeze=False)
    for axis, field in itertools.zip_longest(axes.flat, fields):
        if field is None:
            axis.set_axis_off()
            continue
        _by_value(axis, field, completed, best, ranges.get(field), limits)
    for axis in axes[:, 0]:
        axis.set_ylabel(label, fontsize=8)
    figure.savefig(path, dpi=110, format="png")


def _objective_limits(objectives):
    """Where the axis of the objective ends: above most, with the far ones cut off."""
    low, middle, upper = np.quantile(objectives, [0, 0.5, 0.75])
    high = min(max(objectives), upper + 2 * (upper - low))
    margin = 0.08 * ((high - low) or abs(middle) or 1)
    return low - margin, high + margin


def _by_trial(axis, trials, completed, best, limits):
    numbers = [trial.number for trial in completed]
    objectives = np.array([trial.objective for trial in completed])
    _dots(axis, numbers, objectives, limits, color=COLOURS[0], label="trial")
    axis.step(
        numbers, np.minimum.accumulate(objectives), where="post", color=COLOURS[0], linewidth=1.2, label="best so far"
    )
    failed = [trial.number for trial in trials if trial.status == "failed"]
    if failed:
        axis.plot(failed, [limits[1]] * len(failed), "x", color=COLOURS[1], clip_on=False, label="failed")
    _marks(axis, completed, best, limits, lambda trial: trial.number)
    axis.set_ylim(*limits)
    axis.set_xlabel("trial")
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    # Beside the axis: no corner of it stays free of trials.
    axis.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)


def _by_value(axis, field, completed, best, sampling, limits):
    values = [trial.values[field] for trial in completed]
    if sampling in ("linear", "log"):
        places = dict(zip([trial.number for trial in completed], values, strict=True))
        _scale(axis, values, sampling)
    else:
        names = sorted(set(map(value_name, values)), key=lambda name: (len(name), name))
        if all(isinstance(value, (int, float)) for value in values):
            names = [value_name(value) for value in sorted(set(values))]
        # Side by side in the order of the trials, so that equal values do not hide each other.
        spread = np.linspace(-0.2, 0.2, len(values)) if len(values) > 1 else [0]
        places = {
            trial.number: names.index(value_name(value)) + shift
            for trial, value, shift in zip(completed, values, spread, strict=True)
        }
        axis.set_xticks(range(len(names)), names, parse_math=False, fontsize=8)
        axis.set_xlim(-0.5, len(names) - 0.5)
    objectives = np.array([trial.objective for trial in completed])
    _dots(axis, list(places.values()), objectives, limits, color=COLOURS[0])
    _marks(axis, completed, best, limits, lambda trial: places[trial.number])
    axis.set_ylim(*limits)
    axis.set_xlabel(field, fontsize=9, parse_math=False)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)


def _scale(axis, values, sampling):
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_xscale(sampling)
    if sampling == "log":
        # Within a decade or two the powers of ten alone would leave hardly a tick.
        is_narrow = max(values) < 100 * min(values)
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_narrow else (1,), numticks=6))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
    elif all(isinstance(value, int) for value in values):
        axis.xaxis.get_major_locator().set_params(integer=True)


def value_name(value):
    """The value of a field as a person reads it."""
    if isinstance(value, (list, tuple)):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _dots(axis, places, objectives, limits, color, label=None):
    is_far = objectives > limits[1]
    places = np.array(places, dtype="float64")
    axis.plot(places[~is_far], objectives[~is_far], "o", color=color, alpha=0.6, markersize=4.5, label=label)
    if is_far.any():
        far = "trial, far above" if label else None
        axis.plot(
            places[is_far], np.full(is_far.sum(), limits[1]), "^", color=color, markersize=5, clip_on=False, label=far
        )


def _marks(axis, completed, best, limits, place):
    """The recipe's own trial and the best one, over the others."""
    own = next((trial for trial in completed if trial.number == 0), None)
    for trial, marker, size, color, label in (
        (own, "D", 7, COLOURS[4], "recipe's own values"),
        (best, "*", 13, COLOURS[2], "best"),
    ):
        if trial is not None:
            height = min(trial.objective, limits[1])
            axis.plot(
                [place(trial)], [height], marker, color=color, markersize=size, markeredgecolor="white", label=label
            )
