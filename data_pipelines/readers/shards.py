"""The folders that `plumkeras convert` writes, read whole into memory; `open_shards` leaves them where they are."""

import dataclasses

import numpy as np

from plumkeras.data_pipelines.readers.shared.labels import ANY, check_as_stored
from plumkeras.data_pipelines.shards.layout import NAME, SEQUENCES, matches
from plumkeras.data_pipelines.shards.reading import open_shards

__all__ = ["DESCRIPTION", "NAME", "matches", "read"]

DESCRIPTION = ".npy files with schema.json (plumkeras convert)"


def read(path, report, modalities=None, request=ANY):
    """Reads all features of a folder of shards. Arguments and errors as `plumkeras.data_pipelines.load`."""
    stored = open_shards(path, modalities, request.label_range)
    check_as_stored(stored, request)
    return stored.replace({name: _in_memory(split) for name, split in stored.items()})


def _in_memory(split):
    arrays = {}
    for sequences in SEQUENCES:
        if getattr(split, sequences) is not None:
            arrays[sequences] = {m: np.asarray(features) for m, features in getattr(split, sequences).items()}
    return dataclasses.replace(split, **arrays)
