"""The page of the study, `synthetic_study.md`, and its pictures."""

import itertools

import numpy as np
from scipy.stats import t as student  # scipy comes with keras-tuner[bayesian]

from plumkeras.recipes.experiments.synthetic_study.study import MOMENTS, ROWS, SEEDS, STRENGTHS
from plumkeras.recipes.synthetic import synthetic
from plumkeras.recipes.views.pictures.losses import new_figure

BRANCHES = {"shared": "one common branch for all modalities", "per_modality": "a common branch for each modality"}
METRICS = ("mae", "corr", "acc7", "acc2_has0", "acc2_non0")
# Written by hand under the numbers in `recipes/results`: other numbers need other words.
READING = """\
## What the numbers say

- The contrast on the true label does not pull the prototype labels to the multimodal class. It makes the prototypes
  better at both, and at the private class more: at strength 1 agreement rises from 70.6 to 78.4 % with the private
  class, and from 62.5 to 66.7 % with the multimodal one (a common branch for each modality: 68.4 to 77.9 % and 61.2 to
  66.3 %). Later training changes little. The kind of common branch makes no difference.
- The labels stay 20 to 25 points short of the truth even at strength 0, where both classes are one: only 5 % of the
  samples are exactly neutral, and the nearest of three prototypes gives that class far more (77 to 89 of 384 test
  samples against 18 or 19 in truth: a common branch for each modality, seed 0, strength 1/2).
- With one common branch for all modalities, the common embeddings of a sample are close across modalities by cosine,
  0.58 to 0.62 at strength 0 and 0.22 to 0.25 at strength 1, and the private ones are not (-0.02 to -0.07): what the
  paper's Figures 5 and 6 claim. With a common branch for each modality neither is close, since nothing ties the axes of
  their encoders.
- By linear CKA, which needs no common axes, common embeddings are closer than private ones by 0.01 to 0.07 with either
  kind; the intervals part in two cases alone, after stage 1 at strengths 0 and 0.25 with a branch for each modality.
- On these easy data `msa` is the best row. Branches for each modality lose what it gained when they are not refined,
  and PRM regains most of it; one common branch loses half as much, and PRM adds nothing to it. Of neighbouring rows,
  only `msa` and `msa psl_tfb` with a branch for each modality have MAE intervals that do not overlap.
"""
_COLOURS = ("#999999", "#E69F00", "#0072B2", "#D55E00")
_STRENGTH = "relative strength of the private latents"


def interval(values):
    """Mean and half width of its 95 % t-interval."""
    values = np.asarray(values, dtype="float64")
    half = student.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    return float(values.mean()), float(half)


def _select(rows, key, **where):
    return [row[key] for row in rows if all(row[name] == value for name, value in where.items())]


def _cell(values, scale=100, digits=1):
    mean, half = interval(values)
    return f"{scale * mean:.{digits}f} ± {scale * half:.{digits}f}"


def _figure(rows, columns=2):
    figure = new_figure(5.2 * columns, 4.0 * rows)
    return figure, figure.subplots(rows, columns, squeeze=False)


def _draw(axis, x, series, label, colour, style="-"):
    mean, half = np.transpose([interval(values) for values in series])
    axis.errorbar(x, mean, yerr=half, label=label, color=colour, linestyle=style, marker="o", markersize=4, capsize=3)


def _module_rows(results, branch):
    return results["without_branches"]["modules"] + results[branch]["modules"]


def plot_agreement(results, path):
    kinds = [branch for branch in BRANCHES if branch in results]
    figure, grid = _figure(len(kinds))
    titles = {
        "with_private": "agreement with the true private class",
        "with_multimodal": "agreement with the multimodal class",
    }
    for branch, axes in zip(kinds, grid, strict=True):
        rows = results[branch]["strength"]
        truth = [_select(rows, "truth_agrees", strength=s, moment="stage 1") for s in STRENGTHS]
        for axis, (key, title) in zip(axes, titles.items(), strict=True):
            for moment, colour in zip(MOMENTS, _COLOURS, strict=True):
                series = [_select(rows, key, strength=s, moment=moment) for s in STRENGTHS]
                _draw(axis, STRENGTHS, series, moment, colour)
            _draw(axis, STRENGTHS, truth, "private against multimodal class, in truth", "black", ":")
            axis.set(title=f"{title}\n{BRANCHES[branch]}", xlabel=_STRENGTH, ylabel="share of test samples")
            axis.set_ylim(0.4, 1.02)
            axis.grid(alpha=0.25)
    grid[0][0].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)


def plot_closeness(results, path):
    kinds = [branch for branch in BRANCHES if branch in results]
    figure, grid = _figure(len(kinds))
    names = {"cosine": "cosine of the centred embeddings", "cka": "linear CKA"}
    for kind, axes in zip(kinds, grid, strict=True):
        rows = results[kind]["strength"]
        for axis, (name, title) in zip(axes, names.items(), strict=True):
            for moment, colour in zip(MOMENTS[2:], _COLOURS[2:], strict=True):
                for branch, style in (("common", "-"), ("private", "--")):
                    series = [_select(rows, f"{branch}_{name}", strength=s, moment=moment) for s in STRENGTHS]
                    _draw(axis, STRENGTHS, series, f"{branch}, after {moment}", colour, style)
            axis.set(title=f"{title}\n{BRANCHES[kind]}", xlabel=_STRENGTH, ylabel="between two modalities")
            axis.set_ylim(-0.18, 1.02)
            axis.grid(alpha=0.25)
    grid[0][0].legend(fontsize=8)
    figure.savefig(path, dpi=110)


def plot_modules(results, path):
    figure, ((first, second),) = _figure(1)
    names = [" ".join(modules) or "none" for modules in ROWS]
    kinds = [branch for branch in BRANCHES if branch in results]
    for axis, (metric, title) in zip(
        (first, second), {"mae": "MAE (lower is better)", "corr": "Corr"}.items(), strict=True
    ):
        for number, branch in enumerate(kinds):
            rows = _module_rows(results, branch)
            places = np.arange(len(names)) + 0.12 * (number - (len(kinds) - 1) / 2)
            series = [_select(rows, metric, modules=name) for name in names]
            _draw(axis, places, series, BRANCHES[branch], _COLOURS[2 + number], "")
        axis.set_xticks(range(len(names)), [name.replace(" ", "\n") for name in names])
        axis.set(title=f"{title}, test, n = {rows[0]['n']}", xlabel="modules")
        axis.grid(alpha=0.25)
    first.legend(fontsize=8)
    figure.savefig(path, dpi=110)


def _label_table(rows):
    lines = [
        "| strength | truth: private = multimodal | agreement with | " + " | ".join(MOMENTS) + " |",
        "| --- | --- | --- |" + " --- |" * len(MOMENTS),
    ]
    for strength in STRENGTHS:
        truth = _cell(_select(rows, "truth_agrees", strength=strength, moment="stage 1"))
        for key, name in (("with_private", "private class"), ("with_multimodal", "multimodal class")):
            cells = [_cell(_select(rows, key, strength=strength, moment=moment)) for moment in MOMENTS]
            lines.append(f"| {strength:g} | {truth} | {name} | " + " | ".join(cells) + " |")
    return lines


def _closeness_table(rows):
    lines = [
        "| strength | after | common, cosine | private, cosine | common, CKA | private, CKA |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for strength, moment in itertools.product(STRENGTHS, MOMENTS[2:]):
        cells = [
            _cell(_select(rows, f"{branch}_{name}", strength=strength, moment=moment), 1, 3)
            for name in ("cosine", "cka")
            for branch in ("common", "private")
        ]
        lines.append(f"| {strength:g} | {moment} | " + " | ".join(cells) + " |")
    return lines


def _module_lines(rows, names, branch):
    for name in names:
        cells = []
        for metric in METRICS:
            plain = metric in ("mae", "corr")
            cells.append(_cell(_select(rows, metric, modules=name), 1 if plain else 100, 3 if plain else 1))
        yield f"| {name} | {branch} | " + " | ".join(cells) + " |"


def write(results, directory):
    """Writes the page and its pictures: tables of every curve, means with 95 % t-intervals over the seeds.

    Args:
        results: dict of what `synthetic_study.json` holds.
        directory: path of the folder.
    """
    kinds = [branch for branch in BRANCHES if branch in results]
    n = results["without_branches"]["modules"][0]["n"]
    versions = " and ".join(dict.fromkeys(f"version {results[b]['version']}" for b in kinds))
    lines = [
        "# What the modules find on data with a known truth",
        "",
        "Made by `python -m plumkeras.recipes.experiments.synthetic_study`, whose docstring says what was run, for "
        f"networks with {' and with '.join(BRANCHES[b] for b in kinds)} (`common_branch`). "
        f"Every value is the mean over {len(SEEDS)} seeds, data and weights both drawn anew, with its 95 % t-interval; "
        f"measured on the test split, n = {n} per seed. Every figure is in `synthetic_study.json`. Of {versions}.",
        "",
        "## Prototype labels against the truth",
        "",
        "The prototype label of a modality is the class of its nearest prototype. *Private class*: what the modality "
        "alone says, bin(c + p_m). *Multimodal class*: that of the label, from c and the mean of the p_m. In percent "
        "of the test samples, means over the three modalities.",
        "",
        "![agreement](agreement.png)",
    ]
    for branch in kinds:
        lines += ["", f"With {BRANCHES[branch]}:", "", *_label_table(results[branch]["strength"])]
    lines += [
        "",
        "## Common against private embeddings",
        "",
        "How close the embeddings of the same sample in two modalities are, mean over the three pairs: the cosine of "
        "the centred embeddings (which asks for the same axes), and linear CKA (which does not).",
        "",
        "![closeness](closeness.png)",
    ]
    for branch in kinds:
        lines += ["", f"With {BRANCHES[branch]}:", "", *_closeness_table(results[branch]["strength"])]
    lines += [
        "",
        "## The rows of Table 3",
        "",
        f"Relative strength {synthetic.synthetic.relative_strength:g}. ACC-7: clipped to ±3, rounded half to even; "
        "has0: all samples, cut at >= 0; non0: samples whose label is not 0, cut at > 0. In percent, except MAE and "
        "Corr.",
        "",
        "![modules](modules.png)",
        "",
        "| modules | common branch | MAE | Corr | ACC-7 | ACC-2 has0 | ACC-2 non0 |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    names = [" ".join(modules) or "none" for modules in ROWS]
    lines += _module_lines(results["without_branches"]["modules"], names[:2], "none")
    for branch in kinds:
        lines += _module_lines(
            results[branch]["modules"], names[2:], "shared" if branch == "shared" else "per modality"
        )
    (directory / "synthetic_study.md").write_text("\n".join(lines) + "\n\n" + READING, encoding="utf-8")
    plot_agreement(results, directory / "agreement.png")
    plot_closeness(results, directory / "closeness.png")
    plot_modules(results, directory / "modules.png")
