"""What the tests of exports share: requests, and a process without Keras and without us."""

import subprocess
import sys

import keras
import numpy as np

from tests.testing.networks import WIDTHS

# Whoever imports what only training needs fails. TensorFlow asks where Keras is, and may have no answer.
WITHOUT_US = """
import importlib.abc, importlib.util, sys

AWAY = {away}

class Blocker(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in AWAY:
            raise ModuleNotFoundError(f"{name} is kept away", name=name)

find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name.split(".")[0] in AWAY else find_spec(name, *rest)

sys.meta_path.insert(0, Blocker())
for name in AWAY:
    try:
        __import__(name)
    except ImportError:
        continue
    raise SystemExit(f"{name} could be imported")
"""


def make_request(batch, frames=None, widths=None, seed=0):
    """Inputs of `batch` samples; in the first and the last, where there are two, a modality is missing."""
    random, inputs = np.random.default_rng([seed, batch]), {}
    for position, (m, width) in enumerate((widths or WIDTHS).items()):
        steps = (frames or {"text": 6, "audio": 9}).get(m, 5)
        inputs[m] = random.normal(1, 2, (batch, steps, width)).astype("float32")
        length = random.integers(min(1, steps), steps + 1, batch)
        if batch > 1:
            length[-position] = 0
        inputs[f"{m}_length"] = length.astype("int32")
    return inputs


def expected(network, inputs):
    """What the signatures are to give: the outputs in memory, and the branches' probabilities."""
    outputs = {name: keras.ops.convert_to_numpy(value) for name, value in network(inputs, training=False).items()}
    for name in [name for name in outputs if name.endswith("_logits")]:
        outputs[name.replace("_logits", "_probabilities")] = keras.ops.convert_to_numpy(
            keras.ops.softmax(outputs[name])
        )
    return outputs


def call(model, signature, inputs):
    """The outputs of a loaded SavedModel's signature, as numpy."""
    import tensorflow as tf

    named = {name: tf.constant(value) for name, value in inputs.items()}
    return {name: value.numpy() for name, value in model.signatures[signature](**named).items()}


def run_without_us(code, *arguments, away=("keras", "tf_keras", "plumkeras")):
    """Runs Python code in a process where neither Keras nor PlumKeras can be imported, or whatever is kept away."""
    command = [sys.executable, "-c", WITHOUT_US.replace("{away}", repr(away)) + code, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
