"""The devices that a run is spread over, their seeds, and whether their operations are deterministic.

Everything here depends on the backend, which is imported late.
"""

import contextlib
import functools
import os
import random
import types
import warnings

import keras
import numpy as np


def data_parallel(devices: int = 1):
    """How a network is trained on several devices of one machine, each having a part of every batch.

    Network, trainers and optimizers are made, and `fit` is called, under the result's `scope()`. The batch that the
    data give is the global one; losses, prototypes and metrics are those of one device.

    Args:
        devices: int. On TensorFlow a `tf.distribute.MirroredStrategy`, on JAX a `keras.distribution.DataParallel`, over
            that many GPUs; where there is none, over logical CPU devices, with a warning: they prove equality, and are
            several times slower than one.
            On JAX they may belong to several processes or machines, which `KERAS_DISTRIBUTION_JOB_ADDRESSES`,
            `KERAS_DISTRIBUTION_NUM_PROCESSES` and `KERAS_DISTRIBUTION_PROCESS_ID` name, as in
            `keras.distribution.initialize`; every process reads the same data. Defaults to `1`: nothing is spread.

    Returns:
        An object with `scope()`, a context manager that can be entered again and again.

    Raises:
        ValueError: there are fewer GPUs, the backend is torch, or the backend has started with fewer CPU devices.
    """
    if devices == 1:
        return types.SimpleNamespace(scope=contextlib.nullcontext)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        return _mirrored(devices)
    if backend == "jax":
        return _sharded(devices)
    raise ValueError(f"`devices` must be 1 with the {backend} backend. Received: devices={devices}")


@functools.lru_cache
def _mirrored(devices):
    # Cached: a second strategy in one process breaks the collectives of the first.
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        _check_count(devices, len(gpus), "GPUs")
        return tf.distribute.MirroredStrategy([f"GPU:{index}" for index in range(devices)])
    cpu = tf.config.list_physical_devices("CPU")[0]
    # Once the runtime has started, the devices are what they are.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * devices)
    _check_count(devices, len(tf.config.list_logical_devices("CPU")), "CPU devices in this process, which has begun")
    _warn_of_no_gpu(devices, "TensorFlow")
    return tf.distribute.MirroredStrategy([f"CPU:{index}" for index in range(devices)])


@functools.lru_cache
def _sharded(devices):
    import jax

    processes = int(os.environ.get("KERAS_DISTRIBUTION_NUM_PROCESSES", "1"))
    # Read where the platform is the CPU alone; refused once the runtime has started.
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", -(-devices // processes))
    if processes > 1:
        # Reads the addresses and this process's number from the environment too.
        keras.distribution.initialize()
    there = keras.distribution.list_devices()
    _check_count(devices, len(there), "JAX devices")
    # Processes may each have a CPU of their own.
    if devices > processes and there[0].startswith("cpu"):
        _warn_of_no_gpu(devices, "JAX")
    return _DataParallel(devices=there[:devices], auto_shard_dataset=False)


class _DataParallel(keras.distribution.DataParallel):
    def get_data_layout(self, data_shape):
        # Every device (and process) is handed the whole batch, and the step cuts it: JAX shards evenly or not at all,
        # and Keras asks for a layout once, so that an epoch's last batch could not be handed out otherwise.
        return keras.distribution.TensorLayout([None] * len(data_shape), self.device_mesh)


def _warn_of_no_gpu(devices, library):
    warnings.warn(
        f"`devices`={devices}, but {library} sees no GPU: each batch is cut among {devices} logical devices of the "
        "CPU, which takes several times as long as `devices`=1 and gains nothing",
        stacklevel=4,
    )


def _check_count(wanted, there, what):
    if wanted > there:
        raise ValueError(f"`devices`={wanted}, but there are {there} {what}")


def check_precision(precision: str) -> None:
    """Raises `ValueError` for a precision that the backend's devices do not compute in."""
    if precision != "mixed_float16" or keras.backend.backend() != "jax":
        return
    import jax

    if jax.default_backend() == "cpu":
        raise ValueError(
            "JAX has no attention in float16 on the CPU; use mixed_bfloat16 or float32, or another backend "
            f"(KERAS_BACKEND). Received: precision={precision!r}"
        )


def set_seed(seed: int, seeds_backend: bool = True) -> None:
    """Seeds Python and numpy, from which Keras draws the seeds of weights and dropout, and the backend.

    `keras.utils.set_random_seed` does the same, and imports TensorFlow under every backend.

    Args:
        seed: int.
        seeds_backend: bool. `False` leaves TensorFlow's own seed as it is, of which a run takes nothing: a new one
            makes TensorFlow compile every function anew. Defaults to `True`.
    """
    backend = keras.backend.backend()
    if backend == "tensorflow" and seeds_backend:
        keras.utils.set_random_seed(seed)
        return
    random.seed(seed)
    np.random.seed(seed)
    if backend == "torch":
        import torch

        torch.manual_seed(seed)


def enable_determinism() -> None:
    """Makes every operation give the same bits on the same input, for the rest of the process; slower on GPUs."""
    backend = keras.backend.backend()
    if backend == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_op_determinism()
    elif backend == "jax":
        # Read when XLA starts; its CPU operations are deterministic as they are.
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    elif backend == "torch":
        import torch

        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True)


@contextlib.contextmanager
def without_graph_rewriting():
    """Context in which TensorFlow compiles new functions without Grappler, its rewriting of graphs.

    The rewriting is much of a first call, and the layers are written in large operations as they are.
    It is an option of the whole process, which is put back at the end. Other backends have no such thing.
    """
    if keras.backend.backend() != "tensorflow":
        yield
        return
    import tensorflow as tf

    name = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(name, False)
    tf.config.optimizer.set_experimental_options({name: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({name: before})
