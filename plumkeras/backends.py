"""The backend that Keras will start, checked without starting it."""

import importlib.util
import os
import sys

from plumkeras import json_text

BACKENDS = ("tensorflow", "jax", "torch")


def check_backend(installed: bool = True) -> None:
    """Raises `ImportError` unless the backend that Keras is told to use is one of ours and Keras can be imported.

    Args:
        installed: whether the backend must be installed, too.
    """
    name, setting = _chosen()
    if name not in BACKENDS:
        raise ImportError(f"{setting} must be tensorflow, jax or torch. Received: {name!r}")
    if installed and importlib.util.find_spec(name) is None:
        others = [other for other in BACKENDS if importlib.util.find_spec(other)]
        instead = f", or set KERAS_BACKEND to {' or '.join(others)}" if others else ""
        raise ImportError(f"the {name} backend ({setting}) is not installed; pip install {name}{instead}")


def chosen_backend() -> str:
    """Name of the backend that Keras has started, or will start."""
    return _chosen()[0]


def _chosen():
    """Name of the backend, and what sets it."""
    if keras := sys.modules.get("keras"):
        return keras.backend.backend(), "KERAS_BACKEND"
    path, settings = _keras_settings()
    if name := os.environ.get("KERAS_BACKEND"):
        return name, "KERAS_BACKEND"
    if "backend" in settings:
        return settings["backend"], f"backend in {path}"
    return "tensorflow", "KERAS_BACKEND"


def _keras_settings():
    """Path of Keras's configuration, and what it sets; checked, for Keras fails where it is not as expected."""
    home = os.path.expanduser("~")
    folder = os.environ.get("KERAS_HOME", os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras"))
    path = os.path.expanduser(os.path.join(folder, "keras.json"))
    try:
        with open(path) as file:
            settings = json_text.parse(file.read())
    except (OSError, ValueError):
        # Keras ignores what is no JSON.
        return path, {}
    if not isinstance(settings, dict):
        raise ImportError(f"{path}: must hold a JSON object; correct the file or remove it. Received: {settings!r}")
    if (floatx := settings.get("floatx", "float32")) not in ("float32", "float64"):
        raise ImportError(
            f"{path}: floatx must be float32; 16 bits are chosen by --precision, in Python by `dtype`. "
            f"Received: {floatx!r}"
        )
    if not isinstance(epsilon := settings.get("epsilon", 1e-7), float):
        raise ImportError(f"{path}: epsilon must be a number with a decimal point. Received: {epsilon!r}")
    if (order := settings.get("image_data_format", "channels_last")) not in ("channels_last", "channels_first"):
        raise ImportError(f"{path}: image_data_format must be channels_last or channels_first. Received: {order!r}")
    return path, settings
