"""What the objectives of the published models share: terms over a whole batch, and rows that take part in them."""

import keras
from keras import ops

from plumkeras.objectives.alignment import takes_part


class _BatchValue(keras.losses.Loss):
    """A value of the whole batch, which `__call__` scales for `tf.distribute` as it does any other loss."""

    def call(self, y_true, y_pred):
        # Keras takes a scalar for reduced, and does not scale it.
        return ops.reshape(y_pred, (1,))


_batch_value = _BatchValue(name="batch_value")


def batch_term(value):
    """A scalar computed from the whole batch, gathered from all replicas, as a term of the loss of one replica."""
    value = ops.cast(value, "float32")
    return _batch_value(value, value)


def rows_with(outputs, modalities, sample_weight=None):
    """Rows `[N]` float32, 1 for samples that have every one of the modalities and a weight that is not 0, else 0."""
    used = takes_part(outputs[f"{modalities[0]}_present"], sample_weight)
    for m in modalities[1:]:
        used = ops.logical_and(used, outputs[f"{m}_present"])
    return ops.cast(used, "float32")


def mean_of_rows(values, rows, sample_weight=None):
    """Mean of values `[N]`, times the weights of their samples, over the rows that count; 0 where none does."""
    values = ops.where(rows > 0, ops.cast(values, "float32"), 0.0)
    if sample_weight is not None:
        values = values * ops.cast(ops.reshape(sample_weight, (-1,)), "float32")
    return ops.sum(values) / ops.maximum(ops.sum(rows), 1.0)
