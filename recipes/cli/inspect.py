"""`plumkeras inspect`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.data_pipelines import describe
from plumkeras.recipes.cli.data_set import load_path
from plumkeras.recipes.cli.parsing import MaxBytes, label_options, parse, say
from plumkeras.recipes.config import TaskName


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Shows what a feature file or folder holds, what was cleaned, and what is suspicious.

    plumkeras inspect mosi_text_audio.npz --plot mosi.png
    """

    path: tyro.conf.Positional[Path]
    """Feature file or folder; shards stay in their files."""
    task: TaskName | None = None
    """What the labels are; by default what the file says or shows."""
    label_column: str | None = None
    """Name or number (from 0) of the labels to read, where each sample has several."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels, in place of the file's own."""
    json: bool = False
    """Print JSON, one line, in place of tables."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Draw labels, lengths and feature columns into this picture."""
    overwrite: bool = False
    """Replace an existing picture."""
    max_bytes: MaxBytes = None


def run_inspect(arguments):
    options = parse(Inspect, arguments, "plumkeras inspect")
    from plumkeras.recipes.runs.output_checks import check_picture_target
    from plumkeras.recipes.views import terminal

    labels = label_options(options)
    if options.plot is not None:
        check_picture_target(options.plot, options.overwrite)
    description = describe(load_path(options.path, options.max_bytes, **labels))
    if options.json:
        print(json.dumps(description, allow_nan=False))
    else:
        terminal.print_description(description)
    if options.plot is not None:
        from plumkeras.recipes.views.pictures.data_sets import plot_description

        plot_description(description, options.plot)
        if not options.json:
            say(f"Picture: {options.plot}")
