"""The one place where the backend's `train_step` and optimizers are chosen."""

import keras

from plumkeras.backends import check_backend
from plumkeras.trainers.layer_rates import DecayedLayerRates, LayerRates

check_backend()

_BACKEND = keras.backend.backend()
if _BACKEND == "tensorflow":
    from plumkeras.trainers.fused_adam import FusedAdam as _Adam
    from plumkeras.trainers.fused_adam import FusedAdamW as _AdamW
    from plumkeras.trainers.tensorflow import TensorFlowTrainer as BackendTrainer
elif _BACKEND == "jax":
    from keras.optimizers import Adam as _Adam
    from keras.optimizers import AdamW as _AdamW

    from plumkeras.trainers.jax import JAXTrainer as BackendTrainer
else:
    from plumkeras.trainers.torch import TorchTrainer as BackendTrainer

    # Keras makes one of its optimizers for torch, which update all variables at once, of these two alone and of no
    # class that is derived from them.
    _Adam, _AdamW = type(keras.optimizers.Adam()), type(keras.optimizers.AdamW())

# FusedAdam's weight decay is part of its update.
_Rates = LayerRates if _BACKEND == "tensorflow" else DecayedLayerRates


class Adam(_Rates, _Adam):
    """`keras.optimizers.Adam`, with learning rates of some variables apart from the rest; see `LayerRates`."""


class AdamW(_Rates, _AdamW):
    """`keras.optimizers.AdamW`, likewise."""


__all__ = ["Adam", "AdamW", "BackendTrainer"]
