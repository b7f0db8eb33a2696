"""A network that reads text, exported: from token ids and from strings the same numbers as in memory."""

import json

import numpy as np
import pytest
import tensorflow as tf

import plumkeras
from plumkeras.data_pipelines.transforms.tokenizing import Tokenizer
from tests.testing.graph_text import encoded_texts, make_texts, small_encoder, small_tokenizer
from tests.testing.networks import make_network
from tests.testing.serving_requests import call, expected, run_without_us

pytest.importorskip("keras_hub")
pytest.importorskip("tensorflow_text")

WIDTHS = {"text": 0, "audio": 3}
TEXTS = ["The film is great!", "", "unknownword \ud800 [SEP] the", "\u0130t was good " * 30]


def _network(widths, encoder, **options):
    return make_network(widths, scramble=False, text_encoder=encoder, **options)


@pytest.fixture(scope="module")
def network():
    return _network(WIDTHS, small_encoder())


@pytest.fixture(scope="module")
def version(network, tmp_path_factory):
    return plumkeras.export_saved_model(network, tmp_path_factory.mktemp("export"), max_tokens=16)


@pytest.fixture(scope="module")
def model(version):
    import tensorflow_text  # noqa: F401 - before the export is loaded

    return tf.saved_model.load(str(version))


def _audio(count):
    random = np.random.default_rng(count)
    return {
        "audio": random.normal(0, 1, (count, 5, 3)).astype("float32"),
        "audio_length": random.integers(0, 6, count).astype("int32"),
    }


def _requests(texts, text=None, max_tokens=16):
    """The same request by token ids, and by strings."""
    ids, lengths, _ = Tokenizer(text or small_tokenizer()).encode(texts, max_tokens)
    audio = _audio(len(texts))
    return {"text_ids": ids, "text_length": lengths, **audio}, {"text": encoded_texts(texts), **audio}


def _assert_equal(actual, wanted):
    for name, values in actual.items():
        np.testing.assert_allclose(values, wanted[name], rtol=2e-5, atol=2e-6, err_msg=name)


def test_ids_and_strings_give_the_numbers_of_the_network(network, model):
    assert list(model.signatures) == ["serving_default", "explain", "embed", "from_text"]
    inputs = {name: dict(signature.structured_input_signature[1]) for name, signature in model.signatures.items()}
    assert inputs["from_text"]["text"].dtype == tf.string and set(inputs["from_text"]) == {
        *("text", "audio", "audio_length")
    }
    assert inputs["explain"]["text_ids"].shape.as_list() == [None, None]
    for texts in (TEXTS, TEXTS[:1], make_texts(np.random.default_rng(0), 40)):
        by_ids, by_strings = _requests(texts)
        wanted = expected(network, by_ids)
        for signature in ("serving_default", "explain", "embed"):
            _assert_equal(call(model, signature, by_ids), wanted)
        found = call(model, "from_text", by_strings)
        assert set(found) == set(call(model, "explain", by_ids))
        _assert_equal(found, wanted)


def test_a_text_without_tokens_is_missing(network, model):
    audio = _audio(2)
    none = {"text_ids": np.zeros((2, 0), "int32"), "text_length": np.zeros(2, "int32"), **audio}
    one = {**none, "text_ids": np.zeros((2, 1), "int32")}
    for signature in ("serving_default", "explain", "embed"):
        _assert_equal(call(model, signature, none), call(model, signature, one))
    found = call(model, "from_text", {"text": np.array([b"", b" \t\0"]), **audio})
    _assert_equal(found, expected(network, one))
    assert found["text_hard_label"].tolist() == [-1, -1]


def test_an_empty_batch_gives_empty_outputs(model):
    by_ids, by_strings = _requests([])
    for signature, request in (("explain", by_ids), ("from_text", by_strings)):
        assert call(model, signature, request)["prediction"].shape == (0,)


def test_no_output_depends_on_the_padding(model):
    by_ids, _ = _requests(TEXTS)
    longer = {**by_ids, "text_ids": np.pad(by_ids["text_ids"], [(0, 0), (0, 9)], constant_values=7)}
    for signature in ("explain", "embed"):
        _assert_equal(call(model, signature, longer), call(model, signature, by_ids))


# What is changed in a good request by token ids, and what the error says.
WRONG = {
    "negative id": ({"text_ids": np.array([[1, 2], [3, -1]], "int32")}, r"text_ids: must be token ids of 0 to \d+\."),
    "unknown id": ({"text_ids": np.array([[1, 2], [9999, 1]], "int32")}, r"text_ids: must be token ids.*9999"),
    "too many": ({"text_ids": np.ones((2, 65), "int32")}, r"text_ids: must have at most 64 tokens.*65"),
    "rank": ({"text_ids": np.ones((2, 3, 1), "int32")}, "text_ids"),
    "length": ({"text_length": np.array([1, 3], "int32")}, r"text_length: must be within 0 .* of text_ids\."),
    "batch": ({"text_ids": np.ones((3, 2), "int32")}, "has another batch size than text_ids"),
    "type": ({"text_ids": np.ones((2, 2), "float32")}, r"input #2.*int32.*float"),
    "strings": ({"text_ids": np.array([b"a", b"b"])}, "input #2|text_ids"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_ids_are_refused_by_name(model, case):
    change, told = WRONG[case]
    good = {"text_ids": np.ones((2, 2), "int32"), "text_length": np.array([1, 2], "int32"), **_audio(2)}
    with pytest.raises(Exception, match=told):
        call(model, "serving_default", {**good, **change})
    assert np.isfinite(call(model, "serving_default", good)["prediction"]).all()


def test_wrong_strings_are_refused_by_name(model):
    good = {"text": np.array([b"a", b"b"]), **_audio(2)}
    for change, told in (
        ({"text": np.array([[b"a"], [b"b"]])}, "text"),
        ({"text": np.array([b"a"])}, "has another batch size than text"),
        ({"text": np.ones((2, 3), "int32")}, "input #2.*string.*int32"),
        ({"audio_length": np.array([6, 0], "int32")}, "audio_length: must be within"),
    ):
        with pytest.raises(Exception, match=told):
            call(model, "from_text", {**good, **change})
    assert np.isfinite(call(model, "from_text", good)["prediction"]).all()


@pytest.mark.verify
def test_text_alone_without_us(tmp_path):
    """TensorFlow and TensorFlow Text are all that it needs; by default the encoder's length is where texts are cut."""
    network = _network({"words": 0}, small_encoder(longest=8, tuning="lora"), modules=())
    version = plumkeras.export_saved_model(network, tmp_path / "export")
    code = """
import json, tensorflow as tf, tensorflow_text
found = tf.saved_model.load(sys.argv[1]).signatures["from_text"](words=tf.constant(json.loads(sys.argv[2])))
print(json.dumps(found["prediction"].numpy().tolist()))
"""
    texts = [text for text in TEXTS if text.isprintable()]
    found = json.loads(run_without_us(code, version, json.dumps(texts), away=("keras_hub", "tokenizers", "plumkeras")))
    ids, lengths, _ = Tokenizer(small_tokenizer()).encode(texts, 8)
    assert lengths.max() == 8
    wanted = expected(network, {"words_ids": ids, "words_length": lengths})
    np.testing.assert_allclose(found, wanted["prediction"], rtol=2e-5, atol=2e-6)


def test_variables_stand_once_in_the_file(network, version):
    stored = tf.train.list_variables(str(version / "variables" / "variables"))
    sizes = sorted(int(np.prod(shape)) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    used = [v for v in network.variables if "seed_generator" not in v.path]
    assert sizes == sorted(int(np.prod(v.shape)) for v in used)


@pytest.mark.verify
def test_another_tokenizer_has_ids_alone(tmp_path):
    from tokenizers import Tokenizer, models

    text = Tokenizer(models.BPE({"a": 0, "b": 1}, [])).to_str()
    network = _network({"text": 0}, small_encoder(text), modules=())
    version = plumkeras.export_saved_model(network, tmp_path)
    assert set(tf.saved_model.load(str(version)).signatures) == {"explain", "serving_default"}


def test_a_wrong_number_of_tokens_is_refused(network, tmp_path):
    for max_tokens, told in ((65, "must be at most 64, which the encoder takes"), (2, "must leave room for a word")):
        with pytest.raises(ValueError, match=f"`max_tokens` {told}.*max_tokens={max_tokens}"):
            plumkeras.export_saved_model(network, tmp_path, max_tokens=max_tokens)
    assert list(tmp_path.iterdir()) == []
