"""`plumkeras train`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.data_set import read_for_training
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, resume_command, say
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.cli.recipe_line import parse_recipe
from plumkeras.recipes.execution.options import ExecutionOptions
from plumkeras.recipes.runs import resuming, run_directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train(ExecutionOptions):
    """Trains a recipe's stages on `train`, chooses the epoch on `valid`, measures `valid` and `test` once.

    RECIPE is a name or the path of a recipe file; `--config FILE.json` in its place replays a run's configuration, or
    the best one of a search. The options below are the command's own, then the recipe's fields with the recipe's
    values.

        plumkeras train mosi_frozen --data mosi_text_audio.npz --output runs/mosi --seed 1
        plumkeras train mosi_frozen --data mosi_text_audio.npz --output runs/mosi_seeds --seeds 0 1 2 3 4
        plumkeras train --config runs/mosi/config.json --data mosi_text_audio.npz --output runs/again
    """

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The run directory to make."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file or folder, of any format that `inspect` knows, or shards. `synthetic` needs none."""
    overwrite: bool = False
    """Replace a run that the output directory holds."""
    resume: bool = False
    """Continue the output directory's run where it stopped; start one if there is none."""
    init_from: Annotated[Path | None, tyro.conf.arg(metavar="RUN")] = None
    """Start from the network of an earlier run: its weights and standardisation."""
    seeds: Annotated[tuple[int, ...], tyro.conf.arg(metavar="[SEED ...]")] = ()
    """Train once with each of these seeds, in place of --seed, and print means and standard deviations."""
    max_bytes: MaxBytes = None


def run_train(arguments):
    options, recipe, callbacks = parse_recipe(Train, arguments, "train", output=tyro.MISSING)
    from plumkeras.recipes.runs.data_checks import training_warnings
    from plumkeras.recipes.runs.earlier_network import check_source
    from plumkeras.recipes.runs.jobs import check_trainable
    from plumkeras.recipes.runs.label_classes import with_label_classes
    from plumkeras.recipes.runs.output_checks import check_output

    if options.overwrite and options.resume:
        raise UsageError("--overwrite replaces a run and --resume resumes it; choose one")
    run_directory.check_unlocked(options.output)
    if options.seeds:
        return _train_seeds(options, recipe, callbacks, arguments)
    if options.jobs is not None or options.scheduler is not None:
        raise UsageError("--jobs and --scheduler are for several runs; they go with --seeds")
    check_output(options.output, options.overwrite, options.resume)
    dataset = read_for_training(options.data, recipe, options.max_bytes)
    folds = check_trainable(recipe, dataset)
    going_on = options.resume and run_directory.holds_run(options.output)
    warnings = training_warnings(recipe, dataset)
    recipe = with_label_classes(recipe, dataset, options.output if going_on else None)
    if options.init_from is not None:
        check_source(options.init_from, recipe, dataset)
    if going_on:
        resuming.check_same(options.output, recipe, dataset)
        if run_directory.is_finished(options.output) and not resuming.raises_epochs(options.output, recipe):
            say(f"{options.output}: this run is finished; its metrics:")
    from plumkeras.recipes.views import terminal

    terminal.print_data(dataset, warnings)
    with quiet_start():
        from plumkeras.recipes.runs.fold_training import cross_validate
        from plumkeras.recipes.runs.training import train_run
    run = cross_validate if folds else train_run
    how = {"resume": options.resume, "overwrite": options.overwrite, "init_from": options.init_from}
    how |= {"warnings": warnings, "callbacks": callbacks}
    try:
        metrics = run(recipe, dataset, options.output, **how)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(_how_to_go_on(options.output, arguments)) from None
    rows = {name: metrics[name] for name in ("valid", "test") if metrics[name] is not None}
    last = list(rows)[-1]
    if folds:
        rows = {f"fold {number}": report for number, report in metrics["folds"].items()} | {"pooled": metrics["test"]}
    # A finished run of version 0.1.0 has none.
    if baseline := metrics.get("baseline"):
        rows[f"{list(rows)[-1]}, baseline"] = baseline[last]
    terminal.print_metrics(rows, dataset.task)
    say(f"Run directory: {options.output}")
    _say_report(options.output)


def _train_seeds(options, recipe, callbacks, arguments):
    """As `run_train`, with several seeds."""
    from plumkeras.recipes.runs.data_checks import training_warnings
    from plumkeras.recipes.runs.earlier_network import check_source
    from plumkeras.recipes.runs.jobs import DataSource
    from plumkeras.recipes.runs.label_classes import with_label_classes
    from plumkeras.recipes.runs.output_checks import check_seeds_output
    from plumkeras.recipes.runs.seed_runs import holds_seeds
    from plumkeras.recipes.runs.seed_training import SeedPlan, check_seeds, train_seeds

    if any(word.split("=")[0] == "--seed" for word in arguments):
        raise UsageError("--seed is one run and --seeds several; choose one")
    seeds = check_seeds(options.seeds, callbacks, options.jobs, options.scheduler)
    check_seeds_output(options.output, options.overwrite, options.resume)
    dataset = read_for_training(options.data, recipe, options.max_bytes)
    if options.init_from is not None:
        check_source(options.init_from, with_label_classes(recipe, dataset), dataset)
    from plumkeras.recipes.views import terminal

    terminal.print_data(dataset, training_warnings(recipe, dataset))
    with quiet_start():
        import keras  # noqa: F401 - started here, with what it prints held back
    source = DataSource(options.data and str(options.data), None, options.max_bytes)
    plan = SeedPlan(recipe, source, options.output, seeds, None, options.init_from, callbacks)
    try:
        train_seeds([plan], options.jobs, options.scheduler, options.resume, options.overwrite)
    except KeyboardInterrupt:
        begun = holds_seeds(options.output)
        how = f"resume with: {resume_command('train', arguments)}" if begun else "nothing was written yet"
        raise KeyboardInterrupt(how) from None
    from plumkeras.recipes.runs.run import load_run

    terminal.print_result(load_run(options.output).table())
    say(f"Directory of the runs: {options.output}")
    _say_report(options.output)


def _say_report(directory):
    if (directory / run_directory.REPORT).is_file():
        say(f"Report: {directory / run_directory.REPORT}")


def _how_to_go_on(directory, arguments):
    """What an interrupted run says: the command that resumes it."""
    if not run_directory.holds_run(directory):
        return "nothing was written yet"
    kept = any(directory.glob("**/" + run_directory.CHECKPOINT)) or any(
        directory.glob("fold_*/" + run_directory.METRICS)
    )
    begin = "resume from the last finished epoch" if kept else "no epoch was finished; begin again"
    return f"{begin} with: {resume_command('train', arguments)}"
