"""A run that diverges ends with one line that names the samples of the step, and its last checkpoint is untouched."""

import dataclasses
import importlib.util
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from plumkeras.data_pipelines import make_synthetic
from plumkeras.data_pipelines.batches.order import BatchStream
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, RecipeConfig, RefinementConfig, TrainingError
from plumkeras.recipes.runs.checkpoint import CheckpointFile
from plumkeras.recipes.runs.stages import StageData
from plumkeras.recipes.runs.training import train_run

CONFIG = RecipeConfig(
    name="small",
    modalities=("text",),
    batch_size=8,
    seed=3,
    network=NetworkConfig(hidden_dim=8, num_layers=1, num_heads=2, signed_log1p=()),
    alignment=AlignmentConfig(epochs=1),
    refinement=RefinementConfig(epochs=3),
)
# Without stage 1: little to trace.
HEAD_ALONE = dataclasses.replace(CONFIG, network=dataclasses.replace(CONFIG.network, modules=()))


@pytest.fixture
def dataset():
    return make_synthetic({"train": 36, "valid": 8, "test": 8})[0]


@pytest.fixture
def written(monkeypatch):
    """The bytes of every checkpoint that is written, in order."""
    contents, write = [], CheckpointFile.write

    def watched(self, position):
        write(self, position)
        contents.append(self.path.read_bytes())

    monkeypatch.setattr(CheckpointFile, "write", watched)
    return contents


def batch_ids(dataset, stage, epoch, step):
    """The ids in a batch of `CONFIG`'s training order, in that order."""
    seed = CONFIG.seed + (2**32 if stage == "refinement" else 0)
    split = dataset["train"].select(CONFIG.modalities)
    return list(split.ids[BatchStream(split, CONFIG.batch_size, training=True, seed=seed).order(epoch)[step]])


def named_ids(error):
    """The ids that an error's line says."""
    return str(error).split("on the samples ")[1].split(";")[0].split(", ")


def poison_before(monkeypatch, epoch, step, value=np.nan):
    """Makes a weight of the head not finite before a step; `step=None`: after the last one and the validation."""

    class Poison(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            self.epoch = epoch

        def on_train_batch_begin(self, batch, logs=None):
            if (self.epoch, batch) == (epoch, step):
                self.spoil()

        def on_epoch_end(self, ended, logs=None):
            assert np.isfinite(logs["loss"])
            if (ended, None) == (epoch, step):
                self.spoil()

        def spoil(self):
            bias = self.model.network.get_layer("prediction").out.bias
            bias.assign(np.full(bias.shape, value))

    fit = StageData.fit

    def poisoned(self, stage, trainer, callbacks=(), initial_epoch=0):
        return fit(self, stage, trainer, [Poison(), *callbacks], initial_epoch)

    monkeypatch.setattr(StageData, "fit", poisoned)


def test_an_infinite_label_is_traced_to_its_batch(dataset, tmp_path, written):
    # Past every check: this policy takes prototypes from the steps. Stage 1 sees a positive label in it.
    dataset["train"].labels[17] = np.inf
    with pytest.raises(TrainingError) as caught:
        train_run(dataclasses.replace(CONFIG, prototype_policy="batch"), dataset, tmp_path / "run", verbose=0)
    steps = [batch_ids(dataset, "refinement", 0, step) for step in range(5)]
    step = next(i for i, ids in enumerate(steps) if dataset["train"].ids[17] in ids)
    assert named_ids(caught.value) == steps[step]
    for words in ("stage refinement", "prediction_loss", f"step {step + 1} of epoch 1", "untouched", "learning_rate"):
        assert words in str(caught.value)
    assert (tmp_path / "run" / "checkpoint.npz").read_bytes() == written[-1]
    position = CheckpointFile(tmp_path / "run").read()
    assert len(written) == 1 and (position.stage, position.epochs) == ("alignment", 1)


def test_a_later_step_is_named_the_same_in_a_resumed_run(dataset, tmp_path, written, monkeypatch):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        poison_before(patch, epoch=1, step=2)
        for resume in (False, True):
            with pytest.raises(TrainingError, match="step 3 of epoch 2") as caught:
                train_run(HEAD_ALONE, dataset, run, verbose=0, resume=resume)
            assert named_ids(caught.value) == batch_ids(dataset, "refinement", 1, 2)
            assert len(written) == 1 and (run / "checkpoint.npz").read_bytes() == written[0]
    # The checkpoint is good: with the poison gone, the run comes to its end.
    assert train_run(HEAD_ALONE, dataset, run, verbose=0, resume=True)["test"]["n"] == 8
    assert len(written) == 3 and (run / "metrics.json").exists()


def test_the_first_step_has_no_checkpoint_to_speak_of(dataset, tmp_path, monkeypatch):
    poison_before(monkeypatch, epoch=0, step=0)
    with pytest.raises(TrainingError, match="step 1 of epoch 1") as caught:
        train_run(HEAD_ALONE, dataset, tmp_path / "run", verbose=0)
    assert "checkpoint" not in str(caught.value)
    assert named_ids(caught.value) == batch_ids(dataset, "refinement", 0, 0)


@pytest.mark.parametrize(("epoch", "value"), [(0, np.nan), (1, np.inf)])
def test_weights_that_are_not_finite_are_not_kept(dataset, tmp_path, written, monkeypatch, epoch, value):
    """The loss of every step, and that of the validation, was finite."""
    run = tmp_path / "run"
    poison_before(monkeypatch, epoch=epoch, step=None, value=value)
    with pytest.raises(TrainingError, match=f"prediction.*bias.*not finite after epoch {epoch + 1}") as caught:
        train_run(HEAD_ALONE, dataset, run, verbose=0)
    assert len(written) == epoch
    assert ("untouched" in str(caught.value)) == (run / "checkpoint.npz").exists() == bool(epoch)
    if epoch:
        assert (run / "checkpoint.npz").read_bytes() == written[-1]


@pytest.mark.parametrize("stage", ["alignment", "refinement"])
def test_an_extreme_learning_rate_ends_in_one_line(stage, tiny_options, tmp_path, capsys):
    modules = {"alignment": ["--network.modules", "msa"], "refinement": ["--network.modules"]}[stage]
    options = [*tiny_options, "--modalities", "text", *modules, f"--{stage}.learning-rate=1e30"]
    assert main(["train", "synthetic", "--output", str(tmp_path / "run"), *options]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("plumkeras: error: training diverged in stage " + stage), lines
    assert f"{stage}.learning_rate below 1e+30" in lines[0]


@pytest.mark.verify
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_the_right_samples_are_named_on_the_other_backends(backend):
    """They get their batches by another way, on which Keras has its own idea of when an epoch begins."""
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__, "-k", "infinite or later"],
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0 and "2 passed" in done.stdout, done.stdout
