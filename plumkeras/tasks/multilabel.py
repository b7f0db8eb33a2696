"""Multi-label classification: any number of labels a sample, such as MOSEI's six emotions or IEMOCAP's four.

Label sets take the place of classes. Two samples are positives of each other in the contrast where they share a label;
one without any label is no anchor, and a negative of all. A modality's prototypes are the means of the samples that
have the label, one prototype a label, so that a generated label is the nearest one and a soft label a distribution over
labels. The branches' true target is spread evenly over the labels of a sample; one without any has none.
"""

import numpy as np

from plumkeras.features import DataError
from plumkeras.tasks.task import Task


class MultiLabel(Task):
    """Labels `[N, L]` int32, 0 or 1; a probability each by a sigmoid; binary cross-entropy."""

    name = "multilabel"
    labels_are = "label sets"
    label_axes = 2
    label_dtype = "float32"
    loss_title = "binary cross-entropy"
    baseline = "for each label, what most training samples have"

    def owns(self, labels):
        return labels.ndim == 2

    def num_classes(self, labels):
        return labels[0].shape[1]

    def check_values(self, labels, num_classes, where, ids):
        for row, column in np.argwhere((labels != 0) & (labels != 1))[:1]:
            raise DataError(
                f"{where} holds {labels[row, column]:g} in column {column} for sample {ids[row]}; 0 and 1 are expected"
            )

    def label_counts(self, labels, label_names=None):
        names = label_names or range(labels.shape[1])
        return {str(name): int(count) for name, count in zip(names, labels.sum(axis=0), strict=True)}

    def classes(self, y, label_classes="sign3"):
        from keras import ops

        return ops.cast(y, "float32")

    def activate(self, scores):
        from keras import ops

        return ops.sigmoid(scores)

    def loss(self):
        import keras

        return keras.losses.BinaryCrossentropy(name="prediction")

    def loss_arguments(self, y, prediction):
        # With a last axis, so that each label has a value, which can be weighted.
        return y[:, :, None], prediction[:, :, None]

    def label_weights(self, y, class_weight, label_classes="sign3"):
        """`class_weight[l]` for a sample that has the label, 1 for one that has not."""
        from keras import ops

        weight = ops.convert_to_tensor(class_weight, "float32")
        return ops.where(ops.cast(y, "float32") > 0, weight[None, :], 1.0)

    def balanced_weights(self, labels, num_classes, label_classes="sign3"):
        """For each label, how many samples lack it for one that has it; 1 for a label that no sample or all have."""
        counts = labels.sum(axis=0)
        return tuple(float((len(labels) - n) / n) if 0 < n < len(labels) else 1.0 for n in counts)

    def progress_metrics(self, has_signs):
        import keras

        return [keras.metrics.BinaryAccuracy(name="accuracy")]

    def decide(self, prediction):
        return (prediction > 0.5).astype("int32")

    def constant(self, labels):
        return (labels.mean(axis=0) > 0.5).astype("int32")

    def report(self, labels, prediction, dataset):
        from plumkeras.metrics.reports import multilabel_report

        return multilabel_report(labels, prediction, dataset.label_names)

    def label_columns(self, labels, names):
        return {f"label_{name}": labels[:, k] for k, name in enumerate(names)}

    def answer(self, num_classes):
        return f"{num_classes} labels, of which a sample has any number"

    def prediction_columns(self, prediction, names):
        return {f"probability_{name}": prediction[:, k] for k, name in enumerate(names)}

    def read_prediction(self, columns, names):
        return np.stack([columns[f"probability_{name}"].astype("float32") for name in names], axis=1)

    def prediction_words(self, prediction, names, label_range=None):
        rows = ([f"{n} {p:.2f}" for n, p in zip(names, row, strict=True) if p > 0.5] for row in prediction)
        return [", ".join(row) or "none" for row in rows]

    def how_to_read(self, label_range=None):
        return (
            "The labels whose probability is above 0.5, with the probability that the network gives each. How often "
            "that is right was not measured."
        )
