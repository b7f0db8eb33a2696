"""Makes Keras know the package's classes by name, so that `keras.saving.load_model` can read what was saved.

Keras finds a class only in its own registry, and a class is entered there when its module is imported, which takes
Keras. `import plumkeras` imports neither; so the registry gets placeholders that import the module when a file asks for
it: at once if Keras is already imported, otherwise when it is.
"""

import importlib
import sys

# A module under `plumkeras` and what it registers.
_CLASSES = {
    "layers.adaptation_gate": ("AdaptationGate", "StepsOfText"),
    "layers.adaptive_max_pool": ("AdaptiveMaxPool",),
    "layers.crossmodal_transformer": ("CrossmodalEncoder", "LastFrame"),
    "layers.cube": ("CubeBlock", "CubeEncoder", "CubePooling", "CubeSlice", "FirstFrames"),
    "layers.distillation_graph": ("DistillationGraph",),
    "layers.dropout": ("Dropout",),
    "layers.fan_in": ("FanInConv1D", "FanInDense"),
    "layers.feature_standardization": ("FeatureStandardization",),
    "layers.fixed_frames": ("ConvolvedLength", "FixedFrames", "LongestFrames"),
    "layers.gated_complementation": ("FirstFrame", "GatedComplementation"),
    "layers.masking": ("FirstFrame", "SequenceMean", "ZeroPadding"),
    "layers.missing_modality": ("AbsentVector", "ModalityDropout", "Presence", "ZeroWhenMissing"),
    "layers.modality_attention": ("ModalityAttention",),
    "layers.modality_encoder": ("ModalityEncoder", "StridedLength"),
    "layers.multilevel_semantic_alignment": ("MultilevelSemanticAlignment",),
    "layers.outer_product": ("OuterProduct",),
    "layers.prediction": ("Prediction", "TaskOutput"),
    "layers.private_refinement": ("PrivateRefinement",),
    "layers.prototype_label_generator": ("PrototypeLabelGenerator",),
    "layers.recurrent": ("Recurrent",),
    "layers.sparse_mixture": ("SparseMixture",),
    "layers.task_conditioned_bifurcator": ("TaskConditionedBifurcator", "TaskConditionedBranch"),
    "layers.tensor_fusion": ("LSTMSubnetwork", "LowRankFusion", "MeanSubnetwork", "TensorFusion"),
    "layers.text_encoder": ("TextEncoder", "TextModalityEncoder"),
    "layers.token_encoder": ("TokenEncoder",),
    "layers.transformer": ("TransformerBlock", "TransformerEncoder"),
    "losses": ("BranchCrossentropy", "SupervisedContrastiveLoss"),
    "metrics.streaming": (
        "ClassCentroids",
        "PearsonCorrelation",
        "RoundedAccuracy",
        "SentimentAccuracy",
        "SentimentF1",
    ),
    "models.bbfn": ("BBFN",),
    "models.cubemlp": ("CubeMLP",),
    "models.dmd": ("DMD",),
    "models.early_fusion": ("EarlyFusion",),
    "models.glomo": ("GLoMo",),
    "models.iccn": ("ICCN",),
    "models.late_fusion": ("LateFusion",),
    "models.lmf": ("LMF",),
    "models.mag": ("MAG",),
    "models.misa": ("MISA",),
    "models.mmim": ("MMIM",),
    "models.mult": ("MulT",),
    "models.plum_net": ("PLUMNet",),
    "models.self_mm": ("SelfMM",),
    "models.tfn": ("TFN",),
}


class _Placeholder:
    """A class in Keras's registry until its module is imported, which puts the class itself there."""

    def __init__(self, module, name):
        self.module, self.name = module, name

    def from_config(self, config):
        return getattr(importlib.import_module(self.module), self.name).from_config(config)


class _KerasFinder:
    """Has the placeholders entered when Keras has been imported, and is then gone."""

    def find_spec(self, name, path, target=None):
        if name != "keras":
            return None
        specs = (finder.find_spec(name, path, target) for finder in sys.meta_path if finder is not self)
        spec = next(filter(None, specs), None)
        if spec is not None and spec.loader is not None:
            run = spec.loader.exec_module

            def run_and_register(module):
                run(module)
                sys.meta_path.remove(self)
                _enter_placeholders(module)

            spec.loader.exec_module = run_and_register
        return spec


def register():
    """Registers the package's classes with Keras, now or as soon as it is imported. Imports nothing."""
    if sys.modules.get("keras") is not None:
        _enter_placeholders(sys.modules["keras"])
    else:
        sys.meta_path.insert(0, _KerasFinder())


def _enter_placeholders(keras):
    registry = keras.saving.get_custom_objects()
    for module, names in _CLASSES.items():
        for name in names:
            registry.setdefault(f"plumkeras>{name}", _Placeholder(f"plumkeras.{module}", name))
