"""Classes of a regression label, for contrast, prototypes and branch losses."""

import itertools

from keras import ops

SCHEMES = {"sign3": 3, "round7": 7}


def scheme_classes(scheme):
    """Number of classes of a scheme: `"sign3"`, `"round7"` or increasing bin edges (`E` edges make `E + 1` bins).

    Raises:
        ValueError: for any other `scheme`.
    """
    if isinstance(scheme, str):
        if scheme not in SCHEMES:
            raise ValueError(f"`label_classes` must be one of {tuple(SCHEMES)} or bin edges. Received: {scheme!r}")
        return SCHEMES[scheme]
    edges = tuple(scheme)
    if not edges or any(low >= high for low, high in itertools.pairwise(edges)):
        raise ValueError(f"`label_classes` as bin edges must increase. Received: {edges}")
    return len(edges) + 1


def class_labels(y, scheme="sign3"):
    """Maps regression labels `[N]` to classes `[N]` int32.

    `"sign3"`: negative 0, exactly zero 1, positive 2. `"round7"`: the label clipped to [-3, 3] and rounded half to
    even, plus 3. Bin edges: the number of edges at or below the label.
    """
    y = ops.reshape(ops.cast(y, "float32"), (-1,))
    if scheme == "sign3":
        return ops.cast(ops.sign(y), "int32") + 1
    if scheme == "round7":
        return ops.cast(ops.round(ops.clip(y, -3, 3)), "int32") + 3
    edges = ops.convert_to_tensor(tuple(scheme), "float32")
    return ops.sum(ops.cast(y[:, None] >= edges[None, :], "int32"), axis=1)
