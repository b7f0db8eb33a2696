"""Canonical correlation of two views of the same samples, as a term to be made large."""

from keras import ops


def canonical_correlations(first, second, rows=None, regularisation=1e-3):
    """The canonical correlations of two views and their sum, whose gradient is exact.

    The singular values of `S11^(-1/2) S12 S22^(-1/2)`, of covariances with `regularisation` added to the diagonals of
    `S11` and `S22`. No decomposition is differentiated, which would be undefined for equal singular values: the
    gradient by the covariances is known in closed form, and the covariances are differentiated. In float32, on every
    backend.

    Args:
        first, second: `[N, k1]` and `[N, k2]`.
        rows: `[N]` float, 0 for samples that take no part; or `None`.
        regularisation: float above 0, also the least that an eigenvalue counts for.

    Returns:
        The sum, which can be differentiated, and the `min(k1, k2)` correlations, falling, which can't.

    Reference: Andrew, Arora, Bilmes and Livescu, ICML 2013.
    """
    views = [ops.cast(view, "float32") for view in (first, second)]
    rows = ops.ones_like(views[0][:, 0]) if rows is None else ops.cast(rows, "float32")
    count = ops.sum(rows)
    centred = []
    for view in views:
        mean = ops.sum(view * rows[:, None], axis=0) / ops.maximum(count, 1.0)
        centred.append((view - mean[None, :]) * rows[:, None])
    degrees = ops.maximum(count - 1.0, 1.0)
    first, second, between = (
        ops.matmul(ops.transpose(one), other) / degrees
        for one, other in ((centred[0], centred[0]), (centred[1], centred[1]), tuple(centred))
    )
    whitening = [_inverse_root(_constant(within), regularisation) for within in (first, second)]
    left, values, right = ops.svd(
        ops.matmul(ops.matmul(whitening[0], _constant(between)), whitening[1]), full_matrices=False
    )
    left, right = ops.matmul(whitening[0], left), ops.matmul(whitening[1], ops.transpose(right))
    # The gradients by the three covariances.
    total = ops.sum(between * ops.stop_gradient(ops.matmul(left, ops.transpose(right))))
    for within, vectors in ((first, left), (second, right)):
        gradient = ops.stop_gradient(-0.5 * ops.matmul(vectors * values[None, :], ops.transpose(vectors)))
        part = ops.sum(within * gradient)
        total = total + part - ops.stop_gradient(part)
    return total, ops.stop_gradient(values)


def _constant(matrix):
    """The matrix without a gradient; what is not finite, of which there are no eigenvalues, as 0."""
    matrix = ops.stop_gradient(matrix)
    return ops.where(ops.isfinite(matrix), matrix, 0.0)


def _inverse_root(matrix, regularisation):
    values, vectors = ops.eigh(matrix)
    values = ops.maximum(values, 0.0) + regularisation
    return ops.matmul(vectors * ops.rsqrt(values)[None, :], ops.transpose(vectors))
