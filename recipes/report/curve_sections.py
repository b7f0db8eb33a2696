"""Sections of training curves: of one run, every term; of several, each run and their mean."""

import numpy as np

from plumkeras.recipes.models import STAGE_TITLES
from plumkeras.recipes.report import figures
from plumkeras.recipes.report.section import LeftOut
from plumkeras.recipes.views.pictures.losses import COLOURS

# Legends say what the markers of matplotlib look like.
_SYMBOLS = {"o": "●", "s": "■", "^": "▲", "D": "◆", "v": "▼", "P": "✚", "X": "✖", "*": "★"}
# Dashed lines and open markers are of validation.
_TRAIN, _VALID = {"dash": "-"}, {"dash": "--", "fill": "white"}


def run_curves(histories, modalities, kept) -> list:
    """Curves of every quantity of the stages: a list by stage of dicts.

    Args:
        histories: as from `files.read_histories`.
        modalities: names of the modalities, each of which has a colour and a marker.
        kept: number of the epoch of the last stage that was kept, or None.
    """
    stages = []
    for stage, history in histories.items():
        last = kept if stage == list(histories)[-1] else None
        panels = []
        for kind, members in _kinds(history, modalities).items():
            lines = []
            for member, name in members.items():
                look = _look(modalities, member)
                lines.append({"epochs": history["epoch"], "values": history[name], **_TRAIN, **look})
                if f"val_{name}" in history:
                    lines.append({"epochs": history["epoch"], "values": history[f"val_{name}"], **_VALID, **look})
            name = f"{stage}-{len(panels)}"
            panels.append((_title(kind), figures.curves(lines, last, name, f"{_title(kind)} by epoch")))
        stages.append({"title": STAGE_TITLES[stage], "panels": panels, "kept": last})
    legend = [(_SYMBOLS[look["marker"]], look["colour"], m) for m in modalities if (look := _look(modalities, m))]
    return {"stages": stages, "legend": legend if len(modalities) > 1 else []}


def _kinds(history, modalities):
    """Quantities of the same kind, by modality: dict by kind of dicts from modality, or "", to the quantity."""
    kinds = {}
    for name in history:
        if name == "epoch" or name.startswith("val_"):
            continue
        member = next((m for m in modalities if name.startswith(f"{m}_")), "")
        kinds.setdefault(name.removeprefix(f"{member}_") if member else name, {})[member] = name
    # The sum, the prediction, the other terms, and then what is no loss.
    order = sorted(
        kinds, key=lambda kind: (kind != "loss", kind != "prediction_loss", not kind.endswith("_loss"), kind)
    )
    return {kind: kinds[kind] for kind in order}


def _title(kind):
    return "loss, the sum of all terms" if kind == "loss" else kind.replace("_", " ")


def _look(modalities, member):
    """Colour and marker of a modality; of what belongs to none, the first colour without a marker."""
    if not member:
        return {"colour": COLOURS[0]}
    place = modalities.index(member)
    return {"colour": COLOURS[place % 6], "marker": figures.MARKERS[place % len(figures.MARKERS)]}


def curves_of_several(histories) -> list:
    """Curves of the quantities that belong to no modality, of each run and of their mean: a list by stage of dicts.

    Args:
        histories: dict by run of histories as from `files.read_histories`.
    """
    if not histories:
        raise LeftOut("no history of a run is there")
    stages = []
    for stage in STAGE_TITLES:
        runs = [history[stage] for history in histories.values() if stage in history]
        wanted = ("loss", "prediction_loss", "corr", "accuracy")
        panels = []
        for name in (name for name in wanted if runs and name in runs[0]):
            lines = [*_several(runs, name, COLOURS[0], _TRAIN), *_several(runs, f"val_{name}", COLOURS[1], _VALID)]
            told = _title(name)
            panels.append((told, figures.curves(lines, None, f"{stage}-{len(panels)}", f"{told} by epoch, each run")))
        if panels:
            stages.append({"title": STAGE_TITLES[stage], "panels": panels, "count": len(runs)})
    return stages


def _several(runs, name, colour, style):
    """A thin line for each run, and a thick one for their mean."""
    curves = [run[name] for run in runs if name in run]
    if not curves:
        return []
    longest = max(map(len, curves))
    padded = np.full((len(curves), longest), np.nan)
    for row, curve in zip(padded, curves, strict=True):
        row[: len(curve)] = curve
    epochs = np.arange(1, longest + 1)
    # Not nanmean, which warns of an epoch whose loss is NaN in every run.
    seen = np.isfinite(padded)
    mean = np.where(seen, padded, 0).sum(axis=0) / np.where(seen.any(axis=0), seen.sum(axis=0), np.nan)
    look = {"epochs": epochs, "colour": colour, **style}
    thin = [{**look, "values": row, "width": 0.7, "alpha": 0.55} for row in padded]
    return [*thin, {**thin[0], "values": mean, "width": 2.2, "alpha": 1}]
