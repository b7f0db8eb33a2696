"""Where modalities disagree: how far their label distributions are apart, and the samples, the farthest first."""

import dataclasses
import itertools

import numpy as np

from plumkeras.recipes.report.section import LeftOut, Table

# Rows of a page, and characters of a text.
MAX_SAMPLES, MAX_TEXT = 2000, 1000


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell of the samples' table.

    Attributes:
        text: what is shown.
        key: the number it is sorted by; "" comes last.
        kind: "number", "label" (of a class, with its probability), or "text" or "long", which are sorted as texts.
    """

    text: str
    key: str
    kind: str = "number"


def distances(predictions) -> np.ndarray:
    """How far the modalities of each sample disagree, `[N]`: 0 with one modality, or with none.

    It is the mean over the pairs of modalities that a sample has of the total variation distance of their label
    distributions (half the sum of absolute differences: 0 equal, 1 nothing in common); without distributions, the share
    of pairs whose labels differ.
    """
    total, pairs = np.zeros(len(predictions.ids)), np.zeros(len(predictions.ids))
    has_soft = set(predictions.soft) == set(predictions.hard)
    for first, second in itertools.combinations(predictions.hard, 2):
        both = (predictions.hard[first] >= 0) & (predictions.hard[second] >= 0)
        if has_soft:
            distance = np.abs(predictions.soft[first] - predictions.soft[second]).sum(axis=1) / 2
        else:
            distance = predictions.hard[first] != predictions.hard[second]
        total += np.where(both, distance, 0)
        pairs += both
    return total / np.maximum(pairs, 1)


def disagrees(predictions) -> np.ndarray:
    """Whether two modalities of a sample have different labels, `[N]` bool."""
    labels = np.stack(list(predictions.hard.values()))
    lowest = np.where(labels < 0, np.iinfo(int).max, labels).min(axis=0)
    return labels.max(axis=0) > lowest


def disagreement(predictions) -> dict:
    """The section: how often each pair agrees, and the samples, the most disagreeing first.

    Args:
        predictions: `Predictions`.

    Raises:
        LeftOut: the modalities have no labels, or there is only one.
    """
    if not predictions.hard:
        raise LeftOut("the network gives no labels per modality (it lacks the module psl_tfb, or is another model)")
    if len(predictions.hard) < 2:
        raise LeftOut("there is only one modality")
    differs, apart = disagrees(predictions), distances(predictions)
    order = np.lexsort((-apart, ~differs))[:MAX_SAMPLES]
    columns = _columns(predictions, apart)
    return {
        "pairs": _pairs(predictions),
        "count": int(differs.sum()),
        "total": len(predictions.ids),
        "cut": len(predictions.ids) > MAX_SAMPLES,
        "most": MAX_SAMPLES,
        "text_cut": max(map(len, predictions.texts or [""])) > MAX_TEXT,
        "most_text": MAX_TEXT,
        "has_soft": set(predictions.soft) == set(predictions.hard),
        "split": predictions.split,
        "header": [(title, cell(order[0]).kind) for title, cell in columns.items()],
        "rows": [(bool(differs[row]), [cell(row) for cell in columns.values()]) for row in order],
    }


def _columns(predictions, apart):
    """Dict by title of functions from a sample's row to its cell."""
    p = predictions
    columns = {"id": lambda row: Cell(p.ids[row], p.ids[row], "text")}
    if p.texts is not None:
        columns["transcript"] = lambda row: Cell(_cut(p.texts[row]), _cut(p.texts[row]), "long")
    if p.labels is not None:
        columns["true"] = lambda row: _answer(p, p.labels[row])
    columns["predicted"] = lambda row: _prediction(p, row)
    if p.labels is not None and p.task == "regression":
        errors = np.abs(p.predicted - p.labels)
        columns["error"] = lambda row: Cell(f"{errors[row]:.2f}", f"{errors[row]:.6g}")
    for m in p.hard:
        columns[f"{m} says"] = lambda row, m=m: _opinion(p, m, row)
    columns["apart"] = lambda row: Cell(f"{apart[row]:.2f}", f"{apart[row]:.6g}")
    return columns


def _cut(text):
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}…"


def _answer(predictions, value):
    if predictions.task == "regression":
        return Cell(f"{value:.2f}", f"{value:.6g}")
    if predictions.task == "classification":
        return Cell(class_name(predictions.names, value), f"{value:g}", "label")
    text = ", ".join(name for name, has in zip(predictions.names, value, strict=True) if has > 0.5)
    return Cell(text or "none", text, "text")


def _prediction(predictions, row):
    cell = _answer(predictions, predictions.predicted[row])
    if predictions.task != "classification" or predictions.probabilities is None:
        return cell
    probability = predictions.probabilities[row].max()
    return _ranked(cell.text, predictions.predicted[row], probability)


def _opinion(predictions, modality, row):
    label = predictions.hard[modality][row]
    if label < 0:
        return Cell("missing", "", "label")
    name = class_name(predictions.names, label)
    if modality not in predictions.soft or label >= len(predictions.names):
        return Cell(name, str(label), "label")
    return _ranked(name, label, predictions.soft[modality][row, label])


def _ranked(name, label, probability):
    """A class and its probability, sorted by the class and then by the probability."""
    return Cell(f"{name} {probability:.2f}", f"{label + min(probability, 1) / 2:.6g}", "label")


def class_name(names, label) -> str:
    """The name of a class; its number where it has none."""
    label = int(label)
    return names[label] if 0 <= label < len(names) else str(label)


def _pairs(predictions):
    rows = []
    for first, second in itertools.combinations(predictions.hard, 2):
        labels = predictions.hard[first], predictions.hard[second]
        both = (labels[0] >= 0) & (labels[1] >= 0)
        agree = f"{100 * np.mean(labels[0][both] == labels[1][both]):.1f}" if both.any() else "undefined"
        rows.append([f"{first} and {second}", agree, str(int(both.sum()))])
    return Table(["modalities", "same label %", "n"], rows)
