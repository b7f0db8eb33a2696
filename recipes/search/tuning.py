"""The search for hyper-parameters: trials are whole runs of both stages, compared on the validation split alone."""

import contextlib
import os
import socket
import time
from pathlib import Path

import keras
import keras_tuner
from keras_tuner.engine.trial import TrialStatus
from keras_tuner.errors import FailedTrialError

from plumkeras.recipes.config import ConfigError, TrainingError, to_dict
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.checks import check_search_output
from plumkeras.recipes.runs.run_directory import SEARCH
from plumkeras.recipes.runs.training import Training, seeded_network
from plumkeras.recipes.search.oracle import EMPTY_RECORD, STATE, make_oracle, make_report, values_of
from plumkeras.recipes.search.plan import OBJECTIVE, split_address
from plumkeras.recipes.search.results import BEST, PICTURE, TABLE, SearchResults, write_picture, write_tables

_FILES = (STATE, BEST, TABLE, PICTURE)
# How often a worker asks again while others are at work and nothing can be begun.
_PAUSE_SECONDS = 1
_MAX_REASON = 400


class RecipeHyperModel(keras_tuner.HyperModel):
    """The networks of a recipe, as KerasTuner's tuners and ours want them.

    `build` gives the untrained network of a trial, and `fit` trains both of its stages and returns the objective, the
    validation loss of the prediction at the epoch that was kept. Hyper-parameters are named as the recipe's fields.
    Under Hyperband `tuner/epochs` stands for `refinement.epochs`.

    Args:
        search: `Search`.
    """

    def __init__(self, search):
        super().__init__(name="plumkeras", tunable=True)
        self.search = search

    def trial_config(self, hp, seed=None):
        """The `RecipeConfig` of a trial's hyper-parameters."""
        with _failures():
            return self.search.trial_config(values_of(self.search, hp), seed)

    def build(self, hp, seed=None):
        """The untrained `PLUMNet` of a trial.

        Args:
            hp: `keras_tuner.HyperParameters`.
            seed: int or None: the recipe's.

        Raises:
            FailedTrialError: the values do not fit each other, or the network does not fit into memory.
        """
        config = self.trial_config(hp, seed)
        with _failures():
            return seeded_network(config, self.search.dataset)

    def fit(self, hp, network, seed=None, **options):
        """Trains what `build` has just returned.

        Args:
            hp, seed: as in `build`.
            network: the network.
            **options: not used. KerasTuner's own tuners give callbacks, which know nothing of two stages.

        Returns:
            Dict with `val_prediction_loss` and `best_epoch`, the number of the kept epoch, from 0.

        Raises:
            FailedTrialError: training diverged or ran out of memory.
        """
        with _failures():
            training = Training(self.trial_config(hp, seed), self.search.dataset, network)
            history = training.fit(verbose=0)["refinement"]
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
    """Trains a trial with every seed, and lets go of its memory.

    Args:
        model: `RecipeHyperModel`.
        hp: `keras_tuner.HyperParameters`.
        worker: name of who does it, for the record.

    Returns:
        Dict, the trial's record; see `search_oracle`.
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
        # Only here: the error held on to what was being trained.
        keras.utils.clear_session()
        if record["reason"] is not None:
            break
    else:
        record["objective"] = sum(record["objectives"]) / len(record["objectives"])
    record["seconds"] = round(time.monotonic() - began, 3)
    return record


def work(oracle, model, worker):
    """Runs trials until the oracle has no more.

    Args:
        oracle: one of `search_oracle`, or a client of a chief's.
        model: `RecipeHyperModel`.
        worker: a name of its own.

    Returns:
        int. How many trials were run here.
    """
    count = 0
    while True:
        trial = oracle.create_trial(worker)
        if trial.status == TrialStatus.STOPPED:
            return count
        if trial.status == TrialStatus.IDLE:
            time.sleep(_PAUSE_SECONDS)
            continue
        oracle.end_trial(make_report(trial.trial_id, run_trial(model, trial.hyperparameters, worker)))
        count += 1


def tune(search, directory, resume=False, chief=None, on_trial=None, overwrite=True):
    """Searches, and writes the search's directory.

    It holds `search.json` (what is searched, where, and by which versions), `trials.json` (what was found: the search
    goes on from there), `trials.csv`, `best_config.json`, which `plumkeras train --config` takes, and `search.png`.
    The tables are written after every trial.

    Args:
        search: `Search`.
        directory: path of the directory. A search that it holds is cleared away, or gone on with.
        resume: bool. Whether to go on with the directory's search, which must have had the same recipe, data, space,
            algorithm and seeds; the number of trials may be another. Without one there, it begins.
        chief: `(host, port)` to hand out the trials at, while workers run them; by default they are run here.
        on_trial: called with `SearchResults` after each trial.
        overwrite: bool. Whether a search that the directory holds, and that is not gone on with, may be cleared away.

    Returns:
        `SearchResults`.

    Raises:
        ConfigError: the search to go on with is another one, or cannot be read; or another process writes there.
        DataError: a damaged file was found while reading the data.
        TrainingError: every trial failed, or the chief cannot listen.
    """
    directory = Path(directory)
    with run_directory.locked(directory):
        if not overwrite:
            # Again: another process may have made a search there since it was checked.
            check_search_output(directory, overwrite, resume)
        return _tune(search, directory, resume, chief, on_trial)


def _tune(search, directory, resume, chief, on_trial):
    def ended(oracle):
        results = SearchResults.of(search, oracle)
        write_tables(results, directory)
        if on_trial is not None:
            on_trial(results)

    oracle = make_oracle(search, directory, ended)
    if resume and (directory / SEARCH).is_file():
        check_same(directory, search)
        run_directory.warn_of_other_versions(directory / SEARCH)
        oracle.load(has_workers=chief is not None)
    else:
        _start(directory, search)
    if chief is None:
        work(oracle, RecipeHyperModel(search), "here")
    else:
        from plumkeras.recipes.search.workers import serve

        serve(oracle, *chief)
    results = SearchResults.of(search, oracle)
    write_tables(results, directory)
    if results.best is None:
        failed = results.trials[0].reason if results.trials else "there was none"
        raise TrainingError(f"{directory}: no trial came to its end; the first: {failed}")
    write_picture(results, directory)
    return results


def _start(directory, search):
    """Makes the directory, clears an earlier search out of it, and writes `search.json`. Other files stay."""
    directory.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
        run_directory.partial_path(directory / name).unlink(missing_ok=True)
    described = {
        "recipe": to_dict(search.config),
        "algorithm": search.algorithm,
        "trials": search.trials,
        "seeds": search.seeds,
        "space": {name: kind.to_json() for name, kind in search.space.items()},
        "fold": search.fold,
        **run_directory.describe_surroundings(search.dataset),
        "facts": search.facts(keras.backend.backend()),
    }
    run_directory.write_json(directory / SEARCH, described)


def check_same(directory, search):
    """Raises `ConfigError`, naming what differs, unless the directory's search is this one."""
    path = Path(directory) / SEARCH
    found = run_directory.read_json(path)
    then = found.get("facts") if isinstance(found, dict) else None
    if not isinstance(then, dict):
        raise ConfigError(f"{path}: says nothing of a search; is it the search.json of one?")
    # Fields that a later version added have their defaults in an older file.
    then = {**run_directory.flat(to_dict(run_directory.read_config(path))), **then}
    now = search.facts(keras.backend.backend())
    if field := run_directory.first_difference(then, now):
        raise ConfigError(
            f"--resume: {field} has changed: the search in {directory} has {then.get(field)!r}, and now it is "
            f"{now.get(field)!r}; go on with what the search has, or choose another --output"
        )


def worker_name():
    """A name that no other worker has: the machine's and the process's number."""
    return f"{socket.gethostname()}-{os.getpid()}"


def run_search(search, options, directory=None, resume=False, overwrite=True):
    """What `plumkeras tune` does once everything is checked: a search, the chief of one, or a worker.

    Args:
        search: `Search`.
        options: `SearchOptions`; `chief`, `join` and `worker` are read.
        directory, resume, overwrite: as in `tune`. A worker has no directory.

    Raises:
        As `tune`, and `search_workers.join`.
    """
    from plumkeras.recipes.views import terminal

    if options.join is not None:
        from plumkeras.recipes.search.workers import join

        count = join(search, *split_address("--join", options.join), options.worker or worker_name())
        print(f"The search is over; {count} trials were run here")
        return
    if search.fold is not None:
        terminal.print_line(
            f"Fold {search.fold} ({search.held_out} samples) takes no part. In a cross-validation by the best "
            "configuration, its metrics alone are of samples that the search has not seen"
        )
    chief = options.chief and split_address("--chief", options.chief)
    results = tune(search, directory, resume, chief, terminal.print_trial, overwrite)
    terminal.print_search(results, Path(directory))
