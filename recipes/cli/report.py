"""`plumkeras report`."""

import dataclasses
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.recipes.cli.parsing import parse, say
from plumkeras.recipes.runs import run_directory


@dataclasses.dataclass(frozen=True)
class Report:
    """Writes the report of a run, a cross-validation, several seeds or an experiment: one HTML file, readable anywhere.

    Each of these writes its report when it ends; this command writes it again, or for a run of an earlier version.

        plumkeras report runs/mosi
        plumkeras report runs/mosi --output mosi.html
    """

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """Directory of the run, the cross-validation, the seeds or the experiment."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE.html")] = None
    """The file to write; by default report.html in the directory, in place of the one there."""
    overwrite: bool = False
    """Replace the file that --output names."""


def run_report(arguments):
    options = parse(Report, arguments, "plumkeras report")
    from plumkeras.recipes.report import check_reportable, write_report
    from plumkeras.recipes.runs.output_checks import check_html_target

    check_reportable(options.run)
    if options.output is None:
        with run_directory.locked(options.run):
            path = write_report(options.run)
    else:
        check_html_target(options.output, options.overwrite)
        run_directory.check_unlocked(options.run)
        path = write_report(options.run, options.output)
    say(f"Report: {path}")
