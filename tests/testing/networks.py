"""What the tests of the network share: a test of any layer, small networks and batches, comparisons."""

import json

import keras
import numpy as np
from keras import ops, tree

from plumkeras.models.plum_net import PLUMNet

WIDTHS = {"text": 4, "audio": 3}
MODULE_ROWS = [(), ("msa",), ("msa", "psl_tfb"), ("msa", "psl_tfb", "prm")]


def to_numpy(structure):
    """The structure with float32 (or integer, bool) numpy arrays in place of tensors of any precision."""

    def convert(tensor):
        floating = keras.backend.is_float_dtype(keras.backend.standardize_dtype(tensor.dtype))
        return ops.convert_to_numpy(ops.cast(tensor, "float32") if floating else tensor)

    return tree.map_structure(convert, structure)


def shapes(structure):
    return tree.map_structure(lambda tensor: tuple(tensor.shape), structure)


def dtypes(structure):
    return tree.map_structure(lambda tensor: keras.backend.standardize_dtype(tensor.dtype), structure)


def assert_close(actual, expected, tolerance=1e-5, rows=slice(None)):
    """Every array of `actual` equals its partner; `rows` picks rows of both."""
    assert set(actual) == set(expected)
    for name in expected:
        np.testing.assert_allclose(
            np.asarray(actual[name])[rows],
            np.asarray(expected[name])[rows],
            rtol=tolerance,
            atol=tolerance,
            err_msg=name,
        )


class _Wrapper(keras.Model):
    """Minimises the squared outputs of a layer."""

    def __init__(self, layer, arguments):
        super().__init__()
        self.layer, self.arguments = layer, arguments

    def call(self, x):
        return [o for o in tree.flatten(self.layer(*[x[name] for name in self.arguments])) if "float" in o.dtype.name]

    def compute_loss(self, x=None, y=None, y_pred=None, sample_weight=None, training=True):
        return sum(ops.mean(ops.square(ops.cast(o, "float32") - 1.0)) for o in y_pred)


def run_layer_test(layer_class, init, call, output_shape, trainable, non_trainable=0):
    """The life of a layer: configuration, build, symbolic call, eager call, mixed precision, one fit.

    Args:
        layer_class: class of the layer.
        init: dict of constructor arguments.
        call: dict of the call's arguments in order, structures of numpy arrays with the batch first.
        output_shape: structure of shapes of the result.
        trainable, non_trainable: numbers of weights.
    """
    # Of a hundred seeds one or two differ by more than the tolerance in 16 bits.
    keras.utils.set_random_seed(0)
    layer = layer_class(**init, name="tested")
    config = layer.get_config()
    json.dumps(config)
    revived = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert type(revived) is layer_class
    assert revived.get_config() == config
    for name, value in init.items():
        assert isinstance(value, keras.layers.Layer) or config[name] == value, name

    def symbol(array):
        # Unknown batch and time, known width.
        known = array.shape[-1:] if array.dtype == "float32" else (None,)
        return keras.KerasTensor((None,) * (array.ndim - 1) + known, dtype=array.dtype.name)

    def symbolic(of):
        return of(*tree.map_structure(symbol, list(call.values())))

    symbols, fresh = symbolic(layer), layer_class(**init)
    arguments = tree.map_structure(ops.convert_to_tensor, list(call.values()))
    for tested in (layer, fresh):  # Built symbolically, and by eager data.
        result = tested(*arguments)
        assert shapes(result) == output_shape
        assert dtypes(symbols) == dtypes(result)
        for known, actual in zip(tree.flatten(symbols), tree.flatten(result), strict=True):
            assert len(known.shape) == len(actual.shape)
            assert all(k in (None, a) for k, a in zip(known.shape, actual.shape, strict=True))
        assert tested.built
        assert (len(tested.trainable_weights), len(tested.non_trainable_variables)) == (trainable, non_trainable)
    for array in tree.flatten(to_numpy(layer(*arguments))):
        assert np.isfinite(array).all()

    revived(*arguments)
    revived.set_weights(layer.get_weights())
    assert_close(enumerate_flat(revived(*arguments)), enumerate_flat(layer(*arguments)), 1e-6)

    if not any(isinstance(value, keras.layers.Layer) for value in init.values()):
        mixed = layer_class(**init, dtype="mixed_bfloat16")
        assert dtypes(symbolic(mixed)) == dtypes(mixed(*arguments))
        mixed.set_weights(layer.get_weights())
        assert all(v.dtype != "bfloat16" for v in mixed.variables)
        assert_close(enumerate_flat(mixed(*arguments)), enumerate_flat(layer(*arguments)), 0.1)

    if trainable:
        before = [np.array(w) for w in layer.trainable_weights]
        model = _Wrapper(layer, list(call))
        model.compile(optimizer=keras.optimizers.SGD(0.01), run_eagerly=True)
        history = model.fit(call, batch_size=len(tree.flatten(call)[0]), epochs=5, verbose=0, shuffle=False).history
        assert history["loss"][-1] < history["loss"][0]
        changed = [np.any(np.array(w) != b) for w, b in zip(layer.trainable_weights, before, strict=True)]
        assert any(changed)


def enumerate_flat(structure):
    return dict(enumerate(tree.flatten(to_numpy(structure))))


def make_inputs(count=6, widths=None, frames=5, seed=0, lengths=None):
    """Random inputs; every modality has full, short and length-1 rows, and each is missing in one row of its own."""
    random = np.random.default_rng(seed)
    inputs = {}
    for position, (m, width) in enumerate((widths or WIDTHS).items()):
        inputs[m] = random.normal(1.0, 2.0, (count, frames, width)).astype("float32")
        length = random.integers(1, frames + 1, count)
        length[[0, -1]] = frames, 1
        length[(position + 1) % count] = 0
        inputs[f"{m}_length"] = np.asarray(length if lengths is None else lengths, "int32")
    return inputs


def make_network(widths=None, seed=0, scramble=True, **options):
    """A small network; `scramble` gives every weight, statistics and prototypes too, values away from their start."""
    keras.utils.set_random_seed(seed)
    options = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "dropout": 0.0, **options}
    network = PLUMNet(widths or WIDTHS, **options)
    if scramble:
        random = np.random.default_rng(seed)
        for variable in network.trainable_variables:
            variable.assign(variable + random.normal(0, 0.2, variable.shape))
        for m in network.modalities:
            statistics = network.get_layer(f"{m}_encoder").standardization
            statistics.mean.assign(random.normal(1, 0.2, statistics.mean.shape))
            statistics.divisor.assign(random.uniform(1.0, 3.0, statistics.divisor.shape))
        set_prototypes(network, random)
    return network


def set_prototypes(network, random):
    for generator in network.prototype_generators.values():
        shape = generator.prototypes.shape
        generator.assign_prototypes(random.normal(0, 1, shape), np.ones(shape[0]))


def gradients(function, variables):
    """Value of a scalar function and its gradients, `None` where there is no path."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value = function()
    return value, tape.gradient(value, variables)


def make_data(count=20, task="regression", seed=0, widths=None):
    """Inputs and labels that can be learned: the first feature carries the class."""
    random = np.random.default_rng([seed, 1])
    inputs = make_inputs(count, widths, seed=seed)
    classes = random.permutation(np.arange(count) % 3)
    for m in widths or WIDTHS:
        inputs[m][:, :, 0] += 3.0 * (classes[:, None] - 1)
    y = (classes - 1) * random.uniform(0.2, 3.0, count)
    return inputs, y.astype("float32") if task == "regression" else classes.astype("int32")


class Recorder(keras.callbacks.Callback):
    """A user's callback: what it found in force when an epoch began, and when it ended."""

    def __init__(self, network):
        super().__init__()
        self.network = network
        self.begun, self.ended, self.warmup = [], [], []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun.append(self.network.get_weights())
        self.warmup.append(float(self.model.label_warmup))

    def on_epoch_end(self, epoch, logs=None):
        self.ended.append(self.network.get_weights())


def assert_terms_add_up(history, terms):
    """Train and validation: each epoch's terms sum to its loss, which is positive."""
    for prefix in ("", "val_"):
        total = np.sum([history[f"{prefix}{name}"] for name in terms], axis=0)
        np.testing.assert_allclose(history[f"{prefix}loss"], total, rtol=1e-5)
        assert np.all(np.array(history[f"{prefix}loss"]) > 0)
