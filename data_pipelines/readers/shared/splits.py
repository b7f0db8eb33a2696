"""The names that splits go by in pickles."""

from plumkeras.data_pipelines.schema.validation import SPLIT_ALIASES, DataError, listing


def parts(tree):
    """The values of a dict under a split's name, as a list; empty for anything else."""
    return [tree[name] for name in SPLIT_ALIASES if name in tree] if isinstance(tree, dict) else []


def take_parts(tree, path, report):
    """Takes the splits out of a dict, in the order train, valid, test; `tree` is emptied.

    Raises:
        DataError: two names mean the same split.
    """
    found = {}
    for name in list(tree):
        part = tree.pop(name)
        if name not in SPLIT_ALIASES:
            report.warn(f"{str(name)[:80]}: unknown split, not read; splits are {listing(SPLIT_ALIASES)}")
        elif SPLIT_ALIASES[name] in found:
            raise DataError(
                f"{path}: has the split {SPLIT_ALIASES[name]!r} under two names; remove or rename one of them"
            )
        else:
            found[SPLIT_ALIASES[name]] = part
    return {name: found[name] for name in ("train", "valid", "test") if name in found}
