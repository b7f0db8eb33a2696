"""Texts become token ids: what is cut is counted, what is empty is missing, and what looks like a token is letters."""

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, Split, convert, describe, save_npz
from plumkeras.data_pipelines.batches.order import BatchStream, padding_share
from plumkeras.data_pipelines.schema.token_ids import TokenIds
from plumkeras.data_pipelines.transforms.tokenizing import Tokenizer, make_tokenizer, tokenize
from plumkeras.features import TOKEN_IDS
from tests.testing.text_encoders import make_data, make_split, write_tokenizer

tokenizers = pytest.importorskip("tokenizers", reason="the extra `text` is not installed")


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    """What the tokenizer's file holds."""
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(text):
    return make_tokenizer(text)


def test_ids_are_those_of_the_file(tokenizer, text):
    own = tokenizers.Tokenizer.from_str(text)
    texts = ["It was GOOD!", "films, very bad"]
    ids, lengths, cut = tokenizer.encode(texts, 20)
    assert ids.dtype == lengths.dtype == np.int32 and cut == 0 and ids.shape == (2, lengths.max())
    for row, said in enumerate(texts):
        known = own.encode(said)
        assert ids[row, : lengths[row]].tolist() == known.ids and not ids[row, lengths[row] :].any()
        assert known.tokens[0] == "[CLS]" and known.tokens[-1] == "[SEP]"


def test_long_texts_are_cut_and_counted(tokenizer):
    ids, lengths, cut = tokenizer.encode(["good film " * 10, "good film", "good " * 4], 6)
    assert cut == 1 and lengths.tolist() == [6, 4, 6] and ids.shape == (3, 6)
    # The ends of a text stay around what is left of it.
    assert ids[0, 0] == ids[1, 0] and ids[0, 5] == ids[1, 3]
    begun, ended = tokenizer.encode(["good film bad"], 4)[0], tokenizer.encode(["good film bad"], 4, keep_end=True)[0]
    assert begun[0].tolist() == tokenizer.encode(["good film"], 9)[0][0].tolist()
    assert ended[0].tolist() == tokenizer.encode(["film bad"], 9)[0][0].tolist()
    # Cutting one list says nothing of the next.
    assert tokenizer.encode(["good film " * 10], 50)[1].tolist() == [22]


@pytest.mark.parametrize("nothing", ["", " ", "\n\t", "\x00\x01"])
def test_a_text_without_a_token_is_missing(tokenizer, nothing):
    ids, lengths, cut = tokenizer.encode([nothing, "good"], 8)
    assert lengths.tolist() == [0, 3] and not ids[0].any() and cut == 0
    assert tokenizer.encode([nothing], 8)[0].shape == (1, 1)


def test_a_special_token_in_a_text_is_letters(tokenizer, text):
    special = tokenizers.Tokenizer.from_str(text).token_to_id("[SEP]")
    ids, lengths, _ = tokenizer.encode(["good [SEP] bad", "good [PAD]"], 20)
    assert np.count_nonzero(ids[0, : lengths[0]] == special) == 1
    assert not np.any(ids[1, : lengths[1]] == 0)


@pytest.mark.parametrize("said", ["善い映画", "хорошо", "🎬🎬", "a\u0000b", "\ud800", "good\u202e", "a" * 5000])
def test_any_characters(tokenizer, said):
    ids, lengths, _ = tokenizer.encode([said], 16)
    assert 0 <= lengths[0] <= 16 and ids.min() >= 0


@pytest.mark.parametrize("wrong", [None, 3, b"good", np.nan, ["good"]])
def test_what_is_no_text(tokenizer, wrong):
    with pytest.raises(DataError, match=r"text 1 is a .*; a str is expected"):
        tokenizer.encode(["good", wrong], 8)


def test_padding_of_the_file_is_not_taken_over(text):
    own = tokenizers.Tokenizer.from_str(text)
    own.enable_padding(length=128)
    own.enable_truncation(4)
    ids, lengths, _ = Tokenizer(own.to_str()).encode(["good film was bad"], 20)
    assert ids.shape == (1, 6) and lengths.tolist() == [6]


def test_a_data_set_with_token_ids(tokenizer):
    dataset = make_data(train=12, valid=6, test=5)
    tokenized = tokenize(dataset, tokenizer, 7)
    assert tokenized.feature_dims == {"text": TOKEN_IDS, "audio": 3}
    for name, split in tokenized.items():
        wanted, lengths, cut = tokenizer.encode(list(dataset[name].raw_text), 7)
        np.testing.assert_array_equal(split.features["text"][:], wanted)
        np.testing.assert_array_equal(split.lengths["text"], lengths)
        np.testing.assert_array_equal(split.features["audio"], dataset[name].features["audio"])
        told = f"{name}/text: {cut} of {len(split)} texts were cut to 7 tokens"
        assert cut and told in tokenized.report.warnings
    assert not any("were cut" in warning for warning in tokenize(dataset, tokenizer, 30).report.warnings)
    # Features of the file go.
    assert tokenize(Dataset({"test": make_split(4, audio=False)}), tokenizer, 7).feature_dims == {"text": TOKEN_IDS}


def test_data_without_raw_text(tokenizer):
    split = Split(ids=["a"], features={"text": np.ones((1, 2, 3))}, lengths={"text": [2]}, labels=[1.0])
    with pytest.raises(DataError, match="the data set: train has no raw_text, which a text encoder reads"):
        tokenize(Dataset({"train": split}), tokenizer, 8)


def test_token_ids_are_features():
    ids = TokenIds([[2, 5, 3], [2, 3, 0], [2, 7, 3]])
    assert ids.shape == (3, 3, TOKEN_IDS) and len(ids.take([True, False, True])) == 2
    np.testing.assert_array_equal(ids[[0, 2], :2], [[2, 5], [2, 7]])
    assert np.asarray(ids).dtype == np.int32


def test_batches_hold_texts_of_similar_length(tokenizer):
    random = np.random.default_rng(0)
    texts = [" ".join(["film"] * int(n)) for n in random.integers(1, 62, 128)]
    split = make_split(128)
    split = tokenize(
        Dataset({"train": Split(split.ids, split.features, split.lengths, split.labels, raw_text=texts)}), tokenizer, 64
    )
    split = split["train"].select(("text",))
    assert padding_share(split, 8, length_aware=False) > 0.4 > 2 * padding_share(split, 8)
    inputs, labels = next(iter(BatchStream(split, 8, training=True)))
    assert set(inputs) == {"text_ids", "text_length"} and len(labels) == 8
    assert inputs["text_ids"].dtype == np.int32 and inputs["text_ids"].shape[1] - inputs["text_length"].max() < 8


def test_token_ids_are_described_and_not_written(tokenizer, tmp_path):
    data = tokenize(make_data(), tokenizer, 12)
    described = describe(data)
    assert described["feature_dims"] == {"text": 0, "audio": 3} and described["features"]["text"]["std"] == []
    with pytest.raises(DataError, match="text is token ids, or texts alone, which are not written"):
        save_npz(data, tmp_path / "data.npz")
    with pytest.raises(DataError, match="text is token ids, or texts alone, which are not written"):
        convert(data, tmp_path / "shards")
    assert not list(tmp_path.iterdir())
