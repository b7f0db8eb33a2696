"""A preset of every model for frozen features: `plum_net_frozen`, `mult_frozen` and so on.

Each was chosen by the same search on CMU-MOSI's frozen text vectors and audio (`mosi_text_audio.npz`): eight trials of
seed 0, the model's own values first (for PLUM-Net those of `mosi_frozen`), by the prediction loss on `valid` (n = 229).
The space is width, dropout, learning rate and weight decay (GLoMo has no field `dropout`), of PLUM-Net its own. The
test split had no part in it. `plumkeras experiment comparison RECIPE --settings frozen` takes them to other data.

    plumkeras train mult_frozen --data mosi_text_audio.npz --output runs/mult_frozen
"""

import dataclasses

from plumkeras.recipes.config import with_values
from plumkeras.recipes.models import find_model
from plumkeras.recipes.mosi import mosi_frozen

# Of each model, with seed 0.
TRIALS = 8
# What the search changed, by model.
VALUES = {
    "plum_net": {
        "network.hidden_dim": 256,
        "network.num_layers": 1,
        "network.dropout": 0.07478,
        "network.modality_dropout": 0.2896,
        "network.label_temperature": 0.06403,
        "objective.branch_weight": 1.073,
        "objective.alignment_weight": 0.03584,
        "alignment.epochs": 9,
        "alignment.learning_rate": 0.001107,
        "refinement.learning_rate": 0.000102,
        "refinement.weight_decay": 0.01,
    },
    "tfn": {},  # the model's own
    "lmf": {
        "network.width": 32,
        "training.learning_rate": 0.003259,
        "training.weight_decay": 0.0001,
        "network.dropout": 0.111,
    },
    "mult": {
        "network.width": 40,
        "training.learning_rate": 0.002345,
        "training.weight_decay": 0.0,
        "network.dropout": 0.1103,
    },
    "misa": {
        "network.width": 256,
        "training.learning_rate": 0.001164,
        "training.weight_decay": 0.01,
        "network.dropout": 0.5004,
    },
    "iccn": {},  # the model's own
    "mag": {
        "network.width": 128,
        "training.learning_rate": 0.0005823,
        "training.weight_decay": 0.01,
        "network.dropout": 0.02085,
    },
    "self_mm": {
        "network.width": 128,
        "training.learning_rate": 0.005,
        "training.weight_decay": 0.0,
        "network.dropout": 0.04296,
    },
    "mmim": {
        "network.width": 64,
        "training.learning_rate": 0.0006353,
        "training.weight_decay": 0.0,
        "network.dropout": 0.03875,
    },
    "bbfn": {
        "network.width": 20,
        "training.learning_rate": 0.002017,
        "training.weight_decay": 0.0,
        "network.dropout": 0.117,
    },
    "cubemlp": {
        "network.width": 64,
        "training.learning_rate": 0.002462,
        "training.weight_decay": 0.0001,
        "network.dropout": 0.3617,
    },
    "dmd": {
        "network.width": 100,
        "training.learning_rate": 0.0003186,
        "training.weight_decay": 0.0001,
        "network.dropout": 0.1483,
    },
    "glomo": {
        "network.width": 48,
        "training.learning_rate": 0.001485,
        "training.weight_decay": 0.01,
    },
    "late_fusion": {
        "network.hidden_dim": 256,
        "network.dropout": 0.2736,
        "training.learning_rate": 0.004579,
        "training.weight_decay": 0.001,
    },
    "early_fusion": {
        "network.hidden_dim": 256,
        "network.dropout": 0.4843,
        "training.learning_rate": 0.003282,
        "training.weight_decay": 0.001,
    },
}


def _preset(model, values):
    base = mosi_frozen if model == mosi_frozen.model else find_model(model).CONFIG(name=mosi_frozen.name, model=model)
    return with_values(base, {**values, "name": f"{model}_frozen"})


def preset_values(model: str) -> dict:
    """What a preset changes of the model's own defaults, by field, as `with_values` takes it."""
    preset, changed = _preset(model, VALUES[model]), {}
    usual = find_model(model).CONFIG(name=preset.name, model=model)
    for section in dataclasses.fields(preset):
        ours, theirs = getattr(preset, section.name), getattr(usual, section.name)
        if dataclasses.is_dataclass(ours):
            names = [field.name for field in dataclasses.fields(ours)]
            differing = [name for name in names if getattr(ours, name) != getattr(theirs, name)]
            changed |= {f"{section.name}.{name}": getattr(ours, name) for name in differing}
    return changed


RECIPES = tuple(_preset(model, values) for model, values in VALUES.items())
# What `plumkeras --help` says of each, by the recipe.
SUMMARIES = {
    recipe.name: f"{find_model(recipe.model).TITLE} for frozen features, tuned on CMU-MOSI" for recipe in RECIPES
}
