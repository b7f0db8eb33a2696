"""A whole run: trains the stages, measures, and writes the run directory."""

import contextlib
import errno
import os
from pathlib import Path

import keras

from plumkeras.files import replacing, write_json
from plumkeras.recipes.config import TrainingError
from plumkeras.recipes.report import report_or_warn
from plumkeras.recipes.runs import predictions, resuming, run_directory
from plumkeras.recipes.runs.checkpoint import CheckpointFile
from plumkeras.recipes.runs.compiled import compiled_before, graph_key
from plumkeras.recipes.runs.data_checks import check_dataset, measured_splits, training_warnings
from plumkeras.recipes.runs.earlier_network import recorded_source
from plumkeras.recipes.runs.label_classes import with_label_classes
from plumkeras.recipes.runs.output_checks import check_output
from plumkeras.recipes.runs.stages import Training, network_shape
from plumkeras.recipes.views.pictures import plot_losses
from plumkeras.recipes.views.pictures.runs import write_pictures


def train_run(
    config,
    dataset,
    directory,
    verbose=1,
    resume=False,
    overwrite=True,
    fold=None,
    warnings=None,
    callbacks=None,
    init_from=None,
):
    """A whole run: trains both stages, measures `valid` and `test` once, and writes the run directory.

    Args:
        config: `RecipeConfig`.
        dataset: `Dataset` with `train` and `valid`. `test` is measured where it has labels and predicted where it has
            none.
        directory: path of the run directory. A run that it holds is cleared away, or resumed.
        verbose: 0 or 1, progress bars.
        resume: bool. Whether to resume the directory's run, which must have had the same configuration and data;
            the epochs of the last stage may be more where the schedule is constant. Without a run there, this one
            starts from the beginning.
        overwrite: bool. Whether a run that the directory holds, and that is not resumed, may be cleared away.
        fold: dict or None. Of the run of a fold, what its `config.json` says of the fold.
        warnings: what `data_checks.training_warnings` says of the data, where it is known already.
        callbacks: as in `plumkeras.train`.
        init_from: path of an earlier run from whose network this one starts, or None.

    Returns:
        Dict of what `metrics.json` holds: `valid` and `test` (None where it was not measured); `baseline`, the same
        metrics of the training labels' median or most frequent class; `best_epoch`, the epoch of stage 2 that was kept,
        counted from 1; `parameters`, how many there are; and `warnings`.

    Raises:
        ConfigError, DataError: the configuration or the data do not fit, each other or those of the run to resume; or
            another process writes to the directory.
        TrainingError: training diverged, or the run directory cannot be written.
    """
    directory = Path(directory)
    check_dataset(config, dataset)
    with opened(config, dataset, directory, resume, overwrite, warnings) as (config, warnings):
        return _train(config, dataset, directory, verbose, resume, fold, warnings, callbacks, init_from)


@contextlib.contextmanager
def opened(config, dataset, directory, resume, overwrite, warnings):
    """Locks the directory of a run or of a cross-validation.

    Args:
        config, dataset, directory, resume, overwrite, warnings: as in `train_run`.

    Yields:
        The `RecipeConfig` with the label classes of the data, and the warnings about these.
    """
    with run_directory.locked(directory):
        if not overwrite:
            # Again: another process may have finished a run there since it was checked.
            check_output(directory, overwrite, resume)
        if warnings is None:
            warnings = training_warnings(config, dataset)
        resumed = directory if resume and run_directory.holds_run(directory) else None
        yield with_label_classes(config, dataset, resumed), warnings


def _train(config, dataset, directory, verbose, resume, fold, warnings, callbacks, init_from):
    going_on = resume and run_directory.holds_run(directory)
    if going_on:
        resuming.check_same(directory, config, dataset, keras.backend.backend())
        init_from = recorded_source(directory, init_from)
        resuming.raise_epochs(directory, config)
    if going_on and run_directory.is_finished(directory):
        # A process that was killed between the two left it.
        _clear_checkpoint(directory, config)
        run_directory.clear_partial_files(directory)
    else:
        if going_on:
            resuming.warn_of_other_versions(directory / run_directory.CONFIG)
            if CheckpointFile(directory).path.exists():
                init_from = None  # The checkpoint holds every weight.
        # A callback may change what is compiled or what comes of it; several devices have their copies of variables.
        shares = not callbacks and config.devices == 1
        key = graph_key(config, dataset, network_shape(config, dataset)) if shares else None
        with compiled_before(key) as compiled:
            training = Training(config, dataset, init_from=init_from, compiled=compiled)
            with _writing(directory):
                if not going_on:
                    # Only now, when nothing of the user's can be wrong any more, does an earlier run make place.
                    run_directory.start(directory, config, dataset, training.network, warnings, fold, init_from)
                _finish(directory, training, training.fit(directory, verbose, callbacks), dataset, warnings)
    if not (directory / run_directory.REPORT).exists():
        report_or_warn(directory)
    return run_directory.read_metrics(directory / run_directory.METRICS)


@contextlib.contextmanager
def _writing(directory):
    """A disk that takes no more becomes one clear line."""
    try:
        yield
    except TrainingError:
        raise
    except Exception as error:
        reason = os.strerror(errno.ENOSPC)
        if isinstance(error, OSError):
            reason = error.strerror or str(error)
        elif reason not in str(error):  # The writer of TensorBoard's logs has TensorFlow's own kinds of error.
            raise
        raise TrainingError(f"{directory}: cannot be written: {reason}; make room and resume with --resume") from error


def _finish(directory, training, histories, dataset, warnings):
    """Writes what a trained run leaves but its report; `metrics.json` comes last, and says that it is finished."""
    network, config = training.network, training.config
    with replacing(directory / run_directory.NETWORK) as partial:
        network.save(partial)
    plot_losses(histories, directory / run_directory.PICTURE)
    run_directory.write_fingerprint(directory, dataset, network.modalities)
    metrics = {"valid": None, "test": None, "baseline": {}}
    measured = measured_splits(dataset)
    for name in ("valid", "test"):
        if name not in dataset:
            continue
        split = dataset[name]
        with training.parallel.scope():
            outputs = predictions.predict_split(network, split)
        if split.labels is not None:
            metrics[name] = predictions.report(dataset, split.labels, outputs["prediction"])
            metrics["baseline"][name] = predictions.baseline_report(dataset, dataset["train"].labels, split.labels)
        names = predictions.class_names(dataset, network.num_classes, config.label_classes)
        predictions.write_csv(directory / f"predictions_{name}.csv", split, network, outputs, names)
        if name == measured[-1]:
            predicted = network.task_object.decide(outputs["prediction"])
            hard_labels = {m: outputs[f"{m}_hard_label"] for m in network.prototype_generators}
            write_pictures(directory, name, network.task, split.labels, predicted, hard_labels, names)
    metrics["best_epoch"] = histories[config.STAGES[-1]]["best_epoch"] + 1
    metrics["parameters"] = network.count_params()
    write_json(directory / run_directory.METRICS, {**metrics, "warnings": warnings})
    _clear_checkpoint(directory, config, training.stopped_early)


def _clear_checkpoint(directory, config, stopped_early=False):
    """Removes the checkpoint of a finished run, unless `--resume` may resume it with more epochs."""
    if stopped_early or config.last_stage.schedule != "constant":
        CheckpointFile(directory).remove()
