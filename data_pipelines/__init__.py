"""From feature files to batches: `load` a file, `make_dataset` from one of its splits.

Importing this package, and loading, start neither TensorFlow nor Keras.
"""

import importlib

from plumkeras.data_pipelines.loading import load
from plumkeras.data_pipelines.pipeline import make_dataset
from plumkeras.data_pipelines.report import describe
from plumkeras.data_pipelines.saving import save_npz
from plumkeras.data_pipelines.schema import MODALITIES, DataError, Dataset, Split
from plumkeras.data_pipelines.sequence import make_sequence

__all__ = [
    "MODALITIES",
    "DataError",
    "Dataset",
    "Split",
    "describe",
    "load",
    "make_dataset",
    "make_sequence",
    "make_synthetic",
    "save_npz",
]


def __getattr__(name):
    if name == "make_synthetic":
        return importlib.import_module("plumkeras.data_pipelines.synthetic").make_synthetic
    raise AttributeError(f"module 'plumkeras.data_pipelines' has no attribute {name!r}")
