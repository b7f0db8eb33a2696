"""Files that appear in one move: a reader sees the old file or the new one, never half of it."""

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator
from pathlib import Path


def partial_path(path) -> Path:
    """Where a file is written before it is moved into place."""
    path = Path(path)
    # Keras tells the format of a network by the end of its name.
    return path.with_name(f"partial.{path.name}" if path.suffix == ".keras" else f"{path.name}.partial")


@contextlib.contextmanager
def replacing(path) -> Iterator[Path]:
    """Writes a file in one move.

    Args:
        path: the file. It is created or replaced when the block ends, and untouched if the block raises.

    Yields:
        Path, in the same folder, where the block writes.
    """
    partial = partial_path(path)
    try:
        yield partial
        partial.replace(path)
    except (Exception, KeyboardInterrupt):
        partial.unlink(missing_ok=True)
        raise


def write_json(path, values, indent=2) -> None:
    """Writes JSON in one move."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(values, indent=indent) + "\n", encoding="utf-8")


def write_csv(path, rows: Iterable[Iterable]) -> None:
    """Writes the rows of a csv file in one move; half of a surrogate pair becomes an escape."""
    with (
        replacing(path) as partial,
        partial.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        csv.writer(file).writerows(rows)
