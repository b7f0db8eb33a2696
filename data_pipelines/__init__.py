"""From feature files to batches: `load` a file, `make_dataset` from one of its splits.

Importing this package, and loading, start neither TensorFlow nor Keras.
"""

from plumkeras.data_pipelines.batches.py_dataset import make_sequence
from plumkeras.data_pipelines.batches.tf_dataset import data_errors, make_dataset
from plumkeras.data_pipelines.inspection.description import describe
from plumkeras.data_pipelines.inspection.suspicions import suspicions
from plumkeras.data_pipelines.loading import load
from plumkeras.data_pipelines.saving import save_npz
from plumkeras.data_pipelines.schema.dataset import MODALITIES, DataError, Dataset, Split
from plumkeras.data_pipelines.schema.stored import StoredFeatures
from plumkeras.data_pipelines.shards.reading import open_shards
from plumkeras.data_pipelines.shards.writing import convert
from plumkeras.data_pipelines.synthetic import make_synthetic
from plumkeras.data_pipelines.transforms.carving import carve_validation, speaker_independent, with_validation
from plumkeras.data_pipelines.transforms.context import join_context
from plumkeras.data_pipelines.transforms.normalizing import normalize_samples

__all__ = [
    "MODALITIES",
    "DataError",
    "Dataset",
    "Split",
    "StoredFeatures",
    "carve_validation",
    "convert",
    "data_errors",
    "describe",
    "join_context",
    "load",
    "make_dataset",
    "make_sequence",
    "make_synthetic",
    "normalize_samples",
    "open_shards",
    "save_npz",
    "speaker_independent",
    "suspicions",
    "with_validation",
]


def __dir__():
    return sorted(__all__)
