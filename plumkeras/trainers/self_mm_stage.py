"""Self-MM's stage: labels of each modality, generated from features and centres that it remembers."""

import keras
import numpy as np
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.features import DataError
from plumkeras.objectives.terms import rows_with
from plumkeras.trainers.prediction_stage import PredictionTrainer

_FUSION = "fusion"
# Of quotients.
_SMALLEST = 1e-8


@known_arguments_only()
class SelfMMTrainer(PredictionTrainer):
    """Trains `SelfMM` with a memory: each training sample's features, and its label in each modality.

    After each step the batch's samples get new features, and from the second epoch on new labels: by how much nearer
    the modality's feature lies to the centre of positive than to that of negative samples, against the same of all
    modalities together, averaged over the epochs so far. Then the centres, means of the remembered features, are
    computed anew. In the first epoch a sample's label is its own, and validation has no other.

    The memory is variables of the trainer, so that checkpoints hold it. Batches have to hold `sample_index`, each
    sample's place in the training split (`make_dataset(..., with_index=True)`); `fit` adds it to a dict of arrays.

    Deviations from the public code: what would divide by 0 divides by 1e-8; a class that has no sample keeps its
    centre, and labels are generated only when there are both centres; samples that were not seen yet, have weight 0 or
    lack the modality take no part; there is one learning rate for all weights.

    Args:
        network: `SelfMM`.
        train_samples: int, samples of the training split.
        label_bound: float. Generated labels lie within `[-label_bound, label_bound]`. Defaults to `3`.
        exclude_zero: bool. Whether a label of exactly 0 is of neither class; else it is positive. Defaults to `True`.
        label_classes, class_weight: as in `PredictionTrainer`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> from plumkeras.models.self_mm import SelfMM
        >>> network = SelfMM({"text": 4, "audio": 3}, width=8)
        >>> x = {m: np.ones((8, 3, d)) * np.arange(8)[:, None, None] for m, d in network.feature_dims.items()}
        >>> network.adapt(x)
        >>> trainer = SelfMMTrainer(network, train_samples=8)
        >>> trainer.compile("adam")
        >>> history = trainer.fit(x, np.linspace(-1, 1, 8), epochs=2, verbose=0)
        >>> sorted(history.history)
        ['audio_loss', 'loss', 'prediction_loss', 'text_loss']
    """

    needs_sample_index = True

    def __init__(
        self,
        network: keras.Model,
        train_samples: int,
        label_bound: float = 3.0,
        exclude_zero: bool = True,
        label_classes: str | tuple = "sign3",
        class_weight: tuple | None = None,
        name: str = "self_mm_trainer",
    ):
        if train_samples < 1:
            raise ValueError(f"`train_samples` must be 1 or more. Received: train_samples={train_samples}")
        if not 0 < label_bound < float("inf"):
            raise ValueError(f"`label_bound` must be a positive number. Received: label_bound={label_bound}")
        super().__init__(network, label_classes, class_weight, name)
        self.train_samples, self.label_bound, self.exclude_zero = train_samples, label_bound, exclude_zero
        self.sources = (_FUSION, *network.modalities)
        # Counted from 1, as the paper does.
        self.epoch = self.add_state("epoch", ())
        # Of a modality that a sample lacks, or before it was seen, `known` is 0.
        self.known = {s: self.add_state(f"{s}_known", (train_samples,)) for s in self.sources}
        self.labels = {s: self.add_state(f"{s}_labels", (train_samples,)) for s in self.sources}
        # Of positive samples, then of negative ones; and whether there was any.
        self.has_centres = {s: self.add_state(f"{s}_has_centres", (2,)) for s in self.sources}
        self.features, self.centres = {}, {}
        for s in self.sources:
            width = network.output[f"{s}_feature"].shape[-1]
            self.features[s] = self.add_state(f"{s}_features", (train_samples, width))
            self.centres[s] = self.add_state(f"{s}_centres", (2, width))

    def begin_epoch(self, epoch):
        self.epoch.assign(epoch + 1.0)
        if epoch == 0:
            for states in (self.known, self.labels, self.features, self.centres, self.has_centres):
                for state in states.values():
                    state.assign(ops.zeros(state.shape))

    def _checked(self, x, y, method, **options):
        x, y = super()._checked(x, y, method, **options)
        if method == "fit" and isinstance(x, dict):
            if len(y) != self.train_samples:
                raise DataError(
                    f"{type(self).__name__}.fit: y has {len(y)} labels, and the trainer was made for "
                    f"train_samples={self.train_samples}"
                )
            x = {**x, "sample_index": np.arange(len(y), dtype="int32")}
        return x, y

    def forward(self, x, training):
        outputs = super().forward(x, training)
        if not training:
            return outputs
        if "sample_index" not in x:
            raise ValueError(
                f"{type(self).__name__} needs `sample_index` among the inputs of a training batch, each sample's place "
                "in the training split: make_dataset(..., with_index=True)"
            )
        return {**outputs, "sample_index": x["sample_index"]}

    def loss_terms(self, outputs, y, sample_weight):
        labels = self._stored(outputs["sample_index"], y) if "sample_index" in outputs else None
        return self.objective.terms(outputs, y, sample_weight, labels)

    def _stored(self, index, y):
        """By modality the labels of the samples: remembered, or their own."""
        y = ops.cast(ops.reshape(y, (-1,)), "float32")
        return {
            m: ops.where(ops.take(self.known[m], index) > 0, ops.take(self.labels[m], index), y)
            for m in self.network.modalities
        }

    def after_step(self, outputs, y, sample_weight):
        index = outputs["sample_index"]
        labels = self._stored(index, y)
        y = ops.cast(ops.reshape(y, (-1,)), "float32")
        rows = {m: rows_with(outputs, [m], sample_weight) for m in self.network.modalities}
        rows[_FUSION] = ops.max(ops.stack(list(rows.values())), axis=0)
        features = {s: ops.cast(outputs[f"{s}_feature"], "float32") for s in self.sources}
        labels = {_FUSION: y, **self._refined(labels, y, features)}
        for s in self.sources:
            self._remember(self.known[s], index, rows[s])
            self._remember(self.labels[s], index, labels[s] * rows[s])
            self._remember(self.features[s], index, features[s] * rows[s][:, None])
            self._update_centres(s)

    def _remember(self, state, index, values):
        state.assign(ops.scatter_update(ops.convert_to_tensor(state), ops.cast(index, "int32")[:, None], values))

    def _refined(self, labels, y, features):
        """New labels of a batch by modality, from its features and the centres before it."""
        nearer = {}
        for s in self.sources:
            centres = ops.convert_to_tensor(self.centres[s])
            distance = ops.sqrt(ops.sum(ops.square(features[s][:, None, :] - centres[None]), axis=-1))
            nearer[s] = (distance[:, 1] - distance[:, 0]) / (distance[:, 0] + _SMALLEST)
        together = nearer[_FUSION] + _SMALLEST
        together = ops.where(ops.abs(together) < _SMALLEST, _SMALLEST, together)
        has_centres = {s: ops.all(ops.convert_to_tensor(has) > 0) for s, has in self.has_centres.items()}
        n, refined = ops.convert_to_tensor(self.epoch), {}
        for m in self.network.modalities:
            new = 0.5 * nearer[m] / together * y + 0.5 * (y + nearer[m] - nearer[_FUSION])
            new = ops.clip(new, -self.label_bound, self.label_bound)
            mean = (n - 1) / (n + 1) * labels[m] + 2 / (n + 1) * new
            generates = ops.logical_and(n > 1, ops.logical_and(has_centres[m], has_centres[_FUSION]))
            refined[m] = ops.where(generates, mean, labels[m])
        return refined

    def _update_centres(self, source):
        """Makes the centres the means of the remembered features; that of a class that has none stays."""
        labels, known = ops.convert_to_tensor(self.labels[source]), ops.convert_to_tensor(self.known[source])
        positive = labels > 0 if self.exclude_zero else labels >= 0
        classes = ops.cast(ops.stack([positive, labels < 0]), "float32") * known[None, :]
        counts = ops.sum(classes, axis=1, keepdims=True)
        means = ops.matmul(classes, ops.convert_to_tensor(self.features[source])) / ops.maximum(counts, 1.0)
        self.centres[source].assign(ops.where(counts > 0, means, ops.convert_to_tensor(self.centres[source])))
        has = ops.convert_to_tensor(self.has_centres[source])
        self.has_centres[source].assign(ops.maximum(has, ops.cast(counts[:, 0] > 0, "float32")))
