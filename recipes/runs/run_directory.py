"""The directory of a run: its files, and the rules about not losing them."""

import contextlib
import csv
import os
import re
import uuid
from pathlib import Path

import numpy as np

from plumkeras import locking
from plumkeras.data_pipelines.inspection.fingerprint import fingerprint
from plumkeras.files import partial_path, replacing, write_json
from plumkeras.recipes.config import ConfigError, from_dict, read_json
from plumkeras.recipes.models import STAGE_TITLES
from plumkeras.recipes.runs.protocol import TOKENIZER
from plumkeras.recipes.runs.provenance import describe

CONFIG, METRICS, NETWORK, LOGS, PICTURE = "config.json", "metrics.json", "network.keras", "logs", "losses.png"
PREDICTIONS, DISAGREEMENT, TIMINGS = "predictions.png", "disagreement.png", "timings.json"
# The page about it all; see `plumkeras.recipes.report`.
REPORT = "report.html"
# What a search for hyper-parameters, several seeds, an experiment and a reference are.
SEARCH, SEEDS, EXPERIMENT, REFERENCE = "search.json", "seeds.json", "experiment.json", "reference.json"
# What an experiment writes last.
RESULTS = "results.json"
# What the training features look like; see `plumkeras.data_pipelines.inspection.fingerprint`.
FINGERPRINT = "fingerprint.json"
# Kept while a run is under way, and after it where more epochs of stage 2 may follow; see
# `plumkeras.recipes.runs.checkpoint`.
CHECKPOINT = "checkpoint.npz"
# What is cleared away first no longer passes for a finished run, or for one to resume.
_FILES = (
    *(METRICS, CHECKPOINT, NETWORK, PICTURE, PREDICTIONS, DISAGREEMENT, FINGERPRINT, TIMINGS, REPORT),
    *(f"{stage}_history.csv" for stage in STAGE_TITLES),
    *("predictions_valid.csv", "predictions_test.csv", TOKENIZER),
)


@contextlib.contextmanager
def locked(directory):
    """Keeps others from writing to a run directory meanwhile, see `plumkeras.locking.locked`.

    Raises:
        ConfigError: another process writes there, or the directory cannot be written to.
    """
    with contextlib.ExitStack() as stack:
        with _config_errors(directory):
            stack.enter_context(locking.locked(directory))
        yield


def check_unlocked(directory):
    """Raises `ConfigError` while another process writes to the directory. Changes nothing."""
    with _config_errors(directory):
        locking.check_unlocked(directory)


@contextlib.contextmanager
def _config_errors(directory):
    try:
        yield
    except BlockingIOError as error:
        raise ConfigError(str(error)) from None
    except OSError as error:
        raise ConfigError(f"{directory}: cannot be written to: {error.strerror or error}") from None


def start(directory, config, dataset, network, data_warnings=(), fold=None, init_from=None):
    """Makes the directory, clears an earlier run of ours out of it, and writes `config.json`. Other files stay.

    Args:
        directory: path.
        config: `RecipeConfig`.
        dataset: `Dataset`.
        network: what has `feature_dims`, `task` and `num_classes`.
        data_warnings: what is suspicious about the data, sentences.
        fold: dict or None. Of the run of a fold, which it is.
        init_from: path of the earlier run from whose network this one starts, or None.
    """
    directory = Path(directory)
    directory.mkdir(parents=True, exist_ok=True)
    _clear(directory)
    clear_runs(directory, "fold")
    # Replaced, never removed: killed at any point, the directory is known for ours.
    values = {"run_id": uuid.uuid4().hex, **describe(config, dataset, network), "fold": fold}
    if init_from is not None:
        values["init_from"] = {"path": str(Path(init_from).absolute()), "run_id": run_id(init_from)}
    values["warnings"] = list(data_warnings)
    write_json(directory / CONFIG, values)
    # A cross-validation has several networks, and their tokenizer is in the directories of its folds.
    if (encoder := getattr(network, "text_encoder", None)) is not None:
        write_tokenizer(directory, encoder)


def write_tokenizer(directory, text_encoder):
    """Writes the tokenizer of a network beside what describes it, so that texts are read without the network."""
    with replacing(Path(directory) / TOKENIZER) as partial:
        partial.write_text(text_encoder.tokenizer, encoding="utf-8")


def clear_runs(directory, kind):
    """Removes the runs of ours in `<kind>_<number>` of a directory; each goes as a whole unless it has other files."""
    for path in sorted(directory.glob(f"{kind}_*")):
        if re.fullmatch(rf"{kind}_-?\d+", path.name) and not path.is_symlink() and _is_ours(path):
            with locked(path):
                clear_runs(path, "fold")
                _clear(path)
                (path / CONFIG).unlink()
            with contextlib.suppress(OSError):
                path.rmdir()


def _clear(directory):
    """Removes what a run of ours leaves, all but `config.json`."""
    for name in _FILES:
        (directory / name).unlink(missing_ok=True)
    clear_partial_files(directory)
    logs = directory / LOGS
    for stage in STAGE_TITLES:
        # The deepest first.
        for path in sorted((logs / stage).rglob("*"), reverse=True):
            if path.name.startswith("events.out.tfevents."):
                path.unlink(missing_ok=True)
            _remove_if_empty(path)
        _remove_if_empty(logs / stage)
    _remove_if_empty(logs)


def clear_partial_files(directory):
    """Removes the files that a run was writing when it was killed."""
    for name in (CONFIG, *_FILES):
        partial_path(Path(directory) / name).unlink(missing_ok=True)


def _remove_if_empty(directory):
    with contextlib.suppress(OSError):
        directory.rmdir()


def _is_ours(directory):
    """Whether there is a `config.json` of a run; other software has files of that name too."""
    try:
        read_network(directory / CONFIG)
    except ConfigError:
        return False
    return True


def run_id(directory):
    """What tells the directory's run from any other; `None` without a run, and of one of version 0.1.0."""
    path = Path(directory) / CONFIG
    return read_description(path).get("run_id") if path.is_file() else None


def write_fingerprint(directory, dataset, modalities):
    """Writes `fingerprint.json`, what the training features look like, which predictions are compared with."""
    # One number a line would make thousands of lines.
    write_json(Path(directory) / FINGERPRINT, fingerprint(dataset, modalities), indent=None)


def read_fingerprint(path):
    """The fingerprint of a `fingerprint.json`; `None` where there is none, as of runs of an earlier version.

    Raises:
        ConfigError: the file is damaged.
    """
    if not Path(path).is_file():
        return None
    values = read_json(path)
    check_fingerprint(values, path)
    return values


def check_fingerprint(values, path):
    """Raises `ConfigError` unless the values are those of a fingerprint."""
    try:
        for moments in values["modalities"].values():
            columns = [moments[name] for name in ("mean", "std", "sample_std")]
            numbers = [moments[name] for name in ("width", "samples", "missing", "mean_length")]
            if {len(column) for column in columns} != {moments["width"]} or not all(
                isinstance(number, (int, float)) for number in (*numbers, *(x for column in columns for x in column))
            ):
                raise ValueError
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(f"{path}: holds no fingerprint of features; is it damaged?") from None


def holds_run(directory):
    """Whether a run was begun in the directory, finished or not."""
    # Not `Path.is_file`, which raises for a name that is too long, as that of a text.
    return os.path.isfile(os.path.join(directory, CONFIG))


def is_finished(directory):
    """Whether the directory's run came to its end: `metrics.json` is what it writes last."""
    return (Path(directory) / METRICS).is_file()


def read_description(path):
    """What a `config.json` or a `search.json` says, as a dict.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    values = read_json(path)
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: must hold a JSON object; is it damaged?")
    return values


def check_fold(fold, path):
    """What a `config.json` says of the fold of its run: a dict of lists of numbers, or `None`.

    Raises:
        ConfigError: it is damaged.
    """
    if fold is None:
        return None
    parts = [fold.get(name) for name in ("train", "valid", "test")] if isinstance(fold, dict) else [None]
    if not all(isinstance(part, list) and part and all(type(number) is int for number in part) for part in parts):
        raise ConfigError(f"{path}: field fold must hold the folds of train, valid and test. Received: {fold!r:.80}")
    return fold


def read_metrics(path):
    """What a `metrics.json` holds.

    Raises:
        ConfigError: the file is missing or damaged.
    """
    values = read_json(path)
    try:
        for name in ("valid", "test"):
            for value in (values.get(name) or {}).values():
                if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
                    raise TypeError
    except (TypeError, AttributeError):
        raise ConfigError(f"{path}: holds no metrics; is it damaged? Delete it and resume with --resume") from None
    return values


def read_history(directory, stage):
    """The history of a stage: dict of float arrays `[epochs]`, by quantity; empty where there is none."""
    path = Path(directory) / f"{stage}_history.csv"
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    columns = np.array(rows, dtype="float64").reshape(len(rows), len(header)).T
    return dict(zip(header, columns, strict=True))


def read_config(path):
    """The `RecipeConfig` of a `config.json`, or of a file that holds only the recipe's fields.

    Raises:
        ConfigError: the file is missing, no JSON, or has a field that does not exist.
    """
    values = read_json(path)
    if isinstance(values, dict) and isinstance(values.get("recipe"), dict):
        values = values["recipe"]
    return from_dict(values, str(path))


def read_network(path):
    """What the `config.json` of a run says of its network: `feature_dims`, `task`, `num_classes` and `label_names`.

    Raises:
        ConfigError: it says nothing of a network.
    """
    values = read_json(path)
    try:
        network = values["network"]
        data = values.get("data")
        names = data.get("label_names") if isinstance(data, dict) else None
        return {
            "feature_dims": {str(m): int(width) for m, width in network["feature_dims"].items()},
            "task": str(network["task"]),
            "num_classes": int(network["num_classes"]),
            "label_names": None if names is None else [str(name) for name in names],
        }
    except (KeyError, TypeError, ValueError, AttributeError):
        raise ConfigError(f"{path}: says nothing of a network; is it the config.json of a run?") from None
