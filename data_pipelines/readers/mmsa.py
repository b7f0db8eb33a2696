"""The pickles of MMSA (aligned and unaligned MOSI, MOSEI, SIMS, SIMSv2, and MMSA-FET's own).

A dict by split of dicts of `[N, ...]` arrays; as MMSA writes them. Aligned files have no lengths: the
attention mask in `text_bert[:, 1]` gives them for all three modalities. Unaligned files bring
`audio_lengths` and `vision_lengths`, and the mask gives the text's. The token ids in `text_bert[:, 0]` are kept beside
the vectors, for a text encoder of that vocabulary. Where MMSA-FET was told to pad at the start, the mask
says so (in a file without masks, the frames), and every sample is moved to frame 0. Its output for a
single video is the fields alone, without splits and without the sample axis; all of its frames are valid. A split
that no clip is of it writes with 0 rows, which is left out.

Features may also be a list (or an array of objects) of sequences `[T, F]`: where these differ in length, that is the
samples' length.

SIMS and SIMSv2 have labels in [-1, 1] and human labels per modality (`regression_labels_T/_A/_V`).
"""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.readers.shared import fields, row_fields
from plumkeras.data_pipelines.readers.shared.assembling import agreed_lengths, assemble, read_array, take_lists
from plumkeras.data_pipelines.readers.shared.front_padding import bounds, move_to_front
from plumkeras.data_pipelines.readers.shared.labels import ANY, SIMS, labelled
from plumkeras.data_pipelines.readers.shared.names import may_be_features, report_unknown
from plumkeras.data_pipelines.readers.shared.splits import parts, take_parts
from plumkeras.data_pipelines.schema.validation import MODALITIES, DataError, TokenIdsError, listing

NAME = "mmsa"
DESCRIPTION = "pickles of MMSA and MMSA-FET (aligned, unaligned, or of one video)"
_SIMS_WIDTHS = (33, 709)  # audio and vision
_MARKS = {"text_bert", "regression_labels", "classification_labels", "audio_lengths", "id"}
_KNOWN = {
    "id",
    "raw_text",
    "text_bert",
    *MODALITIES,
    *(f"{modality}_lengths" for modality in MODALITIES),
    *fields.LABEL_FIELDS,
}


def matches(tree):
    """Whether an unpickled object has this layout."""
    found = parts(tree)
    if not found:
        return isinstance(tree, dict) and any(
            isinstance(tree.get(modality), np.ndarray) or may_be_features(tree.get(modality)) for modality in MODALITIES
        )
    return all(
        isinstance(part, dict)
        and _MARKS & part.keys()
        and {"text_bert", *MODALITIES} & part.keys()
        # `labels`, and ids as rows, are marks of the MulT family, which pads in front.
        and "labels" not in part
        and not row_fields.are_rows(part.get("id", ()))
        for part in found
    )


def read(tree, release, path, report, modalities=None, request=ANY, sha256=None):
    """Turns an unpickled MMSA file into a Dataset; `tree` is emptied on the way.

    Args:
        tree: dict, as `matches` accepts it.
        release: callable. Called whenever a part of the mapped file has been copied out.
        path, report, modalities, sha256: as `plumkeras.data_pipelines.load`.
        request: LabelRequest.
    """
    form = None
    is_whole = not parts(tree)
    found = {"all": dict(tree)} if is_whole else _without_empty(take_parts(tree, path, report), path, report)
    padded = take_lists(found, MODALITIES if modalities is None else modalities, path)
    if is_whole and not padded and "id" not in tree:
        found = {"all": _with_sample_axis(found["all"])}
        form = "single"
    has_lengths = any(
        f"{modality}_lengths" in part or (name, modality) in padded
        for name, part in found.items()
        for modality in MODALITIES[1:]
    )
    is_sims = any(_is_sims(part) for part in found.values())
    berts = {name: part.pop("text_bert") for name, part in found.items() if "text_bert" in part}
    masks = {name: _mask(bert, f"{path}: {name}/text_bert") for name, bert in berts.items()}
    is_front_padded = _is_front_padded(masks, path)
    splits = {}
    for name in list(found):
        part = found.pop(name)
        of_lists = {modality: taken for (split, modality), taken in padded.items() if split == name}
        lengths = _Lengths(name, part, of_lists, masks.get(name), has_lengths, is_front_padded, path)
        split = _read_split(name, part, lengths, path, report, modalities, release)
        splits[name] = dataclasses.replace(split, token_ids=_token_ids(berts.pop(name, None), masks.get(name)))
    form = f"{NAME}-{form or ('unaligned' if has_lengths else 'aligned')}"
    options = SIMS if is_sims else {}
    return labelled(splits, request, report, path, declared=True, **options, format=form, sha256=sha256)


def _without_empty(found, path, report):
    """The splits that have samples: MMSA-FET writes all three, with 0 rows where no clip has that mode."""

    def is_empty(part):
        sizes = [len(value) for value in part.values() if isinstance(value, (list, tuple)) or getattr(value, "ndim", 0)]
        return bool(sizes) and not any(sizes)

    empty = [name for name, part in found.items() if is_empty(part)]
    if len(empty) == len(found):
        raise DataError(f"{path}: {listing(empty)}: every split is empty: 0 samples")
    for name in empty:
        report.warn(f"{name}: is empty: 0 samples, so the split is left out")
    return {name: part for name, part in found.items() if name not in empty}


def _with_sample_axis(tree):
    """The fields of one video `[T, F]` as those of a split of one sample; whatever isn't so stays as it is."""
    part = {field: value[None] if isinstance(value, np.ndarray) else value for field, value in tree.items()}
    for modality in MODALITIES:
        has_mask = modality == "text" and "text_bert" in part
        if f"{modality}_lengths" not in part and not has_mask and getattr(part.get(modality), "ndim", 0) == 3:
            part[f"{modality}_lengths"] = [part[modality].shape[1]]
    return part


def _is_sims(part):
    shapes = [getattr(part.get(modality), "shape", ()) for modality in ("audio", "vision")]
    return "regression_labels_T" in part or tuple(shape[-1] if shape else 0 for shape in shapes) == _SIMS_WIDTHS


def _read_split(name, part, lengths, path, report, wanted, release):
    where = f"{path}: {name}"
    available = [modality for modality in MODALITIES if modality in part]
    if lengths.mask is not None and "text" not in part and (wanted is None or "text" in wanted):
        raise TokenIdsError(f"{where}: has no text vectors (text); its text_bert", available)
    chosen = fields.pick_modalities(available, wanted, where)
    report_unknown(name, part, _KNOWN, report)

    def read_features(modality):
        if modality in lengths.padded:
            return lengths.padded[modality][:2]
        features, counts = read_array(part.pop(modality), f"{where}/{modality}", release)
        lengths.move_to_front(modality, features, report)
        return features, counts

    return assemble(name, path, part, chosen, read_features, lengths.find, report)


class _Lengths:
    """Where the lengths of a split come from.

    Args:
        name, part, path: the split's name, its fields, the file.
        padded: dict by modality of features, counts and lengths of sequences that came in lists.
        mask: bool array `[N, steps]` or None. The attention mask.
        has_lengths: bool. Whether the file is unaligned.
        is_front_padded: bool. Whether padding comes before the frames, not after them.
    """

    def __init__(self, name, part, padded, mask, has_lengths, is_front_padded, path):
        self.name, self.part, self.padded, self.path = name, part, padded, path
        self.mask, self.has_lengths, self.is_front_padded = mask, has_lengths, is_front_padded

    def find(self, modality, frames):
        """Lengths `[N]` of a modality and the field that they come from, or None."""
        field = f"{modality}_lengths"
        where = f"{self.path}: {self.name}/{field}"
        given = fields.lengths(self.part[field], where) if field in self.part else None
        listed = self.padded[modality][2] if modality in self.padded else None
        found = agreed_lengths(listed, given, where)
        if found is not None:
            return found, field
        # Without lengths of its own a modality shares the word axis, if its frames are as many.
        if self.mask is None or frames != self.mask.shape[1] or (self.has_lengths and modality != "text"):
            return None
        return self.mask.sum(axis=1, dtype="int32"), "text_bert"

    def move_to_front(self, modality, features, report):
        """Undoes padding in front, in place, where lengths say how much of it there is."""
        frames = features.shape[1]
        found = self.find(modality, frames) if self.is_front_padded or self.mask is None else None
        if found is None or len(found[0]) != len(features):
            return
        starts = frames - np.clip(found[0], 0, frames)
        if not self.is_front_padded and not _begin_at(starts, features):
            return
        lost, _ = move_to_front(features, starts)
        report.warn(f"{self.name}/{modality}: padded in front, moved to frame 0")
        if lost:
            report.warn(f"{self.name}/{modality}: {lost} non-zero frames in the padding, dropped")


def _begin_at(starts, features):
    """Whether every sample is all zero before its start, and not all samples are after their length too."""
    first, stop = bounds(features)
    return bool((first >= starts).all() and (stop > features.shape[1] - starts).any())


def _mask(text_bert, where):
    """The attention mask `[N, steps]` as booleans."""
    has_axes = isinstance(text_bert, np.ndarray) and text_bert.ndim == 3 and text_bert.dtype.kind in "iufb"
    if not has_axes or text_bert.shape[1] != 3 or not text_bert.shape[2]:
        shape = getattr(text_bert, "shape", type(text_bert).__name__)
        raise DataError(f"{where} is {shape}; an array [samples, 3, steps] of numbers is expected")
    return text_bert[:, 1] != 0


def _token_ids(text_bert, mask):
    """The ids `[N, steps]` int32, valid ones first and -1 after; None where there are none, or they are no ids."""
    if text_bert is None:
        return None
    # 16 bits do not hold the limit that the ids are compared with.
    given = np.where(mask, text_bert[:, 0], 0).astype("float64")
    if not np.isfinite(given).all() or (given < 0).any() or (given != np.floor(given)).any() or given.max() >= 2**31:
        return None
    ids = np.full(mask.shape, -1, "int32")
    for row, valid in enumerate(mask):
        ids[row, : valid.sum()] = given[row, valid]
    return ids


def _is_front_padded(masks, path):
    """Whether every mask is zeros followed by ones.

    Raises:
        DataError: the masks aren't all of that kind, nor all ones followed by zeros.
    """
    at_end = {name: (mask[:, :-1] >= mask[:, 1:]).all(axis=1) for name, mask in masks.items()}
    wrong = [(name, int(good.argmin())) for name, good in at_end.items() if not good.all()]
    if not wrong:
        return False
    if all((mask[:, :-1] <= mask[:, 1:]).all() for mask in masks.values()):
        return True
    name, row = wrong[0]
    raise DataError(
        f"{path}: {name}/text_bert: the attention mask of sample {row} isn't ones followed by zeros: "
        f"{listing(masks[name][row, :8].astype(int))} ..."
    )
