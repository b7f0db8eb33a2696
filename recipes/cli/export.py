"""`plumkeras export`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.parsing import parse, say, say_command
from plumkeras.recipes.cli.quiet import quiet_start


@dataclasses.dataclass(frozen=True)
class Export:
    """Writes a run as the next version of a served model, in the layout of TensorFlow Serving.

    plumkeras export runs/mosi served/mosi
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory; for a cross-validation, that of one fold, as runs/mosi/fold_0."""
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Directory for the numbered versions; created if missing."""
    version: int | None = None
    """Number of the version; by default the next free one. A version that exists is never replaced."""
    name: str | None = None
    """Name of the served model; by default that of the directory."""


def run_export(arguments):
    options = parse(Export, arguments, "plumkeras export")
    from plumkeras.recipes.serving.export_run import check_export, export_run

    asked = (options.run, options.directory, options.version, options.name)
    check_export(*asked)
    with quiet_start():
        import keras  # noqa: F401 - started here, with what it prints held back
    made = export_run(*asked)
    say(f"{made.version}: SavedModel with the signatures {', '.join(made.signatures)}")
    if not made.has_warmup:
        say(
            "No warm-up requests were written, so the server's first answers are slow; for them install "
            "plumkeras[serving], which requires the full tensorflow package, and export again"
        )
    say_command(f"Serve it, from {options.directory}:", made.docker)
