"""The loss terms of both stages that Keras does not have.

Each `call` returns unreduced values, and `keras.losses.Loss.__call__` reduces and scales them once. A mean over the
rows that count (valid anchors, present rows) is had from Keras's own mean over `N` rows by the factor `N / V`; `N` and
`V` are counts of the whole (global) batch.
"""

from collections.abc import Sequence

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.masking import PACKAGE

POSITIVES = ("all", "cross")
_EXCLUDED = -1e9


def _per_valid_row(values, valid):
    """`values` where `valid`, scaled so that the mean over all rows is the mean over the valid ones."""
    rows = ops.cast(ops.shape(values)[0], values.dtype)
    weight = ops.cast(valid, values.dtype)
    return ops.where(valid, values, ops.zeros_like(values)) * rows / ops.maximum(ops.sum(weight), 1)


def _alike(y_true):
    """Which rows have a class, `[N]`, and which pairs of rows have the same, or share a label, `[N, N]`."""
    y_true = ops.convert_to_tensor(y_true)
    if len(y_true.shape) == 2 and y_true.shape[1] != 1:
        sets = ops.cast(y_true, "float32")
        used = ops.min(sets, axis=1) >= 0
        sets = ops.where(used[:, None], sets, 0.0)
        return used, ops.matmul(sets, ops.transpose(sets)) > 0
    classes = ops.cast(ops.reshape(y_true, (-1,)), "int32")
    return classes >= 0, classes[:, None] == classes[None, :]


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class SupervisedContrastiveLoss(keras.losses.Loss):
    """Supervised contrastive loss with cosine similarity: the expectation of eq. 1 over its random positive.

    For an anchor, the mean over its positives of `-log softmax` of the similarities divided by the temperature.
    Called with classes `[N]`, or label sets `[N, L]` of 0 and 1 of which positives share one, and embeddings `[N, d]`.
    Class -1, or a set of -1: the row is ignored everywhere. An anchor without a positive is not valid; a batch without
    a valid anchor gives 0.

    Args:
        temperature: float. Defaults to `0.1`.
        include_self: bool. Whether the anchor itself is in the denominator, as eq. 1 and 2 are printed.
            Defaults to `False`.
        positives: `"all"`, rows of the anchor's class; or `"cross"`, those of other groups only (eq. 2's text:
            positives are same-class members of OTHER modalities). Defaults to `"all"`.
        num_groups: int. With `"cross"`, the rows are that many equal groups, one after another: the modalities of
            `[M * B, d]`. Defaults to `1`.

    Returns:
        `call` gives `[N]`: `per_anchor * valid * N / max(V, 1)` with `V` valid anchors.

    Example:
        >>> loss = SupervisedContrastiveLoss(temperature=1.0)
        >>> round(float(loss(np.array([0, 0, 1]), np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]))), 4)
        0.3133

    Reference: Khosla et al. 2020, eq. 2; PLUM-Net, eq. 1-2.
    """

    def __init__(
        self,
        temperature: float = 0.1,
        include_self: bool = False,
        positives: str = "all",
        num_groups: int = 1,
        reduction: str = "sum_over_batch_size",
        name: str = "supervised_contrastive_loss",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if temperature <= 0:
            raise ValueError(f"`temperature` must be positive. Received: temperature={temperature}")
        if positives not in POSITIVES:
            raise ValueError(f"`positives` must be one of {POSITIVES}. Received: positives={positives!r}")
        self.temperature = temperature
        self.include_self = include_self
        self.positives = positives
        self.num_groups = num_groups

    def call(self, y_true, y_pred):
        embeddings = ops.cast(y_pred, "float32")
        # `ops.norm` has NaN gradients at zero on JAX; this has none.
        squares = ops.sum(embeddings * embeddings, axis=-1, keepdims=True)
        embeddings = embeddings * ops.rsqrt(ops.maximum(squares, 1e-12))

        index = ops.arange(ops.shape(embeddings)[0])
        other = index[:, None] != index[None, :]
        used, alike = _alike(y_true)
        positive = ops.logical_and(alike, other)
        positive = ops.logical_and(positive, used[None, :])
        if self.positives == "cross":
            group = index // (ops.shape(embeddings)[0] // self.num_groups)
            positive = ops.logical_and(positive, group[:, None] != group[None, :])
        candidate = ops.broadcast_to(used[None, :], ops.shape(other))
        if not self.include_self:
            candidate = ops.logical_and(candidate, other)

        similarity = ops.matmul(embeddings, ops.transpose(embeddings)) / self.temperature
        log_probability = similarity - ops.logsumexp(ops.where(candidate, similarity, _EXCLUDED), axis=1, keepdims=True)
        count = ops.sum(ops.cast(positive, "float32"), axis=1)
        per_anchor = -ops.sum(ops.where(positive, log_probability, 0.0), axis=1) / ops.maximum(count, 1)
        return _per_valid_row(per_anchor, ops.logical_and(used, count > 0))

    def get_config(self):
        return {
            **super().get_config(),
            "temperature": self.temperature,
            "include_self": self.include_self,
            "positives": self.positives,
            "num_groups": self.num_groups,
        }


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class BranchCrossentropy(keras.losses.Loss):
    """Cross-entropy of a branch's logits, over the rows that have a target.

    Called with target distributions `[N, C]` (an all-zero row is ignored) and logits `[N, C]`.

    Args:
        class_balanced: bool. Weighs each class by the inverse of its share among the targets of the (global) batch;
            the weights of the valid rows sum to their number. Defaults to `False`.
        label_smoothing: float in `[0, 1)`. Defaults to `0`.
        class_weight: weights of the classes, `C` numbers, or `None`. A row's value is multiplied by the mean of its
            target's weights.

    Returns:
        `call` gives `[N]`: `per_row * valid * N / max(V, 1)` with `V` valid rows.

    Example:
        >>> loss = BranchCrossentropy()
        >>> logits = np.array([[0.0, 0.0], [5.0, 1.0]])
        >>> round(float(loss(np.array([[0.0, 1.0], [0.0, 0.0]]), logits)), 4)  # log 2: the second row has no target
        0.6931

    Reference: PLUM-Net, eq. 6-7.
    """

    def __init__(
        self,
        class_balanced: bool = False,
        label_smoothing: float = 0.0,
        class_weight: Sequence[float] | None = None,
        reduction: str = "sum_over_batch_size",
        name: str = "branch_crossentropy",
        dtype=None,
    ):
        super().__init__(name=name, reduction=reduction, dtype=dtype)
        if not 0 <= label_smoothing < 1:
            raise ValueError(f"`label_smoothing` must lie in [0, 1). Received: label_smoothing={label_smoothing}")
        self.class_balanced = class_balanced
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight and tuple(class_weight)

    def call(self, y_true, y_pred):
        target = ops.cast(y_true, "float32")
        valid = ops.sum(target, axis=-1) > 0
        smoothed = target
        if self.label_smoothing:
            uniform = 1.0 / target.shape[-1]
            smoothed = ops.where(
                valid[:, None], target * (1 - self.label_smoothing) + self.label_smoothing * uniform, target
            )
        per_row = -ops.sum(smoothed * ops.log_softmax(ops.cast(y_pred, "float32"), axis=-1), axis=-1)
        if self.class_balanced:
            count = ops.sum(target, axis=0)
            classes = ops.sum(ops.cast(count > 0, "float32"))
            weight = ops.where(count > 0, ops.sum(count) / (ops.maximum(classes, 1) * ops.maximum(count, 1e-6)), 0.0)
            per_row = per_row * ops.sum(target * weight[None, :], axis=-1)
        if self.class_weight is not None:
            per_row = per_row * ops.sum(target * ops.convert_to_tensor(self.class_weight, "float32"), axis=-1)
        return _per_valid_row(per_row, valid)

    def get_config(self):
        return {
            **super().get_config(),
            "class_balanced": self.class_balanced,
            "label_smoothing": self.label_smoothing,
            "class_weight": self.class_weight,
        }
