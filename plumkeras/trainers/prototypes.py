"""What both stages of PLUM-Net share: prototypes, the objective of stage 1, label warm-up."""

import keras
from keras import ops

from plumkeras.callbacks import StageSchedule
from plumkeras.metrics import ClassCentroids
from plumkeras.objectives.alignment import AlignmentObjective, membership, takes_part
from plumkeras.trainers.stage import StageTrainer, array_batches

PROTOTYPE_POLICIES = ("epoch", "ema", "batch", "none")


class PrototypeTrainer(StageTrainer):
    """A stage of a network with prototypes, which `embed` gives the embeddings of."""

    refreshes_at_end = False

    def __init__(self, network, prototype_policy, prototype_momentum, objective_options, name):
        super().__init__(network, name)
        if prototype_policy not in PROTOTYPE_POLICIES:
            raise ValueError(f"`prototype_policy` must be one of {PROTOTYPE_POLICIES}. Received: {prototype_policy!r}")
        if not 0 <= prototype_momentum < 1:
            raise ValueError(f"`prototype_momentum` must lie in [0, 1). Received: {prototype_momentum}")
        self.prototype_policy = prototype_policy
        self.prototype_momentum = prototype_momentum
        self.alignment = AlignmentObjective(network, **objective_options)
        if prototype_policy == "none" and self.alignment.private_target != "class":
            raise ValueError(
                '`prototype_policy="none"` leaves no label but the true class: `private_target="class"` is expected. '
                f"Received: private_target={self.alignment.private_target!r}"
            )
        self.label_warmup = self.add_weight(shape=(), initializer="zeros", trainable=False, name="label_warmup")
        if network.prototype_generators and prototype_policy != "none":
            names = [f"{m}_{name}" for m in network.modalities for name in ("aligned_embedding", "present")]
            self.embedding_part = network.select(*names)

    def _start(self, part, term_names):
        self.entropy_trackers = {
            m: keras.metrics.Mean(name=f"{m}_label_entropy")
            for m in self.network.modalities
            if f"{m}_soft_label" in part.output
        }
        super()._start(part, term_names)

    @property
    def _refreshes(self):
        return bool(self.embedding_part) and self.prototype_policy == "epoch"

    def _schedule(self, x, y, prototype_data, sample_weight):
        if not self._refreshes:
            return StageSchedule()
        if prototype_data is None:
            if not isinstance(x, dict) or y is None:
                raise ValueError(
                    '`prototype_policy="epoch"` needs `prototype_data`: the complete, unshuffled training split as '
                    "batches of (inputs, labels). Received: prototype_data=None"
                )
            prototype_data = array_batches(x, y, sample_weight)
        return StageSchedule(prototype_data)

    def refresh_prototypes(self, data):
        """Exact eq. 4: prototypes from every sample of `data`, dropout off.

        Args:
            data: batches of `(inputs, labels)`; can be gone through again and again.

        Raises:
            ValueError: there is no batch, as in an iterator that is used up.
        """
        centroids = {
            m: ClassCentroids(self.network.num_classes, self.network.hidden_dim) for m in self.network.modalities
        }
        number = -1
        for number, batch in enumerate(data):
            inputs, y, sample_weight = keras.utils.unpack_x_y_sample_weight(batch)
            # The batches that reach the host: here every sample of a data set passes before it is learned from.
            where = f"batch {number} of `prototype_data`"
            inputs = self.network.complete_arrays(inputs, where, clean=False)
            y = self._checked_labels(y, len(next(iter(inputs.values()))), where)
            outputs = self.embed(inputs)
            for m, labels in self._members(outputs, y, sample_weight).items():
                centroids[m].update_state(labels, outputs[f"{m}_aligned_embedding"])
        if number < 0:
            raise ValueError("`prototype_data` holds no batch; an iterator is used up after one epoch, give a dataset")
        for m, generator in self.network.prototype_generators.items():
            generator.assign_prototypes(centroids[m].result(), centroids[m].counts)

    def _members(self, outputs, y, sample_weight):
        """By modality the classes `[N]` or label sets `[N, C]`, -1 for a row that is a member of none."""
        used = {m: takes_part(outputs[f"{m}_present"], sample_weight) for m in self.network.modalities}
        return {m: self.alignment.members(y, used[m]) for m in used}

    def before_step(self, x, y, sample_weight, gather):
        """Policies `"ema"` and `"batch"`: the batch's own class means, dropout off, become (part of) the prototypes."""
        if not self.embedding_part or self.prototype_policy == "epoch":
            return
        outputs = self.embedding_part(self.network.named_inputs(x), training=False)
        outputs, y, sample_weight = gather((outputs, y, sample_weight))
        members = self._members(outputs, y, sample_weight)
        momentum = self.prototype_momentum if self.prototype_policy == "ema" else 0.0
        for m, generator in self.network.prototype_generators.items():
            one_hot = membership(members[m], self.network.num_classes)
            counts = ops.sum(one_hot, axis=0)
            embeddings = ops.cast(outputs[f"{m}_aligned_embedding"], "float32")
            sums = ops.matmul(ops.transpose(one_hot), embeddings)
            generator.assign_prototypes(sums / ops.maximum(counts, 1)[:, None], counts, momentum)

    def track(self, terms, outputs, y, sample_weight):
        super().track(terms, outputs, y, sample_weight)
        for m, tracker in self.entropy_trackers.items():
            soft = outputs[f"{m}_soft_label"]
            entropy = -ops.sum(soft * ops.log(ops.maximum(soft, 1e-12)), axis=-1)
            tracker.update_state(entropy, sample_weight=ops.cast(outputs[f"{m}_present"], "float32"))
