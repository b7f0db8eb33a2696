"""A folder as MISA writes it: `train.pkl`, `dev.pkl` (or `valid.pkl`, `val.pkl`) and `test.pkl`, a list of samples
each.

The samples are those of `tuples`, in one data set: one task, one range of labels and one width for all splits, each
padded to its own longest sample. A file that isn't there is a split that isn't there; what else the folder holds
(`embedding_and_mapping.pt`) isn't read. Where MISA left the .csd files, or those of UR-FUNNY, beside its own, the
folder is one of those, since they come first in `DIRECTORY_READERS`.
"""

import os

from plumkeras.data_pipelines.readers import tuples
from plumkeras.data_pipelines.readers.foreign import read_pickle
from plumkeras.data_pipelines.readers.shared.labels import ANY
from plumkeras.data_pipelines.schema.validation import SPLIT_ALIASES, DataError

NAME = "tuple_folder"
DESCRIPTION = "folder of MISA: train.pkl, dev.pkl (or valid.pkl) and test.pkl, two of them at least"


def matches(path):
    """Whether a folder holds the files of two splits."""
    return len(files(path)) > 1


def files(path):
    """The names of the files that are read."""
    return [f"{name}.pkl" for name in SPLIT_ALIASES if os.path.isfile(os.path.join(path, f"{name}.pkl"))]


def read(path, report, modalities=None, request=ANY, sha256=None):
    """Reads a folder of lists of samples. Arguments and errors as `plumkeras.data_pipelines.load`."""
    found, releases = {}, []
    for file in [os.path.join(path, name) for name in files(path)]:
        samples, release = read_pickle(file)
        if not isinstance(samples, list) or (samples and not tuples.matches(samples)):
            kind = f"list of {type(samples[0]).__name__}s" if isinstance(samples, list) else type(samples).__name__
            raise DataError(f"{file}: is a {kind}; a list of samples as MISA's is expected, in each file of the folder")
        if not samples:
            raise DataError(f"{file}: is empty: 0 samples")
        found[os.path.basename(file).removesuffix(".pkl")] = samples
        releases.append(release)

    def release_all():
        for release in releases:
            release()

    return tuples.read(found, release_all, path, report, modalities, request, sha256, form="folder")
