"""`plumkeras experiment`."""

import dataclasses
import shlex
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.data_set import read_for_training
from plumkeras.recipes.cli.help import filled, is_asked, listing
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, say
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.cli.recipe_line import parse_recipe
from plumkeras.recipes.experiments import EXPERIMENTS, find_experiment
from plumkeras.recipes.experiments.running import SET_BY_EXPERIMENTS, ExperimentOptions
from plumkeras.recipes.runs import run_directory


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment(ExperimentOptions):
    """Runs an experiment of the paper on a recipe and its data: rows, seeds, tables, pictures and a report.

    The same command continues an experiment that was stopped; what is finished is never trained again. The options
    below are the command's own, then the recipe's fields with the recipe's values.

        plumkeras experiment ablation mosi_frozen --data mosi_text_audio.npz --output experiments/ablation
        plumkeras experiment comparison synthetic --output experiments/comparison --seeds 0 1 2
    """

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The directory to make."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file or folder, of any format that `inspect` knows, or shards. `synthetic` needs none."""
    overwrite: bool = False
    """Replace another experiment that the output directory holds."""
    max_bytes: MaxBytes = None


def run_experiment(arguments):
    arguments = list(arguments)
    if not arguments or arguments[0].startswith("-"):
        if is_asked(arguments):
            print(_overview())
            return
        raise UsageError(f"experiment needs a name: {', '.join(EXPERIMENTS)} (see plumkeras experiment --help)")
    name = arguments.pop(0)
    find_experiment(name)
    options, recipe, callbacks = parse_recipe(Experiment, arguments, f"experiment {name}", output=tyro.MISSING)
    if callbacks is not None:
        raise UsageError("callbacks of a recipe file take no part in an experiment; use a recipe without them")
    for word in arguments:
        if (field := word.split("=")[0].removeprefix("--")) in SET_BY_EXPERIMENTS and word.startswith("--"):
            raise UsageError(f"--{field} is no option of an experiment: {SET_BY_EXPERIMENTS[field]}")
    from plumkeras.recipes.experiments import running
    from plumkeras.recipes.runs.data_checks import training_warnings
    from plumkeras.recipes.runs.jobs import DataSource
    from plumkeras.recipes.runs.output_checks import check_experiment_output
    from plumkeras.recipes.views import terminal

    run_directory.check_unlocked(options.output)
    check_experiment_output(options.output, options.overwrite)
    dataset = read_for_training(options.data, recipe, options.max_bytes)
    terminal.print_data(dataset, training_warnings(recipe, dataset))
    with quiet_start():
        import keras  # noqa: F401 - started here, with what it prints held back
    source = DataSource(options.data and str(options.data), None, options.max_bytes)
    command = shlex.join(["plumkeras", "experiment", name, *arguments])
    try:
        results = running.run_experiment(name, recipe, source, options.output, options, options.overwrite, command)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command continues, without --overwrite") from None
    terminal.print_results(results)
    say(f"Report: {options.output / 'report.html'}; the same in Markdown: {options.output / 'page.md'}")


def _overview():
    return "\n".join(
        [
            "usage: plumkeras experiment NAME RECIPE --output DIR [options]\n",
            filled("Runs an experiment of the paper on a recipe and its data."),
            f"\nexperiments:\n{listing(EXPERIMENTS)}\n",
            filled(
                "`plumkeras experiment NAME RECIPE --help` shows the options and what the recipe sets. To begin, "
                "without any data:\n\n    plumkeras experiment ablation synthetic --output experiments/ablation"
            ),
        ]
    )
