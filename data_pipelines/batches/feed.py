"""How a split reaches Keras, by backend."""

from plumkeras.data_pipelines import make_dataset, make_sequence

# Any multiple beyond the frames of the data: every batch is padded to all of them.
_ONE_LENGTH = 2**20


def feed(split, batch_size=256, **options):
    """Batches of a split for `fit` and `predict`: `tf.data` on TensorFlow, numpy elsewhere, in the same order.

    On JAX every batch is padded to the frames of the data, since XLA would compile a step for each length.

    Args:
        split: `Split`.
        batch_size: int. Defaults to `256`, for what nothing is learned from.
        **options: as in `data_pipelines.make_dataset`.
    """
    # Late, so that checking a command line does not start a backend.
    import keras

    backend = keras.backend.backend()
    if backend == "tensorflow":
        return make_dataset(split, batch_size, **options)
    if backend == "jax":
        options["length_multiple"] = _ONE_LENGTH
    return make_sequence(split, batch_size, **options)
