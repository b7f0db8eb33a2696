"""Figures as inline SVG: no text from a file, no date, no identifier that another figure has too."""

import io
from xml.etree import ElementTree

import numpy as np

from plumkeras.recipes.views.pictures.losses import COLOURS, new_figure

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_SVG, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
# More points than that are drawn as counts in hexagons.
MAX_POINTS = 2000
_GREY = COLOURS[7]


def inline_svg(figure, name, title):
    """An SVG element for an HTML page, as `Markup`.

    Args:
        figure: matplotlib figure. Text in it must not come from a user's file.
        name: of the figure, unlike that of any other on the page.
        title: what a screen reader says of it.
    """
    import matplotlib
    from markupsafe import Markup

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None}, transparent=True)
    root = ElementTree.fromstring(text.getvalue())
    for parent in list(root.iter()):
        for child in list(parent):
            # A style in a figure would be one of the whole page.
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
    used = {value[1:] for element in root.iter() if (value := element.get(_LINK, "")).startswith("#")}
    used |= {v[5:-1] for element in root.iter() for v in element.attrib.values() if v.startswith("url(#")}
    for element in root.iter():
        element.tag = element.tag.removeprefix(_SVG)
        if (identifier := element.attrib.pop("id", None)) in used:
            element.set("id", f"{name}-{identifier}")
        if link := element.attrib.pop(_LINK, None):
            element.set("href", f"#{name}-{link[1:]}" if link.startswith("#") else link)
        for key, value in element.attrib.items():
            if value.startswith("url(#"):
                element.set(key, f"url(#{name}-{value[5:]}")
    width = float(root.attrib.pop("width").removesuffix("pt"))
    del root.attrib["height"]
    root.attrib |= {"role": "img", "aria-label": title, "style": f"max-width: {width * 4 / 3:.0f}px"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def curves(lines, kept, name, title):
    """Quantities by epoch.

    Args:
        lines: list of dicts of `epochs` and `values`, and of `colour`, `marker`, `fill`, `dash`, `width` and `alpha` as
            far as they are not the usual ones.
        kept: number of the kept epoch, or None.
        name, title: as of `inline_svg`.
    """
    figure = new_figure(3.2, 1.9)
    axis = figure.subplots()
    most = max(len(line["epochs"]) for line in lines)
    for line in lines:
        axis.plot(
            line["epochs"],
            line["values"],
            line.get("dash", "-"),
            color=line.get("colour", COLOURS[0]),
            # A line of one point shows nothing without one.
            marker=line.get("marker") or ("o" if most == 1 else None),
            markevery=max(most // 5, 1),
            markersize=3.5,
            markerfacecolor=line.get("fill", line.get("colour", COLOURS[0])),
            linewidth=line.get("width", 1.3),
            alpha=line.get("alpha", 1),
        )
    if kept is not None:
        axis.axvline(kept, color=COLOURS[6], linewidth=1, linestyle=":")
    axis.set_xlabel("epoch", fontsize=8)
    axis.xaxis.get_major_locator().set_params(integer=True, nbins=5)
    axis.yaxis.get_major_locator().set_params(nbins=4)
    if most == 1:
        axis.set_xticks(lines[0]["epochs"])
    _finish(axis)
    return inline_svg(figure, name, title)


def scatter(labels, predicted, name, title):
    """Predictions against labels, with the line on which they are equal."""
    figure = new_figure(4.4, 4.2)
    axis = figure.subplots()
    low, high = min(labels.min(), predicted.min()), max(labels.max(), predicted.max())
    margin = 0.04 * ((high - low) or 1)
    ends = (low - margin, high + margin)
    if len(labels) > MAX_POINTS:
        # From light to dark, also in grey; the fewest are seen too.
        axis.hexbin(labels, predicted, gridsize=28, mincnt=1, cmap="cividis_r", bins="log", linewidths=0.1)
    else:
        alpha = float(np.clip(13 / np.sqrt(len(labels)), 0.25, 0.8))
        axis.plot(labels, predicted, "o", color=COLOURS[0], alpha=alpha, markersize=4, markeredgewidth=0)
    axis.plot(ends, ends, "--", color=COLOURS[6], linewidth=1)
    axis.set(xlim=ends, ylim=ends, aspect="equal")
    axis.set_xlabel("true label", fontsize=8)
    axis.set_ylabel("prediction", fontsize=8)
    _finish(axis)
    return inline_svg(figure, name, title)


def error_bars(places, errors, counts, names, name, title):
    """Mean error by bin of the label, with the number of samples on each bar.

    Args:
        places, errors, counts: `[B]`; `places` are whole numbers.
        names: `[B]` text, under the bars.
        name, title: as of `inline_svg`.
    """
    figure = new_figure(4.4, 3)
    axis = figure.subplots()
    bars = axis.bar(places, errors, 0.8, color=COLOURS[5], edgecolor=COLOURS[0])
    axis.bar_label(bars, [f"n {count}" for count in counts], fontsize=7, padding=2)
    axis.set_xticks(places, names)
    axis.margins(y=0.12)
    axis.set_xlabel("true label", fontsize=8)
    axis.set_ylabel("mean |error|", fontsize=8)
    _finish(axis)
    axis.grid(False, axis="x")
    return inline_svg(figure, name, title)


def reliability(bins, name, title, axes=("predicted probability", "share that is true")):
    """What is true against what was predicted, by bins, with the number of samples of each bin below.

    Args:
        bins: `calibration.Bins`.
        name, title: as of `inline_svg`.
        axes: what the axes are called. With intervals, the range is that of the values, else 0 to 1.
    """
    figure = new_figure(4.4, 4.4)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    if bins.interval is None:
        ends = (0, 1)
    else:
        half = np.nan_to_num(bins.interval)
        reach = np.concatenate([bins.low, bins.high, bins.true - half, bins.true + half])
        margin = 0.05 * ((reach.max() - reach.min()) or 1)
        ends = (reach.min() - margin, reach.max() + margin)
    upper.plot(ends, ends, "--", color=COLOURS[6], linewidth=1)
    upper.errorbar(
        bins.predicted, bins.true, yerr=bins.interval, fmt="o-", color=COLOURS[0], markersize=5, linewidth=1, capsize=3
    )
    upper.set(xlim=ends, ylim=ends if bins.interval is not None else (-0.03, 1.03))
    upper.set_ylabel(axes[1], fontsize=8)
    # A bin may be of one value.
    widths = np.maximum(bins.high - bins.low, (ends[1] - ends[0]) / 80)
    lower.bar((bins.low + bins.high) / 2, bins.count, widths, color=COLOURS[5], edgecolor=COLOURS[0])
    lower.set_ylabel("samples", fontsize=8)
    lower.set_xlabel(axes[0], fontsize=8)
    lower.yaxis.get_major_locator().set_params(nbins=3, integer=True)
    _finish(upper)
    _finish(lower)
    return inline_svg(figure, name, title)


def _finish(axis):
    axis.grid(color=_GREY, alpha=0.3, linewidth=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
