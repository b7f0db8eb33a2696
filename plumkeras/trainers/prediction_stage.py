"""The one stage of a network that is trained by the loss of its prediction alone."""

import keras

from plumkeras.arguments import known_arguments_only
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.trainers.stage import StageTrainer


@known_arguments_only()
class PredictionTrainer(StageTrainer):
    """Trains a whole `MultimodalNetwork` by the loss of its task.

    With `validation_data`, `fit` ends on the weights of the epoch with the best `val_prediction_loss`, whose number is
    then `best_epoch`.

    Args:
        network: `MultimodalNetwork`.
        label_classes: how a regression label becomes a class. Read with `class_weight` alone.
        class_weight: weights of the classes, or `None`.

    Example:
        >>> from plumkeras.models.late_fusion import LateFusion
        >>> network = LateFusion({"text": 4}, hidden_dim=8)
        >>> x = {"text": np.ones((8, 3, 4)) * np.arange(8)[:, None, None]}
        >>> network.adapt(x)
        >>> trainer = PredictionTrainer(network)
        >>> trainer.compile("adam")
        >>> history = trainer.fit(x, np.linspace(-1, 1, 8), epochs=1, verbose=0)
        >>> sorted(history.history)
        ['loss', 'prediction_loss']
    """

    chooses_epoch = True

    def __init__(
        self,
        network: keras.Model,
        label_classes: str | tuple = "sign3",
        class_weight: tuple | None = None,
        name: str = "prediction_trainer",
    ):
        super().__init__(network, name)
        self.prediction = PredictionObjective(network, label_classes, class_weight)
        self._start(network.select("prediction"), self.prediction.term_names)

    def call(self, x, training=False):
        return self.forward(x, training)["prediction"]

    def loss_terms(self, outputs, y, sample_weight):
        return self.prediction.terms(outputs, y, sample_weight)
