"""The modules of PLUM-Net as Keras layers, one file each."""

from plumkeras.layers.feature_standardization import FeatureStandardization
from plumkeras.layers.modality_encoder import ModalityEncoder
from plumkeras.layers.multilevel_semantic_alignment import MultilevelSemanticAlignment
from plumkeras.layers.private_refinement import PrivateRefinement
from plumkeras.layers.prototype_label_generator import PrototypeLabelGenerator
from plumkeras.layers.task_conditioned_bifurcator import TaskConditionedBifurcator, TaskConditionedBranch
from plumkeras.layers.text_encoder import TextEncoder

__all__ = [
    "FeatureStandardization",
    "ModalityEncoder",
    "MultilevelSemanticAlignment",
    "PrivateRefinement",
    "PrototypeLabelGenerator",
    "TaskConditionedBifurcator",
    "TaskConditionedBranch",
    "TextEncoder",
]
