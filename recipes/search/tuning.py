"""A search and its directory."""

import dataclasses
import uuid
from pathlib import Path

import keras

from plumkeras.files import partial_path, write_json
from plumkeras.recipes.config import ConfigError, TrainingError, to_dict
from plumkeras.recipes.execution import open_executor
from plumkeras.recipes.execution.local import SerialExecutor
from plumkeras.recipes.runs import provenance, resuming, run_directory
from plumkeras.recipes.runs.output_checks import check_search_output
from plumkeras.recipes.runs.run_directory import SEARCH
from plumkeras.recipes.search.oracle import STATE, make_oracle
from plumkeras.recipes.search.results import BEST, PICTURE, TABLE, SearchResults, write_picture, write_tables
from plumkeras.recipes.search.trials import TrialTask, forget, work

_FILES = (STATE, BEST, TABLE, PICTURE)


def tune(search, directory, resume=False, on_trial=None, overwrite=True, jobs=1, scheduler=None, source=None):
    """Searches, and writes the search's directory.

    It holds `search.json` (what is searched, where, and by which versions), `trials.json` (what was found: the search
    resumes from there), `trials.csv`, `best_config.json`, which `plumkeras train --config` takes, and `search.png`.
    The tables are written after every trial.

    Args:
        search: `Search`.
        directory: path of the directory. A search that it holds is cleared away, or resumed.
        resume: bool. Whether to resume the directory's search, which must have had the same recipe, data, space,
            algorithm and seeds; the number of trials may be another. Without one there, it begins.
        on_trial: called with `SearchResults` after each trial.
        overwrite: bool. Whether a search that the directory holds, and that is not resumed, may be cleared away.
        jobs, scheduler: where trials are run, as `open_executor` takes them; by default in this process. With as many
            workers, a search proposes the same trials.
        source: `DataSource` of the data that were searched, from which other processes read them once; None: each trial
            takes them along.

    Returns:
        `SearchResults`.

    Raises:
        ConfigError: the search to resume is another one, or cannot be read; another process writes there; or the
            cluster is not there, or not fit.
        DataError: a damaged file was found while reading the data.
        TrainingError: every trial failed, or the cluster was lost.
    """
    directory = Path(directory)
    read = source if source is not None and source.dataset is None else None
    files = [path for path in (search.dataset.path,) if path and (read or search.dataset.format == "shards")]
    where = {"jobs": jobs, "scheduler": scheduler, "tasks": search.trials, "devices": search.config.devices}
    with open_executor(**where, paths=[directory, *files]) as executor, run_directory.locked(directory):
        if not overwrite:
            # Again: another process may have made a search there since it was checked.
            check_search_output(directory, overwrite, resume)
        return _tune(search, directory, resume, on_trial, executor, read)


def _tune(search, directory, resume, on_trial, executor, source):
    def ended(oracle):
        results = SearchResults.of(search, oracle)
        write_tables(results, directory)
        if on_trial is not None:
            on_trial(results)

    oracle = make_oracle(search, directory, ended)
    if resume and (directory / SEARCH).is_file():
        check_same(directory, search)
        resuming.warn_of_other_versions(directory / SEARCH)
        oracle.load(runs_here=isinstance(executor, SerialExecutor))
    else:
        _start(directory, search)
    is_here = isinstance(executor, SerialExecutor)
    carried = search if is_here or source is None else dataclasses.replace(search, dataset=None)
    sha256 = provenance.sha256(search.dataset)
    task = TrialTask(carried, None if is_here else source, sha256, uuid.uuid4().hex)
    try:
        work(oracle, task, executor)
    finally:
        forget(task.key)
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
        partial_path(directory / name).unlink(missing_ok=True)
    described = {
        "recipe": to_dict(search.config),
        "algorithm": search.algorithm,
        "trials": search.trials,
        "seeds": search.seeds,
        "space": {name: kind.to_json() for name, kind in search.space.items()},
        "fold": search.fold,
        **provenance.describe_surroundings(search.dataset),
        "facts": search.facts(keras.backend.backend()),
    }
    write_json(directory / SEARCH, described)


def check_same(directory, search):
    """Raises `ConfigError`, naming what differs, unless the directory's search is this one."""
    path = Path(directory) / SEARCH
    found = run_directory.read_json(path)
    then = found.get("facts") if isinstance(found, dict) else None
    if not isinstance(then, dict):
        raise ConfigError(f"{path}: says nothing of a search; is it the search.json of one?")
    # Fields that a later version added have their defaults in an older file, and `read_config` translates this one.
    then = {name: value for name, value in then.items() if name != "network.share_common_encoder"}
    then = {**resuming.flat(to_dict(run_directory.read_config(path))), **then}
    now = search.facts(keras.backend.backend())
    if field := resuming.first_difference(then, now):
        raise ConfigError(
            f"--resume: {field} has changed: the search in {directory} has {then.get(field)!r}, and now it is "
            f"{now.get(field)!r}; keep what the search has, or choose another --output"
        )


def run_search(search, directory, resume=False, overwrite=True, jobs=1, scheduler=None, source=None):
    """What `plumkeras tune` does once everything is checked.

    Args:
        search: `Search`.
        directory, resume, overwrite, jobs, scheduler, source: as in `tune`.

    Raises:
        As `tune`.
    """
    from plumkeras.recipes.views import terminal

    if search.fold is not None:
        terminal.print_line(
            f"Fold {search.fold} ({search.held_out} samples) takes no part. In a cross-validation by the best "
            "configuration, its metrics alone are of samples that the search has not seen"
        )
    results = tune(search, directory, resume, terminal.print_trial, overwrite, jobs, scheduler, source)
    terminal.print_search(results, Path(directory))
