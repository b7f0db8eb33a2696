"""Compiled stages that runs of one process share: seeds, folds and trials whose graphs are the same."""

import contextlib
import gc
import hashlib
import json
import threading

import keras
import numpy as np

from plumkeras.recipes.config import to_dict
from plumkeras.recipes.models import data_facts, find_model

# How many `CompiledStages` a process keeps for later runs. Each holds a network, its optimizers and its graphs.
MOST_HELD = 1
_HELD, _LOCK = [], threading.Lock()


@contextlib.contextmanager
def compiled_before(key: str | None):
    """What an earlier run of the process compiled, lent to another one and kept for the next unless that one fails.

    Runs of several threads at a time share nothing.

    Args:
        key: what `graph_key` says of the run, or None: it shares nothing, and has the memory of what is held.

    Yields:
        `CompiledStages`, perhaps of another key, or None.
    """
    with _LOCK:
        held = next((held for held in _HELD if held.key == key), None)
        if held is None and len(_HELD) >= MOST_HELD:
            held = _HELD[0]
        if held is not None:
            _HELD.remove(held)
    if key is None:
        if held is not None:
            held.release()
        yield None
        return
    held = held or CompiledStages()
    yield held
    held.rest()
    with _LOCK:
        _HELD[:] = [*_HELD, held][-MOST_HELD:]


class CompiledStages:
    """The network and the trainers of the run before, for the next one whose graphs are equal.

    Tracing and compiling a step takes longer than many epochs. A run that takes them over begins with the weights,
    dropout states and optimizers that one of its own would have, so that its results are the same to the last bit. What
    is held serves one run at a time, and the run before must be done with its network.
    """

    def __init__(self):
        self.release()

    def release(self):
        """Lets go of what is held, and of its memory."""
        held_something = getattr(self, "network", None) is not None
        self.key = self.network = self.trainers = self._beginning = None
        if held_something:
            # A network refers to itself. `clear_session` would take the user's settings of Keras too.
            gc.collect()

    @property
    def is_empty(self) -> bool:
        return self.key is None

    def release_other(self, key) -> None:
        """Lets go of what is held, and of its memory, unless it has the key."""
        if self.key != key:
            self.release()

    def hold(self, key, network, trainers) -> None:
        """Keeps the network and the compiled trainers of a run that begins."""
        for trainer in trainers.values():
            trainer.optimizer.build(trainer.trainable_variables)
        own = {id(variable) for variable in network.variables}
        self.key, self.network, self.trainers = key, network, trainers
        self._beginning = [
            # Most are moments, and zero.
            (variable, value if np.any(value := keras.ops.convert_to_numpy(variable)) else None)
            for trainer in trainers.values()
            for variable in (*trainer.variables, *trainer.optimizer.variables)
            if id(variable) not in own
        ]

    def begin(self, fresh):
        """Gives what is held the state of a run that begins with a network, of the same shape; returns what is held."""
        for variable, value in zip(self.network.variables, fresh.variables, strict=True):
            variable.assign(value)
        for variable, value in self._beginning:
            variable.assign(keras.ops.zeros(variable.shape, variable.dtype) if value is None else value)
        for trainer in self.trainers.values():
            trainer.keep_best.reset()
        return self.network

    def rest(self) -> None:
        """Lets go of what is of the run alone: the weights of its best epoch."""
        for trainer in (self.trainers or {}).values():
            trainer.keep_best.reset()

    def set_learning_rates(self, config) -> None:
        """Gives the optimizers the constant learning rates of a recipe."""
        for stage, trainer in self.trainers.items():
            if getattr(config, stage).schedule == "constant":
                trainer.optimizer.learning_rate = getattr(config, stage).learning_rate


def graph_key(config, dataset, shape) -> str:
    """What the graphs of a run's stages depend on, as a text: runs of equal keys may share them.

    The seed and constant learning rates are variables, epochs and patience a loop around the graph, its name, what it
    records and what its data are no part of it; all else of a recipe counts. Of the data count widths, task, classes
    and metrics; with a schedule the number of training samples, with balanced classes their labels, and what a model
    says that its trainers ask for.

    Args:
        config, dataset: as `stages.Training` takes them.
        shape: what `stages.network_shape` gives for both.
    """
    values = to_dict(config)
    for name in ("name", "seed", "synthetic", "validation_fraction", "record"):
        values.pop(name, None)
    # The order of the modalities counts.
    of_data = [list(shape["feature_dims"].items()), shape, dataset.metric_report]
    for stage in config.STAGES:
        if values[stage]["schedule"] != "constant":
            of_data.append(len(dataset["train"]))
        elif values[stage]["epochs"]:
            # By the encoder's rate and the stage's are its variables' factors, which are constants of the graph.
            for name in ("epochs", "patience", *(() if config.text.encoder else ("learning_rate",))):
                del values[stage][name]
    facts = data_facts(dataset)
    of_data += [facts[name] for name in getattr(find_model(config.model), "GRAPH_DEPENDS_ON", ())]
    if config.class_weight == "balanced":
        of_data.append(hashlib.sha256(dataset["train"].labels.tobytes()).hexdigest())
    return json.dumps([values, of_data], sort_keys=True)
