"""Constant, ridge and logistic regression by scikit-learn, with the setting that validation chooses."""

import dataclasses
import warnings

import numpy as np

from plumkeras.recipes.experiments.pooled_features import pooled_features
from plumkeras.tasks import get_task

_ITERATIONS = 2000
# Probabilities are measured above this, as Keras does.
_SMALLEST = 1e-7


@dataclasses.dataclass(frozen=True, eq=False)
class Fit:
    """What was fitted on one training split.

    Attributes:
        trials: list of dicts, each setting and its `loss` on `valid`.
        chosen: dict, the setting with the least.
        predictions: dict by split of arrays, as of `references.Reference`.
        parameters: int.
        warnings: sentences.
    """

    trials: list
    chosen: dict
    predictions: dict
    parameters: int
    warnings: list


def choose(kind, dataset, modalities, compressed, trials, seed):
    """Fits every setting on `train` and keeps the one with the least loss on `valid`; of equal ones the first.

    Args:
        kind: a name of `references.reference_kinds`.
        dataset: `Dataset` with `train` and `valid`.
        modalities, compressed: as of `pooled_features`.
        trials: how many settings.
        seed: of the solver.

    Returns:
        `Fit`.
    """
    task, labels = get_task(dataset.task), dataset["train"].labels
    if kind == "constant":
        features = {name: np.zeros((len(split), 0)) for name, split in dataset.items()}
        settings = [{}]
    else:
        features = pooled_features(dataset, modalities, compressed)
        # The most regularised first.
        name, ends = ("alpha", (1e5, 1.0)) if kind.startswith("ridge") else ("C", (1e-5, 10.0))
        settings = [{name: float(f"{value:.6g}")} for value in _spaced(*ends, trials)]
    tried, best = [], None
    for setting in settings:
        predict, parameters, told = _FITTERS[kind.removesuffix("_text")](
            task, features["train"], labels, seed, **setting
        )
        loss = _loss(task, dataset["valid"].labels, predict(features["valid"]))
        tried.append({**setting, "loss": loss})
        if best is None or loss < best[0]:
            best = loss, setting, predict, parameters, told
    _, chosen, predict, parameters, told = best
    found = {name: predict(features[name]).astype("float32") for name in ("valid", "test") if name in dataset}
    return Fit(tried, chosen, found, parameters, told)


def _spaced(first, last, count):
    """Numbers from `first` to `last`, evenly by the logarithm; the middle where only one is asked for."""
    return np.geomspace(first, last, count) if count > 1 else np.array([np.sqrt(first * last)])


def _fit_constant(task, x, labels, seed):
    value = _label_shares(task, labels) if task.has_classes else np.asarray(task.constant(labels))
    return lambda x: np.repeat(value[None], len(x), axis=0), 0, []


def _label_shares(task, labels):
    """Share of the samples of each class, or with each label: the constant with the least loss."""
    return labels.mean(axis=0) if task.label_axes > 1 else np.bincount(labels) / len(labels)


def _fit_ridge(task, x, labels, seed, alpha):
    from sklearn.linear_model import Ridge

    model = Ridge(alpha, solver="cholesky", random_state=seed).fit(x, labels.astype("float64"))
    return model.predict, model.coef_.size + 1, []


def _fit_logistic(task, x, labels, seed, C):
    if task.label_axes == 1:
        return _fit_classes(x, labels, seed, C)
    fits = [_fit_classes(x, column, seed, C) for column in labels.T]
    told = list(dict.fromkeys(sentence for *_, sentences in fits for sentence in sentences))
    return lambda x: np.stack([one(x)[:, 1] for one, *_ in fits], axis=1), sum(count for _, count, _ in fits), told


def _fit_classes(x, labels, seed, C):
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(np.unique(labels)) < 2:
        # A label that every training sample has.
        share = np.eye(2)[labels[0]]
        return lambda x: np.repeat(share[None], len(x), axis=0), 0, []
    model = LogisticRegression(C=C, solver="lbfgs", max_iter=_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x, labels)
    told = []
    if model.n_iter_.max() >= _ITERATIONS:
        told = [f"logistic regression with C={C:g} had not converged after {_ITERATIONS} iterations"]

    def predict(features):
        # A class without a training sample has probability 0.
        found = np.zeros((len(features), model.classes_.max() + 1))
        found[:, model.classes_] = model.predict_proba(features)
        return found

    return predict, model.coef_.size + model.intercept_.size, told


_FITTERS = {"constant": _fit_constant, "ridge": _fit_ridge, "logistic": _fit_logistic}


def _loss(task, labels, predicted):
    """The task's loss: mean absolute error, cross-entropy, or binary cross-entropy over all labels."""
    if not task.has_classes:
        return float(np.mean(np.abs(predicted - labels)))
    if task.label_axes > 1:
        predicted = np.where(labels == 1, predicted, 1 - predicted)
    else:
        predicted = predicted[np.arange(len(labels)), labels]
    return float(-np.mean(np.log(np.clip(predicted, _SMALLEST, 1))))
