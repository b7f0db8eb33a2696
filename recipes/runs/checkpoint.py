"""The state of a run after each epoch, on disk: what `plumkeras train --resume` resumes from.

With the training order a function of seed and epoch, a run that resumes from here ends as if it had never stopped:
the file holds every weight, prototypes among them, the optimizer's state, the states of the dropout generators, the
best epoch so far with its weights, the counters of early stopping, and the histories.
"""

import dataclasses
import json
import os
import re
import zipfile
from collections import defaultdict
from pathlib import Path

import keras
import numpy as np

from plumkeras.files import replacing
from plumkeras.recipes.config import TrainingError
from plumkeras.recipes.runs.run_directory import CHECKPOINT, run_id

_FACTS = "facts"
# Those of a text encoder are.
_INNER_GENERATOR = re.compile(r"(.+/seed_generator_)(\d+)(/.+)")


@dataclasses.dataclass(frozen=True)
class Position:
    """The state of a run: `epochs` of `stage` are done.

    Attributes:
        stage: name of the stage.
        epochs: int.
        stopped: bool. The stage was stopped early and has no further epoch.
        histories: dict by stage of dicts of lists, this stage and those before it.
        facts: dict of the callbacks' counters, `best` and `early_stopping`.
        arrays: dict by kind of dicts of arrays: `variables`, `optimizer` and `best` by path, see `variable_paths`;
            `generators` by position. Of one to be written they may be variables.
    """

    stage: str
    epochs: int
    stopped: bool
    histories: dict
    facts: dict
    arrays: dict


class CheckpointFile:
    """The one checkpoint of a run directory. A new one takes the old one's place once it is complete on disk.

    It keeps the `run_id` of the directory's `config.json`, and one of another run is not read.
    """

    def __init__(self, directory):
        self.path = Path(directory) / CHECKPOINT
        self.run_id = run_id(directory)

    def write(self, position):
        """Raises `TrainingError` when the disk does not take it; the last checkpoint is untouched then."""
        facts = {f.name: getattr(position, f.name) for f in dataclasses.fields(position) if f.name != "arrays"}
        # So that a file that has lost some is seen to be damaged.
        facts["arrays"] = {kind: list(values) for kind, values in position.arrays.items()}
        facts["run_id"] = self.run_id
        arrays = {f"{kind}/{name}": a for kind, values in position.arrays.items() for name, a in values.items()}
        try:
            with replacing(self.path) as partial, partial.open("wb") as file:
                _write_arrays(file, {_FACTS: np.frombuffer(json.dumps(facts).encode(), "uint8"), **arrays})
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            kept = "; the one before it is untouched" if self.path.exists() else ""
            raise TrainingError(
                f"{self.path}: the checkpoint after epoch {position.epochs} of {position.stage} cannot be written: "
                f"{error.strerror or error}{kept}; make room and resume with --resume"
            ) from error

    def read(self):
        """The `Position`; `None` where there is none. Raises `TrainingError` for a damaged file, or another run's."""
        if not self.path.exists():
            return None
        try:
            with np.load(self.path, allow_pickle=False) as file:
                # Sums over the whole file: numpy stops where it takes an array to end.
                if damaged := file.zip.testzip():
                    raise zipfile.BadZipFile(f"bad CRC-32 for {damaged}")
                facts = json.loads(file[_FACTS].tobytes())
                names = facts.pop("arrays")
                # The layout before arrays had paths: how many there are.
                names = {kind: map(str, range(n)) if isinstance(n, int) else n for kind, n in names.items()}
                # Version 0.1.0 had none.
                found = facts.pop("run_id", None)
                arrays = {kind: {name: file[f"{kind}/{name}"] for name in names[kind]} for kind in names}
            position = Position(**facts, arrays=arrays)
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be read: {error.strerror or error}") from error
        except Exception as error:  # zipfile, zlib and numpy have many kinds for bytes that make no sense.
            raise TrainingError(
                f"{self.path}: is damaged ({type(error).__name__}: {error}); start anew with --overwrite"
            ) from error
        if found != self.run_id:
            raise TrainingError(
                f"{self.path}: is the checkpoint of another run than config.json; put the right one there, or start "
                "anew with --overwrite"
            )
        return position

    def remove(self):
        self.path.unlink(missing_ok=True)


class StageCheckpoint(keras.callbacks.Callback):
    """Keeps a stage's history and writes a checkpoint after each epoch; at the start, takes up a `Position`.

    It comes after all other callbacks, so that it sees what they did at an epoch's end, and restores them after they
    were reset.

    Args:
        file: `CheckpointFile`, or `None`: nothing is written.
        stage: name of the stage.
        histories: dict of the histories of earlier stages.
        position: `Position` in this stage to resume from, or `None`.
        early_stopping: the stage's `keras.callbacks.EarlyStopping`, or `None`.
    """

    def __init__(self, file, stage, histories, position=None, early_stopping=None):
        super().__init__()
        self.file, self.stage, self.earlier, self.position = file, stage, histories, position
        self.early_stopping = early_stopping
        self.history = position.histories[stage] if position else {}

    def on_train_begin(self, logs=None):
        if not self.model.optimizer.built:
            self.model.optimizer.build(self.model.trainable_variables)
        if self.position is None:
            return
        self._assign("variables", self.model.variables)
        self._assign("optimizer", self.model.optimizer.variables)
        _restore_generators(list(self.position.arrays.get("generators", {}).values()))
        if best := self.position.facts.get("best"):
            keep = self.model.keep_best
            keep.best, keep.best_epoch = best["best"], best["best_epoch"]
            keep.best_weights = None if keep.best_epoch is None else self._arrays("best", self.model.weights)
        for name, value in self.position.facts.get("early_stopping", {}).items():
            setattr(self.early_stopping, name, value)

    def on_epoch_end(self, epoch, logs=None):
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if self.file is None:
            return
        arrays = {
            "variables": _by_path(self.model.variables, self.model.variables),
            "optimizer": _by_path(self.model.optimizer.variables, self.model.optimizer.variables),
            "generators": {str(i): state for i, state in enumerate(_generators())},
        }
        for path, variable in arrays["variables"].items():
            array = keras.ops.convert_to_numpy(variable)
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                kept = "; the checkpoint before it is untouched" if self.file.path.exists() else ""
                raise TrainingError(
                    f"training diverged in stage {self.stage}: {path} is not finite after epoch {epoch + 1}"
                    f"{kept}; try a smaller {self.stage}.learning_rate"
                )
        facts = {}
        keep = getattr(self.model, "keep_best", None)
        if keep is not None:
            facts["best"] = {"best": float(keep.best), "best_epoch": keep.best_epoch}
            arrays["best"] = _by_path(self.model.weights, keep.best_weights) if keep.best_weights else {}
        if self.early_stopping is not None:
            best = self.early_stopping.best
            facts["early_stopping"] = {
                "wait": self.early_stopping.wait,
                "stopped_epoch": self.early_stopping.stopped_epoch,
                "best": None if best is None else float(best),
                "best_epoch": self.early_stopping.best_epoch,
            }
        histories = {**self.earlier, self.stage: self.history}
        self.file.write(Position(self.stage, epoch + 1, self.model.stop_training, histories, facts, arrays))

    def _assign(self, kind, variables):
        for variable, array in zip(variables, self._arrays(kind, variables), strict=True):
            variable.assign(array)

    def _arrays(self, kind, variables):
        arrays = self.position.arrays.get(kind, {})
        if list(arrays) == [str(i) for i in range(len(variables))]:  # The layout before arrays had paths.
            arrays = _by_path(variables, arrays.values())
        shapes = _by_path(variables, (tuple(v.shape) for v in variables))
        wrong = [f"{path} is missing" for path in shapes if path not in arrays]
        wrong += [f"{path} is surplus" for path in arrays if path not in shapes]
        wrong += [
            f"{path} has shape {arrays[path].shape}, not {shape}"
            for path, shape in shapes.items()
            if path in arrays and arrays[path].shape != shape
        ]
        if wrong:
            more = f", and {len(wrong) - 1} more differ" if len(wrong) > 1 else ""
            raise TrainingError(
                f"{self.file.path}: holds other arrays of {kind} than this version of plumkeras and Keras makes: "
                f"{wrong[0]}{more}; start anew with --overwrite"
            )
        return [arrays[path] for path in shapes]


def variable_paths(variables) -> list[str]:
    """The Keras paths of variables, the same in every process.

    Keras counts names through a process, as in `seed_generator_12/seed_generator_state`: the counts of each name at
    the beginning of a path, and those of the generators inside of layers, are replaced by their rank among these
    variables.
    """
    inner = sorted({int(m[2]) for variable in variables if (m := _INNER_GENERATOR.fullmatch(variable.path))})
    parts = []
    ranks = defaultdict(set)
    for variable in variables:
        path = _INNER_GENERATOR.sub(lambda m: f"{m[1]}{inner.index(int(m[2]))}{m[3]}", variable.path)
        root, slash, rest = path.partition("/")
        name, count = re.fullmatch(r"(.+?)(?:_(\d+))?", root).groups(default="-1")
        ranks[name].add(int(count))
        parts.append((name, int(count), slash + rest))
    ranks = {name: sorted(counts) for name, counts in ranks.items()}
    return [
        f"{name}_{rank}{rest}" if (rank := ranks[name].index(count)) else name + rest for name, count, rest in parts
    ]


def _write_arrays(file, arrays):
    """An npz file of arrays or variables, converted one by one: a text encoder's, all at once, take half a gigabyte."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, values in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, keras.ops.convert_to_numpy(values), allow_pickle=False)


def _by_path(variables, values):
    return dict(zip(variable_paths(variables), values, strict=True))


def _generators():
    """States of the generators that are no Keras variables: torch has its own, and Keras draws its dropout there."""
    if keras.backend.backend() != "torch":
        return []
    import torch

    return [state.numpy() for state in (torch.get_rng_state(), *torch.cuda.get_rng_state_all())]


def _restore_generators(states):
    if not states:
        return
    import torch

    torch.set_rng_state(torch.from_numpy(states[0]))
    torch.cuda.set_rng_state_all([torch.from_numpy(state) for state in states[1:]])
