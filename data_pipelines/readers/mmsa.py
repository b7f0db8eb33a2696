"""The pickles of MMSA (aligned and unaligned MOSI, MOSEI, SIMS, and MMSA-FET's own).

A dict by split of dicts of `[N, ...]` arrays; as MMSA writes them. Aligned files have no lengths: the
attention mask in `text_bert[:, 1]` gives them for all three modalities. Unaligned files bring
`audio_lengths` and `vision_lengths`, and the mask gives the text's.
"""

import numpy as np

from plumkeras.data_pipelines import cleaning
from plumkeras.data_pipelines.readers import fields
from plumkeras.data_pipelines.readers.assembling import assemble
from plumkeras.data_pipelines.schema import Dataset
from plumkeras.data_pipelines.validation import MODALITIES, DataError, listing

NAME = "mmsa"
DESCRIPTION = "pickles of MMSA (aligned or unaligned)"
_ALIASES = {"train": "train", "valid": "valid", "dev": "valid", "val": "valid", "test": "test"}
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
    if not isinstance(tree, dict):
        return False
    parts = [tree[name] for name in _ALIASES if name in tree]
    return bool(parts) and all(
        isinstance(part, dict)
        and _MARKS & part.keys()
        and {"text_bert", *MODALITIES} & part.keys()
        # `labels` is the mark of the MulT family, which pads in front.
        and "labels" not in part
        for part in parts
    )


def read(tree, release, path, report, modalities=None, label_range=None, sha256=None):
    """Turns an unpickled MMSA file into a Dataset; `tree` is emptied on the way.

    Args:
        tree: dict, as `matches` accepts it.
        release: callable. Called whenever a part of the mapped file has been copied out.
        path, report, modalities, label_range, sha256: as `plumkeras.data_pipelines.load`.
    """
    parts = {}
    for name in list(tree):
        part = tree.pop(name)
        if name not in _ALIASES:
            report.warn(f"{name}: unknown split, not read")
        elif _ALIASES[name] in parts:
            raise DataError(f"{path}: has the split {_ALIASES[name]!r} under two names")
        else:
            parts[_ALIASES[name]] = part
    parts = {name: parts[name] for name in ("train", "valid", "test") if name in parts}
    has_lengths = any(f"{modality}_lengths" in part for part in parts.values() for modality in MODALITIES[1:])
    if label_range is None and any("regression_labels_T" in part for part in parts.values()):
        label_range = (-1.0, 1.0)  # SIMS
    splits = {
        name: _read_split(name, part, path, report, modalities, has_lengths, release) for name, part in parts.items()
    }
    return Dataset(
        splits,
        report=report,
        path=path,
        format=f"{NAME}-{'unaligned' if has_lengths else 'aligned'}",
        sha256=sha256,
        label_range=label_range,
    )


def _read_split(name, part, path, report, wanted, has_lengths, release):
    where = f"{path}: {name}"
    available = [modality for modality in MODALITIES if modality in part]
    if "text_bert" in part and "text" not in part and (wanted is None or "text" in wanted):
        raise DataError(
            f"{where} has token ids (text_bert) but no text vectors (text): token ids need "
            f"vectors first; read the others with modalities={tuple(available)}"
        )
    chosen = fields.pick_modalities(available, wanted, where)
    for field in sorted(str(field) for field in part if field not in _KNOWN):
        report.warn(f"{name}/{field}: unknown field, not read")
    mask = part.pop("text_bert", None)
    if mask is not None:
        mask = _mask_lengths(mask, f"{where}/text_bert")

    def read_features(modality):
        field = f"{where}/{modality}"
        array = part.pop(modality)
        if not isinstance(array, np.ndarray):
            raise DataError(f"{field} is a {type(array).__name__}; an array is wanted")
        fields.check_features(array.shape, array.dtype, field)
        return cleaning.clean_blocks(_released(cleaning.row_blocks(array), release), array.shape)

    def find_lengths(modality, frames):
        field = f"{modality}_lengths"
        if field in part:
            return fields.lengths(part[field], f"{where}/{field}"), field
        # Without lengths of its own a modality shares the word axis, if its frames are as many.
        if mask is None or frames != mask[1] or (has_lengths and modality != "text"):
            return None
        return mask[0].copy(), "text_bert"

    return assemble(name, path, part, chosen, read_features, find_lengths, report)


def _released(blocks, release):
    for block in blocks:
        yield block
        release()


def _mask_lengths(text_bert, where):
    """Lengths `[N]` from the attention mask, and the number of its steps."""
    if (
        not isinstance(text_bert, np.ndarray)
        or text_bert.ndim != 3
        or text_bert.shape[1] != 3
        or text_bert.dtype.kind not in "iufb"
    ):
        shape = getattr(text_bert, "shape", type(text_bert).__name__)
        raise DataError(f"{where} is {shape}; an array [samples, 3, steps] of numbers is wanted")
    mask = text_bert[:, 1]
    lengths = (mask != 0).sum(axis=1)
    wanted = np.arange(mask.shape[1]) < lengths[:, None]
    for row in np.flatnonzero((mask != wanted).any(axis=1))[:1]:
        raise DataError(
            f"{where}: the attention mask of sample {row} isn't ones followed by zeros: {listing(mask[row][:8])} ..."
        )
    return lengths.astype("int32"), mask.shape[1]
