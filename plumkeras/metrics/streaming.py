"""Keras metrics that stream to the numbers of the reports.

Everything kept between batches is a sum, never a mean of batches, so that a result does not depend
on how the samples were cut into batches or spread over replicas. `plumkeras.metrics.reports` has the definitions.
"""

import keras
import numpy as np
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.metrics.reports import CONSTANT


class _SumMetric(keras.metrics.Metric):
    """A metric whose state is sums, in float32 or wider whatever the precision of the model."""

    _direction = "up"  # What Keras's callbacks look for when `mode="auto"`.

    def _add_sum(self, name, shape=(), dtype="float32"):
        # Keras's default aggregation adds up the replicas' sums when they are read. Updates are
        # `assign` of the old value plus the new: `assign_add` may count replicas twice.
        return self.add_variable(shape=shape, initializer="zeros", dtype=dtype, name=name)

    def _vectors(self, y_true, y_pred, sample_weight, dtype="float32"):
        """Return truth, prediction and weight as `[B]`; each may come as `[B]` or `[B, 1]`."""
        y_true, y_pred = _vector("y_true", y_true, dtype), _vector("y_pred", y_pred, dtype)
        if sample_weight is None:
            return y_true, y_pred, ops.ones_like(y_true)
        weight = ops.cast(sample_weight, dtype)
        if len(weight.shape) > 0:
            weight = _vector("sample_weight", weight, dtype)
        return y_true, y_pred, ops.broadcast_to(weight, ops.shape(y_true))


def _vector(name, values, dtype):
    values = ops.convert_to_tensor(values)
    shape = tuple(values.shape)
    if len(shape) not in (1, 2) or (len(shape) == 2 and shape[1] not in (1, None)):
        raise ValueError(f"`{name}` must have the shape [B] or [B, 1]. Received: shape={shape}")
    return ops.reshape(ops.cast(values, dtype), (-1,))


def _divide(sums, counts, otherwise):
    """Divide where something was counted, with a finite divisor on both sides of the choice."""
    safe = ops.where(counts > 0, counts, ops.ones_like(counts))
    return ops.where(counts > 0, sums / safe, otherwise)


@keras.saving.register_keras_serializable(package="plumkeras")
@known_arguments_only()
class PearsonCorrelation(_SumMetric):
    """Pearson correlation over all samples seen, from six running sums.

    `keras.metrics.PearsonCorrelation` is a mean over batches instead. The sums are float64, for the
    difference of squares cancels where the mean is large against the spread. JAX has no float64 by
    default: there they are float32, and the relative error grows as `1e-7 * (mean / spread)^2`.

    Args:
        name: string. Defaults to `"corr"`.
        **kwargs: `dtype`, as in `keras.Metric`; it does not change how the sums are kept.

    Call arguments:
        y_true: the labels, `[B]` or `[B, 1]`.
        y_pred: the predictions, `[B]` or `[B, 1]`.
        sample_weight: optional; scalar, `[B]` or `[B, 1]`.

    Returns:
        A float32 scalar in [-1, 1]. NaN, "undefined", where labels or predictions are constant (a
        standard deviation below a millionth of the root mean square) or nothing was seen.

    Reference: `sentiment_report`, whose values it streams to.
    """

    def __init__(self, name: str = "corr", **kwargs):
        super().__init__(name=name, **kwargs)
        self._sum_dtype = "float32" if keras.backend.backend() == "jax" else "float64"
        # Total weight, then the weighted sums of x, y, x^2, y^2 and xy.
        self.sums = self._add_sum("sums", shape=(6,), dtype=self._sum_dtype)

    def update_state(self, y_true, y_pred, sample_weight=None):
        x, y, weight = self._vectors(y_true, y_pred, sample_weight, self._sum_dtype)
        terms = ops.stack([ops.ones_like(x), x, y, x * x, y * y, x * y])
        self.sums.assign(self.sums + ops.sum(terms * weight, axis=1))

    def result(self):
        sums = ops.convert_to_tensor(self.sums)
        _, x, y, xx, yy, xy = ops.unstack(_divide(sums, sums[0], 0.0), 6)
        variance_x, variance_y = xx - x * x, yy - y * y
        ratio = CONSTANT[self._sum_dtype]
        defined = ops.logical_and(variance_x > ratio * xx, variance_y > ratio * yy)
        product = ops.where(defined, variance_x * variance_y, ops.ones_like(xy))
        correlation = ops.clip((xy - x * y) / ops.sqrt(product), -1.0, 1.0)
        return ops.cast(ops.where(defined, correlation, float("nan")), "float32")


@keras.saving.register_keras_serializable(package="plumkeras")
@known_arguments_only()
class RoundedAccuracy(_SumMetric):
    """Share of samples whose label and prediction, clipped to `±limit`, round to the same integer.

    Rounding is half to even (0.5 to 0, 1.5 and 2.5 to 2), as numpy's.

    Args:
        limit: int. 3 gives seven classes, 2 gives five. Defaults to `3`.
        name: string. Defaults to `acc<2 limit + 1>`, as `"acc7"`.
        **kwargs: `dtype`, as in `keras.Metric`.

    Call arguments: those of `PearsonCorrelation`.

    Returns:
        A float32 scalar in [0, 1]; NaN where nothing was seen.

    Reference: `sentiment_report`, whose values it streams to.
    """

    def __init__(self, limit: int = 3, name: str | None = None, **kwargs):
        _check_positive("limit", limit)
        super().__init__(name=name or f"acc{2 * limit + 1}", **kwargs)
        self.limit = limit
        self.hits = self._add_sum("hits")
        self.total = self._add_sum("total")

    def update_state(self, y_true, y_pred, sample_weight=None):
        true, pred, weight = self._vectors(y_true, y_pred, sample_weight)
        true, pred = (ops.round(ops.clip(v, -self.limit, self.limit)) for v in (true, pred))
        self.hits.assign(self.hits + ops.sum(weight * ops.cast(true == pred, "float32")))
        self.total.assign(self.total + ops.sum(weight))

    def result(self):
        return _divide(ops.convert_to_tensor(self.hits), ops.convert_to_tensor(self.total), np.nan)

    def get_config(self):
        return {**super().get_config(), "limit": self.limit}


class _SignMetric(_SumMetric):
    """The 2x2 confusion of the signs, from which accuracy and F1 follow."""

    def __init__(self, prefix, convention, name, **kwargs):
        if convention not in ("has0", "non0"):
            raise ValueError(f'`convention` must be "has0" or "non0". Received: convention={convention!r}')
        super().__init__(name=name or f"{prefix}_{convention}", **kwargs)
        self.convention = convention
        # Rows are the truth, columns the prediction; negative first.
        self.confusion = self._add_sum("confusion", shape=(2, 2))

    def update_state(self, y_true, y_pred, sample_weight=None):
        y_true, y_pred, weight = self._vectors(y_true, y_pred, sample_weight)
        if self.convention == "has0":
            true, pred = y_true >= 0, y_pred >= 0
        else:
            true, pred = y_true > 0, y_pred > 0
            weight = weight * ops.cast(y_true != 0, "float32")
        cell = 2 * ops.cast(true, "int32") + ops.cast(pred, "int32")
        cells = ops.sum(ops.one_hot(cell, 4, dtype="float32") * weight[:, None], axis=0)
        self.confusion.assign(self.confusion + ops.reshape(cells, (2, 2)))

    def get_config(self):
        return {**super().get_config(), "convention": self.convention}


@keras.saving.register_keras_serializable(package="plumkeras")
@known_arguments_only()
class SentimentAccuracy(_SignMetric):
    """Share of samples whose prediction has the label's sign.

    Args:
        convention: `"non0"` leaves out samples whose label is exactly zero and cuts at `> 0`;
            `"has0"` takes all samples and cuts at `>= 0`. Defaults to `"non0"`.
        name: string. Defaults to `acc2_<convention>`.
        **kwargs: `dtype`, as in `keras.Metric`.

    Call arguments: those of `PearsonCorrelation`.

    Returns:
        A float32 scalar in [0, 1]; NaN where no sample counts.

    Reference: `sentiment_report`, whose values it streams to.
    """

    def __init__(self, convention: str = "non0", name: str | None = None, **kwargs):
        super().__init__("acc2", convention, name, **kwargs)

    def result(self):
        confusion = ops.convert_to_tensor(self.confusion)
        return _divide(ops.sum(ops.diagonal(confusion)), ops.sum(confusion), np.nan)


@keras.saving.register_keras_serializable(package="plumkeras")
@known_arguments_only()
class SentimentF1(_SignMetric):
    """F1 of the sign, weighted by the support of the two classes in the labels.

    Args:
        convention: as in `SentimentAccuracy`. Defaults to `"non0"`.
        name: string. Defaults to `f1_<convention>`.
        **kwargs: `dtype`, as in `keras.Metric`.

    Call arguments: those of `PearsonCorrelation`.

    Returns:
        A float32 scalar in [0, 1]; NaN where no sample counts.

    Reference: `sentiment_report`, whose values it streams to.
    """

    def __init__(self, convention: str = "non0", name: str | None = None, **kwargs):
        super().__init__("f1", convention, name, **kwargs)

    def result(self):
        confusion = ops.convert_to_tensor(self.confusion)
        support, predicted = ops.sum(confusion, axis=1), ops.sum(confusion, axis=0)
        scores = _divide(2.0 * ops.diagonal(confusion), support + predicted, 0.0)
        return _divide(ops.sum(scores * support), ops.sum(support), np.nan)


@keras.saving.register_keras_serializable(package="plumkeras")
@known_arguments_only()
class ClassCentroids(_SumMetric):
    """Mean embedding of each class over all batches seen: the prototypes of eq. 4.

    The variables `sums [C, d]` and `counts [C]` can be read; a count of zero is a class not seen.

    Args:
        num_classes: int. `C`.
        dim: int. `d`, the width of the embeddings.
        name: string. Defaults to `"class_centroids"`.
        **kwargs: `dtype`, as in `keras.Metric`.

    Call arguments:
        labels: int, `[N]` or `[N, 1]`. A row labelled -1 is ignored, even one that is not finite;
            so is a label outside `0 .. C - 1`, since a graph cannot raise. Or `[N, C]` of 0 and 1, one for each label
            of the sample; a row of -1 is ignored.
        embeddings: `[N, d]`.
        sample_weight: optional; scalar, `[N]` or `[N, 1]`.

    Returns:
        float32 `[C, d]`; zeros for a class not seen.

    Example:

    >>> centroids = ClassCentroids(num_classes=2, dim=1)
    >>> centroids.update_state([0, 0, -1], [[1.0], [3.0], [9.0]])
    >>> float(centroids.result()[0, 0])
    2.0

    Reference: eq. 4 of the paper.
    """

    def __init__(self, num_classes: int, dim: int, name: str = "class_centroids", **kwargs):
        _check_positive("num_classes", num_classes)
        _check_positive("dim", dim)
        super().__init__(name=name, **kwargs)
        self.num_classes = num_classes
        self.dim = dim
        self.sums = self._add_sum("sums", shape=(num_classes, dim))
        self.counts = self._add_sum("counts", shape=(num_classes,))

    def update_state(self, labels, embeddings, sample_weight=None):
        embeddings = ops.cast(embeddings, "float32")
        shape = tuple(embeddings.shape)
        if len(shape) != 2 or shape[1] not in (self.dim, None):
            raise ValueError(f"`embeddings` must have the shape [N, {self.dim}]. Received: shape={shape}")
        valid, classes = self._members(labels)
        weight = self._vectors(valid, valid, sample_weight)[2]
        # `where` and not a product with zero: an ignored row may hold NaN.
        embeddings = ops.where(valid[:, None], embeddings, 0.0)
        classes = classes * ops.where(valid, weight, 0.0)[:, None]
        # A sum of products and not a matmul, which recent GPUs would compute in TF32.
        sums = ops.sum(classes[:, :, None] * embeddings[:, None, :], axis=0)
        self.sums.assign(self.sums + sums)
        self.counts.assign(self.counts + ops.sum(classes, axis=0))

    def _members(self, labels):
        """Which rows count, `[N]`, and of which classes they are, `[N, C]` float32."""
        labels = ops.convert_to_tensor(labels)
        if len(labels.shape) == 2 and labels.shape[1] == self.num_classes and self.num_classes > 1:
            labels = ops.cast(labels, "float32")
            return ops.min(labels, axis=1) >= 0, labels
        labels = _vector("labels", labels, "int32")
        valid = ops.logical_and(labels >= 0, labels < self.num_classes)
        return valid, ops.one_hot(ops.where(valid, labels, 0), self.num_classes, dtype="float32")

    def result(self):
        counts = ops.convert_to_tensor(self.counts)[:, None]
        return _divide(ops.convert_to_tensor(self.sums), counts, 0.0)

    def get_config(self):
        return {**super().get_config(), "num_classes": self.num_classes, "dim": self.dim}


def _check_positive(name, value):
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(f"`{name}` must be a positive integer. Received: {name}={value!r}")
