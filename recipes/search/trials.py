"""Trials of a search: whole runs of both stages, measured on the validation split alone."""

import collections
import contextlib
import dataclasses
import os
import socket
import time

import keras
import keras_tuner
from keras_tuner.errors import FailedTrialError

from plumkeras.recipes.config import ConfigError, TrainingError
from plumkeras.recipes.execution import WorkerLostError
from plumkeras.recipes.runs import provenance
from plumkeras.recipes.runs.compiled import CompiledStages, graph_key
from plumkeras.recipes.runs.jobs import DataSource
from plumkeras.recipes.runs.stages import Training, network_shape, seeded_network
from plumkeras.recipes.search.oracle import EMPTY_RECORD, failed_record, values_of
from plumkeras.recipes.search.plan import OBJECTIVE, seen_data

_MAX_REASON = 400


class RecipeHyperModel(keras_tuner.HyperModel):
    """The networks of a recipe as a KerasTuner `HyperModel`.

    `build` gives the untrained network of a trial, and `fit` trains its stages and returns the objective, the
    validation loss of the prediction at the epoch that was kept. Hyper-parameters are named as the recipe's fields.
    Under Hyperband `tuner/epochs` is the epochs of the last stage.

    Args:
        search: `Search`.
    """

    def __init__(self, search):
        super().__init__(name="plumkeras", tunable=True)
        self.search = search
        self.compiled = CompiledStages()

    def trial_config(self, hp, seed=None):
        """The `RecipeConfig` of a trial's hyper-parameters."""
        with _failures():
            return self.search.trial_config(values_of(self.search, hp), seed)

    def build(self, hp, seed=None):
        """The untrained network of a trial.

        Args:
            hp: `keras_tuner.HyperParameters`.
            seed: int or None: the recipe's.

        Raises:
            FailedTrialError: the values do not fit each other, or the network does not fit into memory.
        """
        config = self.trial_config(hp, seed)
        with _failures():
            dataset = self.search.dataset
            # First what is held goes, where it is of no use: both might not fit into memory.
            self.compiled.release_other(graph_key(config, dataset, network_shape(config, dataset)))
            return seeded_network(config, dataset, self.compiled.is_empty)

    def fit(self, hp, network, seed=None, **options):
        """Trains what `build` has just returned; or, with its weights, the equal network of an earlier trial.

        Tracing and compiling again is what that saves: the trained network is that of `self.compiled`.

        Args:
            hp, seed: as in `build`.
            network: the network.
            **options: not used. KerasTuner's own tuners give callbacks, which know nothing of stages.

        Returns:
            Dict with `val_prediction_loss` and `best_epoch`, the number of the kept epoch, from 0.

        Raises:
            FailedTrialError: training diverged or ran out of memory.
        """
        with _failures():
            training = Training(self.trial_config(hp, seed), self.search.dataset, network, compiled=self.compiled)
            history = training.fit(verbose=0)[self.search.config.STAGES[-1]]
        best = history["best_epoch"]
        return {OBJECTIVE: float(history[OBJECTIVE][best]), "best_epoch": best}


@contextlib.contextmanager
def _failures():
    """What is wrong with one trial, and not with the search, becomes KerasTuner's error for that."""
    try:
        yield
    except (TrainingError, ConfigError) as error:
        raise FailedTrialError(str(error)) from error
    except Exception as error:
        if not _is_out_of_memory(error):
            raise
        first = next(iter(str(error).splitlines()), "")
        raise FailedTrialError(f"out of memory: {type(error).__name__}: {first}".rstrip(": ")) from error


def _is_out_of_memory(error):
    names = {kind.__name__ for kind in type(error).__mro__}
    # TensorFlow's and torch's kinds; JAX has one kind for all that XLA says, and torch one for the CPU.
    if names & {"MemoryError", "ResourceExhaustedError", "OutOfMemoryError"}:
        return True
    said = str(error)
    return any(words in said for words in ("RESOURCE_EXHAUSTED", "out of memory", "can't allocate memory"))


def run_trial(model, hp, worker=None):
    """Trains a trial with every seed. What was compiled for it is held for the next, until that needs another.

    Args:
        model: `RecipeHyperModel`.
        hp: `keras_tuner.HyperParameters`.
        worker: name of who does it, for the record.

    Returns:
        Dict, the trial's record; see `search.oracle`.
    """
    record = {**EMPTY_RECORD, "objectives": [], "best_epochs": [], "worker": worker}
    began = time.monotonic()
    for seed in model.search.seeds:
        try:
            found = model.fit(hp, model.build(hp, seed), seed=seed)
            record["objectives"].append(found[OBJECTIVE])
            record["best_epochs"].append(found["best_epoch"])
        except FailedTrialError as error:
            record["reason"] = " ".join(str(error).split())[:_MAX_REASON]
            model.compiled.release()
        if model.compiled.is_empty:
            # Only here: the error held on to what was being trained.
            keras.utils.clear_session()
        if record["reason"] is not None:
            break
    else:
        record["objective"] = sum(record["objectives"]) / len(record["objectives"])
    record["seconds"] = round(time.monotonic() - began, 3)
    return record


@dataclasses.dataclass(frozen=True)
class TrialTask:
    """A trial as a task of an executor.

    Attributes:
        search: `Search`; without its data where `source` has them.
        source: `DataSource` from which a process reads the data once for all trials, or None: `search` has them.
        sha256: of the data.
        key: the same for the trials of one search, and for no others.
        hyperparameters: `keras_tuner.HyperParameters`, or None: of no trial yet.
    """

    search: object
    source: DataSource | None
    sha256: str
    key: str
    hyperparameters: object = None


# What this process trains trials with, by the key of their search: the last search's alone.
_HELD = {}


def run_task(task: TrialTask) -> dict:
    """Runs a trial where its executor has it run; returns its record."""
    model = _HELD.get(task.key)
    if model is None:
        # First what is held goes: both might not fit into memory.
        _HELD.clear()
        model = _HELD[task.key] = RecipeHyperModel(_with_data(task))
    return run_trial(model, task.hyperparameters, f"{socket.gethostname()}-{os.getpid()}")


def _with_data(task):
    if task.source is None:
        return task.search
    dataset = seen_data(task.source.prepared(task.search.config), task.search.fold)
    if provenance.sha256(dataset) != task.sha256:
        raise ConfigError(f"{task.source.path}: has changed since the search began; start anew with --overwrite")
    return dataclasses.replace(task.search, dataset=dataset)


def forget(key: str) -> None:
    """Lets go of what this process holds for the trials of a search."""
    _HELD.pop(key, None)


def work(oracle, task, executor):
    """Runs trials until the oracle has no more, as many at a time as the executor has workers.

    The oldest of those that run is always the next to end, so that what is proposed does not depend on how long each
    takes.

    Args:
        oracle: one of `search.oracle`.
        task: `TrialTask` of the search.
        executor: of `open_executor`.
    """
    running = collections.deque()
    while True:
        while len(running) < executor.workers and (trial := oracle.begin()) is not None:
            running.append(
                (
                    trial.trial_id,
                    executor.submit(run_task, dataclasses.replace(task, hyperparameters=trial.hyperparameters)),
                )
            )
        if not running:
            return
        trial_id, future = running.popleft()
        try:
            record = future.result()
        except WorkerLostError as error:
            record = failed_record(str(error))
        oracle.end(trial_id, record)
