"""What an exported network reads of a request: the inputs of its signatures, refused or cleaned in the graph.

TensorFlow is imported late.
"""

from plumkeras.features import LIMIT, TOKEN_IDS, input_name


def input_specs(feature_dims, from_text=False):
    """The inputs of a signature: dict by name of `tf.TensorSpec`, batch and time free.

    Args:
        feature_dims: dict from modality to width; 0 of token ids.
        from_text: bool. Whether it takes strings in place of token ids and their lengths. Defaults to `False`.
    """
    import tensorflow as tf

    specs = {}
    for m, width in feature_dims.items():
        if width == TOKEN_IDS and from_text:
            specs[m] = tf.TensorSpec((None,), tf.string, name=m)
            continue
        name, ids = input_name(m, width), width == TOKEN_IDS
        shape, dtype = ((None, None), tf.int32) if ids else ((None, None, width), tf.float32)
        specs[name] = tf.TensorSpec(shape, dtype, name=name)
        specs[f"{m}_length"] = tf.TensorSpec((None,), tf.int32, name=f"{m}_length")
    return specs


def checked(inputs, feature_dims, text_encoder=None, tokenizer=None):
    """What the network reads of a request, refused or cleaned, in the graph.

    Args:
        inputs: dict of tensors by the names of `input_specs`.
        feature_dims: dict from modality to width; 0 of token ids.
        text_encoder: `layers.TextEncoder` that reads the token ids, or None.
        tokenizer: `graph_tokenizer.GraphTokenizer` where the inputs are strings in place of token ids, or None.

    Returns:
        The dict, features finite and every modality at least one frame long.
    """
    import tensorflow as tf

    specs = input_specs(feature_dims, tokenizer is not None)
    shaped = {name: _with_shape(inputs[name], spec.shape, name) for name, spec in specs.items()}
    first = next(iter(shaped))
    batch, checks = tf.shape(shaped[first])[0], []
    for name, value in shaped.items():
        if name != first:
            rows = tf.shape(value)[0]
            told = [f"{name}: has another batch size than {first}. Received, and of {first}:", rows, batch]
            checks.append(tf.debugging.Assert(tf.equal(rows, batch), told))
    for m, width in feature_dims.items():
        if f"{m}_length" in shaped:
            name = input_name(m, width)
            checks.append(_length_check(shaped[f"{m}_length"], shaped[name], m, name))
        if f"{m}_ids" in shaped and width == TOKEN_IDS:
            checks += _id_checks(shaped[f"{m}_ids"], f"{m}_ids", text_encoder)
    ready = {}
    with tf.control_dependencies(checks):
        for m, width in feature_dims.items():
            if m in shaped and width == TOKEN_IDS:
                ready[f"{m}_ids"], ready[f"{m}_length"] = tokenizer(shaped[m])
                continue
            name = input_name(m, width)
            values = shaped[name] if width == TOKEN_IDS else _cleaned(shaped[name])
            ready[name], ready[f"{m}_length"] = _one_frame_or_more(values), tf.identity(shaped[f"{m}_length"])
    return ready


def _length_check(length, values, modality, name):
    import tensorflow as tf

    frames = tf.shape(values)[1]
    within = tf.reduce_all(tf.logical_and(length >= 0, length <= frames))
    told = f"{modality}_length: must be within 0 and the number of frames of {name}. Received, and frames:"
    return tf.debugging.Assert(within, [told, length, frames])


def _id_checks(ids, name, text_encoder):
    import tensorflow as tf

    last, tokens = text_encoder.vocabulary_size - 1, tf.shape(ids)[1]
    outside = tf.boolean_mask(ids, tf.logical_or(ids < 0, ids > last))
    return [
        tf.debugging.Assert(
            tf.equal(tf.size(outside), 0), [f"{name}: must be token ids of 0 to {last}. Received:", outside]
        ),
        tf.debugging.Assert(
            tokens <= text_encoder.longest,
            [f"{name}: must have at most {text_encoder.longest} tokens. Received, tokens:", tokens],
        ),
    ]


def _with_shape(value, shape, name):
    import tensorflow as tf

    # A server feeds what the client sent, whatever the signature says. Behind an input of unknown shape the check
    # cannot be optimised away, and its error has the name of that input.
    with tf.name_scope(f"{name}_of_request"):
        loose = tf.compat.v1.placeholder_with_default(value, tf.TensorShape(None), name=name)
        return tf.ensure_shape(loose, shape, name=f"{name}_shape")


def _cleaned(features):
    import tensorflow as tf

    def clean():
        # NaN fails the comparison too.
        return tf.where(tf.abs(features) <= LIMIT, features, tf.zeros_like(features))

    # One reading pass tells that nothing needs cleaning: a value to be cleaned would alone make half the sum of squares
    # five times as large, or NaN.
    surely_clean = tf.nn.l2_loss(features) < LIMIT**2 / 10
    return tf.cond(surely_clean, lambda: features, clean)


def _one_frame_or_more(values):
    import tensorflow as tf

    # Attention needs a frame to look at, and a request may have none.
    lacking = tf.maximum(1 - tf.shape(values)[1], 0)
    return tf.pad(values, [[0, 0], [0, lacking], [0, 0]][: values.shape.rank])
