"""A picture of a data set: labels, lengths, and the spread of the feature columns."""

import warnings

import numpy as np

from plumkeras.recipes.views.pictures.losses import COLOURS, new_figure

_SPLITS = {"train": COLOURS[0], "valid": COLOURS[4], "test": COLOURS[1], "all": COLOURS[0]}
# More bars than that can't be read.
_MAX_CLASSES = 20
# No modality takes less room than this, and no file has a reason for more.
_MAX_MODALITIES = 6


def plot_description(description, path):
    """Draws what `data_pipelines.describe` found.

    Above: labels by split, and how many frames of each modality are padding. Then for each modality the lengths by
    split, and below the standard deviation and largest magnitude of its feature columns, from the smallest up.

    Args:
        description: dict, as `data_pipelines.describe` returns it.
        path: where the PNG goes.
    """
    modalities = description["modalities"][:_MAX_MODALITIES]
    figure = new_figure(max(8.4, 3.6 * len(modalities)), 9.6)
    figure.suptitle(_title(description), fontsize=11, parse_math=False)
    top, middle, bottom = figure.subfigures(3, 1, height_ratios=(1.05, 1, 1.1))
    left, right = top.subplots(1, 2, width_ratios=(1.6, 1))
    _labels(left, description)
    _padding(right, description["splits"], modalities)
    axes = middle.subplots(1, len(modalities), squeeze=False)[0]
    for axis, m in zip(axes, modalities, strict=True):
        _lengths(axis, m, description["splits"])
    axes[0].set_ylabel("share of samples, %")
    axes = bottom.subplots(1, len(modalities), squeeze=False)[0]
    for axis, m in zip(axes, modalities, strict=True):
        _columns(axis, m, description["features"][m])
    for axis in (left, right, *middle.axes, *bottom.axes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.set_axisbelow(True)
    with warnings.catch_warnings():
        # A file name may have letters that the font lacks.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        figure.savefig(path, dpi=110, format="png")


def _title(description):
    name = str(description["path"] or "data in memory").rstrip("/").rpartition("/")[2]
    name = name if len(name) <= 60 else f"{name[:57]}..."
    sizes = ", ".join(f"{split} {facts['samples']}" for split, facts in description["splits"].items())
    more = len(description["modalities"]) - _MAX_MODALITIES
    return f"{name} ({description['format']}): {sizes}" + (f"; {more} more modalities" if more > 0 else "")


def _labels(axis, description):
    labelled = {name: split["labels"] for name, split in description["splits"].items() if split["labels"]}
    axis.set_title("Labels")
    if not labelled:
        axis.text(0.5, 0.5, "no labels", ha="center", va="center", transform=axis.transAxes, color="0.4")
        axis.set_xticks([])
        axis.set_yticks([])
        return
    if description["task"] != "regression":
        samples = {name: facts["samples"] for name, facts in description["splits"].items()}
        _classes(axis, labelled, samples, "label" if description["task"] == "multilabel" else "class")
    else:
        for name, labels in labelled.items():
            label = f"{name}: mean {labels['mean']:.2f}, std {labels['std']:.2f}"
            _steps(axis, labels["histogram"]["edges"], labels["histogram"]["counts"], name, label)
        axis.set_xlabel("label")
    axis.set_ylabel("share of samples, %")
    _legend(axis)


def _classes(axis, labelled, samples, kind):
    # Class numbers in their order; names as the data set has them.
    classes = list(dict.fromkeys(c for labels in labelled.values() for c in labels["classes"]))
    classes = sorted(classes, key=int) if all(c.isdecimal() for c in classes) else classes
    shown, width = classes[:_MAX_CLASSES], 0.8 / len(labelled)
    for position, (name, labels) in enumerate(labelled.items()):
        shares = [100 * labels["classes"].get(c, 0) / samples[name] for c in shown]
        places = np.arange(len(shown)) + (position - (len(labelled) - 1) / 2) * width
        axis.bar(places, shares, width, color=_SPLITS[name], label=name)
    axis.set_xticks(np.arange(len(shown)), shown)
    axis.set_xlabel(kind if shown == classes else f"{kind}, the first {_MAX_CLASSES} of {len(classes)}")


def _steps(axis, edges, counts, name, label):
    shares = 100 * np.array(counts) / max(sum(counts), 1)
    colour = _SPLITS[name]
    axis.stairs(shares, edges, color=colour, linewidth=1.6, label=label)
    # Outlines of several splits stay readable over one another; a filled one shows where the mass is.
    if name in ("train", "all"):
        axis.stairs(shares, edges, color=colour, fill=True, alpha=0.15)


def _padding(axis, splits, modalities):
    """Share of padded frames, and of samples without the modality, as bars by modality and split."""
    height = 0.8 / len(splits)
    for position, (name, split) in enumerate(splits.items()):
        places = np.arange(len(modalities)) + (position - (len(splits) - 1) / 2) * height
        facts = [split["modalities"][m] for m in modalities]
        shares = [100 * part["padding_share"] for part in facts]
        axis.barh(places, shares, height, color=_SPLITS[name], label=name)
        for place, share, part in zip(places, shares, facts, strict=True):
            missing = f", {part['missing']} missing" if part["missing"] else ""
            inside = share > 55
            axis.text(
                share + (-2 if inside else 2),
                place,
                f"{share:.0f} %{missing}",
                va="center",
                ha="right" if inside else "left",
                color="white" if inside and name != "valid" else "black",
                fontsize=8,
            )
    axis.set_yticks(np.arange(len(modalities)), [_short(m) for m in modalities], parse_math=False)
    axis.invert_yaxis()
    axis.set_xlim(0, 100)
    axis.set_xlabel("% of frames")
    # What the colours mean, the other panels say.
    axis.set_title("Padding")


def _lengths(axis, modality, splits):
    width = next(iter(splits.values()))["modalities"][modality]["width"]
    axis.set_title(f"{_short(modality)}: lengths", parse_math=False)
    for name, split in splits.items():
        facts = split["modalities"][modality]
        # Lengths are whole numbers: a bar of one is centred on it.
        edges = np.array(facts["length_histogram"]["edges"]) - 0.5
        label = f"{name}: median {facts['length']['median']:g}"
        _steps(axis, edges, facts["length_histogram"]["counts"], name, label)
    axis.set_xlabel(f"frames of {width} features (0: missing)")
    axis.xaxis.get_major_locator().set_params(integer=True)
    _legend(axis)


def _columns(axis, modality, facts):
    """Columns from the smallest spread to the largest; what they share of a scale tells what scaling they need."""
    constant = set(facts["constant"])
    rows = [
        (std, largest)
        for column, (std, largest) in enumerate(zip(facts["std"], facts["max_abs"], strict=True))
        if column not in constant and std and largest
    ]
    left_out = f", {len(constant)} constant" if constant else ""
    columns = "1 column" if len(facts["std"]) == 1 else f"{len(facts['std'])} columns"
    axis.set_title(f"{_short(modality)}: {columns}{left_out}", parse_math=False)
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    if not rows:
        axis.text(0.5, 0.5, "nothing that changes", ha="center", va="center", transform=axis.transAxes, color="0.4")
        axis.set_xticks([])
        axis.set_yticks([])
        return
    std, largest = np.array(sorted(rows)).T
    places = np.arange(1, len(rows) + 1)
    axis.plot(places, largest, ".", color=COLOURS[1], markersize=3, label="max |x|")
    axis.plot(places, std, color=COLOURS[0], linewidth=1.8, label="standard deviation")
    axis.set_yscale("log")
    # Within a decade or two the powers of ten alone would leave hardly a tick.
    is_narrow = largest.max() < 100 * std.min()
    axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if is_narrow else (1,), numticks=9))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(f"columns of {facts['split']} that change, by deviation")
    axis.xaxis.get_major_locator().set_params(integer=True)
    _legend(axis)


def _short(name):
    return name if len(name) <= 16 else f"{name[:13]}..."


def _legend(axis):
    axis.legend(fontsize=8, loc="best", framealpha=0.7)
