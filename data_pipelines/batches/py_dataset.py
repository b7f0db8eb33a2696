"""`make_sequence`: a split as a `keras.utils.PyDataset` of numpy batches, for backends without TensorFlow."""

from plumkeras.data_pipelines.batches.order import BatchStream
from plumkeras.data_pipelines.schema.dataset import Split


def make_sequence(split: Split, batch_size: int = 32, **options):
    """The batches of `make_dataset` without `tf.data`: what Keras takes on every backend.

    Args:
        split: Split.
        batch_size: int. Defaults to `32`.
        **options: as in `make_dataset`.

    Returns:
        A `keras.utils.PyDataset` of `(inputs, labels)`, or `(inputs,)` where the split has no labels, numpy arrays.
        The epoch advances when Keras says that one has ended. Its `stream` is the `BatchStream`.

    Raises:
        DataError, ValueError: as `make_dataset`.

    Example:

    >>> import numpy as np
    >>> from plumkeras.data_pipelines import Split, make_sequence
    >>> split = Split(["a", "b"], {"text": np.ones((2, 3, 4))}, {"text": [3, 1]}, [0.5, -1.0])
    >>> inputs, labels = make_sequence(split, batch_size=2)[0]
    >>> inputs["text"].shape, inputs["text_length"].tolist()
    ((2, 3, 4), [3, 1])
    """
    # Late, so that reading data doesn't start a backend.
    import keras

    class BatchSequence(keras.utils.PyDataset):
        def __init__(self, stream):
            super().__init__()
            self.stream = stream
            self._order = stream.order(stream.epoch)
            self._complete = False

        def __len__(self):
            return len(self.stream)

        def __getitem__(self, index):
            self._complete = index == len(self) - 1
            return self.stream.batch(self._order[index])

        def on_epoch_end(self):
            # Keras says so before the first epoch too, when it may have looked at a first batch.
            if not self._complete:
                return
            self._complete = False
            self.stream.epoch += 1
            self._order = self.stream.order(self.stream.epoch)

    return BatchSequence(BatchStream(split, batch_size, **options))
