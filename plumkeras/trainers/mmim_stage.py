"""MMIM's stage: codes of the batch before, which entropies are estimated with."""

import keras
from keras import ops

from plumkeras.arguments import known_arguments_only
from plumkeras.models.mmim import MMIMObjective
from plumkeras.trainers.prediction_stage import PredictionTrainer

# Batches of an epoch before the entropy counts.
_WITHOUT_ENTROPY = 2


@known_arguments_only(MMIMObjective)
class MMIMTrainer(PredictionTrainer):
    """Trains `MMIM` with a history: the codes of the batch before, by which entropies are of more samples.

    The history is empty when an epoch begins, and entropies count from its third batch on, as published. Validation
    takes the history of the last batch of training. It is variables of the trainer.

    The public code has a second optimizer, for what predicts modalities from the text. Adam treats each weight by
    itself, so that here it is one optimizer, in which those weights may have a learning rate of their own.

    Args:
        network: `MMIM`.
        batch_size: int. How many rows of a batch are remembered. Defaults to `32`.
        likelihood_rate: float. Learning rate of what predicts modalities from the text, as a factor of that of the
            rest; other ones than 1 need an optimizer of `plumkeras.trainers.backend`. Defaults to `1`.
        label_classes, class_weight: as in `PredictionTrainer`.
        **objective_options: see `plumkeras.models.mmim.MMIMObjective`.

    Raises:
        ValueError: an argument is out of its range.

    Example:
        >>> from plumkeras.models.mmim import MMIM
        >>> network = MMIM({"text": 4, "audio": 3}, width=8)
        >>> x = {m: np.ones((8, 3, d)) * np.arange(8)[:, None, None] for m, d in network.feature_dims.items()}
        >>> network.adapt(x)
        >>> trainer = MMIMTrainer(network, batch_size=4)
        >>> trainer.compile("adam")
        >>> history = trainer.fit(x, np.linspace(-1, 1, 8), batch_size=4, epochs=1, verbose=0)
        >>> sorted(history.history)[:3]
        ['audio_contrast_loss', 'audio_entropy_loss', 'audio_likelihood_loss']
    """

    def __init__(
        self,
        network: keras.Model,
        batch_size: int = 32,
        likelihood_rate: float = 1.0,
        label_classes: str | tuple = "sign3",
        class_weight: tuple | None = None,
        name: str = "mmim_trainer",
        **objective_options,
    ):
        if batch_size < 1:
            raise ValueError(f"`batch_size` must be 1 or more. Received: batch_size={batch_size}")
        if not likelihood_rate >= 0:
            raise ValueError(f"`likelihood_rate` must not be negative. Received: likelihood_rate={likelihood_rate}")
        super().__init__(network, label_classes, class_weight, name, **objective_options)
        self.batch_size, self.likelihood_rate = batch_size, likelihood_rate
        # How many of the epoch are done.
        self.batches = self.add_state("batches", ())
        self.history_of = {}
        for m in self.objective.modalities[1:]:
            width = network.output[f"text_to_{m}_code"].shape[-1]
            codes = self.add_state(f"{m}_codes", (batch_size, width))
            self.history_of[m] = codes, self.add_state(f"{m}_groups", (batch_size, self.objective.num_groups))

    def compile(self, optimizer="adam", **kwargs):
        """As `PredictionTrainer.compile`.

        Raises:
            ValueError: `likelihood_rate` is not 1, and the optimizer has one rate for all weights.
        """
        super().compile(optimizer, **kwargs)
        if self.likelihood_rate == 1:
            return
        optimizer = getattr(self.optimizer, "inner_optimizer", self.optimizer)
        if not hasattr(optimizer, "rate_factors"):
            raise ValueError(
                f"`likelihood_rate`={self.likelihood_rate} needs an optimizer of plumkeras.trainers.backend, Adam or "
                f"AdamW. Received: optimizer={optimizer}"
            )
        factors = {id(variable): self.likelihood_rate for variable in self.network.likelihood_variables}
        optimizer.rate_factors = {**optimizer.rate_factors, **factors}

    def begin_epoch(self, epoch):
        for state in (self.batches, *(state for states in self.history_of.values() for state in states)):
            state.assign(ops.zeros(state.shape))

    def loss_terms(self, outputs, y, sample_weight):
        history = {m: tuple(map(ops.convert_to_tensor, states)) for m, states in self.history_of.items()}
        scale = ops.cast(ops.convert_to_tensor(self.batches) >= _WITHOUT_ENTROPY, "float32")
        return self.objective.terms(outputs, y, sample_weight, history, scale)

    def after_step(self, outputs, y, sample_weight):
        for m, states in self.history_of.items():
            for state, values in zip(states, self.objective.coded(outputs, m, y, sample_weight), strict=True):
                # Rows of zeros, which are in no class, fill a batch up.
                filled = ops.concatenate([values, ops.zeros(state.shape)], axis=0)[: self.batch_size]
                state.assign(ops.reshape(filled, state.shape))
        self.batches.assign(self.batches + 1.0)
