"""The one place where the backend's `train_step` and optimizers are chosen."""

import keras

from plumkeras.backends import check_backend
from plumkeras.trainers.layer_rates import DecayedLayerRates

check_backend()

_BACKEND = keras.backend.backend()
if _BACKEND == "tensorflow":
    # Checkpoints hold their variables by the names of these classes.
    from plumkeras.trainers.fused_adam import FusedAdam as Adam
    from plumkeras.trainers.fused_adam import FusedAdamW as AdamW
    from plumkeras.trainers.tensorflow import TensorFlowTrainer as BackendTrainer
else:
    if _BACKEND == "jax":
        from keras.optimizers import Adam as _Adam
        from keras.optimizers import AdamW as _AdamW

        from plumkeras.trainers.jax import JAXTrainer as BackendTrainer
    else:
        from plumkeras.trainers.torch import TorchTrainer as BackendTrainer

        # Keras makes one of its optimizers for torch, which update all variables at once, of these two alone and of no
        # class that is derived from them.
        _Adam, _AdamW = type(keras.optimizers.Adam()), type(keras.optimizers.AdamW())

    class Adam(DecayedLayerRates, _Adam):
        """`keras.optimizers.Adam`, with learning rates of some variables apart from the rest; see `LayerRates`."""

    class AdamW(DecayedLayerRates, _AdamW):
        """`keras.optimizers.AdamW`, likewise."""


__all__ = ["Adam", "AdamW", "BackendTrainer"]
