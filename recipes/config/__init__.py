"""What a recipe is: typed, immutable configuration.

Nothing here imports a backend, so that a mistake on the line is told before one starts.
"""

from plumkeras.recipes.config.errors import ConfigError, TrainingError
from plumkeras.recipes.config.fields import (
    BaseRecipeConfig,
    StageConfig,
    SyntheticConfig,
    TaskName,
    TextConfig,
    check_label_range,
)
from plumkeras.recipes.config.values import field_names, from_dict, read_json, to_dict, value_of, with_values
from plumkeras.recipes.models.plum_net import (
    AlignmentConfig,
    NetworkConfig,
    ObjectiveConfig,
    RecipeConfig,
    RefinementConfig,
    SyntheticRecipeConfig,
)

__all__ = [
    "AlignmentConfig",
    "BaseRecipeConfig",
    "ConfigError",
    "NetworkConfig",
    "ObjectiveConfig",
    "RecipeConfig",
    "RefinementConfig",
    "StageConfig",
    "SyntheticConfig",
    "SyntheticRecipeConfig",
    "TaskName",
    "TextConfig",
    "TrainingError",
    "check_label_range",
    "field_names",
    "from_dict",
    "read_json",
    "to_dict",
    "value_of",
    "with_values",
]
