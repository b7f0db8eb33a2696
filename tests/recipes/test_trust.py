"""A run directory from somebody else runs no code, and text in it that another program would act on stays text."""

import json
import re
import shutil
import zipfile

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.cli import main
from plumkeras.recipes import ConfigError
from plumkeras.recipes.run import description_path

needs_tensorflow = pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="an export needs TensorFlow")


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of a finished run, to be spoiled."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def refused(capsys, arguments, *told):
    """The command ends with status 2 and one line that says all of `told`."""
    assert main([str(argument) for argument in arguments]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and lines[0].startswith("plumkeras: error: "), lines
    for words in told:
        assert str(words) in lines[0]


def write_hostile_saved_model(path, marker):
    """A SavedModel that writes a file when it is called, and answers with numbers that look right."""
    import tensorflow as tf

    widths = {"text": 24, "audio": 12, "vision": 16}
    specs = {m: tf.TensorSpec((None, None, width), tf.float32, name=m) for m, width in widths.items()}
    specs |= {f"{m}_length": tf.TensorSpec((None,), tf.int32, name=f"{m}_length") for m in widths}

    module = tf.Module()

    @tf.function(input_signature=[specs])
    def explain(inputs):
        with tf.control_dependencies([tf.io.write_file(str(marker), "was here")]):
            return {"prediction": tf.cast(inputs["text_length"], tf.float32) * 0.1}

    tf.saved_model.save(module, str(path), signatures={"explain": explain})


@needs_tensorflow
@pytest.mark.parametrize("where", [".", "1"])
def test_a_saved_model_in_a_run_directory_is_not_loaded(run, tmp_path, where):
    expected = plumkeras.load_run(run).predict(plumkeras.data_pipelines.make_synthetic({"test": 4})[0])
    write_hostile_saved_model(tmp_path / "hostile", tmp_path / "marker")
    shutil.copytree(tmp_path / "hostile", run / where, dirs_exist_ok=True)
    extra = run / where / "assets.extra"
    extra.mkdir()
    shutil.copy(run / "config.json", extra / "plumkeras.json")
    assert description_path(run) == run / "config.json"
    loaded = plumkeras.load_run(run)
    found = loaded.predict(plumkeras.data_pipelines.make_synthetic({"test": 4})[0])
    np.testing.assert_array_equal(found["prediction"], expected["prediction"])
    assert main(["evaluate", str(run)]) == 0
    assert not (tmp_path / "marker").exists()
    # Nor where the network is missing: then there is no finished run.
    (run / "network.keras").unlink()
    with pytest.raises(ConfigError, match=r"network\.keras is missing"):
        plumkeras.load_run(run)
    assert not (tmp_path / "marker").exists()


def change_network_config(run, change):
    """Rewrites `network.keras` with another config.json in it."""
    path = run / "network.keras"
    with zipfile.ZipFile(path) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    content["config.json"] = change(content["config.json"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)


def test_a_network_that_is_no_plum_net_is_one_line(run, capsys):
    model = keras.Sequential([keras.Input((3,)), keras.layers.Lambda(lambda x: x)])
    model.save(run / "network.keras")
    refused(capsys, ["evaluate", run], run / "network.keras", "must hold a PLUMNet", "Sequential")
    with pytest.raises(ConfigError, match="must hold a PLUMNet"):
        plumkeras.load_run(run)
    refused(capsys, ["export", run, run.parent / "served"], "must hold a PLUMNet")


@pytest.mark.parametrize(
    "text", [b"{", b"[]", b'{"class_name": "PLUMNet"}', b"\xff", b'{"a": "' + b"x" * 2**21 + b'"}']
)
def test_a_network_file_that_says_nothing_of_itself_is_one_line(run, capsys, text):
    change_network_config(run, lambda before: text)
    refused(capsys, ["evaluate", run], run / "network.keras")


@pytest.mark.parametrize(
    ("field", "value"), [("feature_dims", {"text": 24}), ("task", "classification"), ("num_classes", 7)]
)
def test_a_network_of_another_run_is_one_line(run, capsys, field, value):
    path = run / "config.json"
    values = json.loads(path.read_text())
    values["network"][field] = value
    path.write_text(json.dumps(values))
    refused(capsys, ["evaluate", run], "network.keras and config.json are not of the same run", field, value)
    with pytest.raises(ConfigError, match=re.escape(field)):
        plumkeras.load_run(run)
