"""A run packed as a network that comes with the package, and read back."""

import json
import shutil

import numpy as np
import pytest

import plumkeras
from plumkeras.recipes import pretrained
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.pretrained.packing import pack_run
from plumkeras.recipes.runs.packed import is_packed
from tests.testing.text_encoders import write_encoder
from tests.testing.text_runs import train_text_run

TEXTS = ["a good film", "the plot was awful", "great , great !"]
pytestmark = pytest.mark.filterwarnings("ignore:no audio, which the network reads")


@pytest.fixture(scope="module")
def packed(text_run, tmp_path_factory):
    return pack_run(text_run, tmp_path_factory.mktemp("packed") / "mosi_text")


@pytest.fixture
def copy(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "copy")


def test_a_packed_run_predicts_the_same(packed, text_run):
    run, source = plumkeras.load_run(packed), plumkeras.load_run(text_run)
    expected = source.predict(TEXTS)
    for name, values in run.predict(TEXTS).items():
        np.testing.assert_allclose(values, expected[name], atol=1e-4, err_msg=name)
    assert run.metrics == source.metrics and run.class_names == source.class_names and is_packed(packed)
    assert any("lora_kernel_a" in v.path and np.any(np.asarray(v)) for v in run.network.weights)


def test_what_is_written(packed, text_run):
    with np.load(packed / "weights.npz", allow_pickle=False) as file:
        names = set(file.files)
        assert all(file[name].dtype == "float32" for name in names)
    of_encoder = [name for name in names if name.startswith(("transformer_layer", "token_embedding"))]
    assert of_encoder and all("lora_kernel" in name for name in of_encoder)
    assert any("prototypes" in name for name in names)
    described = json.loads((packed / "config.json").read_text())
    assert "command" not in described and described["data"]["path"] is None and len(described["encoder"]) == 64


def test_another_encoder_is_refused(copy, tmp_path):
    described = json.loads((copy / "config.json").read_text())
    other = write_encoder(tmp_path / "other", hidden_dropout_prob=0.2)
    described["recipe"]["text"]["encoder"] = str(other)
    (copy / "config.json").write_text(json.dumps(described))
    plumkeras.load_run(copy)  # The same weights, elsewhere.
    from safetensors.numpy import load_file, save_file

    weights = load_file(other / "model.safetensors")
    save_file({name: 2 * array for name, array in weights.items()}, other / "model.safetensors")
    with pytest.raises(ConfigError, match="other weights of the encoder"):
        plumkeras.load_run(copy)
    shutil.rmtree(other)
    with pytest.raises(ConfigError, match=r"its text encoder cannot be read: .*no such folder"):
        plumkeras.load_run(copy)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda arrays: arrays.popitem(), "lacks the weight .*, which such a network has"),
        (lambda arrays: arrays.update(extra=np.zeros(1)), "holds the weight extra, which such a network lacks"),
        (lambda arrays: arrays.update({next(iter(arrays)): np.zeros(99)}), r"\(99,\); finite numbers"),
        (lambda arrays: arrays.update({n: a * np.nan for n, a in arrays.items()}), "finite numbers"),
        (lambda arrays: arrays.update({next(iter(arrays)): np.array([None])}), "is damaged: ValueError"),
    ],
)
def test_damaged_weights_are_refused(copy, change, words):
    with np.load(copy / "weights.npz") as file:
        arrays = dict(file)
    change(arrays)
    np.savez(copy / "weights.npz", **arrays)
    with pytest.raises(ConfigError, match=words):
        plumkeras.load_run(copy)
    (copy / "weights.npz").write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(ConfigError, match="is damaged"):
        plumkeras.load_run(copy)


@pytest.mark.verify
def test_runs_that_are_not_packed(tiny_run, text_run, tmp_path):
    with pytest.raises(ConfigError, match="has no text encoder"):
        pack_run(tiny_run, tmp_path / "packed")
    run = shutil.copytree(text_run, tmp_path / "full")
    described = json.loads((run / "config.json").read_text())
    described["recipe"]["text"]["tuning"] = "full"
    (run / "config.json").write_text(json.dumps(described))
    with pytest.raises(ConfigError, match=r"text\.tuning=full trains every weight"):
        pack_run(run, tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


@pytest.mark.verify
def test_an_encoder_that_was_not_tuned_is_packed_too(tmp_path):
    run = train_text_run(tmp_path, audio=False, tuning="none")
    packed = pack_run(run.directory, tmp_path / "packed")
    found = plumkeras.load_run(packed).predict(TEXTS)["prediction"]
    np.testing.assert_allclose(found, run.predict(TEXTS)["prediction"], atol=1e-5)


def test_the_network_of_the_package(packed, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(pretrained, "_FOLDER", packed.parent)
    assert plumkeras.load_pretrained().predict("a good film")["prediction"].shape == (1,)
    assert main(["predict", "--text", "a good film"]) == 0
    assert capsys.readouterr().out.splitlines()[0].endswith("  a good film")
    with pytest.raises(ConfigError, match=r"'mosi_txt'.*mosi_text"):
        plumkeras.load_pretrained("mosi_txt")
    monkeypatch.setattr(pretrained, "_NEEDED", {**pretrained._NEEDED, "keras_hub_of_nobody": "pip install nothing"})
    assert main(["predict", "--text", "good"]) == 2
    told = capsys.readouterr().err
    assert "needs keras_hub_of_nobody, not installed: pip install nothing" in told
    monkeypatch.setattr(pretrained, "_FOLDER", tmp_path)
    with pytest.raises(ConfigError, match="comes with none"):
        plumkeras.load_pretrained()
