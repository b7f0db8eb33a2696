"""What goes wrong with data: wrong labels and rare classes in training; missing modalities and noise afterwards."""

import dataclasses
import itertools

import numpy as np

from plumkeras.data_pipelines import DataError, Dataset, Split
from plumkeras.features import TOKEN_IDS, FrameMoments
from plumkeras.tasks import get_task

# Frames of so many samples are gone through at a time.
_ROWS = 256


@dataclasses.dataclass(frozen=True)
class LabelNoise:
    """Gives a share of the training samples a label drawn at random from all training labels, perhaps their own.

    Attributes:
        share: of the samples, 0 to 1.
        seed: of the draw.
    """

    share: float
    seed: int = 0

    def __call__(self, dataset: Dataset) -> Dataset:
        train = dataset["train"]
        random = np.random.default_rng(self.seed)
        wrong = random.permutation(len(train))[: round(self.share * len(train))]
        labels = train.labels.copy()
        labels[wrong] = train.labels[random.integers(0, len(train), len(wrong))]
        return _with_train(dataset, dataclasses.replace(train, labels=labels))


@dataclasses.dataclass(frozen=True)
class RareClass:
    """Keeps only a share of the training samples of the last class: of a regression, of those above 0.

    Attributes:
        kept: share of them that stays, above 0.
        seed: of the draw.
    """

    kept: float
    seed: int = 0

    def __call__(self, dataset: Dataset) -> Dataset:
        train = dataset["train"]
        of_class = rare_samples(dataset.task, train.labels, dataset.num_classes)
        there = np.flatnonzero(of_class)
        if len(there) < 2:
            raise DataError(f"{dataset.path or 'the data set'}: train has {len(there)} of the class to thin out")
        count = max(1, round(self.kept * len(there)))
        stay = np.random.default_rng(self.seed).permutation(there)[:count]
        return _with_train(dataset, train.take(np.sort(np.concatenate([np.flatnonzero(~of_class), stay]))))


def rare_samples(task: str, labels, num_classes: int | None) -> np.ndarray:
    """Which samples are of the class that `RareClass` thins out, a mask `[N]`."""
    if get_task(task).label_axes > 1:
        raise DataError("a rare class is one of several that exclude each other; multi-label data have none")
    return np.asarray(labels) == num_classes - 1 if get_task(task).has_classes else np.asarray(labels) > 0


def _with_train(dataset, train):
    # Another data set than the file's: known by its own samples.
    return dataset.replace({**dataset, "train": train}, sha256=None)


def missing(modalities) -> list[tuple[str, ...]]:
    """What can be missing at once: each modality, and of three or more each pair, so that something stays."""
    singles = [(m,) for m in modalities] if len(modalities) > 1 else []
    return singles + (list(itertools.combinations(modalities, 2)) if len(modalities) > 2 else [])


def without(split: Split, modalities) -> Split:
    """The split with modalities missing for every sample."""
    lengths = {m: np.zeros_like(n) if m in modalities else n for m, n in split.lengths.items()}
    features = {
        m: np.zeros_like(x) if m in modalities and x.shape[2] != TOKEN_IDS else x for m, x in split.features.items()
    }
    return dataclasses.replace(split, features=features, lengths=lengths)


def deviations(train: Split) -> dict[str, np.ndarray]:
    """The standard deviation of each feature column over a split's valid frames, by modality, token ids left out."""
    found = {}
    for m, features in train.features.items():
        if features.shape[2] == TOKEN_IDS:
            continue
        moments = FrameMoments(features.shape[2])
        for start in range(0, len(train), _ROWS):
            lengths = train.lengths[m][start : start + _ROWS]
            frames = np.asarray(features[start : start + _ROWS])
            moments.update(frames[np.arange(frames.shape[1]) < lengths[:, None]])
        found[m] = np.sqrt(moments.variance)
    return found


def with_noise(split: Split, level: float, scale: dict[str, np.ndarray], seed: int = 0) -> Split:
    """The split with Gaussian noise on every frame, `level` times the standard deviation of the column.

    Token ids stay as they are.

    Args:
        split: `Split`.
        level: float.
        scale: what `deviations` gives.
        seed: of the noise.
    """
    random = np.random.default_rng(seed)
    features = {}
    for m, values in split.features.items():
        if values.shape[2] == TOKEN_IDS:
            features[m] = values
            continue
        values = np.asarray(values)
        frames = (np.arange(values.shape[1]) < split.lengths[m][:, None])[:, :, None]
        noise = random.standard_normal(values.shape, dtype="float32") * (level * scale[m]).astype("float32")
        features[m] = values + np.where(frames, noise, 0)
    return dataclasses.replace(split, features=features)
