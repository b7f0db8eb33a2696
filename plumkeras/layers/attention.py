"""Multi-head attention and layer normalisation in fewer operations, over the variables of Keras's own layers."""

import keras
from keras import ops

# Far below any logit, and finite: a softmax gives such a frame exactly 0.
_MASKED = -1e9


def per_frame(layer, sequence):
    """Applies a layer of rows `[N, d]` to the frames of `[B, T, d]`, as one matrix product without batch axes."""
    rows = layer(ops.reshape(sequence, (-1, sequence.shape[-1])))
    return ops.reshape(rows, (*ops.shape(sequence)[:-1], rows.shape[-1]))


class MultiHeadAttention(keras.layers.MultiHeadAttention):
    """`keras.layers.MultiHeadAttention` with one matrix product for all projections of a sequence.

    Its variables, and so its weight files, are those of Keras's layer. On JAX and torch the products of queries, keys
    and values are `keras.ops.dot_product_attention`, which takes a GPU's fused kernels where they fit.

    Args:
        hidden_dim: int. Width `d` of query, value and result.
        num_heads: int, a divisor of `hidden_dim`.

    Call arguments:
        query: `[B, T, d]`.
        value: `[B, S, d]`, also the keys.
        attention_mask: `[B, 1, S]` bool, the frames that may be read, or `None`.

    Returns:
        `[B, T, d]`.

    Reference: Vaswani et al. 2017.
    """

    def __init__(self, hidden_dim, num_heads, **kwargs):
        super().__init__(num_heads, hidden_dim // num_heads, **kwargs)

    def call(self, query, value, attention_mask=None):
        if query is value:
            q, k, v = self._project(query, self.query_dense, self.key_dense, self.value_dense)
        else:
            (q,) = self._project(query, self.query_dense)
            k, v = self._project(value, self.key_dense, self.value_dense)
        attended = self._attend(q, k, v, attention_mask)
        width = attended.shape[-1] * attended.shape[-2]
        rows = ops.reshape(attended, (-1, width))
        kernel = ops.reshape(ops.convert_to_tensor(self.output_dense.kernel), (width, -1))
        rows = ops.add(ops.matmul(rows, kernel), ops.convert_to_tensor(self.output_dense.bias))
        return ops.reshape(rows, (*ops.shape(query)[:-1], rows.shape[-1]))

    def _project(self, sequence, *projections):
        """A list of `[B, T, heads, d / heads]`, one for each projection."""
        width = sequence.shape[-1]
        kernels = [ops.reshape(ops.convert_to_tensor(p.kernel), (width, -1)) for p in projections]
        biases = [ops.reshape(ops.convert_to_tensor(p.bias), (-1,)) for p in projections]
        rows = ops.reshape(sequence, (-1, width))
        rows = ops.add(ops.matmul(rows, ops.concatenate(kernels, axis=1)), ops.concatenate(biases))
        batch, frames = ops.shape(sequence)[:2]
        parts = ops.split(rows, len(projections), axis=-1) if len(projections) > 1 else [rows]
        return [ops.reshape(part, (batch, frames, self.num_heads, self.key_dim)) for part in parts]

    def _attend(self, query, key, value, mask):
        """`[B, T, heads, d / heads]`: the values by the softmax of the scaled products, in float32 at least."""
        scale = self.key_dim**-0.5
        if mask is not None:
            mask = mask[:, None]
        if keras.backend.backend() != "tensorflow":
            return ops.dot_product_attention(query, key, value, mask=mask, scale=scale)
        query, value = (ops.transpose(part, (0, 2, 1, 3)) for part in (query * scale, value))
        logits = ops.matmul(query, ops.transpose(key, (0, 2, 3, 1)))
        logits = ops.cast(logits, keras.backend.result_type(logits.dtype, "float32"))
        if mask is not None:
            logits = logits + ops.cast(ops.where(mask, 0.0, _MASKED), logits.dtype)
        # Keras warns of a softmax over one key. It is always 1, with a gradient of 0.
        weights = ops.exp(logits - logits) if logits.shape[-1] == 1 else ops.softmax(logits)
        attended = ops.matmul(ops.cast(weights, value.dtype), value)
        return ops.transpose(attended, (0, 2, 1, 3))


class LayerNormalization(keras.layers.LayerNormalization):
    """`keras.layers.LayerNormalization` over the last axis, whose gradient on TensorFlow is the closed form.

    TensorFlow would differentiate its ten operations one by one, and keep what each has computed.
    """

    def call(self, inputs, training=False):
        if not training or keras.backend.backend() != "tensorflow":
            return super().call(inputs)
        inputs = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        gamma, beta = (ops.cast(ops.convert_to_tensor(w), inputs.dtype) for w in (self.gamma, self.beta))

        @ops.custom_gradient
        def normalize(x, gamma, beta):
            centred = x - ops.mean(x, axis=-1, keepdims=True)
            scale = ops.rsqrt(ops.mean(centred * centred, axis=-1, keepdims=True) + self.epsilon)
            normal = centred * scale

            def gradient(upstream):
                axes = tuple(range(len(x.shape) - 1))
                inner = upstream * gamma
                across = ops.mean(inner, axis=-1, keepdims=True)
                along = ops.mean(inner * normal, axis=-1, keepdims=True)
                d_gamma, d_beta = ops.sum(upstream * normal, axis=axes), ops.sum(upstream, axis=axes)
                return scale * (inner - across - normal * along), d_gamma, d_beta

            return normal * gamma + beta, gradient

        return ops.cast(normalize(inputs, gamma, beta), self.compute_dtype)
