"""`label.csv` of MMSA-FET: which clips there are, what is said in them, their labels and splits."""

import csv
import math

import numpy as np

from plumkeras.data_pipelines.readers import foreign
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.readers.shared.splits import ALIASES
from plumkeras.data_pipelines.schema.validation import DataError, listing

SEPARATORS = ("$_$", "_")


class LabelTable:
    """The file, row by row.

    Args:
        path: str.

    `ids`, `videos` and `clips` are text arrays `[N]`, `texts` one or None. `regression` is float64 `[N]`, NaN where a
    row has no label, or None; `unimodal` is a dict of such by modality.

    Raises:
        DataError: it is damaged, lacks a column, lists a clip twice, or holds something else than numbers for labels.
    """

    def __init__(self, path):
        self.path = path
        if said := foreign.describe(path):
            raise DataError(f"{path}: {said}")
        header, *rows = self._rows()
        names = [name.strip() for name in header]
        for column in ("video_id", "clip_id"):
            if column not in names:
                raise DataError(f"{path}: has no column {column!r}; it has {listing(name[:40] for name in names)}")
        for number, row in rows:
            if len(row) != len(names):
                raise DataError(f"{path}: line {number} has {len(row)} columns, the first line {len(names)}")
        if not rows:
            raise DataError(f"{path}: lists no clip")
        self.lines = [number for number, _ in rows]
        self.columns = {name: [row[at] for _, row in rows] for at, name in enumerate(names)}
        self.videos, self.clips = (fields.ids(self.columns[c], f"{path}: {c}") for c in ("video_id", "clip_id"))
        self.ids = fields.ids(self.spellings(SEPARATORS[0]), f"{path}: id")
        first = {}
        for line, name in zip(self.lines, self.ids.tolist(), strict=True):
            if name in first:
                raise DataError(
                    f"{path}: lines {first[name]} and {line} list the same clip, {name!r}: delete one of them"
                )
            first[name] = line
        self.texts = np.array(self.columns["text"], dtype=object) if "text" in self.columns else None
        self.regression = self._numbers("label")
        found = {modality: self._numbers(f"label_{letter}") for modality, letter in fields.LETTERS.items()}
        self.unimodal = {modality: values for modality, values in found.items() if values is not None}

    def _rows(self):
        """The header, and then each row with its line number."""
        try:
            with open(self.path, newline="", encoding="utf-8-sig") as file:
                reader = csv.reader(file)
                rows = [next(reader, [])]
                rows += [(reader.line_num, row) for row in reader if row]
        except (csv.Error, UnicodeError) as error:
            raise DataError(f"{self.path}: damaged, or no UTF-8 text: {error}") from None
        return rows

    def _numbers(self, column):
        """A column as float64 `[N]`, NaN where it is blank, None where it is blank throughout."""
        values = []
        for line, text in zip(self.lines, self.columns.get(column, ()), strict=False):
            value = _number(text)
            if value is None:
                raise DataError(f"{self.path}: line {line}: {column} is {text[:40]!r}; a number is expected")
            values.append(value)
        return np.array(values) if values and not np.isnan(values).all() else None

    def spellings(self, separator):
        """The ids with that separator, as a list."""
        pairs = zip(self.columns["video_id"], self.columns["clip_id"], strict=True)
        return [f"{video}{separator}{clip}" for video, clip in pairs]

    def splits(self, report):
        """Dict from split to row numbers, in the file's order; rows of no split go to the report."""
        if "mode" not in self.columns:
            report.warn("label.csv: has no column mode, so there is one split, `all`")
            return {"all": np.arange(len(self.ids))}
        modes = np.array([ALIASES.get(mode.strip().lower(), "") for mode in self.columns["mode"]])
        for row in np.flatnonzero(modes == "")[:1]:
            report.warn(
                f"label.csv: {np.count_nonzero(modes == '')} clips are in no known split, dropped; the mode of "
                f"{self.ids[row]} is {self.columns['mode'][row][:40]!r}"
            )
        found = {name: np.flatnonzero(modes == name) for name in ("train", "valid", "test")}
        return {name: rows for name, rows in found.items() if len(rows)}


def _number(text):
    """A float, NaN for an empty text, None for anything else."""
    try:
        return float(text) if text.strip() else math.nan
    except ValueError:
        return None
