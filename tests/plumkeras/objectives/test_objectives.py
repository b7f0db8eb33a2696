"""Eq. 1-3, 6-8 and 10-13 over a batch's outputs, with every switch, against float64 oracles."""

import functools

import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from plumkeras.objectives.alignment import AlignmentObjective
from plumkeras.objectives.prediction import PredictionObjective
from tests.testing import oracles
from tests.testing.networks import MODULE_ROWS, gradients, make_inputs, make_network

MODALITIES = ("text", "audio", "vision")
ROWS, C = 8, 3
Y = np.array([-2.0, -0.4, 0.0, 0.0, 1.0, 3.0, 0.2, -1.0], "float32")
CLASSES = np.array([0, 0, 1, 1, 2, 2, 2, 0])
MISSING = {"text": [2], "audio": [0, 5, 6], "vision": []}


@functools.cache
def network_of(task="regression", modules=MODULE_ROWS[-1]):
    return make_network({m: 2 for m in MODALITIES}, task=task, modules=modules, scramble=False)


def random_outputs(seed=0):
    random = np.random.default_rng(seed)
    outputs = {}
    for m in MODALITIES:
        present = ~np.isin(np.arange(ROWS), MISSING[m])
        outputs[f"{m}_present"] = present
        for name in ("aligned_embedding", "aligned_common"):
            outputs[f"{m}_{name}"] = random.normal(size=(ROWS, 8)).astype("float32")
        for name in ("common_logits", "private_logits"):
            outputs[f"{m}_{name}"] = (2 * random.normal(size=(ROWS, C))).astype("float32")
        soft = oracles.softmax(random.normal(size=(ROWS, C)))
        soft[~present] = 1 / C
        outputs[f"{m}_soft_label"] = soft.astype("float32")
        outputs[f"{m}_hard_label"] = np.where(present, soft.argmax(axis=1), -1).astype("int32")
    outputs["prediction"] = random.normal(size=ROWS).astype("float32")
    return outputs


SWITCHES = {
    "defaults": {},
    "include_self": {"include_self": True},
    "temperature": {"temperature": 0.5},
    "inter_positives": {"inter_positives": "all"},
    "both_printed": {"inter_positives": "all", "include_self": True},
    "alignment_weight": {"alignment_weight": 0.7},
    "soft": {"private_target": "soft"},
    "class": {"private_target": "class"},
    "class_balanced": {"class_balanced": True},
    "class_balanced_soft": {"class_balanced": True, "private_target": "soft"},
    "label_smoothing": {"label_smoothing": 0.2},
    "warmup_class": {"warmup": 1},
    "warmup_class_soft": {"warmup": 1, "private_target": "soft"},
    "warmup_none": {"warmup": 1, "warmup_target": "none"},
    "after_warmup_none": {"warmup": 0, "warmup_target": "none"},
}


@pytest.mark.parametrize("case", SWITCHES)
@pytest.mark.parametrize("task", ["regression", "classification"])
def test_stage_1_equals_its_equations(case, task):
    options = dict(SWITCHES[case])
    outputs, y = random_outputs(), Y if task == "regression" else CLASSES
    expected = oracles.alignment_terms(outputs, CLASSES, **options)
    warmup = options.pop("warmup", 0)
    objective = AlignmentObjective(network_of(task), **options)
    terms = {name: float(value) for name, value in objective.terms(outputs, y, warmup=float(warmup)).items()}
    assert set(terms) == set(objective.term_names)
    assert terms == pytest.approx(expected, rel=1e-4, abs=1e-6)
    if case not in ("defaults", "after_warmup_none"):  # Each switch changes something.
        assert terms != pytest.approx(oracles.alignment_terms(outputs, CLASSES), rel=1e-4)
    # Eq. 10: L_TFB (eq. 8) + lambda * L_MSA (eq. 3).
    branches = sum(value for name, value in expected.items() if "common" in name or "private" in name)
    contrasts = sum(value for name, value in expected.items() if "inter" in name or "intra" in name)
    assert sum(terms.values()) == pytest.approx(branches + contrasts, rel=1e-4)


def test_branch_weight_and_columns_of_labels():
    outputs = random_outputs()
    terms = AlignmentObjective(network_of(), branch_weight=0.25).terms(outputs, Y[:, None])
    expected = oracles.alignment_terms(outputs, CLASSES)
    for name, value in terms.items():
        factor = 0.25 if name.endswith(("common_loss", "private_loss")) else 1.0
        assert float(value) == pytest.approx(factor * expected[name], rel=1e-4), name


def test_prototype_labels_that_are_not_there_take_no_part():
    outputs = random_outputs()
    outputs["text_hard_label"][[0, 4]] = -1  # Present, but no class seen for these.
    terms = AlignmentObjective(network_of()).terms(outputs, Y)
    rows = [i for i in range(ROWS) if i not in (0, 2, 4)]
    target = oracles.one_hot(outputs["text_hard_label"][rows], C)
    expected = oracles.branch(target, outputs["text_private_logits"][rows])
    assert float(terms["text_private_loss"]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("label_classes", "num_classes", "expected"),
    [("round7", 7, np.round(Y) + 3), ((-0.1, 0.1), 3, CLASSES), ((0.0,), 2, (Y >= 0).astype(int))],
)
def test_classes_come_from_the_labels(label_classes, num_classes, expected):
    network = make_network({"text": 2}, num_classes=num_classes)
    objective = AlignmentObjective(network, label_classes=label_classes)
    np.testing.assert_array_equal(objective.members(Y, np.ones(len(Y), bool)), expected)


@pytest.mark.parametrize(
    ("modules", "kinds"),
    [((), []), (("msa",), ["inter", "intra"]), (("msa", "psl_tfb"), ["inter", "intra", "common", "private"])],
)
def test_a_network_of_fewer_modules_has_their_terms(modules, kinds):
    objective = AlignmentObjective(network_of("regression", modules))
    assert {name.split("_")[-2] for name in objective.term_names} == set(kinds)
    assert set(objective.terms(random_outputs(), Y)) == set(objective.term_names)


def test_one_modality_has_no_cross_positives():
    outputs = {name: value for name, value in random_outputs().items() if name.startswith("text")}
    network = make_network({"text": 2}, scramble=False)
    terms = AlignmentObjective(network).terms(outputs, Y)
    assert float(terms["inter_loss"]) == 0
    assert {n: float(v) for n, v in terms.items()} == pytest.approx(
        oracles.alignment_terms(outputs, CLASSES, modalities=("text",)), rel=1e-4
    )


def test_stage_2_equals_equations_11_and_12():
    prediction = random_outputs()["prediction"]
    value = PredictionObjective(network_of()).terms({"prediction": prediction}, Y)["prediction_loss"]
    assert float(value) == pytest.approx(np.abs(prediction.astype("float64") - Y).mean(), rel=1e-6)
    column = PredictionObjective(network_of()).terms({"prediction": ops.convert_to_tensor(prediction)}, Y[:, None])
    assert float(column["prediction_loss"]) == float(value)
    probabilities = oracles.softmax(np.random.default_rng(0).normal(size=(ROWS, C)))
    terms = PredictionObjective(network_of("classification")).terms(
        {"prediction": probabilities.astype("float32")}, CLASSES
    )
    expected = -np.log(probabilities[np.arange(ROWS), CLASSES]).mean()
    assert float(terms["prediction_loss"]) == pytest.approx(expected, rel=1e-5)


def test_sample_weights_weigh_every_term():
    outputs, weight = random_outputs(), np.arange(1, ROWS + 1, dtype="float32") / 4
    terms = AlignmentObjective(network_of()).terms(outputs, Y, sample_weight=weight)
    labels = np.where(outputs["text_present"], CLASSES, -1)
    anchors = oracles.contrastive_anchors(labels, outputs["text_aligned_embedding"])
    expected = {"text_intra_loss": 0.1 * np.nansum(anchors * weight) / np.isfinite(anchors).sum()}
    rows = oracles.branch_rows(oracles.one_hot(labels, C), outputs["text_common_logits"])
    expected["text_common_loss"] = np.nansum(rows * weight) / np.isfinite(rows).sum()
    every = [np.where(outputs[f"{m}_present"], CLASSES, -1) for m in MODALITIES]
    stacked = np.concatenate([outputs[f"{m}_aligned_common"] for m in MODALITIES])
    anchors = oracles.contrastive_anchors(np.concatenate(every), stacked, groups=np.repeat([0, 1, 2], ROWS))
    expected["inter_loss"] = 0.1 * np.nansum(anchors * np.tile(weight, 3)) / np.isfinite(anchors).sum()
    for name, value in expected.items():
        assert float(terms[name]) == pytest.approx(value, rel=1e-4), name
    value = PredictionObjective(network_of()).terms(outputs, Y, sample_weight=weight)["prediction_loss"]
    assert float(value) == pytest.approx((np.abs(outputs["prediction"] - Y) * weight).mean(), rel=1e-5)


@pytest.mark.parametrize("private_target", ["hard", "soft"])
def test_no_gradient_reaches_the_features_through_their_labels(private_target):
    network = make_network({"text": 4, "audio": 3})
    inputs = make_inputs()
    y = Y[:6]
    objective = AlignmentObjective(network, private_target=private_target)
    own = network.get_layer("alignment").projections["text"].kernel
    sources = [own.value, network.get_layer("text_private_branch").classifier.kernel.value]

    def term(name):
        return lambda: objective.terms(network(inputs), y)[name]

    # `private_logits` come from `f_single`: the projection of `h` could be reached through the labels only.
    _, (through_labels, direct) = gradients(term("text_private_loss"), sources)
    assert through_labels is None and np.any(np.array(direct) != 0)
    _, (own_gradient, _) = gradients(term("text_intra_loss"), sources)
    assert np.any(np.array(own_gradient) != 0)
    # Nor does one reach labels that some other generator made.
    outputs = random_outputs()
    outputs["text_soft_label"] = soft = ops.convert_to_tensor(outputs["text_soft_label"])
    with tf.GradientTape() as tape:
        tape.watch(soft)
        loss = sum(AlignmentObjective(network_of(), private_target=private_target).terms(outputs, Y).values())
    assert tape.gradient(loss, soft) is None
    prototypes = [g.prototypes.value for g in network.prototype_generators.values()]
    _, found = gradients(lambda: sum(objective.terms(network(inputs), y).values()), prototypes)
    assert found == [None, None]


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"private_target": "none"}, "`private_target`.*private_target='none'"),
        ({"warmup_target": "soft"}, "`warmup_target`.*warmup_target='soft'"),
        ({"inter_positives": "own"}, "`(inter_positives|positives)`.*'own'"),
        ({"temperature": 0.0}, "`temperature`.*temperature=0.0"),
        ({"label_smoothing": 1.0}, "`label_smoothing`.*label_smoothing=1.0"),
        ({"label_classes": "sign5"}, "`label_classes`.*sign5"),
        ({"label_classes": "round7"}, "`label_classes`='round7' makes 7 classes.*num_classes=3"),
        ({"label_classes": (0.0,)}, "`label_classes`.*2 classes.*num_classes=3"),
    ],
)
def test_errors_name_the_argument_and_the_value(options, match):
    with pytest.raises(ValueError, match=match):
        AlignmentObjective(network_of(), **options)
