"""KerasTuner's three oracles, made to survive: what a search has found is one file, replaced in one move.

KerasTuner keeps a trial in a file of its own beside that of the oracle, and writes both in place: killed between the
two or in the middle of one, a search loses or repeats trials, or cannot be read at all.
"""

import itertools
import math
import sys
import warnings
from pathlib import Path

import keras_tuner
import numpy as np
from keras_tuner.engine.trial import Trial, TrialStatus

from plumkeras.files import write_json
from plumkeras.recipes.config import ConfigError, read_json
from plumkeras.recipes.execution.losses import ATTEMPTS
from plumkeras.recipes.search.plan import OBJECTIVE

STATE = "trials.json"
HYPERBAND_EPOCHS = "tuner/epochs"
_PERHAPS = "out of memory, perhaps"
_FACTOR = 3


def make_oracle(search, directory=None, on_end=None):
    """The oracle of a search.

    Args:
        search: `Search`.
        directory: where its state is kept, or `None`: nowhere.
        on_end: called with the oracle after each trial that ended.

    Raises:
        ConfigError: the algorithm needs packages that are not installed.
    """
    kinds = {"random": RandomOracle, "bayesian": BayesianOracle, "hyperband": HyperbandOracle}
    try:
        return kinds[search.algorithm](search, directory, on_end)
    except ImportError as error:
        raise ConfigError(f"--algorithm {search.algorithm}: {error}") from None


class _SearchOracle:
    """What the three have in common, a mix-in for one of KerasTuner's.

    The first trial is the recipe's own values, in or out of the space. A trial ends with a record, a dict: `objective`
    (or `None`), `objectives` and `best_epochs` by seed, `seconds`, `reason` (of a failure, or `None`) and `worker`.

    Attributes:
        records: dict by trial id.
    """

    def __init__(self, search, directory, on_end, **options):
        hyperparameters = keras_tuner.HyperParameters()
        for name, kind in search.space.items():
            kind.declare(name, hyperparameters)
        # Set by `set_state` where KerasTuner has them; these are ours.
        self.records, self.interruptions = {}, {}
        super().__init__(
            objective=keras_tuner.Objective(OBJECTIVE, "min"),
            hyperparameters=hyperparameters,
            allow_new_entries=False,
            tune_new_entries=False,
            # KerasTuner takes 0 for none.
            seed=search.config.seed + 1,
            max_retries_per_trial=0,
            max_consecutive_failed_trials=sys.maxsize,
            **options,
        )
        self.max_trials = search.trials
        self.verbose = 0
        self.search, self.directory, self.on_end = search, directory, on_end

    def populate_space(self, trial_id):
        if not self.trials:
            own = self.search.own_values
            values = {name: kind.encode(own[name]) for name, kind in self.search.space.items()}
            return {"status": TrialStatus.RUNNING, "values": values}
        response = super().populate_space(trial_id)
        if response["status"] == TrialStatus.RUNNING:
            response["values"] = self._tidy(response["values"])
        return response

    def _tidy(self, values):
        space = self.search.space
        return {name: space[name].tidy(value) if name in space else value for name, value in values.items()}

    def begin(self):
        """The next trial to run, a `Trial`; `None` where there is none, or none before another trial has ended."""
        free = next(name for name in map(str, itertools.count()) if name not in self.ongoing_trials)
        trial = self.create_trial(free)
        return trial if trial.status == TrialStatus.RUNNING else None

    def end(self, trial_id, record):
        """Takes in what came of a trial."""
        self.records[trial_id] = record
        if record["reason"] is None:
            self.update_trial(trial_id, {OBJECTIVE: record["objective"]})
        status = TrialStatus.FAILED if record["reason"] else TrialStatus.COMPLETED
        hyperparameters = self.trials[trial_id].hyperparameters
        self.end_trial(Trial(hyperparameters, trial_id, status, record["reason"]))
        if self.on_end is not None:
            self.on_end(self)

    def get_state(self):
        ours = {"records": self.records, "interruptions": self.interruptions}
        return {**super().get_state(), **ours}

    def set_state(self, state):
        super().set_state(state)
        self.records, self.interruptions = state["records"], state["interruptions"]

    def save(self):
        if self.directory is not None:
            trials = {name: trial.get_state() for name, trial in self.trials.items()}
            write_json(Path(self.directory) / STATE, {"oracle": self.get_state(), "trials": trials})

    def _save_trial(self, trial):
        """KerasTuner's file of one trial: there is none, `save` writes all."""

    def load(self, runs_here=True):
        """Takes up the state that `directory` holds, if there is one. Trials that were running are run again.

        Args:
            runs_here: bool. Whether trials are run in this process, so that one of them may be what killed it.

        Raises:
            ConfigError: the file is damaged.
        """
        path = Path(self.directory) / STATE
        if not path.exists():
            return
        values = read_json(path)
        try:
            self.trials = {name: Trial.from_state(state) for name, state in values["trials"].items()}
            self.set_state(values["oracle"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{path}: is damaged ({type(error).__name__}: {error}); start anew with --overwrite"
            ) from None
        self.ongoing_trials, self.tuner_ids = {}, set()
        lost = sorted((name for name, trial in self.trials.items() if trial.status == TrialStatus.RUNNING), key=int)
        if runs_here:
            for name in lost:
                self.interruptions[name] = self.interruptions.get(name, 0) + 1
        fatal = [name for name in lost if self.interruptions.get(name, 0) >= ATTEMPTS]
        # The last is taken first.
        self._retry_queue = [name for name in reversed(lost) if name not in fatal]
        for name in fatal:
            self.end(name, failed_record(f"the process ended in the middle of it {ATTEMPTS} times; {_PERHAPS}"))
        self.save()


def values_of(search, hp):
    """The values of the fields that a trial sets: dict, as JSON would have them.

    Args:
        search: `Search`.
        hp: `keras_tuner.HyperParameters` of the trial.
    """
    values = {name: kind.decode(kind.declare(name, hp)) for name, kind in search.space.items()}
    if HYPERBAND_EPOCHS in hp.values:
        values[search.epochs_field] = hp.values[HYPERBAND_EPOCHS]
    return values


EMPTY_RECORD = {"objective": None, "objectives": [], "best_epochs": [], "seconds": None, "reason": None, "worker": None}


def failed_record(reason):
    """The record of a trial that has not come to its end."""
    return {**EMPTY_RECORD, "reason": reason}


class RandomOracle(_SearchOracle, keras_tuner.oracles.RandomSearchOracle):
    """Values drawn evenly from the space."""


class BayesianOracle(_SearchOracle, keras_tuner.oracles.BayesianOptimizationOracle):
    """A third of the trials, at most three for each field, are random; then a Gaussian process proposes.

    KerasTuner's own default draws three random trials for each field, which would leave none for the process.
    """

    def __init__(self, search, directory, on_end):
        initial = max(3, min(3 * len(search.space), math.ceil(search.trials / 3)))
        super().__init__(search, directory, on_end, num_initial_points=initial)

    def populate_space(self, trial_id):
        # A function of the seed and of what was tried: a resumed search proposes the same.
        self._random_state = np.random.RandomState((self.seed + len(self.trials)) % 2**32)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # The process's own fit need not converge.
            response = super().populate_space(trial_id)
        # Nothing new is learned from what was tried; the process proposes it all the same.
        if response["status"] == TrialStatus.RUNNING and self.trials and self._duplicate(response["values"]):
            response = self._random_populate_space()
            response["values"] = response["values"] and self._tidy(response["values"])
        return response

    def _vectorize_trials(self):
        # The recipe's own values may lie outside of the space, where the process has no place for them.
        everything, space = self.trials, self.search.space
        inside = {
            name: trial
            for name, trial in everything.items()
            if all(kind.contains(kind.decode(trial.hyperparameters.values[n])) for n, kind in space.items())
        }
        ended = {name: trial for name, trial in inside.items() if trial.status != TrialStatus.RUNNING}
        try:
            if len(ended) < len(inside):
                # KerasTuner guesses what running trials will come to by the process as it was fitted last, if it was.
                self.trials = ended
                self.gpr.fit(*super()._vectorize_trials())
            self.trials = inside
            return super()._vectorize_trials()
        finally:
            self.trials = everything


class HyperbandOracle(_SearchOracle, keras_tuner.oracles.HyperbandOracle):
    """Hyperband whose resource is the epochs of the last stage, up to the recipe's.

    Each trial trains all stages from the beginning, the later rounds with more epochs of the last one, so that its
    objective is that of a run with its configuration (KerasTuner's own tuner goes on from the weights of the earlier
    trial). As many brackets are made as a pass of `trials` has room for, those with the fewest epochs being left out
    first; when a pass ends before the trials do, another begins. The recipe's own values take part in no bracket and
    have all their epochs.
    """

    def __init__(self, search, directory, on_end):
        super().__init__(
            search,
            directory,
            on_end,
            max_epochs=search.config.last_stage.epochs,
            factor=_FACTOR,
            hyperband_iterations=0,
        )
        while self._get_num_brackets() > 1 and self._pass_size() > self.max_trials - 1:
            self.min_epochs *= _FACTOR
        self._current_bracket, self._brackets = self._get_num_brackets() - 1, []
        self._start_new_bracket()

    def _pass_size(self):
        brackets = range(self._get_num_brackets())
        return sum(self._get_size(b, r) for b in brackets for r in range(self._get_num_rounds(b)))

    def populate_space(self, trial_id):
        is_first = not self.trials
        response = super().populate_space(trial_id)
        if is_first:
            response["values"][HYPERBAND_EPOCHS] = self.max_epochs
        return response
