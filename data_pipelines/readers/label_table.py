"""`label.csv` of MMSA-FET: which clips there are, what is said in them, their labels and splits."""

from plumkeras.data_pipelines.containers.csv_table import ClipTable
from plumkeras.data_pipelines.readers import foreign
from plumkeras.data_pipelines.readers.shared import fields
from plumkeras.data_pipelines.schema.validation import DataError

SEPARATORS = ("$_$", "_")


class LabelTable(ClipTable):
    """The file, row by row.

    Args:
        path: str.
        label: str or None. The column of the labels; by default `label`.

    `ids`, `videos` and `clips` are text arrays `[N]`, `raw_text` one or None. `regression` is float64 `[N]`, NaN where
    a row has no label, or None; `unimodal` is a dict of such by modality.

    Raises:
        DataError: it is damaged, lacks a column, lists a clip twice, or holds something else than numbers for labels.
    """

    def __init__(self, path, label=None):
        if said := foreign.describe(path):
            raise DataError(f"{path}: {said}")
        super().__init__(path)
        for column in ("video_id", "clip_id"):
            if column not in self.columns:
                raise DataError(f"{path}: has no column {column!r}; it has {self.names()}")
        self.videos, self.clips = (fields.ids(self.columns[c], f"{path}: {c}") for c in ("video_id", "clip_id"))
        self.ids = fields.ids(self.spellings(SEPARATORS[0]), f"{path}: id")
        self.check_unique(self.ids)
        self.raw_text = self.texts("text")
        if str(label).isdecimal() and label not in self.columns and int(label) < len(self.columns):
            label = list(self.columns)[int(label)]
        if label is not None and str(label) not in self.columns:
            raise DataError(f"{path}: no label column {label!r}; it has {self.names()}")
        self.regression = self.numbers("label" if label is None else str(label))
        found = {modality: self.numbers(f"label_{letter}") for modality, letter in fields.LETTERS.items()}
        self.unimodal = {modality: values for modality, values in found.items() if values is not None}

    def spellings(self, separator):
        """The ids with that separator, as a list."""
        pairs = zip(self.columns["video_id"], self.columns["clip_id"], strict=True)
        return [f"{video}{separator}{clip}" for video, clip in pairs]
