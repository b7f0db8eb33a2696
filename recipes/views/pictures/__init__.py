"""Pictures of data sets, runs and searches."""

from plumkeras.recipes.views.pictures.losses import plot_losses
from plumkeras.recipes.views.pictures.search import plot_search

__all__ = ["plot_losses", "plot_search"]
