"""What the pictures of experiments share."""

import numpy as np

from plumkeras.recipes.views.pictures.losses import COLOURS, new_figure

# Told apart without colours too.
DASHES = ("-", "--", ":", "-.")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

__all__ = ["COLOURS", "DASHES", "MARKERS", "curves", "grid", "new_figure"]


def grid(rows, columns, width=5.2, height=3.9):
    """A figure and its axes, an array `[rows, columns]`."""
    figure = new_figure(width * columns, height * rows)
    return figure, figure.subplots(rows, columns, squeeze=False)


def curves(axis, series, label, colour, dash="-"):
    """Draws the mean of curves, of the length of the shortest, and each of them thinly where there are several.

    Args:
        axis: of matplotlib.
        series: list of float arrays `[epochs]`.
        label, colour, dash: of the mean.
    """
    length = min(map(len, series))
    epochs = np.arange(1, length + 1)
    if len(series) > 1:
        for values in series:
            axis.plot(epochs, values[:length], dash, color=colour, linewidth=0.6, alpha=0.4)
    mean = np.mean([values[:length] for values in series], axis=0)
    axis.plot(epochs, mean, dash, color=colour, linewidth=1.8, label=label)
