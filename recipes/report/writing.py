"""Writes `report.html`, by what the directory holds."""

import os
import warnings
from pathlib import Path

from plumkeras.files import replacing
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.report import experiment_page, fold_page, run_page, seed_page
from plumkeras.recipes.runs.cross_validation import is_cross_validation
from plumkeras.recipes.runs.run_directory import (
    CONFIG,
    EXPERIMENT,
    METRICS,
    REPORT,
    RESULTS,
    SEARCH,
    SEEDS,
    read_network,
)

_RESUME = "resume it with plumkeras train --resume"


class ReportWarning(UserWarning):
    """A report could not be written; what it reports on is there."""


def write_report(directory, output=None) -> Path:
    """Writes the report of a finished run, cross-validation, set of seeds or experiment: one HTML file.

    Everything is read from the directory's files; no backend is started. A section whose files are missing or damaged
    is left out, and the page says why.

    Args:
        directory: path.
        output: path of the file to write, or None: `report.html` in the directory.

    Returns:
        The path of the file.

    Raises:
        ConfigError: the directory holds nothing to report on, or it is not finished.
    """
    directory = Path(directory)
    page = check_reportable(directory)
    path = directory / REPORT if output is None else Path(output)
    text = page(directory, os.path.relpath(directory, path.parent))
    with replacing(path) as partial:
        # A name of a file may hold half of a surrogate pair.
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    return path


def report_or_warn(directory) -> None:
    """As `write_report`, of what has just been finished: a failure costs a warning, never the result."""
    try:
        write_report(directory)
    except Exception as error:
        told = " ".join(f"{type(error).__name__}: {error}".split())
        warnings.warn(
            f"{directory}: {REPORT} could not be written ({told:.300}); everything else is there, and `plumkeras "
            "report` writes it again",
            ReportWarning,
            stacklevel=2,
        )


def check_reportable(directory):
    """The function that makes the page of what a directory holds.

    Raises:
        ConfigError: it holds nothing to report on, or it is not finished.
    """
    directory = Path(directory)
    if not directory.is_dir():
        raise ConfigError(f"{directory}: there is no such directory")
    kinds = {
        EXPERIMENT: (experiment_page.render, "experiment", RESULTS, "the same command continues it"),
        SEEDS: (seed_page.render, "set of seeds", METRICS, _RESUME),
    }
    for name, finished in kinds.items():
        if (directory / name).is_file():
            return _finished(directory, *finished)
    if (directory / SEARCH).is_file():
        raise ConfigError(f"{directory}: holds a search, which has no report; its result is in trials.csv")
    if not (directory / CONFIG).is_file():
        raise ConfigError(f"{directory}: holds no run, cross-validation, set of seeds or experiment to report on")
    read_network(directory / CONFIG)
    if is_cross_validation(directory):
        return _finished(directory, fold_page.render, "cross-validation", METRICS, _RESUME)
    return _finished(directory, run_page.render, "run", METRICS, _RESUME)


def _finished(directory, page, kind, last, how):
    if not (directory / last).is_file():
        raise ConfigError(f"{directory}: the {kind} is not finished: {last} is missing; {how}")
    return page
