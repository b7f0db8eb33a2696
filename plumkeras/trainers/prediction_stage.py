"""The one stage of a network that is trained by the objective that it names."""

import keras

from plumkeras.trainers.stage import StageTrainer


class PredictionTrainer(StageTrainer):
    """Trains a whole `MultimodalNetwork` by its `objective`: the loss of its task, or the model's own terms.

    With `validation_data`, `fit` ends on the weights of the epoch with the best `val_prediction_loss`, whose number is
    then `best_epoch`.

    Args:
        network: `MultimodalNetwork`.
        label_classes: how a regression label becomes a class. Read with `class_weight` alone.
        class_weight: weights of the classes, or `None`.
        **objective_options: see the `objective` of the network's class.

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
        **objective_options,
    ):
        super().__init__(network, name)
        self.objective = network.objective(label_classes, class_weight, **objective_options)
        self._start(network.select(*self.objective.output_names), self.objective.term_names)

    def call(self, x, training=False):
        return self.forward(x, training)["prediction"]

    def loss_terms(self, outputs, y, sample_weight):
        return self.objective.terms(outputs, y, sample_weight)
