"""The picture of a run's loss terms."""

import itertools

import numpy as np

from plumkeras.recipes.models import STAGE_TITLES

# Okabe and Ito's colours: told apart by colour-blind readers and in grey.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")


def new_figure(width, height):
    """A figure of its own, without pyplot: nothing global is touched, and no display is needed."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def plot_losses(histories, path):
    """Draws the loss terms of the stages by epoch.

    Above: how the loss is made up, term by term (their weights included, so that they add up to it). Below: the loss of
    training against validation, and in stage 2 the prediction loss with the epoch that was kept.

    Args:
        histories: dict by stage of Keras histories; `best_epoch`, where there is one, is
            the number of the kept epoch, from 0.
        path: where the PNG goes.
    """
    stages = [stage for stage in STAGE_TITLES if histories.get(stage, {}).get("loss")]
    figure = new_figure(6.2 * max(len(stages), 1), 8.2)
    axes = figure.subplots(2, max(len(stages), 1), squeeze=False)
    for column, stage in enumerate(stages):
        history = histories[stage]
        epochs = np.arange(1, len(history["loss"]) + 1)
        _terms(axes[0, column], epochs, history)
        axes[0, column].set_title(STAGE_TITLES[stage])
        _train_and_validation(axes[1, column], epochs, history)
    figure.savefig(path, dpi=110)


def _terms(axis, epochs, history):
    groups = {}
    for name in (name for name in history if name.endswith("_loss") and not name.startswith("val_")):
        kind = name.removesuffix("_loss").rsplit("_", 1)[-1]
        groups.setdefault(kind, []).append(name)
    # One colour for each kind of term, one dash for each modality: twelve lines stay readable.
    dashes = ("-", "--", ":", "-.")
    for colour, names in zip(COLOURS, groups.values(), strict=False):
        for dash, name in zip(itertools.cycle(dashes), names, strict=False):
            label = name.removesuffix("_loss").replace("_", " ")
            axis.plot(epochs, history[name], dash, marker=_marker(epochs), color=colour, label=label)
    axis.set_ylabel("training loss, by term")
    axis.set_ylim(bottom=0)
    # Under the axis: no corner of it stays free of twelve lines.
    axis.legend(fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.08), frameon=False)
    _finish(axis, epochs)


def _marker(epochs):
    # A line of one point shows nothing.
    return "o" if len(epochs) == 1 else None


def _train_and_validation(axis, epochs, history):
    name = "prediction_loss" if "prediction_loss" in history else "loss"
    label, marker = name.replace("_", " "), _marker(epochs)
    axis.plot(epochs, history[name], marker=marker, color=COLOURS[0], label=f"{label}, training")
    if f"val_{name}" in history:
        axis.plot(epochs, history[f"val_{name}"], marker=marker, color=COLOURS[1], label=f"{label}, validation")
    best = history.get("best_epoch")
    if best is not None:
        axis.axvline(
            best + 1, color=COLOURS[6], linewidth=1.2, linestyle=":", clip_on=False, label=f"kept: epoch {best + 1}"
        )
    axis.set_ylabel("training and validation")
    axis.set_xlabel("epoch")
    axis.legend(fontsize=8, loc="best", framealpha=0.7)
    _finish(axis, epochs)


def _finish(axis, epochs):
    axis.grid(alpha=0.25)
    axis.xaxis.get_major_locator().set_params(integer=True)
    if len(epochs) > 1:
        axis.set_xlim(1, len(epochs))
    else:
        axis.set_xticks(epochs)
