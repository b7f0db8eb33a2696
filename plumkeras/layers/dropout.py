"""Dropout whose masks differ between replicas."""

import keras

from plumkeras.layers.masking import PACKAGE

# Keras draws the seeds of its generators from 1 to this number.
_SEEDS = 10**9


class _ReplicaSeeds(keras.random.SeedGenerator):
    """The seeds of a generator, moved by the replica's number; that of replica 0 is the generator's own."""

    def __init__(self, generator, replica):
        # Without a state of its own: what is saved and resumed is the generator's, which is the same on every replica.
        self.generator = generator
        self.replica = replica

    def next(self, ordered=True):
        import tensorflow as tf

        seed = self.generator.next(ordered)
        return seed + tf.cast(tf.stack([self.replica * _SEEDS, 0]), seed.dtype)


def replica_seeds(generator):
    """The seeds of a `keras.random.SeedGenerator`, different ones on each replica of a TensorFlow strategy.

    Keras's generators have the same state on every replica, so that each part of a batch would be given the same noise.
    On one device, and on JAX, whose arrays are those of the whole batch, these are the generator's own.
    """
    if keras.backend.backend() != "tensorflow":
        return generator
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return generator
    return _ReplicaSeeds(generator, tf.cast(context.replica_id_in_sync_group, "int64"))


@keras.saving.register_keras_serializable(package=PACKAGE)
class Dropout(keras.layers.Dropout):
    """`keras.layers.Dropout` with masks that differ between replicas."""

    def call(self, inputs, training=False):
        if not training or self.rate == 0:
            return inputs
        seeds = replica_seeds(self.seed_generator)
        return keras.random.dropout(inputs, self.rate, noise_shape=self.noise_shape, seed=seeds)
