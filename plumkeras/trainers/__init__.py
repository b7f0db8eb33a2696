"""Two trainers over one network: `AlignmentTrainer` (stage 1), then `RefinementTrainer` (stage 2)."""

from plumkeras.trainers.stages import AlignmentTrainer, RefinementTrainer

__all__ = ["AlignmentTrainer", "RefinementTrainer"]
