"""`plumkeras models`: every model with its paper, and the number of parameters that it has."""

import json

import numpy as np
import pytest

from plumkeras.models.needs import NEEDS
from plumkeras.recipes.cli import main
from plumkeras.recipes.models import MODELS, build_network, config_class, find_model
from plumkeras.recipes.models.about import PUBLISHED_WIDTHS


def test_the_list(capsys):
    assert main(["models"]) == 0
    said = capsys.readouterr().out
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == list(MODELS)
    for name, found in listed.items():
        assert f"\n{name}: " in said and found["paper"] in said and f"{found['parameters']:,}" in said
        assert bool(found["paper"]) == bool(found["data_sets"])
    # Those of a paper but our own say what they need of the data.
    assert {name for name, found in listed.items() if found["paper"]} == {"plum_net", *NEEDS}


@pytest.mark.verify
@pytest.mark.parametrize("name", MODELS)
def test_the_number_of_parameters(name):
    module = find_model(name)
    shape = {"feature_dims": PUBLISHED_WIDTHS, "task": "regression", "num_classes": 3}
    network = build_network(config_class(name)(name=name, model=name), shape)
    assert sum(int(np.prod(v.shape)) for v in network.trainable_variables) == module.ABOUT.parameters
