"""Early fusion among the models; all but its network is in `fusion`."""

from plumkeras.recipes.models import fusion
from plumkeras.recipes.models.about import About
from plumkeras.recipes.models.text import text_options

NAME, NETWORK, TITLE = "early_fusion", "EarlyFusion", "early fusion"
ABOUT = About(
    paper="",
    data_sets=(),
    parameters=102_554,
    differs="One perceptron over the mean features; the smallest network.",
)
STAGES = fusion.STAGES
CONFIG, SYNTHETIC_CONFIG = fusion.FusionRecipeConfig, fusion.SyntheticFusionRecipeConfig
build_trainers, search_space = fusion.build_trainers, fusion.search_space


def network_class():
    """The class of the network."""
    from plumkeras.models.early_fusion import EarlyFusion

    return EarlyFusion


def build_network(config, shape):
    """The untrained `EarlyFusion`. Arguments as those of `plum_net.build_network`."""
    return network_class()(**shape, **vars(config.network), **text_options(config, shape), dtype=config.precision)
