"""`plumkeras train`."""

import dataclasses
from pathlib import Path

import tyro

from plumkeras.cli.data_sets import read
from plumkeras.cli.starting import quiet_start
from plumkeras.cli.words import UsageError, parse, take
from plumkeras.recipes import RecipeConfig, find_recipe, recipe_names, run_directory
from plumkeras.recipes.protocol import fold_dataset, fold_numbers


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Trains a recipe's two stages on `train`, chooses the epoch on `valid`, measures `valid` and `test` once."""

    output: Path
    """The run directory to make."""
    data: Path | None = None
    """Feature file or folder, of any format that `inspect` knows, or shards. `synthetic` needs none."""
    overwrite: bool = False
    """Replace a run that the output directory holds."""
    resume: bool = False
    """Go on with the output directory's run where it was stopped; start it where there is none."""


def run_train(arguments):
    options, recipe = _parse_train(arguments)
    from plumkeras.recipes.checks import check_dataset, check_output

    if options.overwrite and options.resume:
        raise UsageError("--overwrite replaces a run and --resume goes on with it; choose one")
    check_output(options.output, options.overwrite, options.resume)
    dataset = read(options.data, recipe)
    folds = fold_numbers(dataset)
    for part in [fold_dataset(dataset, number) for number in folds] or [dataset]:
        check_dataset(recipe, part)
    going_on = options.resume and run_directory.holds_run(options.output)
    if going_on:
        run_directory.check_same(options.output, recipe, dataset)
        if run_directory.is_finished(options.output):
            print(f"{options.output}: this run is finished; its metrics:")
    from plumkeras.recipes import terminal

    terminal.print_data(dataset, recipe)
    with quiet_start():
        from plumkeras.recipes.cross_validation import cross_validate
        from plumkeras.recipes.train import train
    run = cross_validate if folds else train
    metrics = run(recipe, dataset, options.output, resume=options.resume)
    rows = {"valid": metrics["valid"], "test": metrics["test"], "test, baseline": metrics["baseline"]}
    if folds:
        rows = {f"fold {number}": report for number, report in metrics["folds"].items()}
        rows |= {"pooled": metrics["test"], "pooled, baseline": metrics["baseline"]}
    terminal.print_metrics(rows, dataset.task)
    print(f"Run directory: {options.output}")


def _parse_train(arguments):
    """The options, and the recipe (by name, file or `--config`) with its overrides."""
    arguments = list(arguments)
    if arguments and not arguments[0].startswith("-"):
        named = arguments.pop(0)
        recipe = find_recipe(named)
    elif (replayed := take(arguments, "--config")) is not None:
        named, recipe = f"--config {replayed}", run_directory.read_config(replayed)
    elif {"-h", "--help"} & set(arguments):
        named, recipe = "RECIPE", RecipeConfig(name="RECIPE")
    else:
        raise UsageError(f"train needs a recipe: {', '.join(recipe_names())}, a recipe file, or --config FILE")
    # One flat line: the options of the command, then the fields of the recipe with the recipe's own values.
    line = dataclasses.make_dataclass(
        "train", [], bases=(Train, type(recipe)), frozen=True, namespace={"__doc__": Train.__doc__}
    )
    default = line(output=tyro.MISSING, **{f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)})
    parsed = parse(line, arguments, f"plumkeras train {named}", default)
    return parsed, type(recipe)(**{f.name: getattr(parsed, f.name) for f in dataclasses.fields(recipe)})
