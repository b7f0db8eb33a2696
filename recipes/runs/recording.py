"""What a history holds beside the losses, where a recipe's `record` asks for it: measured after each epoch."""

import itertools

import keras
import numpy as np

from plumkeras.recipes.runs import predictions


class Recorder(keras.callbacks.Callback):
    """Adds to the logs of each epoch, before they go into the history. The training itself is not touched.

    `similarity`, on `valid`: `val_common_cosine` and `val_private_cosine`, the cosine between two modalities' common or
    private embeddings of the same sample, mean over samples that have both and then over the pairs of modalities;
    `..._centred`, the same after each modality's mean is taken off. `labels`, on `train`: `<modality>_label_<k>`, how
    many samples the modality's prototypes give class k.

    Args:
        kinds: `similarity`, `labels` or both.
        network: the network that is trained.
        train, valid: `Split`s with its modalities.
    """

    def __init__(self, kinds, network, train, valid):
        super().__init__()
        self.kinds, self.network, self.train, self.valid = kinds, network, train, valid

    def on_epoch_end(self, epoch, logs=None):
        if "similarity" in self.kinds:
            logs.update({f"val_{name}": value for name, value in similarity(self._predict(self.valid)).items()})
        if "labels" in self.kinds:
            logs.update(label_counts(self._predict(self.train), self.network.num_classes))

    def _predict(self, split):
        return predictions.predict_split(self.network, split)


def similarity(outputs: dict) -> dict[str, float]:
    """How close the embeddings of the same sample are in two modalities; see `Recorder`.

    Args:
        outputs: dict of arrays of a network with branches.

    Returns:
        Dict of `common_cosine`, `common_cosine_centred`, `private_cosine` and `private_cosine_centred`, those that the
        outputs allow; NaN where no sample has two modalities.
    """
    found = {}
    for branch in ("common", "private"):
        ending = f"_{branch}_embedding"
        modalities = [name.removesuffix(ending) for name in outputs if name.endswith(ending)]
        if len(modalities) < 2:
            continue
        for kind in ("cosine", "cosine_centred"):
            pairs = itertools.combinations(modalities, 2)
            values = [_cosine(outputs, a, b, ending, kind == "cosine_centred") for a, b in pairs]
            found[f"{branch}_{kind}"] = float(np.mean(values))
    return found


def _cosine(outputs, first, second, ending, centred):
    present = outputs[f"{first}_present"] & outputs[f"{second}_present"]
    a, b = (outputs[m + ending][present].astype("float64") for m in (first, second))
    if not len(a):
        return float("nan")
    if centred:
        a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return float(np.mean(np.sum(a * b, axis=1) / np.maximum(lengths, 1e-12)))


def label_counts(outputs: dict, classes: int) -> dict[str, int]:
    """How many samples each modality's prototypes give each class; those without the modality count for none."""
    ending, found = "_hard_label", {}
    for name in (name for name in outputs if name.endswith(ending)):
        labels = outputs[name]
        counts = np.bincount(labels[labels >= 0], minlength=classes)
        found |= {f"{name.removesuffix(ending)}_label_{k}": int(counts[k]) for k in range(classes)}
    return found
