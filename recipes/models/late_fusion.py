"""Late fusion among the models; all but its network is in `fusion`."""

from plumkeras.recipes.models import fusion
from plumkeras.recipes.models.about import About
from plumkeras.recipes.models.text import text_options

NAME, NETWORK, TITLE = "late_fusion", "LateFusion", "late fusion"
ABOUT = About(
    paper="",
    data_sets=(),
    parameters=201_985,
    differs="A projection and a mean for each modality, one head: the simplest network with a part for each.",
)
STAGES = fusion.STAGES
CONFIG, SYNTHETIC_CONFIG = fusion.FusionRecipeConfig, fusion.SyntheticFusionRecipeConfig
build_trainers, search_space = fusion.build_trainers, fusion.search_space


def network_class():
    """The class of the network."""
    from plumkeras.models.late_fusion import LateFusion

    return LateFusion


def build_network(config, shape):
    """The untrained `LateFusion`. Arguments as those of `plum_net.build_network`."""
    return network_class()(**shape, **vars(config.network), **text_options(config, shape), dtype=config.precision)
