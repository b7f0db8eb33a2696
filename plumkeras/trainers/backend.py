"""The one place where the backend's `train_step` is chosen."""

import keras

_BACKEND = keras.backend.backend()
if _BACKEND == "tensorflow":
    from plumkeras.trainers.tensorflow import TensorFlowTrainer as BackendTrainer
elif _BACKEND == "jax":
    from plumkeras.trainers.jax import JAXTrainer as BackendTrainer
elif _BACKEND == "torch":
    from plumkeras.trainers.torch import TorchTrainer as BackendTrainer
else:
    raise ImportError(
        f"Training needs the TensorFlow, JAX or torch backend. Received: KERAS_BACKEND={_BACKEND!r}. "
        "Set KERAS_BACKEND to tensorflow, jax or torch."
    )

__all__ = ["BackendTrainer"]
