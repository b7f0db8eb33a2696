"""Features as they come, made finite: what was done is counted, never silent.

Features are handled a block of rows at a time, so that a file's own type (often float64) never
stands in memory whole beside the float32 result.
"""

import numpy as np

LIMIT = 1e6
BLOCK_BYTES = 8 << 20


def row_blocks(array):
    """Cuts `[N, ...]` into views of a few rows each."""
    rows = max(1, BLOCK_BYTES // max(1, array[:1].nbytes))
    for start in range(0, len(array), rows):
        yield array[start : start + rows]


def clean_blocks(blocks, shape):
    """Gathers row blocks into one finite float32 array.

    NaN and infinities become 0 first, then magnitudes beyond 1e6 (values that would overflow or
    swamp the statistics), then the type becomes float32.

    Args:
        blocks: iterable of numeric arrays, consecutive rows of the whole.
        shape: tuple `[N, T, F]`, or `[N, F]` for one frame per sample.

    Returns:
        The array `[N, T, F]`, and the counts as a dict with `nan`, `inf`, `overflow`.
    """
    counts = {"nan": 0, "inf": 0, "overflow": 0}
    features = np.empty(shape, dtype="float32")
    start = 0
    for block in blocks:
        features[start : start + len(block)] = _clean(block, counts)
        start += len(block)
    if len(shape) == 2:
        features = features[:, None, :]
    return features, counts


def clean_array(array):
    """As `clean_blocks`, for an array in memory; an array with nothing to clean isn't copied."""
    if array.dtype == np.float32 and array.ndim == 3 and not _is_dirty(array):
        return array, {"nan": 0, "inf": 0, "overflow": 0}
    return clean_blocks(row_blocks(array), array.shape)


def _is_dirty(block):
    # Two reductions and no temporary; NaN fails both comparisons. `float`, since the limit itself
    # would be infinite as a float16.
    return block.size > 0 and not (float(block.max()) <= LIMIT and float(block.min()) >= -LIMIT)


def _clean(block, counts):
    if block.dtype.kind in "iub":
        block = block.astype("float64")
    if not _is_dirty(block):
        return block
    block = block.astype("float64")
    for kind, find in (
        ("nan", np.isnan),
        ("inf", np.isinf),
        ("overflow", lambda values: np.abs(values) > LIMIT),
    ):
        found = find(block)
        counts[kind] += int(np.count_nonzero(found))
        block[found] = 0
    return block


def zero_padding(features, lengths):
    """Zeroes what stands past the lengths, in place.

    Args:
        features: float array `[N, T, F]`.
        lengths: integer array `[N]`.

    Returns:
        How many frames past the length weren't zero.
    """
    found = 0
    start = 0
    steps = np.arange(features.shape[1])
    for block in row_blocks(features):
        held = block.any(axis=2) & (steps >= lengths[start : start + len(block), None])
        start += len(block)
        if held.any():
            found += int(np.count_nonzero(held))
            block[held] = 0
    return found


def trailing_lengths(features):
    """The number of frames `[N]` up to the last one that isn't all zero, 0 where none is."""
    lengths = [
        np.where(held.any(axis=1), held.shape[1] - held[:, ::-1].argmax(axis=1), 0)
        for held in (block.any(axis=2) for block in row_blocks(features))
    ]
    return np.concatenate(lengths).astype("int32")
