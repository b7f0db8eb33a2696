"""Two trainers over one network: `AlignmentTrainer` (stage 1), then `RefinementTrainer` (stage 2)."""

from plumkeras.trainers.plum_stages import AlignmentTrainer, RefinementTrainer

__all__ = ["AlignmentTrainer", "RefinementTrainer"]
