"""Multi-head attention, layer normalisation and GELU in fewer operations, over the variables of Keras's own layers."""

import itertools

import keras
from keras import ops

from plumkeras.layers import closed_gradients

# Far below any logit, and finite: a softmax gives such a frame exactly 0.
_MASKED = -1e9


def per_frame(layer, sequence):
    """Applies a layer of rows `[N, d]` to the frames of `[B, T, d]`, as one matrix product without batch axes."""
    rows = layer(join_frames([sequence]))
    return ops.reshape(rows, (*ops.shape(sequence)[:-1], rows.shape[-1]))


def processed_together(modalities):
    """Groups of modalities whose frames go through weights that they share as one: all of them on TensorFlow.

    On JAX every modality is a group: rows of several, joined, would move between the devices of a batch.
    """
    return [list(modalities)] if keras.backend.backend() == "tensorflow" else [[m] for m in modalities]


def join_frames(sequences):
    """The frames of several `[B, T, d]`, one sequence after another: `[N, d]`."""
    rows = [ops.reshape(sequence, (-1, sequence.shape[-1])) for sequence in sequences]
    return rows[0] if len(rows) == 1 else ops.concatenate(rows)


def split_frames(rows, shapes):
    """The inverse of `join_frames`: a list of `[B, T, d]`, whose `(B, T)` are `shapes`."""
    parts = _split(rows, [batch * frames for batch, frames in shapes]) if len(shapes) > 1 else [rows]
    return [ops.reshape(part, (*shape, rows.shape[-1])) for part, shape in zip(parts, shapes, strict=True)]


def _split(rows, sizes):
    if keras.backend.backend() == "tensorflow":
        # Sizes are tensors in a graph, which `keras.ops.split` does not take.
        import tensorflow as tf

        return tf.split(rows, sizes)
    return ops.split(rows, list(itertools.accumulate(sizes))[:-1])


class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with one matrix product for all projections of a sequence.

    Its variables, and so its weight files, are those of Keras's layer. On JAX and torch the products of queries, keys
    and values are `keras.ops.dot_product_attention`, which takes a GPU's fused kernels where they fit.

    Args:
        hidden_dim: int. Width `d` of query, value and result.
        num_heads: int, a divisor of `hidden_dim`.

    Call arguments:
        query: `[B, T, d]`, or `[1, T, d]`, the same for every sample.
        value: `[B, S, d]`, also the keys; or a list of several, which the same query reads one by one.
        mask: `[B, S]` bool, the frames of `value` that may be read, or a list for several values. `None`: every frame.

    Returns:
        `[B, T, d]`; of `M` values `[M * B, T, d]`, one after another.

    Reference: Vaswani et al. 2017.
    """

    def __init__(self, hidden_dim, num_heads, **kwargs):
        super().__init__(num_heads, hidden_dim // num_heads, **kwargs)

    def call(self, query, value, mask=None, training=False):
        values = value if isinstance(value, list) else [value]
        masks = mask if isinstance(mask, list) else [mask] * len(values)
        (queries,) = self._heads(self._project(join_frames([query]), self.query_dense), ops.shape(query)[:-1])
        shapes = [ops.shape(one)[:-1] for one in values]
        projected = self._project(join_frames(values), self.key_dense, self.value_dense)
        attended = []
        for part, shape, readable in zip(split_frames(projected, shapes), shapes, masks, strict=True):
            if query.shape[0] == 1:
                queries = ops.broadcast_to(queries[:1], (shape[0], *ops.shape(queries)[1:]))
            attended.append(self._attend(queries, *self._heads(part, shape), readable, training))
        rows = self._merge(attended)
        return ops.reshape(rows, (-1, ops.shape(query)[1], rows.shape[-1]))

    def _project(self, rows, *projections):
        """The projections of rows `[N, d]`, side by side: `[N, d * len(projections)]`."""
        width = rows.shape[-1]
        kernels = [ops.reshape(ops.convert_to_tensor(p.kernel), (width, -1)) for p in projections]
        biases = [ops.reshape(ops.convert_to_tensor(p.bias), (-1,)) for p in projections]
        return ops.add(ops.matmul(rows, ops.concatenate(kernels, axis=1)), ops.concatenate(biases))

    def _heads(self, projected, shape):
        """The projections of `[B, T, d]` that stand side by side, `shape` being `(B, T)`.

        Each is `[B, T, heads, d / heads]`, with `T` and heads exchanged on TensorFlow.
        """
        count = projected.shape[-1] // (self.num_heads * self.key_dim)
        heads = ops.reshape(projected, (*shape, count, self.num_heads, self.key_dim))
        if keras.backend.backend() != "tensorflow":
            return ops.unstack(heads, axis=2)
        return ops.unstack(ops.transpose(heads, (2, 0, 3, 1, 4)), axis=0)

    def _attend(self, query, key, value, mask, training):
        """`[B, T, heads, d / heads]`: the values by the softmax of the scaled products, in float32 at least."""
        scale = self.key_dim**-0.5
        if keras.backend.backend() != "tensorflow":
            mask = None if mask is None else mask[:, None, None, :]
            return ops.dot_product_attention(query, key, value, mask=mask, scale=scale)
        bias = None
        if mask is not None:
            bias = ops.where(mask, 0.0, _MASKED)[:, None, None, :]
            bias = ops.cast(bias, keras.backend.result_type(query.dtype, "float32"))
        if training and key.shape[2] != 1:
            attended = closed_gradients.attention(query * scale, key, value, bias)
        else:
            attended = _attention(query * scale, key, value, bias)
        return ops.transpose(attended, (0, 2, 1, 3))

    def _merge(self, attended):
        """The output projection of several `[B, T, heads, d / heads]`, joined: `[N, d]`."""
        width = self.num_heads * self.key_dim
        rows = [ops.reshape(part, (-1, width)) for part in attended]
        rows = rows[0] if len(rows) == 1 else ops.concatenate(rows)
        kernel = ops.reshape(ops.convert_to_tensor(self.output_dense.kernel), (width, -1))
        return ops.add(ops.matmul(rows, kernel), ops.convert_to_tensor(self.output_dense.bias))


class SelfAttention(MultiHeadAttention):
    """Attention within each of several sequences, whose frames are joined.

    Call arguments:
        rows: `[N, d]`, from `join_frames`.
        masks: list of `[B, T]` bool, one for each sequence, the frames that may be read.

    Returns:
        `[N, d]`.
    """

    def call(self, rows, masks, training=False):
        shapes = [ops.shape(mask) for mask in masks]
        projected = self._project(rows, self.query_dense, self.key_dense, self.value_dense)
        parts = zip(split_frames(projected, shapes), shapes, masks, strict=True)
        return self._merge([self._attend(*self._heads(part, shape), mask, training) for part, shape, mask in parts])


def _attention(query, key, value, bias):
    logits = ops.matmul(query, ops.transpose(key, (0, 1, 3, 2)))
    logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
    if bias is not None:
        logits = logits + bias
    # Keras warns of a softmax over one key. It is always 1, with a gradient of 0.
    weights = ops.exp(logits - logits) if logits.shape[-1] == 1 else ops.softmax(logits)
    return ops.matmul(ops.cast(weights, value.dtype), value)


class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, whose gradient on TensorFlow is the closed form."""

    def call(self, inputs, training=False):
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        inputs = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        gamma, beta = (ops.cast(ops.convert_to_tensor(w), inputs.dtype) for w in (self.gamma, self.beta))
        return ops.cast(closed_gradients.layer_normalization(inputs, gamma, beta, self.epsilon), self.compute_dtype)


def gelu(x, training=False):
    """The exact GELU, whose gradient on TensorFlow is the closed form."""
    if not training or keras.backend.backend() != "tensorflow":
        return ops.gelu(x, approximate=False)
    return closed_gradients.gelu(x)
