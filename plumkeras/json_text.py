"""JSON as every file of it is read: within bounds that whatever uses it later can rely on."""

import json

MAX_DEPTH = 100
# What an integer of 64 bits has at most, with its sign.
_MAX_DIGITS = 20


def parse(text, object_pairs_hook=None):
    """Parses JSON text.

    Args:
        text: str or bytes.
        object_pairs_hook: as for `json.loads`.

    Raises:
        ValueError: it is no JSON, is nested more than `MAX_DEPTH` deep, or holds an integer that 64 bits don't.
    """
    said = f"nested more than {MAX_DEPTH} deep"
    try:
        tree = json.loads(text, parse_int=_integer, object_pairs_hook=object_pairs_hook)
    except RecursionError:
        raise ValueError(said) from None
    if _is_deep(tree):
        raise ValueError(said)
    return tree


def _integer(digits):
    if len(digits) > _MAX_DIGITS or not -(2**63) <= (value := int(digits)) < 2**63:
        raise ValueError(f"an integer of {len(digits.lstrip('-'))} digits, which 64 bits do not hold")
    return value


def _is_deep(tree):
    level = [tree]
    for _ in range(MAX_DEPTH):
        level = [item for part in level for item in _items(part)]
    return bool(level)


def _items(part):
    """What a container holds that can hold something itself."""
    items = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return [item for item in items if isinstance(item, (dict, list))]
