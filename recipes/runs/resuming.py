"""Resuming a run: whether it is the same one, with which packages, and how many epochs it has had."""

import warnings
from pathlib import Path

from plumkeras.files import replacing, write_json
from plumkeras.recipes.config import ConfigError, read_json, to_dict
from plumkeras.recipes.runs import provenance, run_directory
from plumkeras.recipes.runs.provenance import PACKAGES
from plumkeras.recipes.runs.run_directory import CHECKPOINT, CONFIG, METRICS, NETWORK, REPORT

# Those of one backend alone.
_BACKENDS = {"tensorflow": {"tensorflow", "tensorflow-cpu"}, "jax": {"jax"}, "torch": {"torch"}}


class ResumeWarning(UserWarning):
    """A run is resumed under other conditions than it was begun under."""


def warn_of_other_versions(path):
    """Warns where a run or a search is resumed with other packages than it was begun with.

    Args:
        path: the file that holds `backend` and `versions`.

    Warns:
        ResumeWarning: a version differs; each that does is named.
    """
    values = run_directory.read_description(path)
    then, now, backend = values.get("versions"), provenance.versions(), values.get("backend")
    others = set().union(*(packages for name, packages in _BACKENDS.items() if name != backend))
    changed = [
        f"{name} was {then.get(name, 'absent')} and is {now.get(name, 'absent')}"
        for name in ("python", *PACKAGES)
        if isinstance(then, dict) and name not in others and then.get(name) != now.get(name)
    ]
    if changed:
        warnings.warn(
            f"{path.parent}: is resumed with other packages than it was begun with: {', '.join(changed)}; the result "
            "may differ in the last digits from that of an unbroken run",
            ResumeWarning,
            stacklevel=3,
        )


def check_same(directory, config, dataset, backend=None, name=CONFIG):
    """Whether the run in the directory is of this configuration and these data, so that it can be resumed.

    Args:
        directory: path of the run.
        config: `RecipeConfig`.
        dataset: `Dataset`.
        backend: name of the Keras backend, or `None`: not compared.
        name: of the file that says what was run.

    Raises:
        ConfigError: something differs; the first field that does is named, with both values.
    """
    path = Path(directory) / name
    # Fields that a later version added have their defaults in an older file.
    then, now = flat(to_dict(run_directory.read_config(path))), flat(to_dict(config))
    values = read_json(path)
    try:
        then["data.sha256"] = values["data"]["sha256"]
    except (KeyError, TypeError):
        raise ConfigError(f"{path}: says nothing of the data; is it the {name} of a run?") from None
    now["data.sha256"] = provenance.sha256(dataset)
    if backend is not None:
        then["backend"], now["backend"] = values.get("backend", backend), backend
    last = config.STAGES[-1]
    epochs = f"{last}.epochs"
    if _may_be_raised(then, now, last):
        del then[epochs], now[epochs]
    if field := first_difference(then, now):
        further = ""
        if field == epochs:
            further = f", or train its network further in a new run by --init-from {directory}"
        raise ConfigError(
            f"--resume: {field} has changed: the run in {directory} has {then.get(field)!r}, and now it is "
            f"{now.get(field)!r}; keep what the run has, or choose another --output{further}"
        )


def _may_be_raised(then, now, stage):
    """Whether the last stage has more epochs now, on a schedule that does not depend on their number."""
    is_constant = then.get(f"{stage}.schedule") == now[f"{stage}.schedule"] == "constant"
    return is_constant and then[f"{stage}.epochs"] < now[f"{stage}.epochs"]


def raises_epochs(directory, config):
    """Whether a run is to be resumed with more epochs of the last stage than it was begun with; see `check_same`."""
    then = run_directory.read_config(Path(directory) / CONFIG)
    return then.model == config.model and then.last_stage.epochs < config.last_stage.epochs


def raise_epochs(directory, config):
    """Makes a finished run one to resume, and keeps the number of its epochs, where `raises_epochs`.

    Raises:
        ConfigError: the run is finished, and its last checkpoint is gone.
    """
    directory = Path(directory)
    if not raises_epochs(directory, config):
        return
    is_cross_validation = not (directory / NETWORK).exists()
    if run_directory.is_finished(directory) and not (is_cross_validation or (directory / CHECKPOINT).exists()):
        raise ConfigError(
            f"--resume: the run in {directory} is finished and holds no {CHECKPOINT} to resume from (it stopped early, "
            f"is of an earlier version, or the file was deleted); train its network further by --init-from {directory}"
        )
    # In this order: killed in between, the run is unfinished and can be resumed either way.
    (directory / REPORT).unlink(missing_ok=True)
    (directory / METRICS).unlink(missing_ok=True)
    write_json(
        directory / CONFIG,
        {**run_directory.read_description(directory / CONFIG), "recipe": to_dict(config)},
    )


def first_difference(then, now):
    """The first field, by name, in which two flat dicts differ, the data's hash last; `None` where there is none."""
    for field in sorted(then.keys() | now.keys(), key=lambda name: (name == "data.sha256", name)):
        if then.get(field) != now.get(field):
            return field
    return None


def flat(values, prefix=""):
    """The fields of nested dicts by their names with dots."""
    found = {}
    for name, value in values.items():
        found.update(flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value})
    return found


def cut_history(path, epochs):
    """Leaves only the rows of the first `epochs` epochs in a stage's history, where there is one."""
    path = Path(path)
    if not path.exists():
        return
    # Bytes, since what was written is to stay as it is. A row that was being written when the run was killed or the
    # disk was full may be cut anywhere; it is of a later epoch in any case.
    header, *rows = path.read_bytes().splitlines(keepends=True)[: epochs + 1] or [b""]
    if rows and rows[0].startswith(b"0,"):
        # Version 0.1.0 counted epochs from 0.
        rows = [b"%d,%s" % (number, row.partition(b",")[2]) for number, row in enumerate(rows, 1)]
    with replacing(path) as partial:
        partial.write_bytes(b"".join([header, *rows]))
