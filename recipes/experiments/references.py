"""Reference rows: what a constant, ridge and logistic regression reach by the protocol of the networks.

Each is fitted on `train` and chosen on `valid` among as many values of its one setting as a search has trials.
"""

import dataclasses
import time
import types
from pathlib import Path

import numpy as np

from plumkeras.features import reads_text
from plumkeras.files import write_json
from plumkeras.recipes.config import ConfigError, read_json, to_dict
from plumkeras.recipes.experiments.reference_fits import choose
from plumkeras.recipes.runs import predictions, provenance, resuming, run_directory
from plumkeras.recipes.runs.data_checks import check_dataset
from plumkeras.recipes.runs.protocol import fold_dataset, fold_masks, fold_numbers
from plumkeras.tasks import get_task

# What of a recipe changes a reference.
_FIELDS = (
    "protocol",
    "sample_norm",
    "task",
    "label_column",
    "label_range",
    "validation_fraction",
    "context_frames",
)


@dataclasses.dataclass(frozen=True, eq=False)
class Reference:
    """A fitted reference. Of data with folds `trials` and `chosen` are dicts by fold.

    Attributes:
        kind: a name of `reference_kinds`.
        budget: how many settings were asked for; a constant has one.
        seed: of the solver.
        modalities: whose features were read.
        trials: list of dicts, the setting and its `loss` on `valid`.
        chosen: dict, the setting with the least loss; empty of a constant.
        predictions: dict by split of arrays in file order, `[N]` or probabilities `[N, C]`; of folds pooled.
        metrics: dict of what `metrics.json` holds.
        seconds: what the fitting took.
    """

    kind: str
    budget: int
    seed: int
    modalities: tuple
    trials: list | dict
    chosen: dict
    predictions: dict
    metrics: dict
    seconds: float


def reference_kinds(task: str, modalities=(), of_token_ids=False) -> tuple[str, ...]:
    """The references of a task: a constant, and a regression on all modalities and, of several, on text alone.

    Where the text is token ids, for a text encoder, there is nothing to regress on, and the constant stands alone.
    """
    if of_token_ids:
        return ("constant",)
    model = "logistic" if get_task(task).has_classes else "ridge"
    return ("constant", model, *([f"{model}_text"] if "text" in modalities and len(modalities) > 1 else []))


def fit_reference(kind, config, dataset, trials=8, seed=0) -> Reference:
    """Fits a reference.

    - `constant`: the median of the training labels; in classification their shares, which are the probabilities.
    - `ridge`: ridge regression on `pooled_features`, `alpha` from 1e5 to 1.
    - `logistic`: logistic regression on them, of several labels one for each, `C` from 1e-5 to 10.
    - `ridge_text`, `logistic_text`: the same on text alone.

    The class weights of the recipe are not read.

    Args:
        kind: a name of `reference_kinds`.
        config: `BaseRecipeConfig`; its modalities and `network.signed_log1p` are read.
        dataset: `Dataset`, as `protocol.prepare` and `with_validation` give it. Data with folds are cross-validated as
            by `fold_training.cross_validate`.
        trials: how many values of `alpha` or `C` are tried, spaced evenly by their logarithm.
        seed: of the solver.

    Raises:
        ConfigError: there is no such kind for the data, or `trials` is below 1; or as `check_dataset`.
        DataError: as `check_dataset`.
    """
    started = time.perf_counter()
    numbers = fold_numbers(dataset)
    parts = {str(n): fold_dataset(dataset, n) for n in numbers} or {None: dataset}
    for part in parts.values():
        check_dataset(config, part)
    modalities = _modalities(kind, config, dataset, trials)
    compressed = getattr(config.network, "signed_log1p", ())
    fits = {n: choose(kind, part, modalities, compressed, trials, seed) for n, part in parts.items()}
    seconds = time.perf_counter() - started
    first = next(iter(fits.values()))
    if numbers:
        predicted = {name: _pool(dataset, numbers, fits, name) for name in ("valid", "test")}
        metrics = _fold_metrics(dataset, numbers, parts, fits, predicted)
        tried = {n: fit.trials for n, fit in fits.items()}
        chosen = {n: fit.chosen for n, fit in fits.items()}
    else:
        predicted, tried, chosen = first.predictions, first.trials, first.chosen
        metrics = _metrics(dataset, predicted)
    metrics |= {"parameters": first.parameters, "warnings": [w for fit in fits.values() for w in fit.warnings]}
    return Reference(kind, trials, seed, modalities, tried, chosen, predicted, metrics, seconds)


def is_written(directory, kind, config, dataset, trials=8, seed=0) -> bool:
    """Whether a directory holds the finished reference that `fit_reference` would give.

    Raises:
        ConfigError: it holds a reference of other settings or data, or something else.
    """
    modalities = _modalities(kind, config, dataset, trials)
    return _holds(directory, _identity(kind, trials, seed, config, dataset, modalities))


def write_reference(directory, reference, config, dataset) -> dict:
    """Writes a reference as a run is written, without a network: `reference.json`, `metrics.json` and predictions.

    A directory that holds the finished reference is left as it is.

    Args:
        directory: path. It is made where it does not exist.
        reference: `Reference`.
        config, dataset: as `fit_reference` got them.

    Returns:
        Dict of what `metrics.json` holds: `valid` and `test` (None where it was not measured), `baseline`,
        `parameters`, `warnings`, and of data with folds `folds`, by number the `test` metrics.

    Raises:
        ConfigError: the directory holds a reference of other settings or data, or something else.
    """
    directory = Path(directory)
    identity = _identity(reference.kind, reference.budget, reference.seed, config, dataset, reference.modalities)
    if _holds(directory, identity):
        return run_directory.read_metrics(directory / run_directory.METRICS)
    directory.mkdir(parents=True, exist_ok=True)
    task = get_task(dataset.task)
    described = {
        **identity,
        "chosen": reference.chosen,
        "chosen_by": f"{task.loss_title} on valid",
        "trials": reference.trials,
        "parameters": reference.metrics["parameters"],
        "seconds": round(reference.seconds, 3),
        "data": provenance.describe_data(dataset),
        "versions": provenance.versions(),
    }
    write_json(directory / run_directory.REFERENCE, described)
    names = predictions.class_names(dataset, dataset.num_classes)
    # A reference has no labels per modality.
    network = types.SimpleNamespace(task=dataset.task, prototype_generators={})
    for name, predicted in reference.predictions.items():
        split, path = dataset["all" if "all" in dataset else name], directory / f"predictions_{name}.csv"
        predictions.write_csv(path, split, network, {"prediction": predicted}, names)
    # Last: it says that the reference is finished.
    write_json(directory / run_directory.METRICS, reference.metrics)
    return reference.metrics


def _modalities(kind, config, dataset, trials):
    """The modalities that a reference reads, a tuple. Raises `ConfigError` for a kind or a budget that there is not."""
    modalities = tuple(config.modalities or dataset.modalities)
    kinds = reference_kinds(dataset.task, modalities, reads_text(dataset.feature_dims))
    if kind not in kinds:
        raise ConfigError(
            f"kind must be one of {', '.join(kinds)} for {dataset.task} of {', '.join(modalities)}. Received: {kind}"
        )
    if trials < 1:
        raise ConfigError(f"trials must be 1 or more. Received: {trials}")
    return ("text",) if kind.endswith("_text") else modalities


def _identity(kind, trials, seed, config, dataset, modalities):
    """What tells one reference from another, as `reference.json` says it."""
    values = to_dict(config)
    recipe = {field: values[field] for field in _FIELDS}
    recipe["signed_log1p"] = [m for m in getattr(config.network, "signed_log1p", ()) if m in modalities]
    return {
        "kind": kind,
        "budget": trials,
        "seed": seed,
        "modalities": list(modalities),
        "recipe": recipe,
        "data_sha256": provenance.sha256(dataset),
    }


def _holds(directory, identity):
    directory = Path(directory)
    path = directory / run_directory.REFERENCE
    if not path.is_file():
        if directory.exists() and any(not p.name.endswith(".partial") for p in directory.iterdir()):
            raise ConfigError(f"{directory}: is not empty and holds no reference; choose another directory")
        return False
    then, now = read_json(path), resuming.flat(identity)
    then = resuming.flat({name: then.get(name) for name in identity} if isinstance(then, dict) else {})
    if field := resuming.first_difference(then, now):
        raise ConfigError(
            f"{directory}: holds a reference whose {field} is {then.get(field)!r}, and now it is {now.get(field)!r}; "
            "choose another directory"
        )
    return run_directory.is_finished(directory)


def _metrics(dataset, predicted):
    metrics = {"valid": None, "test": None, "baseline": {}}
    for name, values in predicted.items():
        labels = dataset[name].labels
        if labels is not None:
            metrics[name] = predictions.report(dataset, labels, values)
            metrics["baseline"][name] = predictions.baseline_report(dataset, dataset["train"].labels, labels)
    return metrics


def _pool(dataset, numbers, fits, name):
    """What the folds' fits say of the samples that each was to predict, in the order of the file."""
    first = next(iter(fits.values())).predictions[name]
    pooled = np.empty((len(dataset["all"]), *first.shape[1:]), first.dtype)
    for number in numbers:
        pooled[fold_masks(dataset, number)[name]] = fits[str(number)].predictions[name]
    return pooled


def _fold_metrics(dataset, numbers, parts, fits, predicted):
    labels, task = dataset["all"].labels, get_task(dataset.task)
    metrics = {name: predictions.report(dataset, labels, values) for name, values in predicted.items()}
    metrics["baseline"] = {}
    for name in predicted:
        constants = np.empty(labels.shape)
        for number in numbers:
            constants[fold_masks(dataset, number)[name]] = task.constant(parts[str(number)]["train"].labels)
        metrics["baseline"][name] = predictions.report(dataset, labels, constants)
    metrics["folds"] = {
        n: predictions.report(part, part["test"].labels, fits[n].predictions["test"]) for n, part in parts.items()
    }
    return metrics
