"""Tasks: what a label is, and the parts of training that follow from it. Several labels a sample above all."""

import keras
import numpy as np
import pytest
from keras import ops

from plumkeras.features import DataError
from plumkeras.losses import BranchCrossentropy, SupervisedContrastiveLoss
from plumkeras.metrics import ClassCentroids, multilabel_report
from plumkeras.models.early_fusion import EarlyFusion
from plumkeras.models.late_fusion import LateFusion
from plumkeras.models.plum_net import PLUMNet
from plumkeras.objectives.alignment import AlignmentObjective
from plumkeras.objectives.prediction import PredictionObjective
from plumkeras.tasks import TASKS, get_task, task_of

SETS = np.array([[1, 0, 1], [0, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]])


@pytest.fixture
def embeddings():
    return np.random.default_rng(0).normal(size=(5, 4)).astype("float32")


@pytest.fixture
def network():
    return PLUMNet({"text": 4, "audio": 3}, hidden_dim=8, num_layers=1, num_heads=2, num_classes=3, task="multilabel")


def naive_contrast(sets, embeddings, temperature, used):
    """`SupervisedContrastiveLoss` of label sets, by its definition."""
    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    similar = np.exp(unit @ unit.T / temperature)
    values = []
    for i in used:
        others = [j for j in used if j != i]
        positives = [j for j in others if (sets[i] & sets[j]).any()]
        if positives:
            whole = sum(similar[i, j] for j in others)
            values.append(-np.mean([np.log(similar[i, j] / whole) for j in positives]))
    return np.mean(values)


def test_samples_that_share_a_label_are_positives(embeddings):
    loss = SupervisedContrastiveLoss(temperature=0.5)
    expected = naive_contrast(SETS, embeddings, 0.5, range(5))
    np.testing.assert_allclose(float(loss(SETS, embeddings)), expected, rtol=1e-5)
    # A row of -1 takes no part, not even among the others; one without a label is among them.
    sets = SETS.copy()
    sets[3] = -1
    np.testing.assert_allclose(
        float(loss(sets, embeddings)), naive_contrast(SETS, embeddings, 0.5, [0, 1, 2, 4]), rtol=1e-5
    )
    assert abs(float(loss(SETS[[0, 1, 3, 4]], embeddings[[0, 1, 3, 4]])) - expected) > 1e-3


def test_one_label_each_is_the_loss_of_classes(embeddings):
    classes = np.array([0, 1, 2, 0, 1])
    loss = SupervisedContrastiveLoss()
    of_sets, of_classes = loss(np.eye(3)[classes], embeddings), loss(classes, embeddings)
    np.testing.assert_allclose(float(of_sets), float(of_classes), rtol=1e-6)


def test_prototypes_are_means_of_the_samples_that_have_the_label(embeddings):
    sets = SETS.copy()
    sets[4] = -1
    centroids = ClassCentroids(3, 4)
    centroids.update_state(sets, embeddings)
    found = ops.convert_to_numpy(centroids.result())
    expected = [embeddings[[0, 3]].mean(0), embeddings[[1]].mean(0), embeddings[[0, 1]].mean(0)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_true_targets_of_the_branches_are_spread_over_the_labels(network):
    present = np.ones(5, bool)
    logits = np.random.default_rng(1).normal(size=(5, 3)).astype("float32")
    outputs = {
        name: present if name.endswith("present") else np.zeros((5, 8), "float32")
        for name in AlignmentObjective(network).output_names
    }
    for m in network.modalities:
        outputs |= {f"{m}_common_logits": logits, f"{m}_private_logits": logits, f"{m}_hard_label": np.zeros(5, int)}
        outputs[f"{m}_soft_label"] = np.full((5, 3), 1 / 3, "float32")
    terms = AlignmentObjective(network).terms(outputs, SETS.astype("float32"))
    log = np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True))
    # The sample without a label has no target.
    expected = [-(SETS[i] / SETS[i].sum() * log[i]).sum() for i in (0, 1, 3, 4)]
    np.testing.assert_allclose(float(terms["text_common_loss"]), np.mean(expected), rtol=1e-5)
    np.testing.assert_allclose(float(terms["text_private_loss"]), -log[:, 0].mean(), rtol=1e-5)


def test_the_prediction_of_several_labels_is_their_probabilities(network):
    outputs = network({"text": np.ones((5, 2, 4)), "audio": np.ones((5, 3, 3))})
    prediction = ops.convert_to_numpy(outputs["prediction"])
    assert prediction.shape == (5, 3) and (prediction > 0).all() and (prediction < 1).all()
    expected = -np.mean(SETS * np.log(prediction) + (1 - SETS) * np.log(1 - prediction))
    found = PredictionObjective(network).terms({"prediction": prediction}, SETS.astype("float32"))
    np.testing.assert_allclose(float(found["prediction_loss"]), expected, rtol=1e-4)
    weighted = PredictionObjective(network).terms({"prediction": prediction}, SETS.astype("float32"), np.eye(5)[0] * 5)
    row = -np.mean(SETS[0] * np.log(prediction[0]) + (1 - SETS[0]) * np.log(1 - prediction[0]))
    np.testing.assert_allclose(float(weighted["prediction_loss"]), row, rtol=1e-4)


@pytest.mark.parametrize(
    ("task", "labels", "expected"),
    [
        ("classification", np.array([0, 0, 0, 1]), (4 / (2 * 3), 4 / 2)),
        ("regression", np.array([-1.0, -2, 0, 3, 2, 1], "float32"), (1.0, 2.0, 6 / 9)),
        ("multilabel", SETS, (3 / 2, 3 / 2, 3 / 2)),
    ],
)
def test_balanced_weights(task, labels, expected):
    classes = len(expected)
    np.testing.assert_allclose(get_task(task).balanced_weights(labels, classes), expected)


def test_class_weights_multiply_the_values_of_their_class():
    network = LateFusion({"text": 2}, hidden_dim=4, num_classes=2, task="classification")
    y, prediction = np.array([0, 1, 1]), np.array([[0.8, 0.2], [0.4, 0.6], [0.5, 0.5]], "float32")
    found = PredictionObjective(network, class_weight=(3.0, 0.5)).terms({"prediction": prediction}, y)
    expected = -(3 * np.log(0.8) + 0.5 * np.log(0.6) + 0.5 * np.log(0.5)) / 3
    np.testing.assert_allclose(float(found["prediction_loss"]), expected, rtol=1e-5)
    sets = LateFusion({"text": 2}, hidden_dim=4, num_classes=2, task="multilabel")
    found = PredictionObjective(sets, class_weight=(3.0, 0.5)).terms({"prediction": prediction}, np.eye(2)[y])
    values = [3 * np.log(0.8), np.log(0.8), np.log(0.6), 0.5 * np.log(0.6), np.log(0.5), 0.5 * np.log(0.5)]
    np.testing.assert_allclose(float(found["prediction_loss"]), -np.mean(values), rtol=1e-4)
    logits = np.log(prediction)
    branch = BranchCrossentropy(class_weight=(3.0, 0.5))
    np.testing.assert_allclose(float(branch(np.eye(2)[y], logits)), expected, rtol=1e-5)
    assert BranchCrossentropy.from_config(branch.get_config()).class_weight == (3.0, 0.5)


def test_class_weights_of_a_trainer_must_be_as_many_as_the_classes(network):
    with pytest.raises(ValueError, match=r"`class_weight` must hold 3 weights.*Received: class_weight=\(1.0,\)"):
        AlignmentObjective(network, class_weight=(1.0,))


def test_the_report_of_several_labels():
    probabilities = np.array([[0.9, 0.2, 0.6], [0.4, 0.7, 0.3], [0.8, 0.1, 0.2], [0.6, 0.5, 0.1], [0.2, 0.9, 0.4]])
    report = multilabel_report(SETS, probabilities, ["joy", "fear", "calm"])
    for k, name in enumerate(("joy", "fear", "calm")):
        true, pred = SETS[:, k] == 1, probabilities[:, k] > 0.5
        positives, negatives = true.sum(), (~true).sum()
        hits, rejections = (true & pred).sum(), (~true & ~pred).sum()
        wa = (hits * negatives / positives + rejections) / (2 * negatives)
        assert report[f"wa_{name}"] == pytest.approx(wa)
        assert report[f"accuracy_{name}"] == pytest.approx(np.mean(true == pred))
        assert report[f"f1_{name}"] == pytest.approx(2 * hits / (positives + pred.sum()))
    for metric in ("accuracy", "wa", "f1", "f1_weighted"):
        assert report[metric] == pytest.approx(np.mean([report[f"{metric}_{n}"] for n in ("joy", "fear", "calm")]))
    assert report["n"] == 5 and report["undefined_labels"] == 0


def test_a_label_that_all_samples_have_is_left_out_of_the_means_and_counted():
    report = multilabel_report([[1, 0], [1, 1]], [[0.9, 0.9], [0.9, 0.8]])
    assert report["wa_0"] is report["f1_0"] is report["f1_weighted_0"] is None
    assert report["undefined_labels"] == 1 and report["wa"] == report["wa_1"] and report["accuracy"] == 0.75


def test_weighted_f1_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(3)
    true, probabilities = rng.integers(0, 2, (40, 3)), rng.random((40, 3))
    report = multilabel_report(true, probabilities)
    for k in range(3):
        expected = metrics.f1_score(true[:, k], probabilities[:, k] > 0.5, average="weighted")
        assert report[f"f1_weighted_{k}"] == pytest.approx(expected)
        assert report[f"wa_{k}"] == pytest.approx(
            metrics.balanced_accuracy_score(true[:, k], probabilities[:, k] > 0.5)
        )


@pytest.mark.parametrize(
    ("labels", "task"),
    [(np.zeros(3, "float32"), "regression"), (np.zeros(3, int), "classification"), (SETS, "multilabel")],
)
def test_task_of_labels(labels, task):
    assert task_of(labels) == task and get_task(task).owns(labels)
    assert sum(one.owns(labels) for one in TASKS.values()) == 1


def test_an_unknown_task():
    with pytest.raises(ValueError, match=r"`task` must be one of .*multilabel.*Received: task='multi-label'"):
        get_task("multi-label")
    with pytest.raises(ValueError, match="Received: task='ranking'"):
        LateFusion({"text": 2}, task="ranking")


@pytest.mark.parametrize(
    ("y", "said"),
    [
        (np.zeros((4, 2)), r"y has shape \(4, 2\); 0 or 1 for each of 3 labels is expected"),
        (np.zeros(4), r"y has shape \(4,\)"),
        (np.full((4, 3), 2), r"y holds 2 in column 0 for sample 0; 0 and 1 are expected"),
        (np.full((4, 3), np.nan), "nan"),
        (np.zeros((3, 3)), "y has 3 labels for 4 samples"),
    ],
)
def test_bad_label_sets(y, said):
    with pytest.raises(DataError, match=said):
        get_task("multilabel").network_labels(y, 4, 3, "y")


@pytest.mark.parametrize("model", [LateFusion, EarlyFusion])
def test_fusion_does_not_depend_on_padding_or_on_absent_modalities(model):
    network = model({"text": 3, "audio": 2}, hidden_dim=4)
    rng = np.random.default_rng(0)
    text, audio = rng.normal(size=(2, 5, 3)), rng.normal(size=(2, 4, 2))
    short = {"text": text[:, :3], "text_length": [3, 2], "audio": audio, "audio_length": [4, 0]}
    padded = {**short, "text": text}
    other = {**short, "audio": np.where(np.arange(2)[:, None, None] == 1, 9.0, audio)}
    base, *others = (network({k: np.array(v) for k, v in x.items()})["prediction"] for x in (short, padded, other))
    for found in others:
        np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(base), atol=1e-6)


@pytest.mark.parametrize("model", [LateFusion, EarlyFusion])
def test_fusion_is_read_back_from_its_file(model, tmp_path):
    network = model({"text": 3}, hidden_dim=4, task="classification", num_classes=4, signed_log1p=("text",))
    x = {"text": np.random.default_rng(0).normal(size=(6, 2, 3)).astype("float32")}
    network.adapt(x)
    network.save(tmp_path / "network.keras")
    again = keras.saving.load_model(tmp_path / "network.keras")
    assert again.get_config() == network.get_config() and again.is_adapted
    np.testing.assert_array_equal(
        again.predict(x, verbose=0)["prediction"], network.predict(x, verbose=0)["prediction"]
    )


def test_early_fusion_is_a_perceptron_over_the_standardised_mean_features():
    network = EarlyFusion({"text": 3, "audio": 2}, hidden_dim=4, signed_log1p=("audio",), dtype="mixed_float16")
    rng = np.random.default_rng(0)
    # The second sample lacks audio; the last one has frames that float16 does not hold, once standardised.
    x = {"text": rng.normal(size=(4, 5, 3)), "text_length": np.array([3, 2, 5, 5])}
    x |= {"audio": 99 * rng.normal(size=(4, 4, 2)), "audio_length": np.array([4, 0, 1, 2])}
    network.adapt(x)
    x["text"][3] = 1e5
    network.get_layer("audio_absent").absent.assign([0.25, -0.5])
    audio = np.sign(x["audio"]) * np.log1p(np.abs(x["audio"]))
    joint = []
    for m, frames in (("text", x["text"]), ("audio", audio)):
        mean, divisor = (ops.convert_to_numpy(w) for w in network.standardizations[m].weights)
        pairs = zip(frames, x[f"{m}_length"], strict=True)
        joint.append([(one[:n].mean(axis=0) - mean) / divisor if n else [0.25, -0.5] for one, n in pairs])
    w1, b1, w2, b2 = (ops.convert_to_numpy(w) for w in network.get_layer("prediction").weights)
    hidden = ops.convert_to_numpy(ops.gelu(np.concatenate(joint, axis=1) @ w1 + b1, approximate=False))
    np.testing.assert_allclose(
        ops.convert_to_numpy(network(x)["prediction"]), (hidden @ w2 + b2)[:, 0], rtol=1e-4, atol=1e-4
    )
