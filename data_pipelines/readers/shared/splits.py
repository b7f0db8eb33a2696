"""The names that splits go by in pickles."""

from plumkeras.data_pipelines.schema.validation import DataError, listing

ALIASES = {"train": "train", "valid": "valid", "dev": "valid", "val": "valid", "test": "test"}


def parts(tree):
    """The values of a dict that stand under a split's name, as a list; empty for anything else."""
    return [tree[name] for name in ALIASES if name in tree] if isinstance(tree, dict) else []


def take_parts(tree, path, report):
    """Takes the splits out of a dict, in the order train, valid, test; `tree` is emptied.

    Raises:
        DataError: two names stand for the same split.
    """
    found = {}
    for name in list(tree):
        part = tree.pop(name)
        if name not in ALIASES:
            report.warn(f"{str(name)[:80]}: unknown split, not read; splits are {listing(ALIASES)}")
        elif ALIASES[name] in found:
            raise DataError(f"{path}: has the split {ALIASES[name]!r} under two names; remove or rename one of them")
        else:
            found[ALIASES[name]] = part
    return {name: found[name] for name in ("train", "valid", "test") if name in found}
