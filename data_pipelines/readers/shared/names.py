"""Names that people give to fields, read where they can't be mistaken."""

import re

import numpy as np

from plumkeras.data_pipelines.schema.validation import MODALITIES, SPLIT_ALIASES, DataError, listing

MODALITY_NAMES = {"acoustic": "audio", "visual": "vision", "video": "vision", "language": "text"}
LABEL_NAMES = ("labels", "label", "y")
_DECLARED = {"regression_labels", "classification_labels", "multilabel_labels"}
# Parts of a path that say nothing but that features, or labels, follow.
_CONTAINERS = {"features", "data", "inputs", "labels"}
_SPLITS = "|".join(SPLIT_ALIASES)
_SPLIT_FIRST, _SPLIT_LAST = re.compile(rf"({_SPLITS})_(.+)"), re.compile(rf"(.+)_({_SPLITS})")


def rename_modalities(parts, path, report, is_features, wanted=(), keep=()):
    """Calls the modalities of a file by their own names, in place: `acoustic` is audio, with its `acoustic_lengths`.

    A modality of the user's own stays what it is: one with lengths, beside the modality that it might be taken for.

    Args:
        parts: dict by split of the splits' fields.
        path: str. The file, for errors.
        report: Report. Says what was taken for what.
        is_features: callable. Whether a field's value can be features.
        wanted: iterable of str. The modalities asked for: those are read that have exactly these names.
        keep: iterable of str. Names that aren't replaced.

    Raises:
        DataError: a split has one modality under two names.
    """
    own = {
        name
        for fields in parts.values()
        for name, modality in MODALITY_NAMES.items()
        if name in fields and modality in fields and f"{name}_lengths" in fields
    }
    for split, fields in parts.items():
        called = {modality: modality for modality in MODALITY_NAMES.values() if modality in fields}
        for name, modality in MODALITY_NAMES.items():
            if name not in fields or name in own or name in keep or not is_features(fields[name]):
                continue
            if modality in called:
                if called[modality] == modality and modality in wanted:
                    continue
                where = f"{path}: {split}" if split else path
                raise DataError(
                    f"{where} has {modality} under two names, {called[modality]} and {name}: remove or rename one of "
                    "them, or name those to read by modalities=(...)"
                )
            called[modality] = name
            for before, after in ((prefix + name + end, prefix + modality + end)
                                  for prefix in ("", "context_") for end in ("", "_lengths")):  # fmt: skip
                if before in fields and after not in fields:
                    fields[after] = fields.pop(before)
            report.warn(f"{name}: read as {modality}")


def rename_in_tree(tree, path, report, wanted):
    """As `rename_modalities`, for an unpickled object: a dict of fields by split, or of fields alone."""
    if not isinstance(tree, dict):
        return
    parts = {str(name): tree[name] for name in SPLIT_ALIASES if isinstance(tree.get(name), dict)}
    rename_modalities(parts or {"": tree}, path, report, may_be_features, wanted or ())


def may_be_features(value):
    """Whether an unpickled value has the looks of features: an array of numbers, or arrays in a list."""
    if isinstance(value, np.ndarray) and value.dtype.kind != "O":
        return is_shape_of_features(value.ndim, value.dtype.kind)
    return is_ragged(value) and any(isinstance(item, (list, tuple, np.ndarray)) for item in value[:1])


def report_unknown(split, fields, known, report):
    """Reports the fields of a split of a pickle that aren't read, with the names of those that are read as features."""
    for field in sorted((field for field in fields if field not in known), key=str):
        hint = f"; features are read as {listing(MODALITIES)}" if may_be_features(fields[field]) else ""
        report.warn(f"{split}/{str(field)[:80]}: unknown field, not read{hint}")


def is_shape_of_features(axes, kind):
    """Whether an array can be features and nothing else: a column of whole numbers may be anything."""
    return (kind == "f" and axes == 2) or (kind in "iufb" and axes == 3)


def is_ragged(value):
    """Whether features come as a list of sequences, and not as one array."""
    return isinstance(value, (list, tuple)) or (
        isinstance(value, np.ndarray) and value.dtype.kind == "O" and value.ndim > 0
    )


def split_and_field(name):
    """The split and the field of a name such as `train/text`, `train.text` or `train/features/text`.

    Returns:
        The split as the name has it, None where it has none, and the field.
    """
    split, slash, field = name.partition("/")
    if not slash and name.partition(".")[0] in SPLIT_ALIASES:
        split, slash, field = name.replace(".", "/").partition("/")
    if not slash:
        return None, name
    container, slash, inner = field.partition("/")
    if slash and "/" not in inner and split in SPLIT_ALIASES:
        if container in _CONTAINERS:
            field = inner
        elif container == "lengths":
            field = f"{inner}_lengths"
    return split, field


def flat(names, known):
    """Dict from names such as `train_text`, or `text_train`, to split and field; empty unless it is what they are.

    Args:
        names: iterable of str. The names of arrays that are in no split.
        known: set of str. The fields that are known. None of the names may be one of the modalities.
    """
    modalities = {*MODALITY_NAMES, *MODALITY_NAMES.values()}
    if modalities & set(names):
        return {}
    found = {}
    for name in names:
        first, last = _SPLIT_FIRST.fullmatch(name), _SPLIT_LAST.fullmatch(name)
        if first:
            found[name] = first[1], first[2]
        elif last and last[1] in known:
            found[name] = last[2], last[1]
    return found if any(field in modalities for _, field in found.values()) else {}


def name_labels(parts, path, report):
    """Calls `label` or `y` `labels`, in place, where a split has no labels by the name of their task.

    Args:
        parts: dict by split of the splits' fields.
        path: str. The file, for errors.
        report: Report. Says what was taken for what.

    Returns:
        Whether the names of the fields say what the labels are: no split has `labels` alone.

    Raises:
        DataError: a split has them under two names.
    """
    declared = True
    for split, fields in parts.items():
        names = [name for name in LABEL_NAMES if name in fields]
        if not names:
            continue
        if _DECLARED & fields.keys():
            for name in names:
                report.warn(f"{split}/{name}: not read, since there are {listing(sorted(_DECLARED & fields.keys()))}")
                del fields[name]
            continue
        if len(names) > 1:
            raise DataError(f"{path}: {split} has labels under several names, {listing(names)}: keep one of them")
        fields["labels"] = fields.pop(names[0])
        if names[0] != "labels" and declared:
            report.warn(f"{names[0]}: read as the labels")
        declared = False
    return declared
