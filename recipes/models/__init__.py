"""The models that a recipe can train, by name. A new one is a module with these names, and a place in `_MODULES`.

- `NAME`; `NETWORK`, the name of the network's class, whose module is `plumkeras.models.<NAME>`; `TITLE`, as tables
  name it; and `ABOUT`, see `about.About`.
- `STAGES`: dict from the name of each stage to its title; the last one's epoch is chosen on validation.
- `CONFIG`: dataclass of its recipes, a `BaseRecipeConfig` with the model's sections; `SYNTHETIC_CONFIG`: the same with
  the section of generated data.
- `network_options(config, shape)`, the network's arguments; `build_trainers(config, network, class_weight, data)`;
  `search_space(config, modalities)`. `data` is a dict, see `data_facts`.
- Optionally `GRAPH_DEPENDS_ON`: names in `data` on which the compiled steps depend; and `LOSS_TITLES`: dict from task
  to what the prediction loss is, where that is not the task's own.

Nothing imports a backend until a network is built.
"""

import dataclasses
import importlib

from plumkeras.nearest import nearest
from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.config.fields import BaseRecipeConfig
from plumkeras.recipes.models import (
    bbfn,
    cubemlp,
    dmd,
    early_fusion,
    glomo,
    iccn,
    late_fusion,
    lmf,
    mag,
    misa,
    mmim,
    mult,
    plum_net,
    self_mm,
    tfn,
)

# In the order of `plumkeras models`: PLUM-Net, the published ones by year, the simple ones.
_MODULES = {
    module.NAME: module
    for module in (
        plum_net,
        tfn,
        lmf,
        mult,
        misa,
        iccn,
        mag,
        self_mm,
        mmim,
        bbfn,
        cubemlp,
        dmd,
        glomo,
        late_fusion,
        early_fusion,
    )
}
MODELS = tuple(_MODULES)
# Of all models.
STAGE_TITLES = {stage: title for module in _MODULES.values() for stage, title in module.STAGES.items()}


def find_model(name: str):
    """The module of a model.

    Raises:
        ConfigError: there is no model of that name.
    """
    if not isinstance(name, str) or name not in _MODULES:
        raise ConfigError(f"model must be one of {', '.join(MODELS)}. Received: {name}{nearest(str(name), MODELS)}")
    return _MODULES[name]


def config_class(model: str, is_synthetic: bool = False) -> type:
    """The class of the recipes of a model."""
    module = find_model(model)
    return module.SYNTHETIC_CONFIG if is_synthetic else module.CONFIG


def network_class(model: str) -> type:
    """The class of a model's network."""
    module = find_model(model)
    return getattr(importlib.import_module(f"plumkeras.models.{module.NAME}"), module.NETWORK)


def build_network(config, shape: dict):
    """The untrained network of a recipe's model.

    Args:
        config: the recipe.
        shape: dict of `feature_dims`, `task` and `num_classes`.

    Raises:
        ConfigError: the network takes no such arguments, or not for such data.
    """
    options = find_model(config.model).network_options(config, shape)
    try:
        return network_class(config.model)(**shape, **options, dtype=config.precision)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def data_facts(dataset) -> dict:
    """What a trainer may ask of the data: `train_samples`, and `label_range`, a pair or None."""
    return {"train_samples": len(dataset["train"]), "label_range": dataset.label_range}


def loss_title(model: str, task: str) -> str:
    """What the prediction loss of a model is, as pages name it."""
    # Late: it imports numpy.
    from plumkeras.tasks import get_task

    return getattr(find_model(model), "LOSS_TITLES", {}).get(task, get_task(task).loss_title)


def is_synthetic(config) -> bool:
    """Whether a recipe generates its data."""
    return hasattr(config, "synthetic")


def with_model(config: BaseRecipeConfig, model: str | None) -> BaseRecipeConfig:
    """A recipe for another model: data handling, batch size and seed stay, network and stages are the model's own.

    Args:
        config: the recipe.
        model: name of the model, or None: the recipe's own.

    Raises:
        ConfigError: there is no model of that name.
    """
    if model is None or model == config.model:
        return config
    kept = {f.name: getattr(config, f.name) for f in dataclasses.fields(BaseRecipeConfig)}
    if is_synthetic(config):
        kept["synthetic"] = config.synthetic
    return config_class(model, is_synthetic(config))(**{**kept, "model": find_model(model).NAME})
