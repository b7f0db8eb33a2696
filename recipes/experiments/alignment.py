"""Figure 6: how close the common embeddings of the modalities are over epochs, with and without MSA."""

import numpy as np

from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.experiments.drawing import COLOURS, curves, grid
from plumkeras.recipes.experiments.results import Picture, Results
from plumkeras.recipes.experiments.rows import Row
from plumkeras.recipes.models import is_synthetic
from plumkeras.recipes.views.tables import ResultTable, Spread

SEEDS = (0,)
OPTIONS = ("stage1_epochs",)

_BRANCHES = {"shared": "one common branch", "per_modality": "a common branch for each modality"}
_WEIGHTS = {"without_msa": "without MSA", "with_msa": "with MSA"}


def make_rows(setup):
    """With and without MSA, for both kinds of common branch."""
    config, modalities = setup.config, setup.config.modalities or setup.dataset.modalities
    if config.model != "plum_net":
        raise ConfigError(f"alignment is of PLUM-Net; the recipe {config.name!r} has model={config.model}")
    if "psl_tfb" not in config.network.modules:
        raise ConfigError("alignment needs the module psl_tfb, whose common branch it is about; add it")
    if len(modalities) < 2:
        raise ConfigError(f"alignment compares modalities, and there is {modalities[0]} alone")
    epochs = setup.options.stage1_epochs or (150 if is_synthetic(config) else 100)
    config = with_values(config, {"alignment.epochs": epochs, "record": ("similarity",)})
    weight = config.objective.alignment_weight or 0.1
    rows = {}
    for branch, told in _BRANCHES.items():
        for name, title in _WEIGHTS.items():
            fields = {"network.common_branch": branch}
            fields["objective.alignment_weight"] = 0.0 if name == "without_msa" else weight
            rows[f"{branch}_{name}"] = Row(f"{told}, {title}", with_values(config, fields))
    return rows


def make_results(outcome):
    """Curves of both kinds of cosine, and a table of their course."""
    found = {name: _series(outcome, name, "val_common_cosine") for name in outcome.rows}
    runs = sum(len(series) for series in found.values())
    n = _samples(outcome)
    config = next(iter(outcome.rows.values())).config
    about = [
        f"Recipe `{config.name}` with {config.alignment.epochs} epochs of stage 1, then {config.refinement.epochs} of "
        f"stage 2, seeds {' '.join(map(str, outcome.seeds))}. After each epoch: the cosine between two modalities' "
        f"vectors of the same sample, mean over the samples of valid (n = {n}) that have both, and over the pairs of "
        "modalities. Without MSA: `alignment_weight=0`, the setting of the paper's Figure 6.",
        "The paper describes three phases without MSA: a sharp rise until epoch 40, a decline of about 5 % until epoch "
        "100, then a slow rise to just above the peak.",
    ]
    picture = Picture(
        "alignment",
        "Figure 6: similarity between modalities over epochs",
        f"Cosine on valid (n = {n}); {runs} runs; the dotted line is the end of stage 1.",
        lambda: _draw(outcome),
    )
    table = _table(outcome, found, n)
    return Results(
        f"Alignment of modalities, {outcome.config.name}",
        about,
        [table, outcome.table("metrics", "Metrics of these runs"), outcome.times()],
        [picture],
        [_finding(outcome.rows[name].title, np.mean(_cut(series), axis=0)) for name, series in found.items()],
    )


def _samples(outcome):
    valid = outcome.dataset.get("valid")
    return "that of each fold" if valid is None else len(valid)


def _series(outcome, name, quantity):
    """The curve over both stages, of each run."""
    stages = [outcome.histories(name, stage) for stage in ("alignment", "refinement")]
    return [np.concatenate([history[quantity] for history in run]) for run in zip(*stages, strict=True)]


def _cut(series):
    """The curves at the length of the shortest, `[runs, epochs]`: stage 2 may stop early."""
    length = min(map(len, series))
    return np.array([values[:length] for values in series])


def _draw(outcome):
    figure, axes = grid(1, len(_BRANCHES))
    for axis, (branch, told) in zip(axes[0], _BRANCHES.items(), strict=True):
        for (name, title), colour in zip(_WEIGHTS.items(), COLOURS, strict=False):
            row = f"{branch}_{name}"
            curves(axis, _series(outcome, row, "val_common_cosine"), f"common, {title}", colour)
            curves(axis, _series(outcome, row, "val_private_cosine"), f"private, {title}", colour, "--")
        axis.axvline(outcome.rows[row].config.alignment.epochs + 0.5, color=COLOURS[7], linestyle=":", linewidth=1)
        axis.set(title=told, xlabel="epoch", ylim=(-0.35, 1.02))
        axis.grid(alpha=0.25)
    axes[0, 0].set_ylabel("cosine between modalities")
    axes[0, 0].legend(fontsize=8, loc="best")
    return figure


def _table(outcome, found, n):
    header = ["", "epoch 1", "highest", "at epoch", "end of stage 1", "end of stage 2", "private, end of stage 2"]
    rows = []
    for name, series in found.items():
        end = outcome.rows[name].config.alignment.epochs
        peaks = [values[:end].argmax() + 1 for values in series]
        private = _series(outcome, name, "val_private_cosine")
        of_stage_1 = [np.array([values[i] for values in series]) for i in (0, end - 1)]
        last = [np.array([values[-1] for values in kind]) for kind in (series, private)]
        cells = [of_stage_1[0], np.array([values[:end].max() for values in series])]
        spread = [_spread(values) for values in (*cells, of_stage_1[1], *last)]
        rows.append(
            [outcome.rows[name].title, *spread[:2], " ".join(map(str, peaks)), *spread[2:]],
        )
    notes = [
        f"Cosine of common embeddings on valid (n = {n}); highest: of stage 1, at the epochs of each run. "
        f"Seeds {' '.join(map(str, outcome.seeds))}; ± standard deviation, ddof 1."
    ]
    return ResultTable("alignment", "Cosine between modalities", header, rows, notes)


def _spread(values):
    return Spread(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None)


def _finding(title, mean):
    peak = int(mean.argmax())
    course = f"rises from {mean[0]:.2f} to {mean[peak]:.2f} in epoch {peak + 1}" if peak else f"begins at {mean[0]:.2f}"
    rest = "" if peak + 1 == len(mean) else f" and ends at {mean[-1]:.2f}"
    lowest = mean[peak:].min()
    dip = f", by way of {lowest:.2f}" if peak + 2 < len(mean) and lowest < mean[-1] - 0.005 else ""
    return f"{title[0].upper()}{title[1:]}: the cosine {course}{rest}{dip}."
