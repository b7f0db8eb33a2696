"""The experiments behind the paper's figures."""

import dataclasses
import itertools

import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import Dataset, make_synthetic
from plumkeras.recipes.experiments import embeddings, labels
from plumkeras.recipes.experiments.alignment import _finding
from plumkeras.recipes.experiments.running import experiment

FIELDS = {
    "network": {"hidden_dim": 8, "num_heads": 2, "num_layers": 1, "signed_log1p": ()},
    "alignment": {"epochs": 1},
    "refinement": {"epochs": 2},
    "batch_size": 16,
}


@pytest.fixture(scope="module")
def data():
    dataset = make_synthetic({"train": 32, "valid": 16, "test": 12}, seed=1)[0]
    # Human labels of text are those of the whole, and of audio their opposites.
    human = {n: {"text": s.labels, "audio": -s.labels} for n, s in dataset.items()}
    return Dataset({n: dataclasses.replace(s, modality_labels=human[n]) for n, s in dataset.items()})


@pytest.fixture(scope="module")
def found(data, tmp_path_factory):
    directory = tmp_path_factory.mktemp("labels") / "all"
    return directory, experiment("labels", "mosi", data, directory, seeds=[0], jobs=1, **FIELDS)


def table(results, name):
    return next(one for one in results["tables"] if one["name"] == name)


def test_labels_are_counted_beside_the_true_ones(found, data):
    rows = {row[0]: row[1:] for row in table(found[1], "labels")["rows"]}
    true = data["train"].labels
    assert list(map(int, rows["true label"][:3])) == [(true < 0).sum(), (true == 0).sum(), (true > 0).sum()]
    for m in ("text", "audio", "vision"):
        assert sum(map(int, rows[m][:3])) == 32
    assert (found[0] / "labels_by_epoch.svg").is_file()


def test_human_labels_are_compared_with(found):
    header = table(found[1], "human")["header"]
    rows = {row[0]: dict(zip(header[1:], row[1:], strict=True)) for row in table(found[1], "human")["rows"]}
    assert set(rows) == {"text", "audio"}
    assert rows["text"]["multimodal label: accuracy %"] == "100.0" and rows["text"]["kappa of it"] == "1.000"
    assert float(rows["audio"]["kappa of it"]) < 0
    assert 0 <= float(rows["text"]["accuracy %"]) <= 100


def test_recording_does_not_touch_the_training(found, data):
    recorded = plumkeras.load_run(found[0] / "plum_net").run(0)
    plain = plumkeras.train("mosi", data, verbose=0, deterministic=True, **FIELDS)
    assert plain.metrics == recorded.metrics
    extra = recorded.history["refinement"].keys() - plain.history["refinement"].keys()
    assert extra == {f"{m}_label_{k}" for m, k in itertools.product(("text", "audio", "vision"), range(3))}
    for stage, history in plain.history.items():
        for name, values in history.items():
            np.testing.assert_array_equal(recorded.history[stage][name], values)


def test_kappa_by_hand():
    assert labels._kappa(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1])) == pytest.approx(0.5)
    assert np.isnan(labels._kappa(np.array([1, 1]), np.array([1, 1])))


def test_vectors_that_do_not_tell_their_modality_are_found_again():
    random = np.random.default_rng(0)
    classes = np.repeat([0, 1], 20)
    same = random.normal(size=(40, 4)) + 20 * classes[:, None] - 10

    def measured(audio):
        both = np.concatenate([same, audio])
        panel = embeddings._Vectors(
            both, np.repeat([0, 1], 40), np.tile(classes, 2), ("text", "audio"), ("negative", "positive")
        )
        return embeddings._measure(panel)

    equal, apart = measured(same), measured(same @ np.diag([1, -1, 1, -1]))
    assert equal["first"] == 1 and equal["rank"] == 0 and equal["by modality"] < 0.01 and equal["by class"] > 0.5
    assert apart["first"] < 0.2 and apart["by modality"] > equal["by modality"]
    # A constant is as near as any other.
    assert measured(np.ones((40, 4)))["rank"] == pytest.approx(0.5, abs=0.02)


def test_a_curve_in_words():
    curve = np.array([0.1, 0.5, 0.4, 0.45])
    assert _finding("without MSA", curve) == (
        "Without MSA: the cosine rises from 0.10 to 0.50 in epoch 2 and ends at 0.45, by way of 0.40."
    )


@pytest.mark.verify
@pytest.mark.parametrize("name", ["ablation", "embeddings", "alignment", "robustness"])
def test_every_experiment_runs_on_generated_data(tmp_path, name):
    options = {"stage1_epochs": 2} if name == "alignment" else {"rows": "all"} if name == "ablation" else {}
    small = {"synthetic": {"train": 64, "valid": 32, "test": 32}}
    results = experiment(name, "synthetic", None, tmp_path / name, seeds=[0], **options, **small, **FIELDS)
    assert results["tables"] and (tmp_path / name / "page.md").stat().st_size > 1000
    for picture in results["pictures"]:
        assert (tmp_path / name / picture["file"]).is_file()
