"""The two stages of training, eq. 10-13, each a plain `compile` and `fit` over one network."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.objectives.alignment import AlignmentObjective
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.trainers.prototypes import PrototypeTrainer

OBJECTIVES = ("total", "refinement")


@known_arguments_only(AlignmentObjective)
class AlignmentTrainer(PrototypeTrainer):
    """Stage 1, common-private alignment: trains stem, MSA and TFB with `L_stage1`, eq. 10.

    `compile(optimizer)`, then `fit(train, prototype_data=..., validation_data=...)`. The last weights are kept, and
    the prototypes are refreshed from them. Every term of the loss is a metric of the history, named `*_loss`; they add
    up to `loss`. `<modality>_label_entropy` is the mean entropy of the soft labels, in nats.

    Args:
        network: `PLUMNet` with at least `modules=("msa",)`.
        prototype_policy: `"epoch"`: eq. 4 over the whole training split before each epoch; `"ema"` and `"batch"`: from
            the batch, before its step. Defaults to `"epoch"`.
        prototype_momentum: float, of `"ema"`. Defaults to `0.99`.
        label_warmup_epochs: int. Epochs before the private branches learn prototype labels. Defaults to `1`.
        **objective_options: see `plumkeras.objectives.alignment.AlignmentObjective`: `label_classes`,
            `alignment_weight`, `temperature`, `private_target`, ...

    Raises:
        ValueError: for a network without modules, or an option outside its range.

    Reference: PLUM-Net, eq. 10.
    """

    refreshes_at_end = True

    def __init__(
        self,
        network: keras.Model,
        prototype_policy: str = "epoch",
        prototype_momentum: float = 0.99,
        label_warmup_epochs: int = 1,
        name: str = "alignment_trainer",
        **objective_options,
    ):
        if not network.modules:
            raise ValueError(
                "AlignmentTrainer: a network with modules=() has no stage 1; train it by RefinementTrainer"
            )
        if label_warmup_epochs < 0:
            raise ValueError(f"`label_warmup_epochs` must not be negative. Received: {label_warmup_epochs}")
        super().__init__(network, prototype_policy, prototype_momentum, objective_options, name)
        self.label_warmup_epochs = label_warmup_epochs
        self._start(network.select(*self.alignment.output_names), self.alignment.term_names)

    def begin_epoch(self, epoch):
        self.label_warmup.assign(float(epoch < self.label_warmup_epochs))

    def loss_terms(self, outputs, y, sample_weight):
        return self.alignment.terms(outputs, y, sample_weight, ops.convert_to_tensor(self.label_warmup))


@known_arguments_only(AlignmentObjective)
class RefinementTrainer(PrototypeTrainer):
    """Stage 2, fusion refinement: adds PRM and the head, eq. 11-13.

    With `validation_data`, `fit` ends on the weights and prototypes of the epoch with the best `val_prediction_loss`
    (mean absolute error or cross-entropy), whose number is then `best_epoch`.

    Args:
        network: `PLUMNet`, after stage 1 (or without modules).
        objective: `"total"`: `L_stage1 + L_stage2`, eq. 13, from one forward pass; `"refinement"`: `L_stage2` alone.
            Defaults to `"total"`.
        freeze_alignment: bool. Whether stem, MSA and TFB keep the weights of stage 1. Defaults to `False`.
        prototype_policy, prototype_momentum, **objective_options: as in `AlignmentTrainer`.

    Raises:
        ValueError: for an option outside its range.

    Reference: PLUM-Net, eq. 11-13.
    """

    chooses_epoch = True

    def __init__(
        self,
        network: keras.Model,
        objective: str = "total",
        freeze_alignment: bool = False,
        prototype_policy: str = "epoch",
        prototype_momentum: float = 0.99,
        name: str = "refinement_trainer",
        **objective_options,
    ):
        if objective not in OBJECTIVES:
            raise ValueError(f"`objective` must be one of {OBJECTIVES}. Received: objective={objective!r}")
        super().__init__(network, prototype_policy, prototype_momentum, objective_options, name)
        self.objective = objective
        self.freeze_alignment = freeze_alignment
        self.prediction = PredictionObjective(
            network, self.alignment.label_classes, objective_options.get("class_weight")
        )
        self.frozen = set()
        if freeze_alignment:
            self.frozen = {id(v) for v in network.select(*self.alignment.output_names).trainable_variables}
        names = [*self.prediction.output_names, *self.alignment.output_names]
        terms = [*self.prediction.term_names, *(self.alignment.term_names if objective == "total" else ())]
        self._start(network.select(*names), terms)

    def call(self, x, training=False):
        return self.forward(x, training)["prediction"]

    def loss_terms(self, outputs, y, sample_weight):
        terms = self.prediction.terms(outputs, y, sample_weight)
        if self.objective == "total":
            terms.update(self.alignment.terms(outputs, y, sample_weight))
        return terms

    @property
    def trainable_variables(self):
        return [v for v in self.part.trainable_variables if id(v) not in self.frozen]
