"""Classification: one class a sample, such as humor or sarcasm."""

import numpy as np

from plumkeras.features import DataError
from plumkeras.tasks.task import Task


class Classification(Task):
    """Labels `[N]` int32, classes from 0; probabilities by softmax; cross-entropy (eq. 11)."""

    name = "classification"
    labels_are = "class numbers"
    label_dtype = "int32"
    loss_title = "cross-entropy"
    baseline = "the training labels' most frequent class"

    def owns(self, labels):
        return labels.ndim == 1 and labels.dtype.kind in "iub"

    def num_classes(self, labels):
        return 1 + max(int(array.max()) for array in labels)

    def check_values(self, labels, num_classes, where, ids):
        wrong = (labels != np.floor(labels)) | (labels < 0)
        if num_classes is not None:
            wrong |= labels >= num_classes
        for row in np.flatnonzero(wrong)[:1]:
            allowed = (
                "classes are whole numbers from 0"
                if num_classes is None
                else f"the network has {num_classes} classes, numbered 0 to {num_classes - 1}"
            )
            raise DataError(f"{where} holds class {labels[row]:g} for sample {ids[row]}; {allowed}")

    def label_counts(self, labels, label_names=None):
        values, counts = np.unique(labels, return_counts=True)
        return {str(value): int(count) for value, count in zip(values, counts, strict=True)}

    def classes(self, y, label_classes="sign3"):
        from keras import ops

        return ops.cast(ops.reshape(y, (-1,)), "int32")

    def activate(self, scores):
        from keras import ops

        return ops.softmax(scores, axis=-1)

    def loss(self):
        import keras

        return keras.losses.SparseCategoricalCrossentropy(name="prediction")

    def progress_metrics(self, has_signs):
        return ["accuracy"]

    def decide(self, prediction):
        return prediction.argmax(axis=1) if prediction.ndim > 1 else prediction

    def constant(self, labels):
        return np.bincount(labels).argmax()

    def report(self, labels, prediction, dataset):
        from plumkeras.metrics.reports import classification_report

        return classification_report(labels, prediction)

    def answer(self, num_classes):
        return f"{num_classes} classes"

    def prediction_columns(self, prediction, names):
        probabilities = {f"probability_{name}": prediction[:, k] for k, name in enumerate(names)}
        return {"prediction": self.decide(prediction), **probabilities}

    def read_prediction(self, columns, names):
        return columns["prediction"].astype("int32")

    def prediction_words(self, prediction, names, label_range=None):
        return [f"{names[k]} {row[k]:.2f}" for k, row in zip(self.decide(prediction), prediction, strict=True)]

    def how_to_read(self, label_range=None):
        return "The class, and the probability that the network gives it. How often that is right was not measured."
