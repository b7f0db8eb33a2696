"""Trains tiny networks as one JSON argument says, in a process of its own, and writes what it measured to an npz.

    KERAS_BACKEND=jax python backend_probe.py \\
        '{"cases": ["regression"], "result": "jax.npz", "initial": "tensorflow.npz"}'

A process has one backend, one strategy and one set of devices, so whatever is compared is measured by a probe each.
The order's keys, all but `result` optional:

- `result`: the npz to write.
- `cases`: names of `CASES`. `"<case>:<mutation>"` trains stage 1 of it with something broken by one of `MUTATIONS`.
- `devices`: `RecipeConfig.devices`.
- `initial`: a result whose initial weights are taken: the backends draw differently. Without it, the own draws.
- `texts`: dict of the paths of the case `text`, of its `data` and its `encoder`.
- `deny_tensorflow`: whether TensorFlow cannot be imported.
- `noise`: whether to measure what random layers give on each of the devices, see `noise`.
- `refused_devices`: a number of devices that `Training` is asked for at the end; the error goes into the result.
- `commands`: lines of `plumkeras` to run in this process; the exit status is that of the first that fails.

The arrays of the result are named `<case>/<stage>/<quantity>/<name>`; `facts` is JSON.
"""

import contextlib
import json
import sys
import time

import numpy as np

BATCH = 16
STEPS_PER_EPOCH = 5
_NETWORK = {"hidden_dim": 8, "num_layers": 1, "num_heads": 2, "dropout": 0.0}
# 4 epochs of 5 steps, at the paper's learning rate.
_STAGES = {stage: {"epochs": 4, "learning_rate": 5e-5} for stage in ("alignment", "refinement")}

# An epoch's last batch has 3 rows in one case and 1 in the other; the sizes of `valid` are no multiples of 4.
CASES = {
    "regression": {
        "data": {
            "num_samples": {"train": 67, "valid": 21},
            "feature_dims": {"text": 4, "audio": 3},
            "max_lengths": {"text": 4, "audio": 6},
            "missing_rate": 0.3,
            "seed": 3,
        },
        "config": {
            "name": "regression",
            "batch_size": BATCH,
            "prototype_policy": "epoch",
            "network": _NETWORK,
            **_STAGES,
        },
    },
    "classification": {
        "data": {
            "num_samples": {"train": 65, "valid": 30},
            "task": "classification",
            "class_balance": [0.1, 0.4, 0.5],
            "feature_dims": {"text": 4},
            "max_lengths": {"text": 5},
            "missing_rate": 0.2,
            "allow_all_missing": True,
            "seed": 5,
        },
        "config": {
            "name": "classification",
            "batch_size": BATCH,
            "prototype_policy": "ema",
            "prototype_momentum": 0.8,
            "network": {**_NETWORK, "strided": ["text"], "stride": 2},
            "objective": {
                "private_target": "soft",
                "warmup_target": "none",
                "class_balanced": True,
                "label_smoothing": 0.1,
                "include_self": True,
            },
            **_STAGES,
            # Clips the larger gradients.
            "refinement": {**_STAGES["refinement"], "clipnorm": 0.01, "weight_decay": 1e-2},
        },
        # Become sample weights, which no recipe asks for.
        "class_weight": {0: 2.0, 1: 1.0, 2: 0.5},
    },
    # Raw text, and audio; the data and the encoder are where `texts` of the order says.
    "text": {
        "config": {
            "name": "text",
            "batch_size": BATCH,
            "prototype_policy": "epoch",
            "network": _NETWORK,
            "text": {"max_tokens": 12, "layer_decay": 0.5, "learning_rate": 1e-4, "dropout": 0.0},
            "alignment": {"epochs": 2, "learning_rate": 5e-5, "clipnorm": 0.05},
            "refinement": {"epochs": 2, "learning_rate": 5e-5, "weight_decay": 1e-2},
        },
    },
}


def make_data(case):
    """The data set of a case; numpy alone."""
    from plumkeras.data_pipelines import make_synthetic

    return make_synthetic(**CASES[case]["data"])[0]


def make_training(case, devices, texts=None):
    from plumkeras.data_pipelines import load
    from plumkeras.recipes.config import from_dict
    from plumkeras.recipes.runs.protocol import prepare
    from plumkeras.recipes.runs.stages import Training

    values = {**CASES[case]["config"], "devices": devices}
    if texts is None:
        return Training(from_dict(values, case), make_data(case))
    config = from_dict({**values, "text": {**values["text"], "encoder": texts["encoder"]}}, case)
    return Training(config, prepare(config, load(texts["data"])))


def measure(case, devices, initial, whole=True, texts=None):
    """Trains a case: both stages, or the first alone, without validation.

    Returns:
        Dict of arrays, and a dict of facts. Arrays: `statistics/<i>` of the standardisation, `initial/<i>` weights; per
        stage `terms/<name>` and `gradients/<path>` of one batch at the initial weights, `steps/<name>` (running means
        over the epoch after each step), `history/<name>` by epoch, `weights/<i>` and `prototypes/<modality>` at its
        end, the ids of the samples of each step as the data named them, `named/<i>`, and as it fed them, `fed/<i>`, and
        the `seconds` of each step.
    """
    training = make_training(case, devices, texts if case == "text" else None)
    network = training.network
    statistics = [w for layer in network.standardizations.values() for w in layer.get_weights()]
    found = {f"statistics/{i}": values for i, values in enumerate(statistics)}
    stages = training.trainers if whole else {"alignment": training.trainers["alignment"]}
    fed = []
    recorders = {stage: _recorder(training, stage, fed) for stage in stages}
    if weights := CASES[case].get("class_weight"):
        for trainer in training.trainers.values():
            _add_arguments(trainer, class_weight=weights)
    fit = training.data.fit
    training.data.fit = lambda stage, trainer, callbacks, *epoch: fit(
        stage, trainer, [recorders[stage], *callbacks], *epoch
    )
    with training.parallel.scope(), _watched_batches(fed), _watched_sharding() as shardings:
        network.set_weights(_scrambled(network) if initial is None else initial)
        initial = network.get_weights()
        found.update({f"initial/{i}": values for i, values in enumerate(initial)})
        for stage, trainer in stages.items():
            terms, gradients = one_step(training, trainer)
            found.update({f"{stage}/terms/{name}": value for name, value in terms.items()})
            found.update({f"{stage}/gradients/{path}": values for path, values in gradients.items()})
            network.set_weights(initial)
        if whole:
            histories = training.fit(verbose=0)
        else:
            training.data.validation = None
            histories = {"alignment": training.data.fit("alignment", stages["alignment"], [])}
    for stage, recorder in recorders.items():
        found.update({f"{stage}/{name}": values for name, values in recorder.found().items()})
        found.update({f"{stage}/history/{name}": values for name, values in histories[stage].items()})
    facts = {
        "paths": [weight.path for weight in network.weights],
        "trainable": [weight.trainable for weight in network.weights],
        "device": _device(network.weights[0]),
        "shardings": shardings,
    }
    return found, facts


def noise(devices):
    """What each random layer gives on each replica of TensorFlow for the same rows.

    Returns:
        Dict of arrays `noise/<layer>/<call>/<replica>`; the calls are `first`, `second`, `restored` (behind which the
        generators' states are those before the first) and `alone` (the same, on one device).
    """
    import keras
    import tensorflow as tf

    from plumkeras.devices import data_parallel
    from plumkeras.layers import ModalityEncoder
    from plumkeras.layers.dropout import Dropout
    from plumkeras.layers.missing_modality import ModalityDropout
    from plumkeras.layers.transformer import TransformerEncoder
    from plumkeras.models.plum_net import Prediction

    keras.utils.set_random_seed(0)
    strategy = data_parallel(devices)
    sequence, length = tf.random.stateless_normal((6, 4, 8), (1, 2)), tf.fill([6], 4)
    with strategy.scope():
        layers = {
            "dropout": (Dropout(0.5), (sequence,)),
            "encoder": (ModalityEncoder(8, dropout=0.5), (sequence, length)),
            "transformer": (TransformerEncoder(8, 1, 2, dropout=0.5), (sequence, length)),
            "head": (Prediction("classification", 8, 3, dropout=0.5), (sequence[:, 0],)),
            "modality_dropout": (ModalityDropout(0.5), ({"text": length, "audio": length},)),
        }
        for layer, arguments in layers.values():
            layer(*arguments)
    found = {}
    for name, (layer, arguments) in layers.items():

        def call(layer=layer, arguments=arguments):
            given = layer(*arguments, training=True)
            return given["text"] if isinstance(given, dict) else given

        states = [v for v in layer.variables if "seed_generator" in v.path]
        before = [v.numpy() for v in states]
        together = tf.function(lambda call=call: strategy.run(call))
        for time_of_call in ("first", "second", "restored", "alone"):
            if time_of_call in ("restored", "alone"):
                with strategy.scope():
                    for state, values in zip(states, before, strict=True):
                        state.assign(values)
            given = [call()] if time_of_call == "alone" else strategy.experimental_local_results(together())
            found.update({f"noise/{name}/{time_of_call}/{i}": np.array(values) for i, values in enumerate(given)})
    return found


def one_step(training, trainer):
    """Loss terms and gradients of the first batch. Changes the weights and leaves the optimizer as it was.

    The gradients are read off Adam, whose first moment after one step is `1 - beta_1` of the gradient: so it is the
    training's own step that is measured, and nothing is traced or compiled for the measuring.
    """
    import keras

    from plumkeras.data_pipelines.batches.feed import feed

    optimizer = trainer.optimizer
    optimizer.build(trainer.trainable_variables)
    before = [keras.ops.convert_to_numpy(variable) for variable in optimizer.variables]
    history = trainer.fit(
        feed(training.data.train.take(np.arange(BATCH)), BATCH),
        prototype_data=training.data.in_order,
        # The second epoch, when the label warm-up is over.
        initial_epoch=1,
        epochs=2,
        verbose=0,
        shuffle=False,
    ).history
    moments = [variable for variable in optimizer.variables if variable.path.endswith("_momentum")]
    gradients = {
        variable.path: keras.ops.convert_to_numpy(moment) / (1 - optimizer.beta_1)
        for variable, moment in zip(trainer.trainable_variables, moments, strict=True)
    }
    for variable, values in zip(optimizer.variables, before, strict=True):
        variable.assign(values)
    return {name: values[0] for name, values in history.items()}, gradients


def _add_arguments(trainer, **arguments):
    fit = trainer.fit
    trainer.fit = lambda *args, **kwargs: fit(*args, **kwargs, **arguments)


def _scrambled(network):
    # Away from the zeros and ones of biases and norms, which hide what is added or multiplied wrongly.
    random = np.random.default_rng(0)
    return [
        (values + random.normal(0, 0.1, values.shape) * weight.trainable).astype(values.dtype)
        for weight, values in zip(network.weights, network.get_weights(), strict=True)
    ]


def _recorder(training, stage, fed):
    import keras

    class Recorder(keras.callbacks.Callback):
        def __init__(self):
            super().__init__()
            self.steps, self.named, self.seconds = {}, [], []

        def on_train_begin(self, logs=None):
            fed.clear()

        def on_epoch_begin(self, epoch, logs=None):
            self.epoch, self.begun = epoch, time.perf_counter()

        def on_train_batch_end(self, batch, logs=None):
            for name, value in logs.items():
                self.steps.setdefault(name, []).append(float(value))
            now = time.perf_counter()
            self.seconds.append(now - self.begun)
            self.begun = now
            self.named.append(training.data.sample_ids(stage, self.epoch, batch))

        def on_train_end(self, logs=None):
            self.fed = list(fed)
            self.weights = training.network.get_weights()
            self.prototypes = {m: g.get_weights()[0] for m, g in training.network.prototype_generators.items()}

        def found(self):
            groups = {
                "steps": self.steps,
                "named": dict(enumerate(self.named)),
                "fed": dict(enumerate(self.fed)),
                "weights": dict(enumerate(self.weights)),
                "prototypes": self.prototypes,
            }
            named = {f"{group}/{name}": v for group, values in groups.items() for name, v in values.items()}
            return {**named, "seconds": self.seconds}

    return Recorder()


def _device(weight):
    """Where a weight is, in the backend's words."""
    value = weight.value
    return str(value.devices() if hasattr(value, "devices") else value.device)


def _watched_batches(fed):
    """Adds the ids of every training batch that leaves the data to a list."""
    from plumkeras.data_pipelines.batches.order import BatchStream

    original = BatchStream.batch

    def batch(self, indices):
        if self.training:
            fed.append(self.split.ids[indices])
        return original(self, indices)

    return _replaced(BatchStream, "batch", batch)


@contextlib.contextmanager
def _watched_sharding():
    """Yields a list of `(what, rows, rows on one device, devices)` of JAX steps over several devices, as compiled."""
    import keras

    seen = []
    if keras.distribution.distribution() is None:
        yield seen
        return
    import jax

    from plumkeras.trainers import jax as jax_trainer
    from plumkeras.trainers.stage import StageTrainer

    def watch(what, array):
        def note(sharding):
            seen.append((what, array.shape[0], sharding.shard_shape(array.shape)[0], len(sharding.device_set)))

        jax.debug.inspect_array_sharding(array, callback=note)

    cut, forward = jax_trainer._cut, StageTrainer.forward

    def watched_cut(batch):
        result = cut(batch)
        watch("input", result[0]["text" if "text" in result[0] else "text_ids"])
        return result

    def watched_forward(self, x, training):
        outputs = forward(self, x, training)
        watch("output", outputs["text_common_logits"])
        return outputs

    with _replaced(jax_trainer, "_cut", watched_cut), _replaced(StageTrainer, "forward", watched_forward):
        yield seen


@contextlib.contextmanager
def _replaced(owner, name, value):
    original = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, original)


def _ungathered():
    """Each replica takes its own part for the whole batch."""
    from plumkeras.trainers.tensorflow import TensorFlowTrainer

    return _replaced(TensorFlowTrainer, "_gather", lambda self, structure: structure)


def _replica_means(parts=2):
    """A mean over the valid rows of the batch becomes a mean of the means of its contiguous parts."""
    from keras import ops

    from plumkeras import losses

    def per_valid_row(values, valid):
        rows = ops.shape(values)[0]
        member = ops.one_hot(ops.arange(rows) // ((rows + parts - 1) // parts), parts, dtype=values.dtype)
        counts = ops.sum(member * ops.cast(valid, values.dtype)[:, None], axis=0)
        share = ops.cast(rows, values.dtype) / (parts * ops.maximum(counts, 1))
        return ops.where(valid, values, ops.zeros_like(values)) * ops.sum(member * share[None, :], axis=1)

    return _replaced(losses, "_per_valid_row", per_valid_row)


MUTATIONS = {"ungathered": _ungathered, "replica_means": _replica_means}


def main(order):
    if order.get("deny_tensorflow"):
        # Python's own word for what is not to be found, by `import` as by `find_spec`, which torch asks.
        sys.modules["tensorflow"] = None
    found, facts = {}, {}
    initial = np.load(order["initial"]) if order.get("initial") else None
    for named in order.get("cases", ()):
        case, _, mutation = named.partition(":")
        weights = None
        if initial is not None:
            count = sum(name.startswith(f"{case}/initial/") for name in initial.files)
            weights = [initial[f"{case}/initial/{i}"] for i in range(count)]
        with MUTATIONS[mutation]() if mutation else contextlib.nullcontext():
            how = {"whole": not mutation, "texts": order.get("texts")}
            arrays, facts[named] = measure(case, order.get("devices", 1), weights, **how)
        found.update({f"{named}/{name}": values for name, values in arrays.items()})
    if order.get("noise"):
        found.update(noise(order["devices"]))
    facts["imported_tensorflow"] = sys.modules.get("tensorflow") is not None
    if devices := order.get("refused_devices"):
        facts["refusal"] = _refusal(devices)
    for command in order.get("commands", ()):
        from plumkeras.recipes.cli import main as run

        if status := run(command):
            return status
    np.savez(order["result"], facts=json.dumps(facts), **found)
    return 0


def _refusal(devices):
    from plumkeras.recipes import ConfigError

    try:
        make_training("classification", devices)
    except ConfigError as error:
        return str(error)
    return None


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
