"""Early fusion among the models; all but its network is in `fusion`."""

from plumkeras.recipes.models import fusion
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "early_fusion", "EarlyFusion", "early fusion"
ABOUT = About(
    paper="",
    data_sets=(),
    parameters=102_554,
    differs="One perceptron over the mean features; the smallest network.",
)
STAGES = fusion.STAGES
CONFIG, SYNTHETIC_CONFIG = fusion.FusionRecipeConfig, fusion.SyntheticFusionRecipeConfig
build_trainers, network_options, search_space = fusion.build_trainers, fusion.network_options, fusion.search_space
