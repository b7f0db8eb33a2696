"""`plumkeras tune`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.data_set import read_for_training
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, resume_command, warn
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.cli.recipe_line import parse_recipe
from plumkeras.recipes.execution.options import ExecutionOptions
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.search.plan import SearchOptions, plan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tune(SearchOptions, ExecutionOptions):
    """Searches a recipe's hyper-parameters on `train` and `valid`; the test split takes no part.

    RECIPE is a name or the path of a recipe file; `--config FILE.json` in its place begins from a run's configuration.
    The options below are the command's own, then the recipe's fields with the recipe's values.

        plumkeras tune mosi_frozen --data mosi_text_audio.npz --output searches/mosi --trials 20
    """

    output: Annotated[Path, tyro.conf.arg(metavar="DIR")]
    """The search directory to make."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file or folder, of any format that `inspect` knows, or shards. `synthetic` needs none."""
    overwrite: bool = False
    """Replace a search that the output directory holds."""
    resume: bool = False
    """Continue the output directory's search where it stopped; start one if there is none."""
    max_bytes: MaxBytes = None

    def __post_init__(self):
        SearchOptions.__post_init__(self)
        ExecutionOptions.__post_init__(self)


def run_tune(arguments):
    options, recipe, callbacks = parse_recipe(Tune, arguments, "tune", output=tyro.MISSING)
    from plumkeras.recipes.runs.output_checks import check_search_output

    if options.overwrite and options.resume:
        raise UsageError("--overwrite replaces a search and --resume resumes it; choose one")
    run_directory.check_unlocked(options.output)
    check_search_output(options.output, options.overwrite, options.resume)
    search = plan(recipe, read_for_training(options.data, recipe, options.max_bytes), options)
    from plumkeras.recipes.runs.data_checks import data_warnings
    from plumkeras.recipes.runs.jobs import DataSource
    from plumkeras.recipes.runs.label_classes import label_classes_warning
    from plumkeras.recipes.views import terminal

    if callbacks is not None:
        warn("the callbacks of the recipe file take no part in a search")
    said = label_classes_warning(recipe, search.dataset)
    terminal.print_data(search.dataset, [*data_warnings(recipe, search.dataset), *([said] if said else [])])
    with quiet_start():
        from plumkeras.recipes.search.tuning import run_search
    try:
        source = DataSource(options.data and str(options.data), None, options.max_bytes)
        how = {"jobs": options.jobs, "scheduler": options.scheduler, "source": source}
        run_search(search, options.output, options.resume, options.overwrite, **how)
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"resume with: {resume_command('tune', arguments)}") from None
