"""Missing modalities: whether one is there, what replaces it, and hiding it while training."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.layers.dropout import replica_seeds
from plumkeras.layers.masking import PACKAGE


@keras.saving.register_keras_serializable(package=PACKAGE)
class Presence(keras.layers.Layer):
    """`[B]` lengths -> `[B]` bool: is the modality there at all?"""

    def call(self, length):
        return ops.cast(length, "int32") > 0

    def compute_output_spec(self, length):
        return keras.KerasTensor(length.shape, dtype="bool")

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
class ZeroWhenMissing(keras.layers.Layer):
    """Zeroes the rows of a missing modality. `vector [B, d]`, `present [B]` bool -> `[B, d]`."""

    def call(self, vector, present):
        return ops.where(present[:, None], vector, ops.zeros_like(vector))

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
class AbsentVector(keras.layers.Layer):
    """What the head reads of a missing modality: a learned vector in place of its representation.

    Call arguments:
        vector: `[B, d]` float.
        present: `[B]` bool.

    Returns:
        `[B, d]`.
    """

    def build(self, vector_shape, present_shape):
        self.absent = self.add_weight(shape=(vector_shape[-1],), initializer="zeros", name="absent")
        self.built = True

    def call(self, vector, present):
        absent = ops.cast(ops.convert_to_tensor(self.absent), vector.dtype)
        return ops.where(present[:, None], vector, absent[None, :])

    def get_config(self):
        # Said, for Keras cannot write down a layer that was given a dtype policy by itself.
        return super().get_config()


@keras.saving.register_keras_serializable(package=PACKAGE)
@known_arguments_only()
class ModalityDropout(keras.layers.Layer):
    """Makes modalities missing at random while training, never all those of a sample.

    Args:
        rate: float in `[0, 1)`. Probability that a modality of a sample gets length 0. Defaults to `0`.
        seed: int or `None`.

    Call arguments:
        lengths: dict by modality of `[B]` int.

    Returns:
        The dict, some lengths set to 0.
    """

    def __init__(self, rate=0.0, seed=None, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"`rate` must lie in [0, 1). Received: rate={rate}")
        self.rate = rate
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def call(self, lengths, training=False):
        if not training or self.rate == 0:
            return dict(lengths)
        names = list(lengths)
        stacked = ops.stack([ops.cast(lengths[name], "int32") for name in names], axis=1)
        draw = keras.random.uniform(ops.shape(stacked), seed=replica_seeds(self.seed_generator))
        present = stacked > 0
        # The present modality with the highest draw always stays.
        highest = ops.max(ops.where(present, draw, -ops.ones_like(draw)), axis=1, keepdims=True)
        keep = ops.logical_or(draw >= self.rate, draw == highest)
        stacked = ops.where(keep, stacked, ops.zeros_like(stacked))
        return {name: stacked[:, index] for index, name in enumerate(names)}

    def compute_output_spec(self, lengths, training=False):
        return {name: keras.KerasTensor(length.shape, dtype="int32") for name, length in lengths.items()}

    def get_config(self):
        return {**super().get_config(), "rate": self.rate, "seed": self.seed}
