"""The lean attention and layer normalisation against Keras's own layers over the same weights."""

import warnings

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.layers import closed_gradients
from plumkeras.layers.attention import (
    LayerNormalization,
    MultiHeadAttention,
    SelfAttention,
    gelu,
    join_frames,
    split_frames,
)

RANDOM = np.random.default_rng(0)


def array(*shape):
    return RANDOM.normal(size=shape).astype("float32")


@pytest.mark.parametrize("frames", [5, 1])
@pytest.mark.parametrize("is_self", [True, False])
@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
def test_attention_is_that_of_keras(is_self, frames, dtype):
    keras.utils.set_random_seed(0)
    query = keras.ops.convert_to_tensor(array(3, frames, 8))
    value = query if is_self else keras.ops.convert_to_tensor(array(3, 4, 8))
    mask = np.arange(value.shape[1])[None, :] < np.array([value.shape[1], 1, 1])[:, None]
    ours = (SelfAttention if is_self else MultiHeadAttention)(8, 2, dtype=dtype)
    theirs = keras.layers.MultiHeadAttention(2, 4, dtype=dtype)
    for layer in (ours, theirs):
        layer.build(query.shape, value.shape)
    theirs.set_weights([array(*w.shape) for w in theirs.get_weights()])
    ours.set_weights(theirs.get_weights())
    assert [w.path.split("/", 1)[1] for w in ours.weights] == [w.path.split("/", 1)[1] for w in theirs.weights]
    for given in (mask,) if is_self else (None, mask):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Keras's own layer warns of one key.
            expected = theirs(query, value, attention_mask=None if given is None else given[:, None, :])
        if is_self:
            found = split_frames(ours(join_frames([query]), [given]), [query.shape[:2]])[0]
        else:
            found = ours(query, value, given)
        assert found.dtype == expected.dtype
        tolerance = 0.2 if dtype == "mixed_bfloat16" else 1e-5
        found, expected = (keras.ops.convert_to_numpy(keras.ops.cast(v, "float32")) for v in (found, expected))
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_the_closed_gradient_is_that_of_keras():
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the closed form is TensorFlow's alone")
    x, upstream = tf.constant(array(4, 3, 8)), tf.constant(array(4, 3, 8))
    gradients = []
    for layer in (LayerNormalization(), keras.layers.LayerNormalization()):
        layer.build(x.shape)
        layer.set_weights([np.linspace(0.5, 2, 8, dtype="float32"), np.linspace(-1, 1, 8, dtype="float32")])
        with tf.GradientTape() as tape:
            tape.watch(x)
            options = {"training": True} if isinstance(layer, LayerNormalization) else {}
            result = layer(x, **options)
            loss = tf.reduce_sum(result * upstream)
        gradients.append([result, *tape.gradient(loss, [x, *(w.value for w in layer.weights)])])
    for found, expected in zip(*gradients, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("options, frames", [({"fusion": "vector"}, 4), ({}, 1)])
def test_every_variable_has_a_gradient_where_there_is_one_key(options, frames):
    """Keras leaves a variable without a gradient out of the step, weight decay and all, and warns."""
    network = plumkeras.PLUMNet({"text": 4}, hidden_dim=8, num_layers=1, num_heads=2, **options)
    x, y = {"text": array(8, frames, 4)}, np.linspace(-1, 1, 8)
    network.adapt(x)
    trainer = plumkeras.RefinementTrainer(network)
    trainer.compile("adam")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        trainer.fit(x, y, epochs=1, verbose=0)


@pytest.mark.parametrize("dtype", ["float32", "float64", "mixed_bfloat16"])
@pytest.mark.parametrize("masked", [True, False])
def test_the_closed_gradients_are_those_of_the_plain_operations(masked, dtype):
    """`training=True` takes the closed forms, `training=False` the operations that TensorFlow differentiates."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the closed forms are TensorFlow's alone")
    layer = MultiHeadAttention(8, 2, dtype=dtype)
    width = "float64" if dtype == "float64" else "float32"
    query, value = (tf.constant(array(3, frames, 8), width) for frames in (5, 4))
    layer.build(query.shape, value.shape)
    mask = np.arange(4)[None, :] < np.array([4, 1, 2])[:, None] if masked else None
    found = {}
    for training in (True, False):
        with tf.GradientTape() as tape:
            tape.watch([query, value])
            result = gelu(layer(query, value, mask, training=training), training)
            loss = tf.reduce_sum(tf.sin(tf.cast(result, width)))
        found[training] = [loss, *tape.gradient(loss, [query, value, *(w.value for w in layer.weights)])]
    # TensorFlow has a constant of its GELU in float32.
    tolerance = {"float64": 1e-7, "float32": 1e-5, "mixed_bfloat16": 0.1}[dtype]
    for closed, plain in zip(found[True], found[False], strict=True):
        np.testing.assert_allclose(closed, plain, rtol=tolerance, atol=tolerance)


def test_one_query_reads_several_values_as_it_reads_each():
    layer = MultiHeadAttention(8, 2)
    query, values = array(1, 1, 8), [array(3, 5, 8), array(3, 2, 8)]
    layer.build(query.shape, values[0].shape)
    masks = [np.arange(v.shape[1])[None, :] < np.array([2, 1, 1])[:, None] for v in values]
    for given in (masks, None):
        for training in (False, True):
            together = layer(query, values, given, training=training)
            alone = [layer(query, v, given and m, training=training) for v, m in zip(values, masks, strict=True)]
            np.testing.assert_allclose(together, keras.ops.concatenate(alone), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("masked", [True, False])
def test_the_closed_gradients_of_a_graph_are_those_of_a_tape(masked):
    """Differentiated from outside, a function asks what TensorFlow has registered, which must hold no graph."""
    tf = pytest.importorskip("tensorflow")
    heads = [tf.constant(array(2, 2, 4, 3)) for _ in range(3)]
    bias = tf.where(tf.constant([[[[True, True, False, True]]]]), 0.0, -1e9) if masked else None
    cases = {
        "gelu": (closed_gradients.gelu, [tf.constant(array(3, 4))]),
        "layer_normalization": (
            lambda *tensors: closed_gradients.layer_normalization(*tensors, 1e-3),
            [tf.constant(array(3, 4)), tf.constant(array(4)), tf.constant(array(4))],
        ),
        "attention": (lambda *tensors: closed_gradients.attention(*tensors, bias), heads),
    }
    for name, (function, inputs) in cases.items():
        found = []
        for call in (function, tf.function(function)):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                value = tf.reduce_sum(tf.square(call(*inputs)))
            found.append(tape.gradient(value, inputs))
        for own, expected in zip(found[1], found[0], strict=True):
            assert np.abs(expected).max() > 0.01, name
            np.testing.assert_allclose(own, expected, rtol=1e-5, atol=1e-6, err_msg=name)
