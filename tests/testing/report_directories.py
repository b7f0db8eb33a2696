"""Directories of finished runs, folds, seeds and experiments, written by hand, without training."""

import csv
import json

import numpy as np

from plumkeras.metrics import reports
from plumkeras.recipes import find_recipe
from plumkeras.recipes.config import to_dict

MODALITIES = ("text", "audio", "vision")
# What a page must show and not obey.
HOSTILE = [
    "<script>document.title = 'taken over'</script>",
    "<img src=x onerror=\"document.title = 'taken over'\">",
    "</td></table><style>body { display: none }</style>",
    "{{ 7 * 7 }} {% raw %} &amp; \" ' `",
    "\u202egnihtyna\u202c \x1b[31m \x00 \u05e9\u05dc\u05d5\u05dd",
    '\'=HYPERLINK("http://example.org")',
    "word" * 400,
]


def write_rows(path, rows):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def write_values(path, values):
    path.write_text(json.dumps(values), encoding="utf-8")


def description(task, names=None, recipe="synthetic", **more):
    """What a `config.json` holds."""
    classes = 3 if task == "regression" else len(names)
    widths = dict(zip(MODALITIES, (24, 12, 16), strict=True))
    return {
        "run_id": "0" * 32,
        "recipe": to_dict(find_recipe(recipe)),
        "seed": 0,
        "network": {"feature_dims": widths, "task": task, "num_classes": classes},
        "data": {
            "path": "/data/<b>features</b>.npz",
            "format": "npz",
            "sha256": "ab" * 32,
            "task": task,
            "label_range": [-3.0, 3.0] if task == "regression" else None,
            "label_names": names,
            "metric_report": "sentiment" if task == "regression" else None,
            "samples": {"train": 60, "valid": 30, "test": 90},
            "feature_dims": widths,
        },
        "command": ["plumkeras", "train", "synthetic", "--output", "a run; echo $HOME"],
        "backend": "tensorflow",
        "versions": {"python": "3.11.7", "keras": "3.15.1"},
        "fold": None,
        "warnings": [f"a warning about {HOSTILE[0]}"],
        **more,
    }


def write_history(path, epochs, losses, seed=0):
    """A history with validation, of terms per modality and of terms of none."""
    rng = np.random.default_rng(seed)
    names = ["loss", *losses, *(f"{m}_{kind}" for m in MODALITIES for kind in ("common_loss", "label_entropy"))]
    names += [f"val_{name}" for name in names]
    rows = [[k, *(round(float(1 / k + rng.uniform(0, 0.2)), 5) for _ in names)] for k in range(1, epochs + 1)]
    write_rows(path, [["epoch", *names], *rows])


def samples(task, count, names, seed):
    """Labels and predictions that are mostly right: for metrics, and the columns of a csv file."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        labels = np.round(rng.uniform(-3, 3, count), 1)
        predicted = labels + rng.normal(0, 0.6, count)
        return labels, predicted, {"label": labels, "prediction": predicted}
    if task == "classification":
        labels = rng.integers(0, len(names), count)
        scores = rng.normal(size=(count, len(names))) + 2 * np.eye(len(names))[labels]
        soft = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
        columns = {f"probability_{name}": soft[:, k] for k, name in enumerate(names)}
        return labels, soft.argmax(axis=1), {"label": labels, "prediction": soft.argmax(axis=1), **columns}
    labels = rng.integers(0, 2, (count, len(names)))
    soft = 1 / (1 + np.exp(-(rng.normal(size=labels.shape) + 3 * labels - 1.5)))
    columns = {f"label_{name}": labels[:, k] for k, name in enumerate(names)}
    return labels, soft, columns | {f"probability_{name}": soft[:, k] for k, name in enumerate(names)}


def measure(task, labels, predicted, names):
    if task == "multilabel":
        return reports.multilabel_report(labels, predicted, names)
    report = reports.sentiment_report if task == "regression" else reports.classification_report
    return report(labels, predicted)


def write_predictions(path, task, count, names=None, seed=0, texts=True):
    """A csv file of predictions with hostile texts first; sample 3 lacks audio. Returns the metrics."""
    rng = np.random.default_rng(seed)
    labels, predicted, columns = samples(task, count, names, seed)
    first = {"id": [f"video_{k}" for k in range(count)]}
    if texts:
        first["text"] = [*HOSTILE[: count // 2], *(f"sentence {k}" for k in range(count - len(HOSTILE[: count // 2])))]
    columns = {**first, **columns}
    classes = names or ["negative", "neutral", "positive"]
    for m in MODALITIES:
        soft = rng.dirichlet(np.ones(len(classes)), count).round(4)
        columns[f"{m}_hard_label"] = soft.argmax(axis=1)
        columns |= {f"{m}_soft_label_{name}": soft[:, k] for k, name in enumerate(classes)}
    columns["audio_hard_label"][3] = -1
    write_rows(path, [list(columns), *zip(*columns.values(), strict=True)])
    return measure(task, labels, predicted, names)


def write_run(directory, task="regression", names=None, count=90, seed=0, **more):
    """A finished run. Returns its metrics."""
    directory.mkdir(parents=True, exist_ok=True)
    write_values(directory / "config.json", {**description(task, names), "seed": seed, **more})
    write_history(directory / "alignment_history.csv", 4, ["inter_loss"], seed)
    write_history(directory / "refinement_history.csv", 6, ["prediction_loss"], seed)
    write_values(directory / "timings.json", {"epoch_seconds": {"alignment": [9.0] * 4, "refinement": [10.0] * 6}})
    metrics = {
        name: write_predictions(directory / f"predictions_{name}.csv", task, size, names, seed + k)
        for k, (name, size) in enumerate((("valid", 30), ("test", count)))
    }
    metrics["baseline"] = {name: dict(metrics[name]) for name in ("valid", "test")}
    metrics |= {"best_epoch": 4, "parameters": 126206, "warnings": description(task, names)["warnings"]}
    write_values(directory / "metrics.json", metrics)
    return metrics


def write_folds(directory, folds=3):
    """A finished cross-validation."""
    found = {}
    for k in range(folds):
        where = {"train": [2], "valid": [(k + 1) % folds], "test": [k]}
        found[str(k)] = write_run(directory / f"fold_{k}", seed=k, fold=where)["test"]
    pooled = write_run(directory)
    for path in directory.glob("*_history.csv"):
        path.unlink()
    write_values(directory / "metrics.json", {**pooled, "folds": found, "best_epoch": {k: 4 for k in found}})


def write_seeds(directory, seeds=(0, 1, 2)):
    """A finished set of seeds."""
    found = {str(seed): write_run(directory / f"seed_{seed}", seed=seed) for seed in seeds}
    splits = {seed: {name: metrics[name] for name in ("valid", "test")} for seed, metrics in found.items()}
    mean, std = ({"valid": {}, "test": {}} for _ in range(2))
    for name in mean:
        for key in splits["0"][name]:
            values = [split[name][key] for split in splits.values()]
            mean[name][key] = values[0] if key.startswith("n") else float(np.mean(values))
            if not key.startswith("n"):
                std[name][key] = float(np.std(values, ddof=1))
    described = {key: value for key, value in description("regression").items() if key not in ("network", "seed")}
    write_values(directory / "seeds.json", {**described, "seeds": list(seeds)})
    values = {**mean, "std": std, "seeds": splits, "baseline": {"test": mean["test"]}, "parameters": 5, "warnings": []}
    write_values(directory / "metrics.json", values)


def write_experiment(directory, picture="<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 1'/>"):
    """A finished experiment."""
    directory.mkdir(parents=True, exist_ok=True)
    described = {**description("regression"), "experiment": "modules", "seeds": [0, 1], "options": {"rounds": 3}}
    write_values(directory / "experiment.json", described)
    rows = [["none", "0.310 ± 0.010"], [HOSTILE[0], "0.257 ± 0.004"]]
    results = {
        "title": "What each module adds",
        "about": ["Each row leaves a module out."],
        "tables": [
            {"name": "table", "title": "Modules", "header": ["modules", "MAE"], "rows": rows, "notes": ["n = 90 each."]}
        ],
        "pictures": [{"file": "modules.svg", "title": "MAE by module", "caption": "Lower is better."}],
        "findings": ["Stage 1 helps."],
    }
    (directory / "modules.svg").write_text(picture, encoding="utf-8")
    write_values(directory / "results.json", results)
