"""PlumKeras: PLUM-Net (AAAI 2026) in Keras 3.

Names are imported when they are first used, so that reading data, checking a command line or printing help
does not start a backend.
"""

import importlib

from plumkeras.registration import register as _register

__version__ = "0.1.0"

_HOMES = {
    "PLUMNet": "plumkeras.models.plum_net",
    "AlignmentTrainer": "plumkeras.trainers",
    "RefinementTrainer": "plumkeras.trainers",
    "train": "plumkeras.recipes.runs.train",
    "load_run": "plumkeras.recipes.runs.run",
    "load_pretrained": "plumkeras.recipes.pretrained",
    "compare": "plumkeras.recipes.comparison",
    "experiment": "plumkeras.recipes.experiments.running",
    "export_saved_model": "plumkeras.export",
}
_SUBMODULES = (
    *("callbacks", "data_pipelines", "devices", "layers", "losses", "metrics", "recipes", "trainers"),
    "visualization",
)

# Everything else imports Keras.
_WITHOUT_KERAS = ("data_pipelines", "recipes", "load_run", "load_pretrained", "compare", "export_saved_model")

__all__ = ["__version__", *_HOMES, *_SUBMODULES]


def __getattr__(name):
    if name in __all__ and name not in _WITHOUT_KERAS:
        from plumkeras.backends import check_backend

        check_backend()
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _SUBMODULES:
        return importlib.import_module(f"plumkeras.{name}")
    raise AttributeError(f"module 'plumkeras' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)


# So that Keras alone reads a saved network: `import keras, plumkeras`, in either order, then `keras.saving.load_model`.
_register()
