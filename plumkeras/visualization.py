"""Pictures of runs and searches."""

import importlib

_PICTURES = ("plot_losses", "plot_search")

__all__ = [*_PICTURES]


def __getattr__(name):
    # Late: the core imports no other package.
    if name in __all__:
        return getattr(importlib.import_module("plumkeras.recipes.views.pictures"), name)
    raise AttributeError(f"module 'plumkeras.visualization' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)
