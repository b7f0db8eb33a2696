"""Regression: one real number a sample, such as the sentiment from -3 to 3."""

import itertools

import numpy as np

from plumkeras.tasks.task import Task


class Regression(Task):
    """Labels `[N]` float32; classes by `plumkeras.objectives.class_labels`; mean absolute error (eq. 12)."""

    name = "regression"
    labels_are = "real numbers"
    label_dtype = "float32"
    has_classes = False
    loss_title = "mean absolute error"
    baseline = "the training labels' median"

    def owns(self, labels):
        return labels.ndim == 1 and labels.dtype.kind == "f"

    def num_classes(self, labels):
        return None

    def label_counts(self, labels, label_names=None):
        signs = {"negative": labels < 0, "zero": labels == 0, "positive": labels > 0}
        return {name: int(np.sum(rows)) for name, rows in signs.items()}

    def classes(self, y, label_classes="sign3"):
        from plumkeras.objectives.class_labels import class_labels

        return class_labels(y, label_classes)

    def contrast_classes(self, num_classes, label_classes):
        from plumkeras.objectives.class_labels import scheme_classes

        return scheme_classes(label_classes)

    def units(self, num_classes):
        return 1

    def activate(self, scores):
        return scores[:, 0]

    def prediction_shape(self, batch, num_classes):
        return (batch,)

    def loss(self):
        import keras

        return keras.losses.MeanAbsoluteError(name="prediction")

    def loss_arguments(self, y, prediction):
        from keras import ops

        # With a last axis, so that the mean over it keeps one value per sample for the sample weights.
        return ops.reshape(y, (-1, 1)), prediction[:, None]

    def progress_metrics(self, has_signs):
        from plumkeras.metrics import PearsonCorrelation, SentimentAccuracy

        return [PearsonCorrelation(), *([SentimentAccuracy(convention="non0")] if has_signs else [])]

    def constant(self, labels):
        return np.median(labels)

    def report(self, labels, prediction, dataset):
        from plumkeras.metrics import reports

        measure = {
            "sentiment": reports.sentiment_report,
            "sims": reports.sims_report,
            "scale": reports.regression_report,
        }[dataset.metric_report]
        return measure(labels, prediction)

    def class_names(self, num_classes, label_classes="sign3", label_names=None):
        if label_classes == "sign3":
            return ["negative", "neutral", "positive"]
        return [str(k) for k in range(num_classes)]

    def class_meanings(self, num_classes, label_classes="sign3", label_names=None):
        if label_classes == "sign3":
            return ["negative", "exactly neutral", "positive"]
        if label_classes == "round7":
            return [f"label rounded to {k}" for k in range(-3, 4)]
        edges = ["-infinity", *(f"{edge:g}" for edge in label_classes), "infinity"]
        return [f"label in [{low}, {high})" for low, high in itertools.pairwise(edges)]

    def answer(self, num_classes):
        return "a score"

    def prediction_columns(self, prediction, names):
        return {"prediction": prediction}

    def read_prediction(self, columns, names):
        return columns["prediction"].astype("float32")

    def prediction_words(self, prediction, names, label_range=None):
        low, high = label_range or (-3, 3)
        digits, sign = 1 if high - low > 2 else 2, "+" if low < 0 else ""
        # Adding 0 takes the sign off a zero.
        return [f"{round(float(value), digits) + 0.0:{sign}.{digits}f}" for value in prediction]

    def how_to_read(self, label_range=None):
        if label_range is None:
            scale = "Scale: that of the labels it learned"
        else:
            low, high = label_range
            scale = f"Scale: {low:g} to {high:g}" + (", positive is good" if low < 0 < high else "")
        return f"{scale}. A score says nothing of how certain it is."
