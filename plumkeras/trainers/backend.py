"""The one place where the backend's `train_step` is chosen."""

import keras

if keras.backend.backend() == "tensorflow":
    from plumkeras.trainers.tensorflow import TensorFlowTrainer as BackendTrainer
else:
    raise ImportError(
        f"Training needs the TensorFlow backend. Received: KERAS_BACKEND={keras.backend.backend()!r}. "
        "Set KERAS_BACKEND=tensorflow."
    )

__all__ = ["BackendTrainer"]
