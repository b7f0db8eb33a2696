"""Checks of runs and of places to write to, made before a backend starts and before anything is written."""

import os
import zipfile
from pathlib import Path

from plumkeras import json_text, locking
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.models import find_model
from plumkeras.recipes.runs.run_directory import (
    CONFIG,
    EXPERIMENT,
    NETWORK,
    SEARCH,
    SEEDS,
    is_finished,
    read_config,
    read_description,
    read_network,
)

# A few KB with dozens of modalities.
_MAX_NETWORK_CONFIG = 2**20


def check_output(directory, overwrite, resume=False):
    """Refuses a directory that a run must not be written to. Nothing is changed.

    Raises:
        ConfigError: it is a file, holds a run while `overwrite` and `resume` are off, or holds something else.
    """

    def holds_run():
        try:
            # Other software has files named config.json too.
            read_network(Path(directory) / CONFIG)
        except ConfigError:
            return False
        return True

    _check_place(directory, "a run", holds_run, overwrite, resume, is_finished(directory))


def check_search_output(directory, overwrite, resume=False):
    """As `check_output`, of a search."""
    # Other software has files named search.json too.
    _check_place(directory, "a search", lambda: _describes(directory, SEARCH, "facts", dict), overwrite, resume)


def check_seeds_output(directory, overwrite, resume=False):
    """As `check_output`, of the runs of several seeds."""

    def holds_seeds():
        return _describes(directory, SEEDS, "seeds", list)

    _check_place(directory, "runs of several seeds", holds_seeds, overwrite, resume, is_finished(directory))


def check_experiment_output(directory, overwrite):
    """As `check_output`, of an experiment, which goes on by itself."""
    _check_place(
        directory, "an experiment", lambda: _describes(directory, EXPERIMENT, "experiment", str), overwrite, True
    )


def _describes(directory, name, field, kind):
    try:
        return isinstance(read_description(Path(directory) / name).get(field), kind)
    except ConfigError:
        return False


def _check_place(directory, what, holds, overwrite, resume, finished=None):
    directory = Path(directory)
    if _is_free(directory):
        return
    if not holds():
        plain = what.removeprefix("a ").removeprefix("an ")
        raise ConfigError(f"--output {directory}: is not empty and holds no {plain}; choose another directory")
    if not (overwrite or resume):
        how = "; choose another directory" if finished else " that is not finished; resume it with --resume"
        # A search is never finished: it can be made longer.
        how = "; resume it with --resume, choose another directory" if finished is None else how
        raise ConfigError(f"--output {directory}: already holds {what}{how} or add --overwrite")


def _is_free(directory):
    """Whether nothing is in the directory. Raises `ConfigError` where nothing can be written to it."""
    if not directory.exists():
        parent = next(p for p in directory.absolute().parents if p.exists())
        if not parent.is_dir() or not os.access(parent, os.W_OK):
            raise ConfigError(f"--output {directory}: {parent} is not a directory that can be written to")
        return True
    if not directory.is_dir():
        raise ConfigError(f"--output {directory}: is a file, not a directory")
    if not os.access(directory, os.W_OK):
        raise ConfigError(f"--output {directory}: the directory cannot be written to")
    return all(path.name.endswith(".partial") or path.name == locking.NAME for path in directory.iterdir())


def check_run(directory):
    """Raises `ConfigError` unless `directory` holds a finished run, whose network is the one it describes."""
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such run directory")
    if (folds := sorted(directory.glob("fold_*"))) and not (directory / NETWORK).exists():
        raise ConfigError(f"{directory}: holds a cross-validation; name the run of one fold, as {folds[0]}")
    for name in (CONFIG, NETWORK):
        if not (directory / name).is_file():
            begun = name == NETWORK and not is_finished(directory)
            how = "; resume it with plumkeras train --resume" if begun else ""
            raise ConfigError(f"{directory}: holds no finished run: {name} is missing{how}")
    described = read_network(directory / CONFIG)
    model = find_model(read_config(directory / CONFIG).model)
    for field, saved in _read_saved_network(directory / NETWORK, model.NETWORK).items():
        if saved != described[field]:
            raise ConfigError(
                f"{directory}: {NETWORK} and {CONFIG} are not of the same run: {field} is {saved!r} in the network and "
                f"{described[field]!r} in {CONFIG}; train again"
            )


def _read_saved_network(path, wanted):
    """What a `network.keras` says of itself, as `read_network`: without loading it, and without Keras."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("config.json") as file:
            text = file.read(_MAX_NETWORK_CONFIG + 1)
        if len(text) > _MAX_NETWORK_CONFIG:
            raise ValueError("its config.json is too long")
        values = json_text.parse(text)
    # zipfile and zlib have many kinds of errors for bytes that make no sense.
    except Exception as error:
        told = (str(error).splitlines() or [""])[0]
        raise ConfigError(f"{path}: cannot be read as a .keras file: {type(error).__name__}: {told}") from None
    try:
        found = values["class_name"]
        if found == wanted:
            return {field: values["config"][field] for field in ("feature_dims", "task", "num_classes")}
    except (KeyError, TypeError):
        found = "something that says nothing of itself"
    raise ConfigError(f"{path}: must hold a {wanted}, as plumkeras train saves it. Received: {found!s:.80}")


def check_csv_target(path, overwrite):
    """Raises `ConfigError` when the csv file exists and may not be replaced, or its folder does not exist."""
    _check_file_target("--output", Path(path), overwrite, "a csv file")


def check_picture_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`, or when the name is not that of a PNG file."""
    path = Path(path)
    _check_file_target("--plot", path, overwrite, "a PNG file")
    if path.suffix.lower() != ".png":
        raise ConfigError(f"--plot {path}: a PNG file is written; end its name in .png")


def check_metrics_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`, or unless the file is named as one of JSON or csv."""
    if Path(path).suffix.lower() not in (".json", ".csv"):
        raise ConfigError(f"--output {path}: metrics are written as JSON or csv; end its name in .json or .csv")
    _check_file_target("--output", Path(path), overwrite, "a .json or .csv file")


def check_comparison_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`, or unless the name says what to write."""
    if Path(path).suffix.lower() not in (".json", ".csv", ".md", ".tex"):
        raise ConfigError(f"--output {path}: end its name in .json, .csv, .md or .tex, for what is to be written")
    _check_file_target("--output", Path(path), overwrite, "a .json, .csv, .md or .tex file")


def check_html_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`, or when the name is not that of an HTML file."""
    if Path(path).suffix.lower() not in (".html", ".htm"):
        raise ConfigError(f"--output {path}: an HTML file is written; end its name in .html")
    _check_file_target("--output", Path(path), overwrite, "an HTML file")


def check_npz_target(path, overwrite):
    """Raises `ConfigError` as `check_csv_target`."""
    _check_file_target("--output", Path(path), overwrite, "an npz file")


def _check_file_target(option, path, overwrite, kind):
    if path.is_dir():
        raise ConfigError(f"{option} {path}: is a directory; name {kind}")
    if path.exists() and not overwrite:
        raise ConfigError(f"{option} {path}: exists; choose another file or add --overwrite")
    folder = path.absolute().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK):
        raise ConfigError(f"{option} {path}: {folder} is not a folder that can be written to")
