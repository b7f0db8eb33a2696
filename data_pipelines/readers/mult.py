"""The processed pickles of MulT and the CMU SDK, and MultiBench's affect pickles, which share a layout.

A dict by split of `vision`, `audio`, `text` (in any order), `labels` and `id`. What tells them apart:

- padding: in front. Each sample is moved to frame 0. Should more samples end than begin with an all-zero text frame,
  the file was padded at its end by somebody, which is read too and said.
- labels: a file without them is told by its ids, which come as rows.
- alignment: modalities with equally many frames share the word axis, so all three begin with the text's first non-zero
  frame; others begin with their own.
- a list of sequences `[T, F]` that differ in length isn't padded: no frame of it is taken for padding, and a file that
  has one has no word axis.
- MulT (`mult`): ids come as rows, `[N, 1]` bytes or `[N, 3]` (video, start, end; joined by `_`). Every sample is kept;
  where the text is all zero its length is 0 and the other modalities begin with their own first frame.
- MultiBench (`multibench`): ids come one by one or are absent, or the widths are those of humor and sarcasm (audio 81,
  vision 75 or 371). Samples whose text is all zero are dropped, as its own loader does, and counted.
- task: labels that are only 0 and 1, or only -1 and +1, are the classes 0 and 1: certain with the widths of humor and
  sarcasm, a guess that the report names with any other. Everything else is regression, by the first of the columns.
"""

import numpy as np

from plumkeras.data_pipelines.readers.shared import fields, row_fields
from plumkeras.data_pipelines.readers.shared.assembling import assemble, check_array, read_array, take_lists
from plumkeras.data_pipelines.readers.shared.front_padding import bounds, move_to_front
from plumkeras.data_pipelines.readers.shared.label_fields import label_array
from plumkeras.data_pipelines.readers.shared.labels import ANY, labelled
from plumkeras.data_pipelines.readers.shared.names import report_unknown
from plumkeras.data_pipelines.readers.shared.splits import parts, take_parts
from plumkeras.data_pipelines.schema.validation import MODALITIES, DataError

NAME = "mult"
DESCRIPTION = "processed pickles of MulT, the CMU SDK and MultiBench"
_KNOWN = {"id", "labels", "raw_text", *MODALITIES}
# These are MMSA's names.
_FOREIGN = {"text_bert", "regression_labels", "classification_labels"}


def matches(tree):
    """Whether an unpickled object has this layout."""
    found = parts(tree)
    return any(isinstance(part, dict) and ("labels" in part or _has_row_ids(part)) for part in found) and all(
        isinstance(part, dict) and part.keys() & set(MODALITIES) and not part.keys() & _FOREIGN for part in found
    )


def read(tree, release, path, report, modalities=None, request=ANY, sha256=None):
    """Turns an unpickled file into a Dataset; `tree` is emptied on the way.

    Args:
        tree: dict, as `matches` accepts it.
        release: callable. Called whenever a part of the mapped file has been copied out.
        path, report, modalities, sha256: as `plumkeras.data_pipelines.load`.
        request: LabelRequest.
    """
    found = take_parts(tree, path, report)
    listed = take_lists(found, MODALITIES, path)
    for name, part in found.items():
        _check(name, part, path, report)
    is_humor = row_fields.is_humor(_widths(found))
    is_multibench = is_humor or not any(map(_has_row_ids, found.values()))
    layout = _Layout(found, is_multibench, listed, report)
    splits = {}
    for name in list(found):
        part = found.pop(name)
        values = {"labels": label_array(part["labels"], f"{path}: {name}/labels")} if "labels" in part else {}
        splits[name] = _read_split(name, part, values, layout, path, report, modalities, release)
    form = f"{'multibench' if is_multibench else NAME}-{'aligned' if layout.is_aligned else 'unaligned'}"
    return labelled(splits, request, report, path, certain=is_humor, format=form, sha256=sha256)


def _has_row_ids(part):
    return row_fields.are_rows(part.get("id", ()))


def _check(name, part, path, report):
    for modality in part.keys() & set(MODALITIES):
        check_array(part[modality], f"{path}: {name}/{modality}")
    if "id" in part and not isinstance(part["id"], (list, tuple, np.ndarray)):
        raise DataError(f"{path}: {name}/id is a {type(part['id']).__name__}; a list is expected")
    report_unknown(name, part, _KNOWN, report)


def _widths(found):
    return {
        modality: part[modality].shape[-1] for part in found.values() for modality in MODALITIES if modality in part
    }


def _frames(array):
    return array.shape[1] if array.ndim == 3 else 1


class _Layout:
    """What holds for the whole file: where the padding is, and whether the modalities share the word axis.

    Args:
        found: dict by split of the file's parts, checked.
        drops_empty: bool. Whether samples without text are left out.
        listed: dict. What `take_lists` gives.
        report: Report.
    """

    def __init__(self, found, drops_empty, listed, report):
        frames = {_frames(part[m]) for part in found.values() for m in MODALITIES if m in part}
        self.is_aligned = len(frames) == 1 and not listed and all("text" in part for part in found.values())
        self.drops_empty, self.listed = drops_empty, listed
        self.text_bounds = {}
        in_front = at_end = 0
        for name, part in found.items():
            modality = next(m for m in MODALITIES if m in part)
            if (name, modality) in listed:
                if modality == "text":
                    self.text_bounds[name] = (np.zeros(len(part["text"]), "int64"), listed[name, "text"][2])
                continue
            first, stop = bounds(part[modality])
            if modality == "text":
                self.text_bounds[name] = first, stop
            in_front += int(np.sum((first > 0) & (stop > 0)))
            at_end += int(np.sum((stop < _frames(part[modality])) & (stop > 0)))
        self.is_front_padded = in_front >= at_end
        if not self.is_front_padded:
            report.warn(
                f"padded at the end, not in front as files of this kind are: {at_end} samples end with an all-zero "
                f"frame, {in_front} begin with one"
            )

    def place(self, name, modality, features, keep):
        """Where each sample of a modality begins, and how long it is: two arrays `[N]`."""
        if (name, modality) in self.listed:
            lengths = self.listed[name, modality][2][keep]
            return np.zeros_like(lengths), lengths
        first, stop = bounds(features)
        if self.is_aligned:
            text_first, text_stop = (bound[keep] for bound in self.text_bounds[name])
            first, stop = np.where(text_stop, text_first, first), np.where(text_stop, text_stop, stop)
        if self.is_front_padded:
            return first, features.shape[1] - first
        return np.zeros_like(first), stop


def _read_split(name, part, values, layout, path, report, wanted, release):
    where = f"{path}: {name}"
    chosen = fields.pick_modalities([m for m in MODALITIES if m in part], wanted, where)
    if "id" in part:
        values["id"] = row_fields.row_ids(part["id"], f"{where}/id")
    if "raw_text" in part:
        values["raw_text"] = fields.raw_text(part["raw_text"], f"{where}/raw_text")
    keep = slice(None)
    if name in layout.text_bounds:
        has_text = layout.text_bounds[name][1] > 0
        for field, array in {**values, **{m: part[m] for m in chosen}}.items():
            if len(array) != len(has_text):
                raise DataError(f"{where}/{field} has {len(array)} samples, {name}/text {len(has_text)}")
        if not has_text.all():
            example = values["id"][np.flatnonzero(~has_text)[0]] if "id" in values else "no ids"
            what = f"{name}: {np.sum(~has_text)} samples without text (all zero)"
            if layout.drops_empty:
                keep = has_text
                report.warn(f"{what} are dropped, as MultiBench does, for one {example}")
            else:
                report.warn(f"{what}, for one {example}")
    lengths = {}

    def read_features(modality):
        if (name, modality) in layout.listed:
            features, counts, _ = layout.listed[name, modality]
        else:
            features, counts = read_array(part[modality], f"{where}/{modality}", release)
        del part[modality]
        if not isinstance(keep, slice):
            # In place: they may be larger than memory.
            kept = np.flatnonzero(keep)
            for row, source in enumerate(kept):
                features[row] = features[source]
            features = features[: len(kept)]
        starts, lengths[modality] = layout.place(name, modality, features, keep)
        lost, samples = move_to_front(features, starts)
        if lost:
            report.warn(
                f"{name}/{modality}: {lost} non-zero frames of {samples} samples come before the text's first frame, "
                "dropped"
            )
        return features, counts

    values = {field: array[keep] for field, array in values.items()}
    return assemble(name, path, values, chosen, read_features, lambda m, _: (lengths[m].astype("int32"), m), report)
