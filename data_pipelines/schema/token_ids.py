"""Token ids in the place of a modality's features."""

import numpy as np

from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.features import TOKEN_IDS, DataError


class TokenIds(StoredFeatures):
    """Token ids `[N, T]` of texts, which a text encoder of the network reads. Its width is 0: there are no vectors.

    Args:
        ids: int array `[N, T]`.

    `features[rows]` and `features[rows, start:stop]` are int32 `[B, T]`.
    """

    dtype = np.dtype("int32")

    def __init__(self, ids):
        self.ids = np.asarray(ids, "int32")
        super().__init__((*self.ids.shape, TOKEN_IDS))

    def take(self, rows):
        return TokenIds(self.ids[rows])

    def _read(self, rows, start, stop):
        return self.ids[rows, start:stop]


def check_no_token_ids(dataset):
    """Raises `DataError` where a modality of a data set is token ids, which have no place in a file."""
    if ids := [m for m, width in dataset.feature_dims.items() if width == TOKEN_IDS]:
        raise DataError(
            f"{dataset.path or 'the data set'}: {ids[0]} is token ids, or texts alone, which are not written; give "
            "features beside raw_text, of which token ids are made in training"
        )


def texts_alone(count):
    """Features and lengths of samples that are texts: no frame yet, until token ids are made of `raw_text`."""
    return {"text": TokenIds(np.zeros((count, 1)))}, {"text": np.zeros(count, "int32")}
