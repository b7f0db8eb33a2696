"""Late fusion among the models; all but its network is in `fusion`."""

from plumkeras.recipes.models import fusion
from plumkeras.recipes.models.about import About

NAME, NETWORK, TITLE = "late_fusion", "LateFusion", "late fusion"
ABOUT = About(
    paper="",
    data_sets=(),
    parameters=201_985,
    differs="A projection and a mean for each modality, one head: the simplest network with a part for each.",
)
STAGES = fusion.STAGES
CONFIG, SYNTHETIC_CONFIG = fusion.FusionRecipeConfig, fusion.SyntheticFusionRecipeConfig
build_trainers, network_options, search_space = fusion.build_trainers, fusion.network_options, fusion.search_space
