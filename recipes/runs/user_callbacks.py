"""Keras callbacks that a user hands to a run."""

from plumkeras.nearest import nearest
from plumkeras.recipes.config import ConfigError


def check_callbacks(callbacks, stages):
    """Raises `ConfigError` unless callbacks are None, a callable, a list, or a dict by stage."""
    if not callable(callbacks):
        callbacks_by_stage(callbacks, stages)


def callbacks_by_stage(callbacks, stages) -> dict:
    """Callbacks as a dict of lists by stage.

    Args:
        callbacks: Keras callbacks for all stages, one or a list; a dict of them by stage; a function without arguments
            that returns either, called for each run, so that each fold has its own; or None.
        stages: names of the stages.

    Raises:
        ConfigError: there is no such stage, or something is no callback.
    """
    import keras

    if callable(callbacks):
        callbacks = callbacks()
    if callbacks is None:
        return {}
    if not isinstance(callbacks, dict):
        callbacks = dict.fromkeys(stages, callbacks)
    found = {}
    for stage, given in callbacks.items():
        if stage not in stages:
            hint = nearest(stage, stages) or f"; there are {' and '.join(stages)}"
            raise ConfigError(f"callbacks: there is no stage {stage!r}{hint}")
        found[stage] = list(given) if isinstance(given, (list, tuple)) else [given]
        for callback in found[stage]:
            if not isinstance(callback, keras.callbacks.Callback):
                raise ConfigError(f"callbacks of {stage}: {callback!r:.80} is no keras.callbacks.Callback")
    return found
