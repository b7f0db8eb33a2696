"""The presets for frozen features: one of every model, those that the published search chose, and taken over."""

import dataclasses
import json
from pathlib import Path

from plumkeras.recipes import find_recipe
from plumkeras.recipes.config import value_of, with_values
from plumkeras.recipes.experiments import comparison
from plumkeras.recipes.experiments.running import ExperimentOptions, Setup
from plumkeras.recipes.frozen import TRIALS, VALUES, preset_values
from plumkeras.recipes.models import MODELS, loss_title, with_model
from plumkeras.recipes.runs.jobs import DataSource

PUBLISHED = Path(__file__).parents[2] / "recipes" / "results" / "mosi_comparison" / "settings.json"


def test_every_model_has_a_preset_with_the_values_of_the_published_search():
    published = json.loads(PUBLISHED.read_text())
    assert tuple(VALUES) == MODELS
    for model, values in VALUES.items():
        preset = find_recipe(f"{model}_frozen")
        assert preset.model == model and preset.batch_size == find_recipe("mosi_frozen").batch_size
        assert published[model]["trials"] == TRIALS and published[model]["values"] == values
        assert {field: value_of(preset, field) for field in values} == values
    assert published["plum_net"]["objective"] < published["plum_net"]["own_objective"]


def test_a_comparison_takes_the_presets_over(tmp_path):
    config = with_values(find_recipe("synthetic"), {"synthetic.train": 32, "synthetic.valid": 16, "synthetic.test": 16})
    options = ExperimentOptions(models=("mult", "late_fusion"), settings=Path("frozen"))
    dataset = DataSource().prepared(config)
    setup = Setup(config, DataSource(), dataset, tmp_path, (0,), options)
    comparison.check(setup)
    rows = comparison.make_rows(setup)
    assert rows["plum_net"].config == config
    for model in ("mult", "late_fusion"):
        preset = find_recipe(f"{model}_frozen")
        assert rows[model].config.network == preset.network and rows[model].config.training == preset.training
    assert json.loads((tmp_path / "settings.json").read_text())["mult"]["values"] == preset_values("mult")


def test_presets_are_whole_for_any_recipe():
    """PLUM-Net's is `mosi_frozen` with changes, and not the defaults with changes."""
    for model in MODELS:
        preset, other = find_recipe(f"{model}_frozen"), "mult_frozen" if model == "plum_net" else "mosi_trimodal"
        made = with_values(with_model(find_recipe(other), model), preset_values(model))
        sections = [f.name for f in dataclasses.fields(preset) if dataclasses.is_dataclass(getattr(preset, f.name))]
        assert {"network", *preset.STAGES} <= set(sections)
        assert all(getattr(made, section) == getattr(preset, section) for section in sections)


def test_a_squared_error_is_called_one():
    assert loss_title("misa", "regression") == loss_title("bbfn", "regression") == "mean squared error"
    assert loss_title("plum_net", "regression") == "mean absolute error"
    assert loss_title("misa", "classification") == "cross-entropy"
