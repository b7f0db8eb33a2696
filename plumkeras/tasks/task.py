"""What every task answers."""

import numpy as np

from plumkeras.features import DataError, check_finite


class Task:
    """A kind of label: its shape and type, classes for contrast and prototypes, head, loss, metrics and csv columns.

    Subclasses set the attributes and define every method that raises `NotImplementedError`.

    Attributes:
        name: what a data set, a network and the command line call it.
        labels_are: what its labels are, in words.
        label_axes: 1 for labels `[N]`, 2 for `[N, L]`.
        label_dtype: the type of the labels that reach the network.
        has_classes: whether the data, and not a scheme, say how many classes there are.
        loss_title: what the validation loss of the prediction is, for axes of pictures.
        baseline: what the constant prediction of a baseline is.
    """

    name: str
    labels_are: str
    label_axes = 1
    label_dtype: str
    has_classes = True
    loss_title: str
    baseline: str

    # === Labels ===

    def owns(self, labels: np.ndarray) -> bool:
        """Whether labels of this type and shape are this task's."""
        raise NotImplementedError

    def num_classes(self, labels: list) -> int | None:
        """Number of classes that the label arrays of a data set show; `None` where a scheme makes the classes."""
        raise NotImplementedError

    def check_values(self, labels: np.ndarray, num_classes: int | None, where: str, ids) -> None:
        """Raises `DataError` for a label that a network of so many classes cannot learn; `None`: of any number."""

    def network_labels(self, y, count: int, num_classes: int, where: str) -> np.ndarray:
        """Labels of `count` samples as a network learns them, checked.

        Args:
            y: array. Labels `[N]` or `[N, 1]`; of several labels `[N, L]`.
            count: how many samples there are.
            num_classes: of the network.
            where: what the labels are called in errors.

        Raises:
            DataError: a shape, a type or a value is wrong; the value and its sample are named.
        """
        y = np.asarray(y)
        if self.label_axes == 1:
            if y.ndim not in (1, 2) or (y.ndim == 2 and y.shape[1] != 1):
                raise DataError(f"{where} has shape {y.shape}; one label per sample is expected, [N] or [N, 1]")
        elif y.ndim != 2 or y.shape[1] != num_classes:
            raise DataError(f"{where} has shape {y.shape}; 0 or 1 for each of {num_classes} labels is expected, [N, L]")
        if len(y) != count:
            raise DataError(f"{where} has {len(y)} labels for {count} samples")
        y = y.reshape(-1) if self.label_axes == 1 else y
        if y.dtype.kind not in "iufb":
            raise DataError(f"{where} is of type {y.dtype}; numbers are expected")
        check_finite(y if y.ndim == 1 else y.sum(axis=1, dtype="float64"), range(count), where)
        self.check_values(y, num_classes, where, range(count))
        return y.astype(self.label_dtype)

    def label_counts(self, labels: np.ndarray, label_names=None) -> dict[str, int]:
        """How many samples each class or label has, for `inspect`."""
        raise NotImplementedError

    # === Network ===

    def classes(self, y, label_classes="sign3"):
        """Classes of contrast, prototypes and branches: a tensor `[N]` int32, or `[N, C]` 0 or 1 for several."""
        raise NotImplementedError

    def contrast_classes(self, num_classes: int | None, label_classes) -> int:
        """`C`, the number of classes of contrast, prototypes and branches, and of the prediction if it has any."""
        return num_classes

    def units(self, num_classes: int) -> int:
        """Width of the head's last layer."""
        return num_classes

    def activate(self, scores):
        """The prediction of the head's scores `[B, units]`: `[B]`, or probabilities `[B, C]`."""
        raise NotImplementedError

    def prediction_shape(self, batch, num_classes: int) -> tuple:
        """Shape of the prediction."""
        return (batch, num_classes)

    def loss(self):
        """The Keras loss of the prediction, one value for each of the first axes of `loss_arguments`."""
        raise NotImplementedError

    def loss_arguments(self, y, prediction):
        """Labels and prediction as `loss` takes them: tensors whose last axis the loss takes its mean over."""
        return y, prediction

    def label_weights(self, y, class_weight, label_classes="sign3"):
        """Weights `[N]` (or `[N, L]`) of the labels by class, for the loss of the prediction."""
        from keras import ops

        return ops.take(ops.convert_to_tensor(class_weight, "float32"), self.classes(y, label_classes))

    def balanced_weights(self, labels: np.ndarray, num_classes: int, label_classes="sign3") -> tuple[float, ...]:
        """`N / (C * n_c)` for each class of the training labels, 1 for a class that has no sample."""
        from keras import ops

        classes = np.asarray(ops.convert_to_numpy(self.classes(labels, label_classes)))
        counts = np.bincount(classes, minlength=num_classes)
        return tuple(float(len(classes) / (num_classes * n)) if n else 1.0 for n in counts)

    def progress_metrics(self, has_signs: bool) -> list:
        """Keras metrics that training shows beside the loss."""
        raise NotImplementedError

    # === Results ===

    def decide(self, prediction: np.ndarray) -> np.ndarray:
        """The decision `[N]` (or `[N, L]` 0 or 1) that a prediction `[N, ...]` comes to; a decision is its own."""
        return prediction

    def constant(self, labels: np.ndarray):
        """What one would predict without features, from the training labels."""
        raise NotImplementedError

    def report(self, labels: np.ndarray, prediction: np.ndarray, dataset) -> dict:
        """Metrics by name.

        Args:
            labels: `[N]` or `[N, L]`.
            prediction: `[N, ...]` as the network gives it, or decisions.
            dataset: `Dataset`. Its `metric_report` and `label_names` are read.
        """
        raise NotImplementedError

    def class_names(self, num_classes: int, label_classes="sign3", label_names=None) -> list[str]:
        """Names of the classes `0..C-1` of contrast and prototypes, for files and pictures."""
        return list(label_names or map(str, range(num_classes)))

    def class_meanings(self, num_classes: int, label_classes="sign3", label_names=None) -> list[str]:
        """What each of these classes is, in words, for the model card."""
        return [f"class {name} of the data" for name in self.class_names(num_classes, label_classes, label_names)]

    def answer(self, num_classes: int) -> str:
        """What a network answers, in words, for the model card."""
        raise NotImplementedError

    def label_columns(self, labels: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Columns of a csv file of predictions for the labels."""
        return {"label": labels}

    def prediction_columns(self, prediction: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Columns of a csv file of predictions for the prediction."""
        raise NotImplementedError

    def read_prediction(self, columns: dict[str, np.ndarray], names: list[str]) -> np.ndarray:
        """The prediction, as `report` takes it, of the columns that `prediction_columns` made."""
        raise NotImplementedError

    def prediction_words(self, prediction: np.ndarray, names: list[str], label_range=None) -> list[str]:
        """Each prediction in a word or two, for the terminal."""
        return [str(decision) for decision in self.decide(prediction)]

    def how_to_read(self, label_range=None) -> str:
        """What the numbers of `prediction_words` are, and what they do not say: a line."""
        return ""
