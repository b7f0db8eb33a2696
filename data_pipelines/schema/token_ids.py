"""Token ids in the place of a modality's features."""

import numpy as np

from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.features import TOKEN_IDS


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
