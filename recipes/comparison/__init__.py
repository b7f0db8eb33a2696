"""Runs side by side: their metrics, and which differences the samples show."""

from plumkeras.recipes.comparison.comparing import compare
from plumkeras.recipes.comparison.result import ComparedRun, Comparison
from plumkeras.recipes.comparison.searches import ComparedSearch

__all__ = ["ComparedRun", "ComparedSearch", "Comparison", "compare"]
