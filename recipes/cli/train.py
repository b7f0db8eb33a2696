"""`plumkeras train`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.data_set import read_for_training
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, resume_command, say
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.cli.recipe_line import parse_recipe
from plumkeras.recipes.runs import resuming, run_directory
from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Trains a recipe's stages on `train`, chooses the epoch on `valid`, measures `valid` and `test` once.

    RECIPE is a name or the path of a recipe file; `--config FILE.json` in its place replays a run's configuration, or
    the best one of a search. The options below are the command's own, then the recipe's fields with the recipe's
    values.

        plumkeras train mosi_frozen --data mosi_text_audio.npz --output runs/mosi --seed 1
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
    max_bytes: MaxBytes = None


def run_train(arguments):
    options, recipe, callbacks = parse_recipe(Train, arguments, "train", output=tyro.MISSING)
    from plumkeras.recipes.runs.data_checks import check_dataset, training_warnings
    from plumkeras.recipes.runs.earlier_network import check_source
    from plumkeras.recipes.runs.label_classes import with_label_classes
    from plumkeras.recipes.runs.output_checks import check_output

    if options.overwrite and options.resume:
        raise UsageError("--overwrite replaces a run and --resume resumes it; choose one")
    run_directory.check_unlocked(options.output)
    check_output(options.output, options.overwrite, options.resume)
    dataset = read_for_training(options.data, recipe, options.max_bytes)
    folds = fold_numbers(dataset)
    for part in [fold_dataset(dataset, number) for number in folds] or [dataset]:
        check_dataset(recipe, part)
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


def _how_to_go_on(directory, arguments):
    """What an interrupted run says: the command that resumes it."""
    if not run_directory.holds_run(directory):
        return "nothing was written yet"
    kept = any(directory.glob("**/" + run_directory.CHECKPOINT)) or any(
        directory.glob("fold_*/" + run_directory.METRICS)
    )
    begin = "resume from the last finished epoch" if kept else "no epoch was finished; begin again"
    return f"{begin} with: {resume_command('train', arguments)}"
