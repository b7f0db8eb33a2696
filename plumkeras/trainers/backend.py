"""The one place where the backend's `train_step` is chosen."""

import keras

from plumkeras.backends import check_backend

check_backend()

_BACKEND = keras.backend.backend()
if _BACKEND == "tensorflow":
    from plumkeras.trainers.tensorflow import TensorFlowTrainer as BackendTrainer
elif _BACKEND == "jax":
    from plumkeras.trainers.jax import JAXTrainer as BackendTrainer
else:
    from plumkeras.trainers.torch import TorchTrainer as BackendTrainer

__all__ = ["BackendTrainer"]
