"""Trainers over a network: `AlignmentTrainer`, then `RefinementTrainer`; of the fusion models `PredictionTrainer`."""

from plumkeras.trainers.plum_stages import AlignmentTrainer, RefinementTrainer
from plumkeras.trainers.prediction_stage import PredictionTrainer

__all__ = ["AlignmentTrainer", "PredictionTrainer", "RefinementTrainer"]
