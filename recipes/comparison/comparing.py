"""`plumkeras.compare`: runs on the same samples, and which of their differences the samples show."""

import os
import statistics
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import Dataset
from plumkeras.data_pipelines.loading import open_data
from plumkeras.data_pipelines.schema.videos import videos_of
from plumkeras.metrics import bootstrap_interval, paired_bootstrap, report_metrics
from plumkeras.recipes.comparison.opening import open_run, reader
from plumkeras.recipes.comparison.result import ComparedRun, Comparison
from plumkeras.recipes.comparison.samples import aligned
from plumkeras.recipes.comparison.searches import ComparedSearch, is_search, read_search
from plumkeras.recipes.config import ConfigError


def compare(
    runs: list | str | os.PathLike,
    data: str | os.PathLike | Dataset | None = None,
    split: str | None = None,
    baseline: str | os.PathLike | None = None,
) -> Comparison:
    """Compares runs on the same samples: their metrics, and the differences from the first with 95 % intervals.

    The metrics are those of the runs' task, as in `metrics.json`. The intervals are those of a paired bootstrap over
    the samples, over whole videos where groups of the file or the ids tell them; see
    `plumkeras.metrics.paired_bootstrap`.

    Args:
        runs: paths of runs, cross-validations, several seeds of a run, references or exports, or what `train` and
            `load_run` return; or one of these alone, whose own metrics then have intervals. Searches are listed apart,
            by their validation objectives.
        data: the path of a feature file with labels, or a `Dataset`, to put all networks to. None: the predictions
            that the runs keep are read, and no network is loaded. An export needs it.
        split: name of the split: `test` or `valid`, and of `data` any. By default `test`, or the only one of `data`.
        baseline: what the others are compared with. None: the first of `runs`.

    Returns:
        `Comparison`.

    Raises:
        ConfigError: there is no such run, it is not finished, or runs are of other samples, labels or metrics; the
            message names both and the first difference.
        DataError: `data` cannot be read, or do not fit a network.
    """
    is_one = isinstance(runs, (str, os.PathLike)) or hasattr(runs, "directory")
    directories = [_directory(run) for run in ([runs] if is_one else runs)]
    if baseline is not None:
        first = _directory(baseline)
        directories = [first, *(directory for directory in directories if directory != first)]
    return finish(open_all(directories, data, split), data)


def _directory(run):
    return Path(getattr(run, "directory", run))


def open_all(directories, data=None, split=None, load=open_data) -> dict:
    """Opens what is to be compared, and checks all that can be checked without a backend.

    Args:
        directories: list of paths.
        data, split: as in `compare`.
        load: what reads the data of a path, as `open_data`.

    Returns:
        Dict by name of `opening.Opened` and `ComparedSearch`.

    Raises:
        ConfigError, DataError: as `compare`.
    """
    if not directories:
        raise ConfigError("no run to compare; name one or more")
    if data is None and split not in (None, "test", "valid"):
        raise ConfigError(f"runs keep what they predict of test and valid, not of {split!r}; --data PATH names a file")
    read = None if data is None else reader(load, data)
    return {
        name: read_search(name, directory) if is_search(directory) else open_run(directory, read, split)
        for name, directory in zip(_names(directories), directories, strict=True)
    }


def _names(directories):
    """The last parts of the paths, or as many as tell them apart."""
    parts = [directory.absolute().resolve().parts for directory in directories]
    for number, one in enumerate(parts):
        if one in parts[:number]:
            raise ConfigError(f"{directories[number]}: is named twice; a run is not compared with itself")
    ends = [parts]
    for count in range(1, 1 + max(map(len, parts))):
        ends = ["/".join(one[-count:]) for one in parts]
        if len(set(ends)) == len(ends):
            break
    return ends


def finish(opened, data=None) -> Comparison:
    """Puts networks to the data where there are any to put, and compares.

    Args:
        opened: what `open_all` returns.
        data: as in `compare`.

    Raises:
        ConfigError: as `compare`.
    """
    searches = tuple(one for one in opened.values() if isinstance(one, ComparedSearch))
    runs = {name: one for name, one in opened.items() if not isinstance(one, ComparedSearch)}
    where = None if data is None else str(getattr(data, "path", data) or "data in memory")
    if not runs:
        return Comparison("valid", where, None, (), {}, searches, sum(one.n for one in searches[:1]), None, None)
    first, decisions, reports = None, {}, {}
    for name, run in runs.items():
        found = [predict() for predict in run.parts]
        first = first or found[0]
        # In each one's own order, in which sums have the last digit of its `metrics.json` too.
        reports[name] = [samples.report() for samples in found]
        decisions[name] = np.stack([aligned(first, samples).decisions for samples in found])
    if len(first.ids) < 2:
        raise ConfigError(f"{first.directory}: holds a single sample of {first.split}; two or more are compared")
    grouping, groups = _grouped(first)
    metrics, rows, differences = report_metrics(first.kind), [], {}
    for name, run in runs.items():
        intervals = {}
        if len(runs) == 1:
            intervals = {
                key: bootstrap_interval(metric, first.labels, decisions[name], groups)
                for key, metric in metrics.items()
            }
        rows.append(_row(name, run.directory, metrics, reports[name], intervals))
        if len(rows) > 1:
            both = decisions[rows[0].name], decisions[name]
            differences[name] = {
                key: paired_bootstrap(metric, first.labels, *both, groups) for key, metric in metrics.items()
            }
    count = None if groups is None else len(np.unique(groups))
    notes = tuple(_notes(runs) if data is None else ())
    return Comparison(
        first.split, where, first.kind, tuple(rows), differences, searches, len(first.ids), grouping, count, notes
    )


def _grouped(samples):
    """What is drawn as a whole, `"groups"` of the file or `"videos"` by the ids, and that of each sample; or Nones."""
    if samples.groups is not None and len(np.unique(samples.groups)) > 1:
        return "groups", samples.groups
    videos = videos_of(samples.ids)
    return ("videos", videos) if videos is not None else (None, None)


def _row(name, directory, metrics, reports, intervals):
    kept = (*metrics, "n", "n_non0")
    reports = tuple({key: value for key, value in report.items() if key in kept} for report in reports)
    means, deviations = {}, {}
    for key in metrics:
        values = [report[key] for report in reports]
        is_defined = None not in values
        means[key] = statistics.fmean(values) if is_defined else None
        deviations[key] = statistics.stdev(values) if is_defined and len(values) > 1 else None
    return ComparedRun(name, directory, reports, means, deviations, intervals)


def _notes(runs):
    """What is said of runs whose data differ, though samples and labels are the same."""
    known = {name: run.data_sha256 for name, run in runs.items() if run.data_sha256}
    first = next(iter(known), None)
    for name, sha256 in known.items():
        if sha256 != known[first]:
            yield f"{first} and {name} were trained on files that differ; the samples and labels compared are the same."
