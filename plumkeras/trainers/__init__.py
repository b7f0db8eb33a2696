"""Trainers over a network: `AlignmentTrainer`, then `RefinementTrainer`; of late fusion `PredictionTrainer`."""

from plumkeras.trainers.plum_stages import AlignmentTrainer, RefinementTrainer
from plumkeras.trainers.prediction_stage import PredictionTrainer

__all__ = ["AlignmentTrainer", "PredictionTrainer", "RefinementTrainer"]
