"""Recipes: named, immutable configurations, and the one way to run them."""

import importlib
import importlib.util
import os
import sys
from pathlib import Path

from plumkeras.nearest import nearest
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError, RecipeConfig, from_dict, to_dict
from plumkeras.recipes.frozen import RECIPES as _FROZEN
from plumkeras.recipes.frozen import SUMMARIES as _FROZEN_SUMMARIES
from plumkeras.recipes.mosei import mosei as _mosei
from plumkeras.recipes.mosi import mosi as _mosi
from plumkeras.recipes.mosi import mosi_frozen as _mosi_frozen
from plumkeras.recipes.mosi import mosi_text as _mosi_text
from plumkeras.recipes.mosi import mosi_text_frozen as _mosi_text_frozen
from plumkeras.recipes.mosi import mosi_trimodal as _mosi_trimodal
from plumkeras.recipes.mustard import mustard as _mustard
from plumkeras.recipes.mustard import mustard_text as _mustard_text
from plumkeras.recipes.published import RECIPES as _PUBLISHED
from plumkeras.recipes.published import SUMMARIES as _PUBLISHED_SUMMARIES
from plumkeras.recipes.synthetic import synthetic as _synthetic
from plumkeras.recipes.ur_funny import ur_funny as _ur_funny

_RECIPES = {
    config.name: config
    for config in (
        *(_mosi, _mosi_frozen, _mosi_trimodal, _mosi_text, _mosi_text_frozen),
        *(_mosei, _ur_funny, _mustard, _mustard_text, _synthetic),
        *(*_PUBLISHED, *_FROZEN),
    )
}
# What the labels are that each was made for.
_TASKS = {
    **dict.fromkeys(
        ("mosi", "mosi_frozen", "mosi_trimodal", "mosi_text", "mosi_text_frozen", "mosei", "synthetic"), "regression"
    ),
    **dict.fromkeys(("ur_funny", "mustard", "mustard_text"), "classification"),
    **dict.fromkeys(_PUBLISHED_SUMMARIES, "regression"),
}
# What each is, for which data, and how long it takes.
_SUMMARIES = {
    "mosi": "the paper's settings for CMU-MOSI (aligned_50.pkl); 160 + 140 epochs, best on a GPU",
    "mosi_frozen": "ours, for CMU-MOSI with frozen text vectors (mosi_text_audio.npz); 2 to 5 minutes on two cores",
    "mosi_trimodal": "ours, for the same with vision and folds (mosi_trimodal_752.npz); 6 + 16 epochs a fold",
    "mosi_text": "ours, for CMU-MOSI with its words: tunes a text encoder; 2 + 8 epochs, 4 to 8 minutes on two cores",
    "mosi_text_frozen": "the same with the text encoder as it is, and the settings of mosi_frozen",
    "mosei": "the paper's settings for CMU-MOSEI, a file or shards; 50 + 50 epochs, best on a GPU",
    "ur_funny": "humor, for the folder of UR-FUNNY; the settings of mustard, at most 10 + 20 epochs",
    "mustard": "sarcasm, for the folder of MUStARD with text vectors; at most 10 + 20 epochs a fold",
    "mustard_text": "sarcasm, for MUStARD with its words: tunes a text encoder; 1 + 4 epochs a fold",
    "synthetic": "generated data with a known truth, needs no file; one or two minutes on two cores",
    **_PUBLISHED_SUMMARIES,
    **_FROZEN_SUMMARIES,
}

__all__ = ["ConfigError", "RecipeConfig", "find_recipe", "load_run", "recipe_names", "recipe_summaries"]


def __getattr__(name):
    # Late: reading a run takes more imports than the name of a recipe.
    if name == "load_run":
        return importlib.import_module("plumkeras.recipes.runs.run").load_run
    raise AttributeError(f"module 'plumkeras.recipes' has no attribute {name!r}")


def __dir__():
    return sorted(__all__)


def recipe_names() -> tuple[str, ...]:
    """Names of the recipes that come with the package."""
    return tuple(_RECIPES)


def recipe_summaries() -> dict[str, str]:
    """A line about each of these recipes, by name: what it is, for which data, and how long it takes."""
    return dict(_SUMMARIES)


def usual_task(name: str) -> str | None:
    """The task that a recipe of the package was made for; None of any other recipe."""
    return _TASKS.get(name)


def find_recipe(name: str | os.PathLike) -> RecipeConfig:
    """The configuration of a recipe.

    Args:
        name: a name of `recipe_names()`, or the path of a Python file of yours that sets `recipe` to a `RecipeConfig`.
            Such a file is run.

    Raises:
        ConfigError: for an unknown name, or a file that fails or sets no `recipe`.
    """
    return read_recipe(name)[0]


def read_recipe(name):
    """The configuration of a recipe, and the function that makes its callbacks.

    Args:
        name: as in `find_recipe`. A recipe file may define a function `callbacks` without arguments, which returns
            Keras callbacks as `plumkeras.train` takes them.

    Returns:
        `RecipeConfig`, and the function or None.

    Raises:
        ConfigError: as `find_recipe`; or `callbacks` is no function.
    """
    if name in _RECIPES:
        return _RECIPES[name], None
    path = Path(name)
    if path.suffix != ".py" and not path.exists():
        hint = nearest(name, _RECIPES)
        raise ConfigError(
            f"unknown recipe {name!r}{hint}; there are {', '.join(_RECIPES)}, or the path of a recipe file"
        )
    return _read_recipe_file(path)


def _read_recipe_file(path):
    if not path.is_file():
        raise ConfigError(f"{path}: there is no such recipe file")
    spec = importlib.util.spec_from_file_location("plumkeras_user_recipe", path)
    if spec is None:
        raise ConfigError(f"{path}: a recipe file is a Python file, named *.py")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses defined in the file look their module up by name.
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise ConfigError(f"{path}: the recipe file fails: {type(error).__name__}: {error}") from error
    recipe = getattr(module, "recipe", None)
    if not isinstance(recipe, BaseRecipeConfig):
        raise ConfigError(f"{path}: a recipe file sets `recipe` to a plumkeras.recipes.RecipeConfig; found {recipe!r}")
    # As if replayed from JSON: that checks the type of every value.
    callbacks = getattr(module, "callbacks", None)
    if not (callbacks is None or callable(callbacks)):
        raise ConfigError(
            f"{path}: `callbacks` is a {type(callbacks).__name__}; a function that returns callbacks is expected, so "
            "that each run has its own"
        )
    return from_dict(to_dict(recipe), str(path)), callbacks
