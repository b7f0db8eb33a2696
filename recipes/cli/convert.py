"""`plumkeras convert`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.data_pipelines import convert, open_shards
from plumkeras.recipes.cli.parsing import MaxBytes, check_max_bytes, label_options, parse
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.config import TaskName


@dataclasses.dataclass(frozen=True)
class Convert:
    """Writes shards (.npy files and schema.json), from which data larger than memory stream.

    plumkeras convert aligned_50.pkl mosei_shards
    """

    path: tyro.conf.Positional[Path]
    """Feature file or folder."""
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """The folder to make."""
    task: TaskName | None = None
    """What the labels are; by default what the file says or shows."""
    label_column: str | None = None
    """Name or number (from 0) of the labels to read, where each sample has several."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels, in place of the file's own; the shards keep it."""
    overwrite: bool = False
    """Replace the shards that the folder holds."""
    max_bytes: MaxBytes = None


def run_convert(arguments):
    options = parse(Convert, arguments, "plumkeras convert")
    how = {"overwrite": options.overwrite, "max_bytes": options.max_bytes, **label_options(options)}
    check_max_bytes(options.max_bytes)
    from plumkeras.recipes.views import terminal

    with quiet_start(backend=False), terminal.counting("Converting") as progress:
        schema = convert(options.path, options.directory, progress=progress, **how)
    terminal.print_conversion(schema, open_shards(options.directory, max_bytes=options.max_bytes))
