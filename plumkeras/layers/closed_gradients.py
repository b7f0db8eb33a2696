"""What a layer computes in training on TensorFlow, with its gradient in closed form.

TensorFlow would differentiate one operation after the other, and keep what each has computed.
"""

import math


def _with_gradient(function, *tensors):
    """`tf.custom_gradient(function)(*tensors)`, which does not outlive its graph.

    TensorFlow registers the gradient of each call of a graph for good, and with it the graph, hundreds of megabytes. A
    tape does not need what is registered; for others it is replaced by one that reads the operation's inputs.
    """
    import tensorflow as tf
    from tensorflow.python.framework import ops

    def gradient(operation, upstream, *_):
        return [None, *function(*operation.inputs[1:])[1](upstream)]

    result = tf.custom_gradient(function)(*tensors)
    if not tf.executing_eagerly():
        name = result.op.get_attr("_gradient_op_type").decode()
        registered = getattr(getattr(ops, "gradient_registry", None), "_registry", {})
        if registered.pop(name, None) is not None:
            tf.RegisterGradient(name)(gradient)
    return result


def gelu(x):
    """`x * Phi(x)`, with the normal distribution's `Phi`. Reference: Hendrycks and Gimpel 2016."""
    import tensorflow as tf

    def activate(x):
        below = 0.5 + 0.5 * tf.math.erf(x * 0.5**0.5)

        def gradient(upstream):
            density = (2 * math.pi) ** -0.5 * tf.exp(-0.5 * tf.square(x))
            return (upstream * (below + x * density),)

        return x * below, gradient

    return _with_gradient(activate, x)


def layer_normalization(x, gamma, beta, epsilon):
    """`x` over its last axis. Reference: Ba et al. 2016."""
    import tensorflow as tf

    def normalize(x, gamma, beta):
        centred = x - tf.reduce_mean(x, axis=-1, keepdims=True)
        scale = tf.math.rsqrt(tf.reduce_mean(tf.square(centred), axis=-1, keepdims=True) + epsilon)
        normal = centred * scale

        def gradient(upstream):
            axes = list(range(len(x.shape) - 1))
            inner = upstream * gamma
            across = tf.reduce_mean(inner, axis=-1, keepdims=True)
            along = tf.reduce_mean(inner * normal, axis=-1, keepdims=True)
            d_gamma, d_beta = tf.reduce_sum(upstream * normal, axis=axes), tf.reduce_sum(upstream, axis=axes)
            return scale * (inner - across - normal * along), d_gamma, d_beta

        return normal * gamma + beta, gradient

    return _with_gradient(normalize, x, gamma, beta)


def attention(query, key, value, bias):
    """Multi-head attention: `query` `[B, H, T, d / H]` scaled, `key` and `value` `[B, H, S, d / H]`.

    The weights `[B, H, T, S]` are computed again for the gradient; the extra work costs less than the memory to keep
    them.

    Args:
        bias: `[B, 1, 1, S]` in float32 at least, added to the products; or `None`.

    Reference: Dao et al. 2022, section 3.1 and appendix B.
    """
    import tensorflow as tf

    def softmax(query, key, bias):
        logits = tf.matmul(query, key, transpose_b=True)
        logits = tf.cast(logits, tf.float64 if logits.dtype == tf.float64 else tf.float32)
        return tf.nn.softmax(logits + bias[0] if bias else logits)

    def attend(query, key, value, *bias):
        result = tf.matmul(tf.cast(softmax(query, key, bias), value.dtype), value)

        def gradient(upstream):
            # Wait for the upstream gradient: the executor would otherwise compute the weights early and hold them.
            with tf.control_dependencies([upstream]):
                again = tf.identity(query)
            weights = softmax(again, key, bias)
            d_weights = tf.cast(tf.matmul(upstream, value, transpose_b=True), weights.dtype)
            wide = tf.cast(upstream, weights.dtype) * tf.cast(result, weights.dtype)
            mean = tf.reduce_sum(wide, axis=-1, keepdims=True)
            d_logits = tf.cast(weights * (d_weights - mean), query.dtype)
            d_value = tf.matmul(tf.cast(weights, value.dtype), upstream, transpose_a=True)
            d_query, d_key = tf.matmul(d_logits, key), tf.matmul(d_logits, query, transpose_a=True)
            return (d_query, d_key, d_value, *(None for _ in bias))

        return result, gradient

    return _with_gradient(attend, query, key, value, *([] if bias is None else [bias]))
