"""What was saved is read back by Keras alone, in a process that has only imported the package."""

import importlib
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import keras
import pytest

import plumkeras
import plumkeras.models
from plumkeras.registration import _CLASSES

RELEASE = Path(__file__).parent / "releases" / "0.1.0_regression.keras"
IMPORTS = {
    "keras first": "import keras, plumkeras",
    "plumkeras first": "import plumkeras, keras",
    "a part first": "import plumkeras.layers.masking, keras",
}


def in_process(code, backend="tensorflow"):
    """What the code prints in a process of its own."""
    environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize("backend", ["tensorflow", "jax", "torch"])
@pytest.mark.parametrize("order", ["keras first", "plumkeras first"])
def test_keras_loads_a_network_of_an_earlier_release(backend, order):
    pytest.importorskip(backend)
    code = f"{IMPORTS[order]}; print(type(keras.models.load_model({str(RELEASE)!r})).__name__)"
    assert in_process(code, backend) == "PLUMNet"


def test_layers_and_losses_in_a_model_of_the_users_own(tmp_path):
    """A compiled model, so that its loss is in the file too."""
    sequence, length = keras.Input((None, 4)), keras.Input((), dtype="int32")
    hidden = plumkeras.layers.ModalityEncoder(8)(sequence, length)
    model = keras.Model([sequence, length], keras.layers.GlobalAveragePooling1D()(hidden))
    model.compile(loss=plumkeras.losses.SupervisedContrastiveLoss(temperature=0.3))
    path = str(tmp_path / "own.keras")
    model.save(path)
    code = f"""
{IMPORTS["a part first"]}
model = keras.saving.load_model({path!r})
found = [type(layer).__name__ for layer in model.layers]
assert "ModalityEncoder" in found, found
print(type(model.loss).__name__, model.loss.temperature)
"""
    assert in_process(code) == "SupervisedContrastiveLoss 0.3"


def test_importing_the_package_imports_no_keras():
    code = (
        "import sys, plumkeras, plumkeras.recipes.cli; print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    assert in_process(code) == "[]"


def test_looking_for_keras_is_not_importing_it():
    """The place of Keras is looked up by other software; the classes are known all the same when it is imported."""
    code = f"""
import importlib.util, plumkeras
importlib.util.find_spec("keras")
import keras
print(type(keras.models.load_model({str(RELEASE)!r})).__name__)
"""
    assert in_process(code) == "PLUMNet"


def test_every_registered_class_is_listed():
    """What the package's modules enter in the registry is what the list says, module by module."""
    for package in (plumkeras, plumkeras.layers, plumkeras.models):
        for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
            if module.name.rpartition(".")[2] not in ("__main__", "cli"):
                importlib.import_module(module.name)
    entered = {name: cls for name, cls in keras.saving.get_custom_objects().items() if name.startswith("plumkeras>")}
    listed = {f"plumkeras>{name}": f"plumkeras.{home}" for home, names in _CLASSES.items() for name in names}
    assert {name: cls.__module__ for name, cls in entered.items() if isinstance(cls, type)} == listed
