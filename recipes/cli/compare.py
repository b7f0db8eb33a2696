"""`plumkeras compare`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated

import tyro

from plumkeras.files import replacing, write_csv, write_json
from plumkeras.recipes.cli.data_set import load_path
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, check_max_bytes, note, parse, say, warn
from plumkeras.recipes.cli.quiet import quiet_start


@dataclasses.dataclass(frozen=True)
class Compare:
    """Compares runs on the same samples: their metrics, and for each metric the difference from the first run.

    Each difference has a 95% interval, by a paired bootstrap over the samples, whole videos at a time where the ids
    name them. Where the interval holds 0, no difference is shown. No network is loaded, unless --data is given. A run
    alone gets intervals for its own metrics.

        plumkeras compare runs/late runs/mosi
        plumkeras compare runs/late runs/mosi --data other.npz --output comparison.md
    """

    runs: Annotated[tyro.conf.Positional[tuple[Path, ...]], tyro.conf.arg(metavar="RUN [RUN ...]")]
    """Directories of runs, cross-validations, several seeds of a run, or references; exports, with --data; and
    searches, which are listed by their validation objectives. The first run is what the others are compared with."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file to put all networks to; by default the predictions that the runs keep are read."""
    split: str | None = None
    """Split to compare on: test or valid, and with --data any; by default test, or the only one of the file."""
    json: bool = False
    """Print JSON, one line, in place of tables; nothing else goes to standard output."""
    output: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Write the comparison to this file too: .json, the same as --json prints, .csv, .md or .tex."""
    overwrite: bool = False
    """Replace an existing file."""
    max_bytes: MaxBytes = None


def run_compare(arguments):
    options = parse(Compare, arguments, "plumkeras compare")
    if not options.runs:
        raise UsageError("compare needs a run: plumkeras compare RUN [RUN ...]")
    check_max_bytes(options.max_bytes)
    from plumkeras.recipes.comparison.comparing import finish, open_all
    from plumkeras.recipes.runs.output_checks import check_comparison_target
    from plumkeras.recipes.views import terminal

    if options.output is not None:
        check_comparison_target(options.output, options.overwrite)

    def load(path, **labels):
        return load_path(path, options.max_bytes, **labels)

    opened = open_all(options.runs, options.data, options.split, load)
    if options.data is not None:
        with quiet_start():
            import keras  # noqa: F401 - started here, with what it prints held back
    comparison = finish(opened, options.data)
    if options.json:
        for sentence in comparison.notes:
            warn(sentence)
        print(json.dumps(comparison.to_json(), allow_nan=False))
    else:
        terminal.print_comparison(comparison)
    if options.output is not None:
        _write(comparison, options.output)
        (note if options.json else say)(f"Comparison: {options.output}")


def _write(comparison, path):
    kind = path.suffix.lower()
    if kind == ".json":
        write_json(path, comparison.to_json())
    elif kind == ".csv":
        write_csv(path, comparison.csv_rows())
    else:
        texts = [table.markdown() if kind == ".md" else table.latex() for table in comparison.tables()]
        with replacing(path) as partial:
            partial.write_text("\n".join(texts), encoding="utf-8")
