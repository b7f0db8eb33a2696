"""The objective of stage 1, in `keras.ops`: the same code for every backend.

An objective maps a batch's outputs and labels to named terms. Each term is the value of a `keras.losses.Loss` called
through `__call__` (which scales it for `tf.distribute`), times its weight, so that the terms of a step add up to its
loss.
"""

from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.losses import BranchCrossentropy, SupervisedContrastiveLoss
from plumkeras.tasks import get_task

PRIVATE_TARGETS = ("hard", "soft", "class")
WARMUP_TARGETS = ("class", "none")


def _one_of(argument, value, allowed):
    if value not in allowed:
        raise ValueError(f"`{argument}` must be one of {allowed}. Received: {argument}={value!r}")


def takes_part(present, sample_weight=None):
    """Which rows `[N]` have the modality and a weight that is not 0, and so a place among the others."""
    present = ops.convert_to_tensor(present)
    if sample_weight is None:
        return present
    return ops.logical_and(present, ops.reshape(ops.convert_to_tensor(sample_weight), (-1,)) != 0)


def membership(members, num_classes):
    """Classes `[N]` as one-hot rows, or label sets `[N, C]` as they are: `[N, C]`, all zero for -1."""
    if len(members.shape) == 1:
        return ops.one_hot(members, num_classes, dtype="float32")
    return ops.maximum(members, 0.0)


def _spread(members, num_classes):
    """The branches' target `[N, C]`: one, spread evenly over the classes of a row; all zero where it has none."""
    rows = membership(members, num_classes)
    return rows if len(members.shape) == 1 else rows / ops.maximum(ops.sum(rows, axis=1, keepdims=True), 1.0)


@known_arguments_only()
class AlignmentObjective:
    """`L_stage1 = L_TFB + alignment_weight * L_MSA`, eq. 10, of which the network's `modules` have their part.

    Args:
        network: `PLUMNet`.
        label_classes: how a regression label becomes a class: `"sign3"`, `"round7"` or bin edges; see
            `plumkeras.objectives.class_labels`. Read in regression alone. Defaults to `"sign3"`.
        alignment_weight: float, the paper's lambda_1. Defaults to `0.1`.
        temperature: float, of the contrastive losses. Defaults to `0.1`.
        include_self: bool. The anchor in the denominator, as eq. 1 and 2 are printed. Defaults to `False`.
        inter_positives: `"cross"` or `"all"`; see `losses.SupervisedContrastiveLoss`. Defaults to `"cross"`.
        private_target: what the private branches learn: `"hard"` or `"soft"` prototype labels, or the true `"class"`.
            Defaults to `"hard"`.
        warmup_target: during the label warm-up, `"class"`: private branches learn the true class; `"none"`: no branch
            learns, the stage is `L_MSA` alone. Defaults to `"class"`.
        branch_weight: float. Weight of `L_TFB`. `1` is eq. 10. Defaults to `1`.
        class_balanced, label_smoothing, class_weight: see `losses.BranchCrossentropy`.

    Raises:
        ValueError: for a value outside the above, or when `label_classes` and the network's `num_classes` disagree.

    Reference: PLUM-Net, eq. 1-3, 6-8 and 10.
    """

    def __init__(
        self,
        network,
        label_classes="sign3",
        alignment_weight=0.1,
        temperature=0.1,
        include_self=False,
        inter_positives="cross",
        private_target="hard",
        warmup_target="class",
        branch_weight=1.0,
        class_balanced=False,
        label_smoothing=0.0,
        class_weight=None,
    ):
        _one_of("private_target", private_target, PRIVATE_TARGETS)
        _one_of("warmup_target", warmup_target, WARMUP_TARGETS)
        self.modalities = network.modalities
        self.num_classes = network.num_classes
        self.task = get_task(network.task)
        self.label_classes = label_classes
        made = self.task.contrast_classes(network.num_classes, label_classes)
        if made != network.num_classes:
            raise ValueError(
                f"`label_classes`={label_classes!r} makes {made} classes, and the network has "
                f"num_classes={network.num_classes}"
            )
        if class_weight is not None and len(class_weight) != network.num_classes:
            raise ValueError(
                f"`class_weight` must hold {network.num_classes} weights, one for each class. "
                f"Received: class_weight={class_weight}"
            )
        self.alignment_weight = alignment_weight
        self.branch_weight = branch_weight
        self.private_target = private_target
        self.warmup_target = warmup_target
        self.contrasts = "msa" in network.modules
        self.bifurcates = "psl_tfb" in network.modules
        contrast = {"temperature": temperature, "include_self": include_self}
        self.intra = SupervisedContrastiveLoss(**contrast, name="intra")
        self.inter = SupervisedContrastiveLoss(
            **contrast, positives=inter_positives, num_groups=len(self.modalities), name="inter"
        )
        self.branch = BranchCrossentropy(class_balanced, label_smoothing, class_weight)

    @property
    def output_names(self):
        """The network outputs that the terms read."""
        names = ["present"]
        if self.contrasts:
            names += ["aligned_embedding", "aligned_common"]
        if self.bifurcates:
            names += ["common_logits", "private_logits", "soft_label", "hard_label"]
        return [f"{modality}_{name}" for modality in self.modalities for name in names]

    @property
    def term_names(self):
        """Names of the terms, which all end in `_loss`."""
        names = []
        if self.contrasts:
            names += ["inter_loss", *(f"{modality}_intra_loss" for modality in self.modalities)]
        if self.bifurcates:
            names += [f"{modality}_{branch}_loss" for modality in self.modalities for branch in ("common", "private")]
        return names

    def members(self, y, present):
        """Classes `[N]`, or label sets `[N, C]`, of labels; -1 for the rows that are not `present`."""
        classes = self.task.classes(y, self.label_classes)
        return ops.where(present if len(classes.shape) == 1 else present[:, None], classes, -1)

    def terms(self, outputs, y, sample_weight=None, warmup=0.0):
        """Named scalar terms.

        Args:
            outputs: dict of the network's outputs over the whole batch.
            y: labels `[N]` or `[N, L]`.
            sample_weight: `[N]` or `None`. Multiplies the values of its row; a row of weight 0 is no anchor, no
                positive and in no denominator.
            warmup: scalar, 1 while the labels warm up, else 0.
        """
        used = {m: takes_part(outputs[f"{m}_present"], sample_weight) for m in self.modalities}
        labels = {m: self.members(y, used[m]) for m in self.modalities}
        if sample_weight is not None:
            sample_weight = ops.reshape(sample_weight, (-1,))
        terms = {}
        if self.contrasts:
            stacked = ops.concatenate([outputs[f"{m}_aligned_common"] for m in self.modalities], axis=0)
            weight = None if sample_weight is None else ops.concatenate([sample_weight] * len(self.modalities), axis=0)
            every = ops.concatenate([labels[m] for m in self.modalities], axis=0)
            terms["inter_loss"] = self.alignment_weight * self.inter(every, stacked, sample_weight=weight)
            for m in self.modalities:
                intra = self.intra(labels[m], outputs[f"{m}_aligned_embedding"], sample_weight=sample_weight)
                terms[f"{m}_intra_loss"] = self.alignment_weight * intra
        if self.bifurcates:
            share = self.branch_weight * (1.0 - warmup if self.warmup_target == "none" else 1.0)
            for m in self.modalities:
                true = _spread(labels[m], self.num_classes)
                private = self._private_target(outputs, m, true, used[m], warmup)
                common_logits, private_logits = outputs[f"{m}_common_logits"], outputs[f"{m}_private_logits"]
                terms[f"{m}_common_loss"] = share * self.branch(true, common_logits, sample_weight=sample_weight)
                terms[f"{m}_private_loss"] = share * self.branch(private, private_logits, sample_weight=sample_weight)
        return terms

    def _private_target(self, outputs, modality, true, used, warmup):
        if self.private_target == "class":
            return true
        if self.private_target == "hard":
            generated = ops.one_hot(outputs[f"{modality}_hard_label"], self.num_classes, dtype="float32")
        else:
            generated = outputs[f"{modality}_soft_label"]
        generated = generated * ops.cast(used, "float32")[:, None]
        return ops.stop_gradient(warmup * true + (1.0 - warmup) * generated)
