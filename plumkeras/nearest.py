"""The nearest known name to one that is not known, for error messages."""

import difflib
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns `"; did you mean 'hidden_dim'?"`, or `""` where no known name is close.

    A name with dots is also compared by its last part: `epochs` is close to `alignment.epochs` and `refinement.epochs`.

    Args:
        name: what was given.
        known: the names that exist.
    """
    known = list(dict.fromkeys(map(str, known)))
    plain = _plain(name)
    same_ending = [other for other in known if "." in other and _plain(other.rpartition(".")[2]) == plain]
    found = same_ending or _close(plain, {other: _plain(other) for other in known})
    if not found:
        endings = {other: _plain(other.rpartition(".")[2]) for other in known if "." in other}
        found = _close(plain, endings)
    return f"; did you mean {' or '.join(map(repr, found))}?" if found else ""


def _plain(name):
    return str(name).lower().replace("-", "_")


def _close(plain, forms):
    """The known names whose form is the closest to `plain`; several where they share that form."""
    best = difflib.get_close_matches(plain, forms.values(), n=1, cutoff=0.7)
    return [other for other, form in forms.items() if form == best[0]] if best else []
