"""Every layer through its whole life, and its argument errors."""

import keras
import numpy as np
import pytest

from plumkeras import layers
from plumkeras.layers import masking, missing_modality, transformer
from plumkeras.models.plum_net import Prediction
from tests.testing.networks import assert_close, run_layer_test, to_numpy

B, T, D, C = 4, 5, 8, 3
RANDOM = np.random.default_rng(0)
LENGTH = np.array([5, 3, 1, 0], "int32")
PRESENT = LENGTH > 0


def array(*shape):
    return RANDOM.normal(size=shape).astype("float32")


def two(make):
    return {"text": make(), "audio": make()}


SEQUENCE = {"sequence": array(B, T, D), "length": LENGTH}
BRANCH_SHAPES = {
    **dict.fromkeys(("common_sequence", "private_sequence"), (B, T, D)),
    **dict.fromkeys(("common_embedding", "private_embedding"), (B, D)),
    **dict.fromkeys(("common_logits", "private_logits"), (B, C)),
}
ALIGNED_SHAPES = {"common_sequence": (B, T, D), "aligned_embedding": (B, D), "aligned_common": (B, D)}
SOFT = np.full((B, C), 1 / C, "float32")

CASES = {
    "FeatureStandardization": (
        layers.FeatureStandardization,
        {"compression": "signed_log1p", "epsilon": 1e-2},
        {"sequence": array(B, T, 3), "length": LENGTH},
        (B, T, 3),
        (0, 2),
    ),
    # Projection, normalisation; standardisation and a dropout seed.
    "ModalityEncoder": (
        layers.ModalityEncoder,
        {"hidden_dim": D, "compression": "signed_log1p", "dropout": 0.2},
        {"sequence": array(B, T, 3), "length": LENGTH},
        (B, T, D),
        (4, 3),
    ),
    "MultilevelSemanticAlignment": (
        layers.MultilevelSemanticAlignment,
        {"hidden_dim": D},
        {"sequences": two(lambda: array(B, T, D)), "lengths": two(lambda: LENGTH)},
        two(lambda: ALIGNED_SHAPES),
        (6, 0),
    ),
    "PrototypeLabelGenerator": (
        layers.PrototypeLabelGenerator,
        {"num_classes": C, "temperature": 0.5, "normalize": False},
        {"embedding": array(B, D), "present": PRESENT},
        ((B, C), (B,)),
        (0, 2),
    ),
    # An encoder of 1 block (16 + 2), a pool (8), a classifier (2), the task; two dropout seeds.
    "TaskConditionedBranch": (
        layers.TaskConditionedBranch,
        {"hidden_dim": D, "num_classes": C, "num_layers": 1, "num_heads": 2, "dropout": 0.2},
        SEQUENCE,
        {"sequence": (B, T, D), "embedding": (B, D), "logits": (B, C)},
        (29, 2),
    ),
    # Two encoders of 1 block (16 + 2), two pools (8), two classifiers (2), the task; two dropout seeds each.
    "TaskConditionedBifurcator": (
        layers.TaskConditionedBifurcator,
        {"hidden_dim": D, "num_classes": C, "num_layers": 1, "num_heads": 2, "dropout": 0.2},
        {"common_sequence": array(B, T, D), "single_sequence": array(B, T, D), "length": LENGTH},
        BRANCH_SHAPES,
        (57, 4),
    ),
    "TaskConditionedBifurcator_shared": (
        layers.TaskConditionedBifurcator,
        {
            **{"hidden_dim": D, "num_classes": C, "num_layers": 1, "num_heads": 2, "dropout": 0.0},
            "common_encoder": transformer.TransformerEncoder(D, 1, 2, 0.0, name="shared"),
        },
        {"common_sequence": array(B, T, D), "single_sequence": array(B, T, D), "length": LENGTH},
        BRANCH_SHAPES,
        (57, 0),
    ),
    # Class embedding, three attentions, merge, its norm, the label query.
    "PrivateRefinement_sequence": (
        layers.PrivateRefinement,
        {"hidden_dim": D, "num_classes": C, "num_heads": 2, "fusion": "sequence"},
        {"common": array(B, T, D), "private": array(B, T, D), "soft_label": SOFT, "length": LENGTH},
        (B, D),
        (31, 0),
    ),
    "PrivateRefinement_vector": (
        layers.PrivateRefinement,
        {"hidden_dim": D, "num_classes": C, "num_heads": 2, "fusion": "vector"},
        {"common": array(B, D), "private": array(B, D), "soft_label": SOFT, "length": LENGTH},
        (B, D),
        (31, 0),
    ),
    "TransformerEncoder": (
        transformer.TransformerEncoder,
        {"hidden_dim": D, "num_layers": 2, "num_heads": 4, "dropout": 0.2},
        SEQUENCE,
        (B, T, D),
        (34, 4),
    ),
    "Presence": (missing_modality.Presence, {}, {"length": LENGTH}, (B,), (0, 0)),
    "SequenceMean": (masking.SequenceMean, {}, SEQUENCE, (B, D), (0, 0)),
    "ZeroWhenMissing": (
        missing_modality.ZeroWhenMissing,
        {},
        {"vector": array(B, D), "present": PRESENT},
        (B, D),
        (0, 0),
    ),
    "AbsentVector": (missing_modality.AbsentVector, {}, {"vector": array(B, D), "present": PRESENT}, (B, D), (1, 0)),
    "ModalityDropout": (
        missing_modality.ModalityDropout,
        {"rate": 0.3, "seed": 1},
        {"lengths": two(lambda: LENGTH)},
        two(lambda: (B,)),
        (0, 1),
    ),
    "Prediction_regression": (
        Prediction,
        {"task": "regression", "hidden_dim": D, "num_classes": C, "dropout": 0.0},
        {"vector": array(B, 2 * D)},
        (B,),
        (4, 0),
    ),
    "Prediction_classification": (
        Prediction,
        {"task": "classification", "hidden_dim": D, "num_classes": C, "dropout": 0.0},
        {"vector": array(B, 2 * D)},
        (B, C),
        (4, 0),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_life_of_a_layer(case):
    layer_class, init, call, output_shape, (trainable, non_trainable) = CASES[case]
    run_layer_test(layer_class, init, call, output_shape, trainable, non_trainable)


def test_every_public_layer_has_a_case():
    # A text encoder has tests of its own.
    assert set(layers.__all__) - {"TextEncoder"} <= {name.partition("_")[0] for name in CASES}


def test_a_given_common_encoder_is_used_and_not_copied():
    shared = transformer.TransformerEncoder(D, 1, 2, 0.0)
    options = {"hidden_dim": D, "num_classes": C, "num_layers": 1, "num_heads": 2, "dropout": 0.0}
    a, b = (layers.TaskConditionedBifurcator(**options, common_encoder=shared) for _ in range(2))
    x = array(B, T, D)
    first, second = a(x, x, LENGTH), b(x, x, LENGTH)
    assert_close(*({"x": to_numpy(r["common_sequence"])} for r in (first, second)))
    assert np.abs(to_numpy(first["private_sequence"]) - to_numpy(second["private_sequence"])).max() > 0.1


def test_sequences_that_go_through_a_branch_together_come_out_as_alone():
    layer = layers.TaskConditionedBranch(hidden_dim=D, num_classes=C, num_layers=2, num_heads=2, dropout=0.0)
    sequences = {"text": array(B, T, D), "audio": array(B, 1, D), "vision": array(B, 7, D)}
    lengths = {"text": LENGTH, "audio": np.minimum(LENGTH, 1), "vision": LENGTH + 1}
    together = layer(sequences, lengths)
    for modality, sequence in sequences.items():
        alone = layer(sequence, lengths[modality])
        assert_close(together[modality], alone)


def test_dropout_acts_in_training_only():
    keras.utils.set_random_seed(0)
    for case in ("ModalityEncoder", "TransformerEncoder", "TaskConditionedBifurcator"):
        layer_class, init, call, _, _ = CASES[case]
        layer = layer_class(**init)
        first, again, training = (layer(*call.values(), training=flag) for flag in (False, False, True))
        if isinstance(first, dict):
            first, again, training = (r["private_embedding"] for r in (first, again, training))
        assert np.array_equal(first, again)
        assert np.abs(to_numpy(first) - to_numpy(training)).max() > 1e-3, case


@pytest.mark.parametrize(
    ("build", "match"),
    [
        (lambda: layers.ModalityEncoder(7), "`hidden_dim`.*hidden_dim=7"),
        (lambda: layers.ModalityEncoder(8, stride=0), "`stride`.*stride=0"),
        (lambda: layers.ModalityEncoder(0), "`hidden_dim`.*hidden_dim=0"),
        (lambda: layers.FeatureStandardization("log"), "`compression`.*compression='log'"),
        (lambda: layers.PrototypeLabelGenerator(1), "`num_classes`.*num_classes=1"),
        (lambda: layers.PrototypeLabelGenerator(3, temperature=0), "`temperature`.*temperature=0"),
        (lambda: layers.TaskConditionedBifurcator(10, 3, num_heads=4), "`hidden_dim`.*hidden_dim=10, num_heads=4"),
        (lambda: layers.PrivateRefinement(10, 3, num_heads=4), "`hidden_dim`.*hidden_dim=10, num_heads=4"),
        (lambda: layers.PrivateRefinement(8, 3, 2, fusion="sum"), "`fusion`.*fusion='sum'"),
        (lambda: transformer.TransformerEncoder(8, num_heads=3), "`hidden_dim`.*hidden_dim=8, num_heads=3"),
        (lambda: missing_modality.ModalityDropout(1.0), "`rate`.*rate=1.0"),
        (lambda: missing_modality.ModalityDropout(-0.1), "`rate`.*rate=-0.1"),
    ],
)
def test_errors_name_the_argument_and_the_value(build, match):
    with pytest.raises(ValueError, match=match):
        build()
