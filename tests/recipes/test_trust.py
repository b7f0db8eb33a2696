"""A run directory from somebody else runs no code, and text in it that another program would act on stays text."""

import csv
import dataclasses
import json
import re
import shutil
import types
import zipfile

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.recipes import ConfigError
from plumkeras.recipes.cli import main
from plumkeras.recipes.cli.parsing import say, warn
from plumkeras.recipes.runs import predictions
from plumkeras.recipes.runs.network_data import description_path
from plumkeras.recipes.serving import model_card
from plumkeras.recipes.views import escaping

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
@pytest.mark.parametrize("where", [pytest.param(".", marks=pytest.mark.verify), "1"])
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


HOSTILE = "<script>alert(1)</script> [x](http://y) `c` **b** |\n# h \x1b[31m"


def test_hostile_text_in_a_configuration_is_text_in_the_model_card():
    described = {
        "recipe": {"name": HOSTILE, "precision": HOSTILE},
        "seed": HOSTILE,
        "backend": HOSTILE,
        "network": {"feature_dims": {"text": 4}, "task": "regression", "num_classes": 3, "modules": [], "sha256": "0"},
        "data": {"path": HOSTILE, "format": HOSTILE, "sha256": HOSTILE, "samples": {HOSTILE: HOSTILE}},
        "label_range": [-3.0, 3.0],
        "classes": ["negative", "exactly neutral", "positive"],
        "metrics": {},
        "exported_with": {},
        "fingerprint": {"source": {"known_file": HOSTILE}},
        "fold": {"train": [2], "valid": [1], "test": [0]},
    }
    card = model_card.model_card("m", "1", described, ["serving_default"], "docker", "batching", ["note"])
    assert "<script" not in card and "\x1b" not in card and "[x](" not in card and "**b**" not in card
    assert "\n# h" not in card and card.count(r"&lt;script&gt;alert(1)&lt;/script&gt; \[x\]") == 10
    assert "fold 0 left out" in card


@pytest.mark.parametrize(
    ("text", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("+1+1", "'+1+1"),
        ("-2+3+cmd|' /C calc'!A0", "'-2+3+cmd|' /C calc'!A0"),
        ("-1-1", "'-1-1"),
        ("\t=1", "'\t=1"),
        ("\uff1d1", "'\uff1d1"),
        ("'quoted", "''quoted"),
        # Numbers, and ids of videos as CMU-MOSI has them.
        ("-1.5", "-1.5"),
        ("+3e-2", "+3e-2"),
        ("-3g5yACwYnA$_$10", "-3g5yACwYnA$_$10"),
        ("-HwX2H8Z4hY[7]", "-HwX2H8Z4hY[7]"),
        ("plain", "plain"),
        ("", ""),
        (-1.5, -1.5),
    ],
)
def test_no_cell_is_a_formula(text, cell):
    assert escaping.for_csv(text) == cell
    assert not isinstance(text, str) or escaping.from_csv(escaping.for_csv(text)) == text


def test_ids_read_back_from_a_csv_file_and_are_no_formulas(tmp_path):
    ids = np.array(["=1+1", "@x", "'", "a\nb", 'a,"b', "-3nNcZdcdvU", "-1.5", "\ud800"])
    network = types.SimpleNamespace(task="regression", num_classes=3, prototype_generators=())
    split = types.SimpleNamespace(ids=ids, labels=None, raw_text=ids[::-1])
    predictions.write_csv(tmp_path / "p.csv", split, network, {"prediction": np.full(len(ids), -1.5, "float32")}, [])
    with (tmp_path / "p.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [escaping.from_csv(row["id"]) for row in rows] == [*ids[:-1], "\\ud800"]
    assert [escaping.from_csv(row["text"]) for row in rows] == ["\\ud800", *ids[-2::-1]]
    assert not any(row[name][0] in "=@+" for row in rows for name in ("id", "text"))
    assert {row["prediction"] for row in rows} == {"-1.5"}


def test_no_control_character_reaches_the_terminal(tmp_path, capsys):
    hostile = "a\x1b[2J\x07\u202eb\x9b1m[red]x"
    split = plumkeras.data_pipelines.make_synthetic({"train": 4})[0]["train"]
    split = dataclasses.replace(split, ids=np.array([hostile, hostile + "2", "c", "d"]))
    plumkeras.data_pipelines.save_npz(plumkeras.data_pipelines.Dataset({"train": split}), tmp_path / f"{hostile}.npz")
    assert main(["inspect", str(tmp_path / f"{hostile}.npz")]) == 0
    assert main(["inspect", str(tmp_path / f"{hostile}.absent")]) == 2
    assert main([hostile]) == 2
    warn(hostile)
    say(hostile)
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert not set(text) & set("\x1b\x07\u202e\x9b")
        assert r"\x1b[2J\x07\u202eb\x9b1m[red]x" in "".join(text.split("\n"))
