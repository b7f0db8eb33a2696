"""`plumkeras.train` and the run that it returns."""

import dataclasses
import json
import shlex

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import DataError, Dataset, Split, make_synthetic, save_npz
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError

FIELDS = {
    "modalities": ("text", "audio"),
    "network": {"hidden_dim": 8, "num_heads": 2, "num_layers": 1, "signed_log1p": ()},
    "alignment": {"epochs": 1},
    "refinement": {"epochs": 2},
    "batch_size": 16,
    "verbose": 0,
}
# A network that is compiled in no time.
HEAD_ALONE = {**FIELDS, "network": {**FIELDS["network"], "modules": ()}}


@pytest.fixture(scope="module")
def data():
    return make_synthetic({"train": 32, "valid": 16, "test": 12}, seed=1)[0]


@pytest.fixture(scope="module")
def run(data):
    return plumkeras.train("mosi", data, **FIELDS)


def test_a_run_tells_its_metrics_and_history(run):
    assert run.metrics["valid"]["n"] == 16 and run.metrics["test"]["n"] == 12
    assert set(run.history) == {"alignment", "refinement"}
    assert run.history["refinement"]["val_prediction_loss"].shape == (2,)
    assert repr(run).startswith("<Run mosi, seed 0: test mae ") and len(repr(run)) < 100
    assert "ACC-2 non0" in run._repr_html_() and "<script" not in run._repr_html_()


def test_summary_has_conventions_and_sizes(run, capsys):
    run.summary()
    said = " ".join(capsys.readouterr().out.split())
    assert "Recipe mosi, seed 0" in said and "parameters" in said and "cut at >= 0" in said and "n non0" in said


def test_predict_takes_every_kind_of_data(run, data):
    split = data["test"]
    expected = run.predict(data)["prediction"]
    assert expected.shape == (12,)
    arrays = {m: split.features[m] for m in split.modalities}
    arrays |= {f"{m}_length": split.lengths[m] for m in split.modalities}
    ragged = {m: [a[:n] for a, n in zip(split.features[m], split.lengths[m], strict=True)] for m in split.modalities}
    for given in (split, arrays, ragged):
        np.testing.assert_allclose(run.predict(given)["prediction"], expected, atol=1e-6)
    assert run.predict(data, split="valid")["prediction"].shape == (16,)


def test_a_sample_without_audio(run, data):
    text = [data["test"].features["text"][0]]
    with pytest.warns(UserWarning, match="missing for every sample"):
        outputs = run.predict({"text": text, "audio": [None]})
    assert np.isfinite(outputs["prediction"]).all() and not outputs["audio_present"].any()


def test_evaluate_measures_the_runs_own_data_or_others(run, data):
    assert run.evaluate() == pytest.approx(run.metrics["test"], rel=1e-6)
    assert run.evaluate(split="valid") == pytest.approx(run.metrics["valid"], rel=1e-6)
    other = make_synthetic({"test": 20}, seed=2)[0]
    assert run.evaluate(other)["n"] == 20
    unlabelled = Split(data["test"].ids, data["test"].features, data["test"].lengths)
    with pytest.raises(DataError, match="no labels to measure against"):
        run.evaluate(unlabelled)


def test_embeddings_by_modality(run, data):
    found = run.embeddings(data["test"])
    assert set(found) == {"text", "audio"}
    assert found["text"]["private_embedding"].shape == (12, 8)
    names = ("aligned_embedding", "aligned_common", "common_embedding", "private_embedding", "refined_embedding")
    assert set(found["text"]) == set(names)


def test_a_run_in_memory_leaves_nothing_behind(data, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = plumkeras.train("mosi", data, **HEAD_ALONE)
    place = run.directory
    assert place.is_dir() and not list(tmp_path.iterdir())
    run.scratch.cleanup()
    assert not place.exists()


def test_output_and_callbacks(data, tmp_path):
    seen = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            seen.append((type(self.model).__name__, epoch))

    out = tmp_path / "run"
    plumkeras.train("mosi", data, out, seed=3, callbacks={"refinement": Watch()}, **HEAD_ALONE)
    assert seen == [("RefinementTrainer", 0), ("RefinementTrainer", 1)]
    assert plumkeras.load_run(out).config.seed == 3
    with pytest.raises(ConfigError, match="already holds a run"):
        plumkeras.train("mosi", data, out, **HEAD_ALONE)
    resumed = plumkeras.train("mosi", data, out, seed=3, resume=True, **HEAD_ALONE)
    assert resumed.metrics == plumkeras.load_run(out).metrics


def test_a_run_starts_from_an_earlier_network(data, tmp_path):
    first = plumkeras.train("mosi", data, tmp_path / "first", **HEAD_ALONE)
    still = {**HEAD_ALONE, "refinement": {"epochs": 1, "learning_rate": 1e-12}}
    # Other data, whose statistics are others: those of the earlier network stay.
    other = make_synthetic({"train": 16, "valid": 8, "test": 8}, seed=5)[0]
    second = plumkeras.train("mosi", other, tmp_path / "second", init_from=tmp_path / "first", **still)
    np.testing.assert_allclose(second.predict(data)["prediction"], first.predict(data)["prediction"], atol=1e-5)
    described = [json.loads((tmp_path / name / "config.json").read_text()) for name in ("first", "second")]
    assert described[1]["init_from"] == {"path": str(tmp_path / "first"), "run_id": described[0]["run_id"]}
    wider = {**still, "network": {**still["network"], "hidden_dim": 16}}
    with pytest.raises(ConfigError, match=r"network\.hidden_dim is 8 there and 16 here"):
        plumkeras.train("mosi", data, tmp_path / "third", init_from=tmp_path / "first", **wider)
    folds = Split(other["train"].ids, other["train"].features, other["train"].lengths, other["train"].labels)
    folds = Dataset({"all": dataclasses.replace(folds, folds=np.arange(16) % 4)}, sha256=described[0]["data"]["sha256"])
    with pytest.raises(ConfigError, match="whose folds this run tests"):
        plumkeras.train("mosi", folds, tmp_path / "third", init_from=tmp_path / "first", **still)
    assert not (tmp_path / "third").exists()


RECIPE_FILE = """
import keras
from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig

recipe = RecipeConfig(
    name="mine",
    modalities=("text",),
    network=NetworkConfig(hidden_dim=8, num_layers=1, num_heads=2, modules=(), signed_log1p=()),
    alignment=AlignmentConfig(epochs=1),
    refinement=RefinementConfig(epochs=3),
)


class Interrupt(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        if epoch == 1:
            raise KeyboardInterrupt


def callbacks():
    return {"refinement": [Interrupt()]}
"""


def test_callbacks_of_a_recipe_file_and_an_interrupted_run(data, tmp_path, capsys):
    (tmp_path / "mine.py").write_text(RECIPE_FILE)
    save_npz(data, tmp_path / "data.npz")
    out = tmp_path / "run"
    line = ["train", str(tmp_path / "mine.py"), "--data", str(tmp_path / "data.npz"), "--output", str(out)]
    assert main(line) == 130
    said = capsys.readouterr().err.strip().splitlines()[-1]
    again = said.partition(" with: plumkeras ")[2]
    assert "interrupted" in said and "last finished epoch" in said and shlex.split(again) == [*line, "--resume"]
    # What it says goes on with the run, here with callbacks that let it.
    (tmp_path / "mine.py").write_text(RECIPE_FILE.replace("epoch == 1", "epoch < 0"))
    assert main(shlex.split(again)) == 0
    assert len(plumkeras.load_run(out).history["refinement"]["loss"]) == 3
    (tmp_path / "mine.py").write_text(RECIPE_FILE.replace('{"refinement": [Interrupt()]}', '{"refinment": []}'))
    assert main([*line, "--overwrite"]) == 2
    assert "did you mean 'refinement'" in capsys.readouterr().err
    (tmp_path / "mine.py").write_text(RECIPE_FILE + "\ncallbacks = []\n")
    assert main([*line, "--overwrite"]) == 2
    assert "`callbacks` is a list; a function" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"recipe": "mosi_frozn"}, "unknown recipe 'mosi_frozn'; did you mean 'mosi_frozen'"),
        ({"epochs": 3}, "unknown field epochs; did you mean 'alignment.epochs' or 'refinement.epochs'?"),
        ({"network": {"hiden_dim": 8}}, "unknown field network.hiden_dim; did you mean 'network.hidden_dim'?"),
        ({"refinement": {"epochs": "two"}}, "refinement.epochs must be int"),
        ({"callbacks": {"refinment": []}}, "there is no stage 'refinment'; did you mean 'refinement'?"),
        ({"data": None}, "recipe 'mosi' needs data"),
    ],
)
def test_mistakes_are_one_line(data, arguments, words):
    with pytest.raises(ConfigError) as caught:
        plumkeras.train(**{"recipe": "mosi", "data": data, **arguments})
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_an_unknown_split_is_named(run, data):
    with pytest.raises(DataError, match="no split 'tset'; it has train, valid, test"):
        run.predict(data, split="tset")


def test_folds_are_cross_validated(data, tmp_path):
    split = data["train"]
    folds = Split(split.ids, split.features, split.lengths, split.labels, folds=np.arange(32) % 3)
    out = tmp_path / "folds"
    found = plumkeras.train("mosi", Dataset({"all": folds}), out, **HEAD_ALONE)
    assert found.folds == (0, 1, 2) and found.metrics["test"]["n"] == 32
    assert repr(found).startswith("<CrossValidation mosi, 3 folds, seed 0: pooled test mae ")
    read = plumkeras.load_run(out)
    new = data["test"]
    mean = np.mean([read.run(fold).predict(new)["prediction"] for fold in read.folds], axis=0)
    np.testing.assert_allclose(read.predict(new)["prediction"], mean, atol=1e-6)


def test_public_names_alone_are_listed():
    assert dir(plumkeras) == sorted(plumkeras.__all__) and "train" in dir(plumkeras)
    for module in (plumkeras.data_pipelines, plumkeras.recipes):
        assert dir(module) == sorted(module.__all__)
        assert not {"importlib", "np"} & set(dir(module))
        for name in dir(module):
            getattr(module, name)
