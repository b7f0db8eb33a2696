"""Pictures of predictions: against the labels, and where the modalities disagree."""

import itertools

import numpy as np

from plumkeras.metrics.reports import correlation
from plumkeras.recipes.views.pictures.losses import COLOURS, new_figure

_MAX_LABELS = 24


def plot_regression(labels, predicted, split_name, path):
    """Draws predictions against labels, with the line on which they are equal.

    Args:
        labels, predicted: `[N]` float.
        split_name: what was predicted.
        path: where the PNG goes.
    """
    labels, predicted = np.asarray(labels, "float64"), np.asarray(predicted, "float64")
    figure = new_figure(5.6, 5.4)
    axis = figure.subplots()
    low, high = min(labels.min(), predicted.min()), max(labels.max(), predicted.max())
    margin = 0.04 * ((high - low) or 1)
    ends = (low - margin, high + margin)
    axis.plot(ends, ends, color=COLOURS[7], linewidth=1, label="predicted = true")
    axis.axhline(0, color=COLOURS[7], linewidth=0.5)
    axis.axvline(0, color=COLOURS[7], linewidth=0.5)
    # Few samples stand out; many show where they are dense.
    alpha = float(np.clip(40 / np.sqrt(len(labels)) / 3, 0.15, 0.8))
    axis.plot(labels, predicted, "o", color=COLOURS[0], alpha=alpha, markersize=4, markeredgewidth=0, label="sample")
    axis.set(xlim=ends, ylim=ends, xlabel="label", ylabel="prediction", aspect="equal")
    said = f"MAE {np.mean(np.abs(predicted - labels)):.3f}"
    if (corr := correlation(labels, predicted)) is not None:
        said += f", Corr {corr:.3f}"
    axis.set_title(f"{split_name}: {said}, n = {len(labels)}", fontsize=11, parse_math=False)
    axis.legend(fontsize=8, loc="upper left", framealpha=0.7)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def plot_confusion(labels, predicted, names, split_name, path):
    """Draws the confusion matrix: counts, coloured by their share of the row.

    Args:
        labels, predicted: `[N]` int, classes.
        names: names of the classes `0..C-1`.
        split_name: what was predicted.
        path: where the PNG goes.
    """
    side = 2.4 + 0.9 * min(len(names), 12)
    figure = new_figure(side + 0.6, side)
    axis = figure.subplots()
    _matrix(axis, _counts(labels, predicted, len(names)), names)
    axis.set(xlabel="prediction", ylabel="label")
    hits = np.mean(np.asarray(labels) == np.asarray(predicted))
    axis.set_title(f"{split_name}: accuracy {100 * hits:.1f} %, n = {len(labels)}", fontsize=11, parse_math=False)
    figure.savefig(path, dpi=110)


def plot_labels(labels, predicted, names, split_name, path):
    """Draws for each label how many samples have it, how many are predicted to, and how many of these rightly.

    Args:
        labels, predicted: `[N, L]` of 0 and 1.
        names: names of the labels.
        split_name: what was predicted.
        path: where the PNG goes.
    """
    labels, predicted = np.asarray(labels) > 0.5, np.asarray(predicted) > 0.5
    shown = slice(0, _MAX_LABELS)
    figure = new_figure(6.4, 1.6 + 0.55 * min(len(names), _MAX_LABELS))
    axis = figure.subplots()
    places = np.arange(len(names[shown]))
    bars = (("true", labels), ("predicted", predicted), ("both", labels & predicted))
    for position, (title, rows) in enumerate(bars):
        counts = rows.sum(axis=0)[shown]
        drawn = axis.barh(places + (position - 1) * 0.27, counts, 0.27, color=COLOURS[position], label=title)
        axis.bar_label(drawn, fontsize=8, padding=2)
    axis.set_yticks(places, [str(name) for name in names[shown]], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlabel("samples")
    axis.margins(x=0.1)
    more = f", the first {_MAX_LABELS} of {len(names)} labels" if len(names) > _MAX_LABELS else ""
    title = f"{split_name}: accuracy {100 * np.mean(labels == predicted):.1f} %, n = {len(labels)}{more}"
    axis.set_title(title, fontsize=11, parse_math=False)
    axis.legend(fontsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110)


def plot_disagreement(hard_labels, names, split_name, path):
    """Draws for each pair of modalities how often one's label goes with which of the other's.

    Args:
        hard_labels: dict by modality of `[N]` int, the most probable class, -1 where the modality is missing.
        names: names of the classes `0..C-1`.
        split_name: what was predicted.
        path: where the PNG goes.
    """
    pairs = list(itertools.combinations(hard_labels, 2))
    columns = min(len(pairs), 3)
    rows = -(-len(pairs) // columns)
    side = 2.2 + 0.7 * min(len(names), 12)
    figure = new_figure(max((side + 0.4) * columns, 5.5), (side + 0.3) * rows + 0.4)
    axes = figure.subplots(rows, columns, squeeze=False)
    for axis, pair in itertools.zip_longest(axes.flat, pairs):
        if pair is None:
            axis.set_axis_off()
            continue
        first, second = (np.asarray(hard_labels[m]) for m in pair)
        both = (first >= 0) & (second >= 0)
        _matrix(axis, _counts(first[both], second[both], len(names)), names)
        axis.set_ylabel(f"label of {pair[0]}", parse_math=False)
        axis.set_xlabel(f"label of {pair[1]}", parse_math=False)
        said = "no sample has both"
        if both.any():
            said = f"{100 * np.mean(first[both] == second[both]):.0f} % agree, n = {both.sum()}"
        axis.set_title(said, fontsize=10)
    figure.suptitle(f"{split_name}: where the modalities disagree", fontsize=11, parse_math=False)
    figure.savefig(path, dpi=110)


def _counts(rows, columns, classes):
    counts = np.zeros((classes, classes), int)
    np.add.at(counts, (np.asarray(rows, int), np.asarray(columns, int)), 1)
    return counts


def _matrix(axis, counts, names):
    """A matrix of counts, coloured by the share of each in its row."""
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(names) <= 12:
        for (row, column), count in np.ndenumerate(counts):
            shade = "white" if shares[row, column] > 0.6 else "black"
            text = f"{count}\n{100 * shares[row, column]:.0f} %"
            axis.text(column, row, text, ha="center", va="center", fontsize=8, color=shade)
    ticks = range(0, len(names), -(-len(names) // 12))
    shown = [names[k] for k in ticks]
    slant = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if max(map(len, shown)) > 3 else {}
    axis.set_xticks(ticks, shown, fontsize=8, parse_math=False, **slant)
    axis.set_yticks(ticks, shown, fontsize=8, parse_math=False)
