"""csv files that list clips: columns of text by name, read without trusting what they hold."""

import csv
import math
import os

import numpy as np

from plumkeras.data_pipelines.schema.validation import SPLIT_ALIASES, DataError, listing


class ClipTable:
    """A csv file with a header and a row per clip.

    Args:
        path: str.

    Attributes:
        lines: list of the line number of each row.
        columns: dict from name to list of texts.

    Raises:
        DataError: the file cannot be read, is damaged, has rows of another length than its header, or has no row.
    """

    def __init__(self, path):
        self.path = path
        try:
            with open(path, newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file)
                names = [name.strip() for name in next(reader, [])]
                rows = [(reader.line_num, row) for row in reader if row]
        except OSError as error:
            raise DataError(f"{path}: can't be read: {error.strerror}") from None
        except (csv.Error, UnicodeError) as error:
            raise DataError(f"{path}: damaged, or no UTF-8 text: {error}") from None
        for number, row in rows:
            if len(row) != len(names):
                raise DataError(f"{path}: line {number} has {len(row)} columns, the first line {len(names)}")
        if not rows:
            raise DataError(f"{path}: lists no clip")
        self.lines = [number for number, _ in rows]
        self.columns = {name: [row[at] for _, row in rows] for at, name in enumerate(names)}

    def names(self):
        """The column names, for an error message."""
        return listing(name[:40] for name in self.columns)

    def check_unique(self, ids):
        """Raises `DataError`, naming both lines, if two rows have the same id."""
        first = {}
        for line, name in zip(self.lines, ids.tolist(), strict=True):
            if name in first:
                raise DataError(
                    f"{self.path}: lines {first[name]} and {line} list the same clip, {name!r}: delete one of them"
                )
            first[name] = line

    def texts(self, column):
        """A column as an array of texts `[N]`, or None where there is no such column."""
        return np.array(self.columns[column], dtype=object) if column in self.columns else None

    def numbers(self, column):
        """A column as float64 `[N]`, NaN where it is blank; None where it is blank throughout.

        Raises:
            DataError: a text is not a finite number; names the line.
        """
        texts = [text.strip() for text in self.columns.get(column, ())]
        values = [_number(text) for text in texts]
        for line, text, value in zip(self.lines, texts, values, strict=False):
            if math.isinf(value):
                raise DataError(f"{self.path}: line {line}: {column} is {text[:40]!r}; a number is expected")
        return np.array(values) if values and not np.isnan(values).all() else None

    def splits(self, columns, report):
        """Dict from split to row numbers, in the order of the file; rows of no split are left out with a warning.

        Args:
            columns: the names that the column may have.
            report: `Report`.

        Raises:
            DataError: no row is in a known split.
        """
        name = os.path.basename(self.path)
        column = next((column for column in columns if column in self.columns), None)
        if column is None:
            report.warn(f"{name}: has no column {' or '.join(columns)}, so there is one split, `all`")
            return {"all": np.arange(len(self.lines))}
        modes = np.array([SPLIT_ALIASES.get(mode.strip().lower(), "") for mode in self.columns[column]])
        for row in np.flatnonzero(modes == "")[:1]:
            report.warn(
                f"{name}: {np.count_nonzero(modes == '')} clips are in no known split and are left out; in line "
                f"{self.lines[row]} {column} is {self.columns[column][row][:40]!r}"
            )
        found = {split: np.flatnonzero(modes == split) for split in ("train", "valid", "test")}
        found = {split: rows for split, rows in found.items() if len(rows)}
        if not found:
            raise DataError(f"{self.path}: no clip's {column} is among {listing(SPLIT_ALIASES)}")
        return found


def _number(text):
    """A float, NaN for an empty text, infinity for anything that is not a finite number."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.inf
