"""Every example in a docstring of the network's modules runs and shows what it says."""

import doctest
import importlib
import pkgutil

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras import layers
from plumkeras.features import FrameMoments

# The core; data and recipes have their own tests.
MODULES = sorted(
    [
        "plumkeras",
        *(m.name for m in pkgutil.walk_packages(plumkeras.__path__, "plumkeras.") if m.name[10:] != "__main__"),
    ]
)
# These have a runnable example.
WITH_EXAMPLES = [
    "plumkeras.models.early_fusion",
    "plumkeras.models.late_fusion",
    "plumkeras.models.plum_net",
    "plumkeras.trainers.prediction_stage",
    "plumkeras.losses",
    "plumkeras.metrics.streaming",
    "plumkeras.metrics.reports",
]


def run_examples(name):
    module = importlib.import_module(name)
    names = {"np": np, "keras": keras, "ops": keras.ops, "plumkeras": plumkeras, "FrameMoments": FrameMoments}
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    for test in doctest.DocTestFinder(exclude_empty=True).find(module, extraglobs=names):
        runner.run(test)
    return runner.summarize(verbose=False)


@pytest.mark.parametrize("name", MODULES)
def test_examples_run(name):
    assert run_examples(name).failed == 0


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_examples_are_there(name):
    assert run_examples(name).attempted > 0


def test_public_names_and_their_docstrings():
    for name in ("PLUMNet", "AlignmentTrainer", "RefinementTrainer"):
        assert getattr(plumkeras, name).__doc__ and name in dir(plumkeras)
    for name in layers.__all__:
        assert "Args:" in getattr(layers, name).__doc__ and "Call arguments:" in getattr(layers, name).__doc__, name
        assert ">>>" in getattr(layers, name).__doc__, name
    for name in ("PearsonCorrelation", "RoundedAccuracy", "SentimentAccuracy", "SentimentF1", "ClassCentroids"):
        assert getattr(plumkeras.metrics, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'PLUMNetwork'"):
        _ = plumkeras.PLUMNetwork
