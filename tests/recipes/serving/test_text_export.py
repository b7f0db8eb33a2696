"""A run with a text encoder, exported: what stands beside the SavedModel, and predictions from raw text by it alone."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

import plumkeras
from plumkeras.data_pipelines import Dataset, make_synthetic
from plumkeras.recipes import ConfigError
from plumkeras.recipes.runs.network_data import description_path
from plumkeras.recipes.serving import model_card
from plumkeras.recipes.serving.export_run import export_run
from plumkeras.recipes.serving.notes import serving_notes
from tests.testing.graph_text import WORDS, save_encoder, small_tokenizer
from tests.testing.serving_requests import call

pytest.importorskip("keras_hub")
pytest.importorskip("tensorflow_text")
# It trains and exports; what is exported is in `tests/plumkeras/test_export_text.py` too.
pytestmark = pytest.mark.verify

MAX_TOKENS = 10
TINY = {
    "modalities": ("text", "audio"),
    "network": {"hidden_dim": 8, "num_layers": 1, "num_heads": 2},
    "alignment": {"epochs": 1},
    "refinement": {"epochs": 1},
}


def _with_texts(sizes, seed):
    """Generated data with a sentence each, the first one empty and the second one long."""
    dataset, random = make_synthetic(sizes, seed=seed, feature_dims={"text": 4, "audio": 3, "vision": 2})[0], None
    random, splits = np.random.default_rng(seed), {}
    for name, split in dataset.items():
        texts = [" ".join(random.choice(WORDS, random.integers(1, 12))) for _ in split.ids]
        texts[:2] = "", "the film is great! " * 10
        splits[name] = dataclasses.replace(split, raw_text=np.array(texts, object))
    return Dataset(splits, label_range=dataset.label_range)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("encoders") / "my_encoder"
    folder.mkdir()
    save_encoder(folder)
    return plumkeras.train(
        "synthetic",
        _with_texts({"train": 48, "valid": 16}, 0),
        tmp_path_factory.mktemp("runs") / "text",
        text={"encoder": str(folder), "max_tokens": MAX_TOKENS, "tuning": "none"},
        verbose=0,
        **TINY,
    )


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    return export_run(run.directory, tmp_path_factory.mktemp("served") / "reader")


@pytest.fixture(scope="module")
def loaded(exported):
    return plumkeras.load_run(exported.version)


def _loaded(version, name):
    return json.loads((version / name).read_text())


def test_an_export_predicts_from_raw_text_what_its_run_predicts(run, loaded):
    dataset = _with_texts({"test": 30}, 5)
    found, wanted = loaded.predict(dataset), run.predict(dataset)
    assert set(found) >= {"prediction", "text_soft_label"} and found["text_hard_label"][0] == -1
    for name in found.keys() & wanted.keys():
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-5, atol=1e-5, err_msg=name)
    assert loaded.network.feature_dims == {"text": 0, "audio": 3} and loaded.network.text_encoder is None
    assert loaded.evaluate(dataset)["mae"] == pytest.approx(run.evaluate(dataset)["mae"], rel=1e-4)
    split = dataset["test"]
    request = {
        "text": np.array([text.encode() for text in split.raw_text]),
        "audio": split.features["audio"],
        "audio_length": split.lengths["audio"],
    }
    by_strings = call(loaded.network._model, "from_text", request)
    for name in by_strings.keys() & wanted.keys():
        np.testing.assert_allclose(by_strings[name], wanted[name], rtol=1e-5, atol=1e-5, err_msg=name)


def test_what_an_export_holds(exported, run):
    assert exported.signatures == ("serving_default", "explain", "embed", "from_text")
    extra = exported.version / "assets.extra"
    assert (extra / "tokenizer.json").read_text() == run.network.text_encoder.tokenizer
    assert description_path(exported.version).parent == extra
    described = _loaded(extra, "plumkeras.json")
    assert described["text"] == {
        "modality": "text",
        "encoder": "my_encoder",
        "max_tokens": MAX_TOKENS,
        "kept": "first",
        "tuning": "none",
        "longest": 64,
        "vocabulary_size": run.network.text_encoder.vocabulary_size,
        "no_strings_because": None,
    }
    # Where the encoder lay names the machine.
    place = str(run.config.text.encoder).removesuffix("my_encoder").encode()
    assert all(place not in path.read_bytes() for path in exported.version.rglob("*") if path.is_file())


def test_card_and_notes_say_what_reads_text_and_what_a_server_must_have(exported):
    card, notes = (exported.version / "model_card.md").read_text(), _loaded(exported.version, "signature.json")["notes"]
    for told in (
        "It takes\ntoken ids or strings of text, and features of whatever else it reads",
        "The pretrained encoder my_encoder (tuning: none) reads text, the first 10 tokens of each",
        "`from_text` gives what `explain` does, from strings",
        "text token ids, audio 3",
        "with TensorFlow and TensorFlow Text",
        "import tensorflow_text  # before the export is loaded",
        "text_ids=text_ids, text_length=text_length, audio=audio",
    ):
        assert told in card
    for told in ("the first 10 tokens", "pull request 1405", "issue 2064", "before tf.saved_model.load", "64 tokens"):
        assert told in card and told in " ".join(notes)


def test_of_another_tokenizer_it_is_told_that_ids_alone_are_taken(exported):
    described = _loaded(exported.version, "assets.extra/plumkeras.json")
    described["text"]["no_strings_because"] = "the model of its tokenizer is BPE"
    notes = serving_notes(plumkeras.load_run(exported.version).config, ["text", "audio"], described["text"])
    card = model_card.model_card("m", "1", described, ["explain"], "docker", "batching", notes)
    assert "Strings are not taken, token ids alone, because the model of its tokenizer is BPE." in card
    assert "import tensorflow_text" not in card and "with TensorFlow alone" in card and "token ids of text" in card
    assert not any("TensorFlow Text" in note for note in notes)


def test_example_requests_get_their_example_answers(exported, loaded):
    from google.protobuf import json_format
    from tensorflow.core.framework import tensor_pb2

    described = _loaded(exported.version, "signature.json")
    inputs = described["signatures"]["from_text"]["inputs"]
    assert inputs["text"] == {"dtype": "string", "shape": [None]} and "text_length" not in inputs
    assert described["signatures"]["explain"]["inputs"]["text_ids"] == {"dtype": "int32", "shape": [None, None]}
    assert described["from_text"]["rest"]["row_format"]["request"]["instances"][0]["text"].startswith("It was")
    for one in (described, described["from_text"]):
        row, column = one["rest"]["row_format"], one["rest"]["column_format"]
        signature, request = row["request"]["signature_name"], one["grpc"]["request"]
        assert request["model_spec"]["signature_name"] == column["request"]["signature_name"] == signature
        dtypes = {name: spec["dtype"] for name, spec in described["signatures"][signature]["inputs"].items()}
        by_grpc = {
            name: tf.make_ndarray(json_format.ParseDict(value, tensor_pb2.TensorProto()))
            for name, value in request["inputs"].items()
        }
        by_row = {name: [value] for name, value in row["request"]["instances"][0].items()}
        for values in (by_grpc, by_row, column["request"]["inputs"]):
            arrays = {
                name: np.array(v, object if dtypes[name] == "string" else dtypes[name]) for name, v in values.items()
            }
            answer = call(loaded.network._model, signature, arrays)
            wanted = column["response"]["outputs"]
            wanted = wanted if isinstance(wanted, dict) else {"prediction": wanted}
            assert set(answer) == set(wanted)
            for name in answer:
                np.testing.assert_allclose(answer[name], wanted[name], rtol=1e-5, atol=1e-6, err_msg=name)
    (answer,) = described["from_text"]["rest"]["row_format"]["response"]["predictions"]
    assert answer == {name: value[0] for name, value in column["response"]["outputs"].items()}


def test_warm_up_requests_replay(exported, loaded):
    pytest.importorskip("tensorflow_serving.apis", reason="the extra serving is not installed")
    from tensorflow_serving.apis import prediction_log_pb2

    counts = {}
    path = str(exported.version / "assets.extra" / "tf_serving_warmup_requests")
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        signature = request.model_spec.signature_name
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        batch = len(inputs["audio_length"])
        if signature == "from_text":
            assert all(len(text.split()) == MAX_TOKENS for text in inputs["text"])
        else:
            assert inputs["text_ids"].shape == (batch, MAX_TOKENS) and inputs["text_ids"].dtype == "int32"
        outputs = call(loaded.network._model, signature, inputs)
        assert all(len(value) == batch and np.isfinite(value).all() for value in outputs.values())
        counts.setdefault(signature, []).append(batch)
    assert set(counts) == set(exported.signatures)


def test_the_operations_are_imported_only_where_they_are_needed(exported, monkeypatch, tmp_path):
    """In a process of its own: once known, operations stay so."""
    code = (
        "import sys, plumkeras; run = plumkeras.load_run(sys.argv[1]); print(run.network.modalities, "
        "'tensorflow_text' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(exported.version)], capture_output=True, text=True)
    assert done.stdout.strip() == "('text', 'audio') True", done.stderr[-2000:]
    monkeypatch.setitem(sys.modules, "tensorflow_text", None)
    with pytest.raises(ConfigError, match=r"takes strings, by operations of tensorflow_text, which cannot be imported"):
        plumkeras.load_run(exported.version)


def test_the_small_tokenizer_is_what_the_encoder_has(run):
    assert run.network.text_encoder.tokenizer == small_tokenizer()
