"""`Dataset`: what a data set is once it is read, the same for every file format.

Every reader ends in a `Dataset`, and a `Dataset` has been checked (see `validation`).
"""

import collections.abc
import dataclasses
import html
import os
from collections.abc import Sequence

import numpy as np

from plumkeras.arguments import known_arguments_only
from plumkeras.data_pipelines.features import cleaning
from plumkeras.data_pipelines.schema.report import Report
from plumkeras.data_pipelines.schema.split import Split
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.schema.validation import MODALITIES, SPLITS, DataError, listing, validate
from plumkeras.features import width_words
from plumkeras.tasks import get_task, task_of

__all__ = ["MODALITIES", "SPLITS", "DataError", "Dataset", "Split"]


@known_arguments_only()
class Dataset(collections.abc.Mapping):
    """Splits by name, checked.

    Args:
        splits: dict from `train`, `valid`, `test` or `all` to `Split`.
        report: Report. What loading cleaned and found. Duplicate ids are added to its warnings.
        path: str or None. The file, named in every error.
        format: str. Which layout it was read from.
        sha256: str or None. The file's hash.
        task: a name of `plumkeras.tasks`, or None: read off the labels' type and shape.
        label_range: pair of floats or None. Defaults to `(-3, 3)` for regression.
        label_names: names of the labels of a multi-label set, or None: their numbers.
        metric_report: of a regression, `"sentiment"` (the metrics of MOSI and MOSEI), `"sims"` (those of SIMS) or
            `"scale"` (no accuracies). Defaults to `"sims"` where there are labels per modality in [-1, 1], else to
            `"sentiment"` where the label range has 0 inside, else to `"scale"`.

    Raises:
        DataError: sizes, lengths, labels or ids contradict each other.
    """

    def __init__(
        self,
        splits: dict[str, Split],
        *,
        report=None,
        path: str | os.PathLike | None = None,
        format: str | None = "memory",
        sha256: str | None = None,
        task: str | None = None,
        label_range: tuple[float, float] | None = None,
        label_names: Sequence[str] | None = None,
        metric_report: str | None = None,
    ):
        self._splits = dict(splits)
        self.report = Report() if report is None else report
        self.path = None if path is None else str(path)
        self.format = format
        self.sha256 = sha256
        self.task = task or next((task_of(s.labels) for s in self._splits.values() if s.labels is not None), None)
        if label_range is None and self.task == "regression":
            label_range = (-3.0, 3.0)
        self.label_range = None if label_range is None else tuple(float(x) for x in label_range)
        self.label_names = None if label_names is None else tuple(map(str, label_names))
        if metric_report is None and self.task == "regression":
            low, high = self.label_range
            is_sims = (low, high) == (-1, 1) and any(split.modality_labels for split in self._splits.values())
            metric_report = "sims" if is_sims else "sentiment" if low < 0 < high else "scale"
        self.metric_report = metric_report
        # Of a file: whether its labels were told by what they look like, and could be meant otherwise.
        self.task_is_guessed = False
        validate(self)
        if format == "memory":  # A reader has done it already.
            self._splits = {name: self._cleaned(name, split) for name, split in self._splits.items()}

    @classmethod
    def from_arrays(
        cls,
        train: "Split | dict | None" = None,
        valid: "Split | dict | None" = None,
        test: "Split | dict | None" = None,
        *,
        all: "Split | dict | None" = None,
        task: str | None = None,
        label_range: tuple[float, float] | None = None,
        label_names: Sequence[str] | None = None,
    ) -> "Dataset":
        """Makes a data set of your own arrays.

        Args:
            train, valid, test: each a `Split`, or a dict of the arguments of `Split.from_arrays`, or None.
            all: in place of them, one split: with `folds` to cross-validate by, or something to predict.
            task: a name of `plumkeras.tasks`. By default read off the type and shape of the labels.
            label_range: range of regression labels. Defaults to `(-3, 3)`.
            label_names: names of the labels of a multi-label set.

        Raises:
            DataError: there is no split, or the arrays do not fit each other; names the split.

        Example:
            >>> data = Dataset.from_arrays(train={"text": [np.ones((3, 4)), np.zeros((2, 4))], "labels": [1.5, -2.0]})
            >>> data
            <Dataset in memory (regression): train 2; widths: text 4>
        """
        given = {"train": train, "valid": valid, "test": test, "all": all}
        splits = {}
        for name, value in given.items():
            if value is None:
                continue
            if not isinstance(value, (Split, dict)):
                raise DataError(f"{name} is a {type(value).__name__}; expected a Split, or a dict of its arrays")
            try:
                splits[name] = Split.from_arrays(**value) if isinstance(value, dict) else value
            except DataError as error:
                raise DataError(f"{name}: {error}") from None
        return cls(splits, task=task, label_range=label_range, label_names=label_names)

    def __getitem__(self, name):
        return self._splits[name]

    def __iter__(self):
        return iter(self._splits)

    def __len__(self):
        return len(self._splits)

    def __repr__(self):
        sizes = ", ".join(f"{name} {len(split)}" for name, split in self.items())
        widths = ", ".join(f"{m} {width_words(width)}" for m, width in self.feature_dims.items())
        return f"<Dataset {self.path or 'in memory'} ({self.task or 'no labels'}): {sizes}; widths: {widths}>"

    def _repr_html_(self):
        widths = [f"{m} ({width_words(w, 'width ')})" for m, w in self.feature_dims.items()]
        rows = [["split", "samples", "labels", *widths]]
        for name, split in self.items():
            present = [f"{int(np.sum(split.lengths[m] > 0))} present" for m in self.modalities]
            rows.append([name, str(len(split)), "none" if split.labels is None else self.task, *present])
        return html_table(f"Dataset {self.path or 'in memory'}", rows)

    def _cleaned(self, name, split):
        """The split with features that are finite, as those of a file; what was done goes to the report."""

        def clean(features, prefix=""):
            done = {}
            for m, array in features.items():
                done[m] = array
                if not isinstance(array, StoredFeatures):
                    done[m], counts = cleaning.clean_array(array)
                    if any(counts.values()):
                        self.report.record_cleaning(name, prefix + m, {**counts, "padding_frames": 0})
            return done

        context = split.context_features
        return dataclasses.replace(
            split, features=clean(split.features), context_features=context and clean(context, "context_")
        )

    def replace(self, splits: dict, **changed) -> "Dataset":
        """A data set of other splits that came from the same file; its report can be added to.

        Args:
            splits: dict from name to `Split`.
            **changed: other arguments of `Dataset`, in place of this one's.
        """
        same = ("path", "format", "sha256", "task", "label_range", "label_names", "metric_report")
        known = {name: getattr(self, name) for name in same}
        known["report"] = Report(dict(self.report.cleaned), list(self.report.warnings))
        return Dataset(splits, **{**known, **changed})

    def split(self, name: str) -> Split:
        """The split of that name.

        Raises:
            DataError: there is none; says which there are.
        """
        if name not in self._splits:
            raise DataError(f"{self.path or 'The data set'}: no split {name!r}; it has {listing(self)}")
        return self._splits[name]

    @property
    def modalities(self):
        """The modalities, as a tuple, in the order text, audio, vision."""
        return next(iter(self._splits.values())).modalities

    @property
    def feature_dims(self):
        """Dict from modality to feature width; 0 of token ids."""
        first = next(iter(self._splits.values()))
        return {modality: int(array.shape[2]) for modality, array in first.features.items()}

    @property
    def num_classes(self):
        """Number of classes or labels, told by `train` where it has labels; None of a regression and without labels."""
        labelled = {name: split.labels for name, split in self.items() if split.labels is not None}
        labels = [labelled["train"]] if "train" in labelled else list(labelled.values())
        return get_task(self.task).num_classes(labels) if labels else None


def html_table(title, rows):
    """A table for notebooks: a title and rows of texts, the first of them the header. Everything is escaped."""

    def row(cells, tag):
        return "<tr>" + "".join(f"<{tag}>{html.escape(str(cell))}</{tag}>" for cell in cells) + "</tr>"

    body = "".join(row(cells, "td") for cells in rows[1:])
    return f"<p><b>{html.escape(title)}</b></p><table><thead>{row(rows[0], 'th')}</thead><tbody>{body}</tbody></table>"
