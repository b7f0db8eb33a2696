"""What serving costs: a network's export beside the network itself, in one process, call by call in turn."""

import tempfile
import threading
import time
from pathlib import Path

import keras
import numpy as np

from plumkeras import export
from plumkeras.recipes.benchmarks.training import FRAMES, WIDTHS

# The paper's width, the default layers and heads, and features as wide as MOSEI's, every frame valid.
HIDDEN_DIM, NUM_LAYERS, NUM_HEADS = 256, 2, 8
_BATCHES, _WARM_UP = (1, 32), 5
_KINDS = ("exported", "in_memory")


def benchmark_serving(calls=200, seconds=60.0, threads=8, network=None, progress=print):
    """Times the signature `serving_default` of an export, loaded again, against the network's compiled forward pass.

    The compiled forward pass is a `tf.function` of `network.select("prediction")`, of free batch and time as the
    signature is, and as Keras compiles it for `predict`; the signature checks and cleans what it gets besides. Both are
    called in turn, the first one changing, and each call ends when its prediction is there as numpy. Then `threads`
    threads call the signature with a batch of one for `seconds`.

    Args:
        calls: int. Counted calls of each kind and batch size.
        seconds: float. Duration of the load.
        threads: int.
        network: `PLUMNet`, or `None`: width 256, 2 layers, 8 heads, text, audio and vision.
        progress: called with a line of text after each part.

    Returns:
        Dict: `shape` (a text); `latency`, by batch size and kind (`exported`, `in_memory`), `p50`, `p99` and `all` in
        milliseconds, and `ratio_p50`, `ratio_p99`, exported over in memory; `load`: `threads`, `seconds`, `calls`,
        `errors` (the first messages), `memory_before` and `memory_after` in bytes, or `None` where the system does not
        tell.
    """
    import tensorflow as tf

    if network is None:
        keras.utils.set_random_seed(0)
        network = default_network()
    with tempfile.TemporaryDirectory(prefix="plumkeras-") as folder:
        version = export.export_saved_model(network, folder)
        size = sum(path.stat().st_size for path in version.rglob("*") if path.is_file())
        model = tf.saved_model.load(str(version))
    progress(f"exported and loaded again: {size / 1e6:.0f} MB")
    exported = model.signatures["serving_default"]
    part = network.select("prediction")
    specs = export.input_specs(network.feature_dims)
    compiled = tf.function(lambda inputs: part(inputs, training=False), input_signature=[specs], autograph=False)
    kinds = {"exported": lambda inputs: exported(**inputs), "in_memory": compiled}
    result = {"shape": shape_of(network), "latency": {}}
    for batch in _BATCHES:
        result["latency"][batch] = _latency(kinds, _inputs(network, batch), calls)
        progress(f"batch {batch}: {calls} calls of each kind")
    result["load"] = _load(lambda inputs: exported(**inputs), _inputs(network, 1), seconds, threads)
    # The model is held to here: a signature does not hold its variables.
    del model
    return result


def default_network():
    """The network of `benchmark serve`, its weights as they are drawn."""
    from plumkeras.models.plum_net import PLUMNet

    return PLUMNet(WIDTHS, hidden_dim=HIDDEN_DIM, num_layers=NUM_LAYERS, num_heads=NUM_HEADS)


def shape_of(network):
    """What is measured, in words."""
    widths = ", ".join(f"{m} {FRAMES} x {width}" for m, width in network.feature_dims.items())
    return f"width {network.hidden_dim}, {network.num_layers} layers, {network.num_heads} heads; {widths}"


def _inputs(network, batch):
    import tensorflow as tf

    random = np.random.default_rng(0)
    inputs = {}
    for m, width in network.feature_dims.items():
        inputs[m] = tf.constant(random.standard_normal((batch, FRAMES, width), dtype="float32"))
        inputs[f"{m}_length"] = tf.constant(np.full(batch, FRAMES, dtype="int32"))
    return inputs


def _latency(kinds, inputs, calls):
    for function in kinds.values():
        for _ in range(_WARM_UP):
            function(inputs)["prediction"].numpy()
    milliseconds = {kind: [] for kind in kinds}
    for number in range(calls):
        for kind in _KINDS if number % 2 else reversed(_KINDS):
            start = time.perf_counter()
            kinds[kind](inputs)["prediction"].numpy()
            milliseconds[kind].append(1e3 * (time.perf_counter() - start))
    result = {}
    for kind, values in milliseconds.items():
        p50, p99 = np.percentile(values, [50, 99])
        result[kind] = {"p50": float(p50), "p99": float(p99), "all": values}
    for name in ("p50", "p99"):
        result[f"ratio_{name}"] = result["exported"][name] / result["in_memory"][name]
    return result


def _load(function, inputs, seconds, threads):
    counts, errors = [0] * threads, []
    # Once around, so that what each thread sets up is not taken for a leak.
    _in_threads(threads, lambda number: function(inputs))
    before, end = resident_memory(), time.monotonic() + seconds

    def work(number):
        while time.monotonic() < end:
            try:
                function(inputs)["prediction"].numpy()
                counts[number] += 1
            except Exception as error:
                errors.append(f"{type(error).__name__}: {error}")
                return

    start = time.monotonic()
    _in_threads(threads, work)
    return {
        "threads": threads,
        "seconds": time.monotonic() - start,
        "calls": sum(counts),
        "errors": errors,
        "memory_before": before,
        "memory_after": resident_memory(),
    }


def _in_threads(count, work):
    running = [threading.Thread(target=work, args=(number,), daemon=True) for number in range(count)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()


def resident_memory():
    """The memory that this process holds, in bytes; `None` where the system does not tell."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024
