"""The one place where the backend's `train_step` and optimizers are chosen."""

import keras

from plumkeras.backends import check_backend

check_backend()

_BACKEND = keras.backend.backend()
if _BACKEND == "tensorflow":
    from plumkeras.trainers.fused_adam import FusedAdam as Adam
    from plumkeras.trainers.fused_adam import FusedAdamW as AdamW
    from plumkeras.trainers.tensorflow import TensorFlowTrainer as BackendTrainer
elif _BACKEND == "jax":
    from keras.optimizers import Adam, AdamW

    from plumkeras.trainers.jax import JAXTrainer as BackendTrainer
else:
    from keras.optimizers import Adam, AdamW

    from plumkeras.trainers.torch import TorchTrainer as BackendTrainer

__all__ = ["Adam", "AdamW", "BackendTrainer"]
