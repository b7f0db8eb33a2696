"""Experiments: the paper's tables and figures, each by one command, over seeds."""

import importlib

from plumkeras.nearest import nearest
from plumkeras.recipes.config import ConfigError

# What each is. The module of the same name has what it takes; see `running`.
EXPERIMENTS = {
    "comparison": "Tables 1 and 2: the recipe, every model of the package and simple references, one protocol",
    "ablation": "Table 3: the network with more and more of its modules; with --rows all, one choice changed at a time",
    "labels": "Figure 4: the labels that each modality's prototypes give, beside the true ones, over epochs",
    "embeddings": "Figure 5: t-SNE of raw, common and private vectors, with silhouettes and cross-modal retrieval",
    "alignment": "Figure 6: how close the modalities' common embeddings are over epochs, with and without MSA",
    "robustness": "the limits that the paper names: missing modalities, noise, wrong labels, rare classes",
}


def find_experiment(name: str):
    """The module of an experiment.

    Raises:
        ConfigError: there is none of that name.
    """
    if name not in EXPERIMENTS:
        hint = nearest(name, EXPERIMENTS) or f"; there are {', '.join(EXPERIMENTS)}"
        raise ConfigError(f"unknown experiment {name!r}{hint}")
    return importlib.import_module(f"plumkeras.recipes.experiments.{name}")
