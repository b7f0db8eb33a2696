"""Runs whose network reads raw text by a pretrained encoder."""

import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import DataError, Dataset, save_npz
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import protocol
from plumkeras.recipes.runs.stages import Training
from plumkeras.recipes.runs.train import resolve
from tests.testing.text_encoders import make_data, write_encoder

pytest.importorskip("keras_hub", reason="the extra `text` is not installed")
KILLED = Path(__file__).parents[2] / "testing" / "killed_run.py"
SMALL = {"model": "late_fusion", "network.hidden_dim": 8, "batch_size": 12, "training.epochs": 2}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_encoder(tmp_path_factory.mktemp("encoder") / "bert")


@pytest.fixture(scope="module")
def data():
    return make_data()


def options(folder, **more):
    return {**SMALL, "text.encoder": str(folder), "text.max_tokens": 12, **more}


def on_the_line(options):
    return [f"--{name.replace('_', '-')}={value}" for name, value in options.items()]


def test_a_run_keeps_its_tokenizer_and_needs_the_encoder_no_more(folder, data, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "encoder")
    run = plumkeras.train("mosi_frozen", data, tmp_path / "run", verbose=0, **options(copy))
    shutil.rmtree(copy)
    assert (tmp_path / "run" / "tokenizer.json").read_text() == (folder / "tokenizer.json").read_text()
    assert any("texts were cut to 12 tokens" in warning for warning in run.metrics["warnings"])
    again = plumkeras.load_run(tmp_path / "run")
    with pytest.warns(UserWarning, match="were cut to 12 tokens"):
        assert again.evaluate(data)["mae"] == pytest.approx(run.metrics["test"]["mae"], rel=1e-5)
        predicted = again.predict(data)["prediction"]
    # Another process has the texts by the encoder's own name alone; these, by the run's.
    texts = Dataset({"test": dataclasses.replace(data["test"], labels=None)})
    with pytest.warns(UserWarning, match="were cut to 12 tokens"):
        np.testing.assert_array_equal(again.predict(texts)["prediction"], predicted)
    described = json.loads((tmp_path / "run" / "config.json").read_text())
    assert described["network"]["feature_dims"]["text"] == 0


@pytest.mark.verify
def test_seeds_that_share_what_is_compiled_give_what_they_give_alone(folder, data, tmp_path):
    """Frozen blocks, factors of the rates and dropout inside the encoder among it."""
    shared = options(folder, deterministic=True, **{"text.layer_decay": 0.5, "training.weight_decay": 0.01})
    together = plumkeras.train("mosi_frozen", data, tmp_path / "seeds", seeds=[0, 1], jobs=1, verbose=0, **shared)
    alone = Training(resolve("mosi_frozen", {**shared, "seed": 1})[0], _prepared(data, shared))
    alone.fit(verbose=0)
    del together
    found = keras.models.load_model(next((tmp_path / "seeds").glob("*1/network.keras")))
    for one, other in zip(found.weights, alone.network.weights, strict=True):
        np.testing.assert_array_equal(*map(keras.ops.convert_to_numpy, (one, other)), err_msg=one.path)


def _prepared(data, options):
    from plumkeras.recipes.runs.protocol import prepare

    return prepare(resolve("mosi_frozen", options)[0], data)


@pytest.mark.parametrize(
    "tuning", ["full", *(pytest.param(tuning, marks=pytest.mark.verify) for tuning in ("lora", "none"))]
)
def test_what_a_recipe_trains(folder, data, tuning):
    """By a rate of its own: with 0 the encoder stays as it is."""
    for rate in (0.0, 1e-2):
        values = options(folder, **{"text.tuning": tuning, "text.learning_rate": rate, "training.epochs": 1})
        training = Training(resolve("mosi_frozen", values)[0], _prepared(data, values))
        weights = training.network.text_encoder.weights
        before = [keras.ops.convert_to_numpy(v).copy() for v in weights]
        training.fit(verbose=0)
        changed = {v.path for v, b in zip(weights, before, strict=True) if not np.array_equal(b, v)}
        assert bool(changed) == (tuning != "none" and rate > 0)
        assert tuning != "lora" or all("lora" in path for path in changed)


@pytest.mark.verify
def test_texts_of_every_kind_are_learned_from(folder, data):
    """Empty, of other scripts, of control characters, of 10,000 words: nothing becomes NaN."""
    texts = ["", " ", "善い映画", "хорошо", "\x00\x01\x02", "good\u202e\ufffd", "good film " * 5000, "[SEP] [CLS]"]
    splits = {name: dataclasses.replace(s, raw_text=(texts * 9)[: len(s)]) for name, s in data.items()}
    run = plumkeras.train("mosi_frozen", Dataset(splits), verbose=0, **options(folder))
    assert np.isfinite([v for v in run.metrics["test"].values() if v is not None]).all()
    assert all(np.isfinite(keras.ops.convert_to_numpy(v)).all() for v in run.network.weights)


@pytest.mark.verify
def test_cross_validation_reads_its_tokenizer_from_its_folds(folder, data, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "encoder")
    folds = dataclasses.replace(data["train"], folds=np.arange(len(data["train"])) % 3)
    data = Dataset({"all": folds})
    trained = plumkeras.train("mosi_frozen", data, tmp_path / "run", verbose=0, **options(copy))
    shutil.rmtree(copy)
    protocol._read_tokenizer.cache_clear()
    again = plumkeras.load_run(tmp_path / "run")
    with pytest.warns(UserWarning, match="no audio"):
        assert again.predict(["a good film", "awful"])["prediction"].shape == (2,)
    # Known as its own data, of which every network measures its own fold.
    assert again.evaluate(data)["pooled"]["mae"] == pytest.approx(trained.metrics["test"]["mae"], rel=1e-4)


# === Beginning with the network of an earlier run ===


@pytest.mark.verify
def test_low_rank_additions_are_learned_after_an_earlier_run_too(folder, data, tmp_path):
    values = options(folder, **{"text.tuning": "lora", "text.learning_rate": 1e-2, "training.epochs": 1})
    first, second = tmp_path / "first", tmp_path / "second"
    plumkeras.train("mosi_frozen", data, first, verbose=0, **values)
    plumkeras.train("mosi_frozen", data, second, init_from=first, verbose=0, **values)
    kernels = [
        [v.numpy() for v in plumkeras.load_run(run).network.text_encoder.weights if v.path.endswith("query/kernel")]
        for run in (first, second)
    ]
    assert kernels[0] and all(np.abs(a - b).max() > 1e-3 for a, b in zip(*kernels, strict=True))


def test_an_earlier_run_of_other_tokens_is_refused(folder, data, tmp_path):
    plumkeras.train("mosi_frozen", data, tmp_path / "first", verbose=0, **options(folder, **{"training.epochs": 1}))
    other = shutil.copytree(folder, tmp_path / "encoder") / "tokenizer.json"
    other.write_text(other.read_text().replace('"lowercase": true', '"lowercase": false'))
    with pytest.raises(ConfigError, match="has another tokenizer than"):
        values = options(other.parent)
        plumkeras.train("mosi_frozen", data, tmp_path / "run", init_from=tmp_path / "first", verbose=0, **values)


# === Resuming ===

RESUMED = {
    "full": {"training.schedule": "cosine", "training.warmup": 0.3, "text.layer_decay": 0.7, "training.average": 0.9},
    "lora": {"text.tuning": "lora"},
    "frozen": {"text.frozen_layers": 1, "training.weight_decay": 0.0},
}


def outcome(directory):
    """What a finished run leaves of its own."""
    names = ("metrics.json", "training_history.csv", "predictions_valid.csv", "predictions_test.csv")
    with zipfile.ZipFile(directory / "network.keras") as archive:
        weights = archive.read("model.weights.h5")
    return {"weights": weights} | {name: (directory / name).read_bytes() for name in names}


class Interrupted(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    def on_train_batch_begin(self, batch, logs=None):
        # In the second epoch, behind a checkpoint.
        if int(self.model.optimizer.iterations) == 5:
            raise Interrupted


def resumable(folder, case):
    values = {"deterministic": True, "text.dropout": 0.3, "training.learning_rate": 1e-2, "training.epochs": 3}
    return options(folder, **values, **RESUMED[case])


@pytest.mark.verify
def test_a_run_that_is_resumed_ends_as_one_that_was_left_alone(folder, data, tmp_path):
    """Dropout inside the encoder goes on where it was."""
    values = resumable(folder, "full")
    plumkeras.train("mosi_frozen", data, tmp_path / "alone", verbose=0, **values)
    with pytest.raises(Interrupted):
        plumkeras.train("mosi_frozen", data, tmp_path / "run", verbose=0, callbacks=[Interrupt()], **values)
    assert (tmp_path / "run" / "checkpoint.npz").exists() and not (tmp_path / "run" / "metrics.json").exists()
    plumkeras.train("mosi_frozen", data, tmp_path / "run", resume=True, verbose=0, **values)
    assert outcome(tmp_path / "run") == outcome(tmp_path / "alone")


@pytest.mark.verify
@pytest.mark.parametrize("case", RESUMED)
def test_a_run_that_is_killed_and_resumed_in_another_process(folder, data, tmp_path, case):
    save_npz(data, tmp_path / "data.npz")

    def process(directory, point, *more):
        line = ["train", "mosi_frozen", "--data", str(tmp_path / "data.npz"), "--output", str(tmp_path / directory)]
        values = resumable(folder, case)
        flag = ["--deterministic"] if values.pop("deterministic") else []
        return subprocess.run([sys.executable, str(KILLED), point, *line, *on_the_line(values), *flag, *more])

    assert process("alone", "never").returncode == 0
    assert process("run", "step:training:1:1").returncode == -signal.SIGKILL
    assert process("run", "never", "--resume").returncode == 0
    assert outcome(tmp_path / "run") == outcome(tmp_path / "alone")


# === What is refused, from Python and on the command line ===


def _without_text(data):
    return Dataset({name: dataclasses.replace(split, raw_text=None) for name, split in data.items()})


REFUSALS = {
    "no such encoder": ({"text.encoder": "no-such"}, DataError, "no-such: there is no such folder of a text encoder"),
    "too many tokens": ({"text.max_tokens": 25}, ConfigError, "text.max_tokens must be at most 24, the most that"),
    "too few tokens": ({"text.max_tokens": 2}, ConfigError, "text.max_tokens must be 3 or more"),
    "too many frozen": ({"text.frozen_layers": 3}, ConfigError, "text: `frozen_layers` must be 0 to 2"),
    "no rank": ({"text.lora_rank": 0}, ConfigError, "text.lora_rank must be 1 or more"),
    "no decay": ({"text.layer_decay": 0.0}, ConfigError, "text.layer_decay must be above 0 and at most 1"),
    "dropout of 1": ({"text.dropout": 1.0}, ConfigError, "text.dropout must be in [0, 1)"),
    "text left out": (
        {"modalities": ("audio",)},
        ConfigError,
        "text.encoder reads the modality text, which modalities",
    ),
    "standardised words": ({"sample_norm": ("text",)}, ConfigError, "sample_norm is of feature vectors"),
    "warm-up alone": ({"training.warmup": 0.1}, ConfigError, "training.warmup is read with training.schedule=cosine"),
    "a handle of Kaggle": ({"text.encoder": "kaggle://a/b/c/d"}, DataError, "kaggle://a/b/c/d: a handle of Kaggle"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_a_recipe_that_does_not_fit(folder, data, tmp_path, capsys, case):
    values, error, message = REFUSALS[case]
    values = options(folder) | values
    with pytest.raises(error) as caught:
        plumkeras.train("mosi_frozen", data, tmp_path / "run", verbose=0, **values)
    assert message in str(caught.value) and "\n" not in str(caught.value)
    save_npz(data, tmp_path / "data.npz")
    values |= {name: " ".join(values[name]) for name in ("modalities", "sample_norm") if name in values}
    _refused_on_the_line(capsys, tmp_path, values, message)


def _refused_on_the_line(capsys, tmp_path, values, message):
    line = ["train", "mosi_frozen", "--data", str(tmp_path / "data.npz"), "--output", str(tmp_path / "run")]
    assert main([*line, *on_the_line(values)]) == 2
    printed = capsys.readouterr().err.strip().splitlines()
    assert len(printed) == 1 and printed[0].startswith("plumkeras: error: ") and message in printed[0], printed
    assert not (tmp_path / "run").exists()


def test_data_without_texts(folder, data, tmp_path, capsys):
    with pytest.raises(DataError, match="train has no raw_text, which a text encoder reads"):
        plumkeras.train("mosi_frozen", _without_text(data), verbose=0, **options(folder))
    save_npz(_without_text(data), tmp_path / "data.npz")
    _refused_on_the_line(capsys, tmp_path, options(folder), "train has no raw_text, which a text encoder reads")


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model.safetensors"])
def test_a_damaged_encoder(folder, data, tmp_path, capsys, name):
    """Told before anything is written."""
    copy = shutil.copytree(folder, tmp_path / "encoder")
    (copy / name).write_bytes(b"\xff" * 64)
    with pytest.raises(DataError, match="encoder"):
        plumkeras.train("mosi_frozen", data, tmp_path / "run", verbose=0, **options(copy))
    save_npz(data, tmp_path / "data.npz")
    _refused_on_the_line(capsys, tmp_path, options(copy), str(copy))


@pytest.mark.verify
def test_a_run_is_not_replaced_by_one_that_cannot_begin(folder, data, tmp_path):
    plumkeras.train("mosi_frozen", data, tmp_path / "run", verbose=0, **options(folder, **{"training.epochs": 1}))
    before = (tmp_path / "run" / "network.keras").read_bytes()
    with pytest.raises(ConfigError, match="max_tokens"):
        values = options(folder) | {"text.max_tokens": 25}
        plumkeras.train("mosi_frozen", data, tmp_path / "run", overwrite=True, verbose=0, **values)
    assert (tmp_path / "run" / "network.keras").read_bytes() == before
