"""The tokenizer in a graph: the ids of `Tokenizer.encode`, whatever the string."""

import itertools
import json

import numpy as np
import pytest
import tensorflow as tf

from plumkeras.data_pipelines.transforms.tokenizing import Tokenizer
from plumkeras.features import DataError
from plumkeras.graph_tokenizer import GraphTokenizer, obstacle
from plumkeras.text_encoders import read_tokenizer
from tests.testing.graph_text import WORDS, encoded_texts, make_texts, rows, small_tokenizer

pytest.importorskip("tokenizers")
pytest.importorskip("tensorflow_text")

PLAIN = ["It was great!", "the film is good, word-word 's", "HAHAHA", "unknownword the", "a" * 12, "a" * 13, "a" * 300]
ODD = [
    *("", " ", "\t\n\r\v\u0085\u3000", "\0", "\u200b\ufeff\u00ad", "a\u0000b", "a\u00a0b\u2028c", "\ufffda\ue000b"),
    *(
        "[SEP] [CLS] the [PAD][UNK]",
        "##a ##ing",
        "\u0130\u0131Ii \u1e9e\u00df \u03a3\u03a3 \u03c3\u03c2",
        "é e\u0301 É \u0301",
        "한국어 하 각 \u1112\u1161\u11ab",
    ),
    *(
        "中日中 a中a",
        "\uf900\U0002f800",
        "\u212b \ufb01",
        "😀😀 🏳️‍🌈 ☃\ufe0f",
        "lone \ud800 surrogate \udfff\ud800",
        "½ ۞ ж",
    ),
    # Marks that stay and change places, with and without one between them that does not let them.
    *("a\u302e\u1b44", "a\u1b44\u302e", "a\u302e\u0301\u1b44", "a\u302e\u0901\u1b44", "\u302e\u1b44", "a \u302e\u1b44"),
    *("\u302e", "b\u302e\u200b\u1b44", "中\u302e\u1b44", "a\U0001d16d\u302e\u1b44\U0001e94a", "\u0344\u302e\u1b44"),
]


def _of_minilm():
    try:
        return read_tokenizer("all-MiniLM-L6-v2")
    except DataError as error:
        pytest.skip(str(error))


class _Both:
    """The tokenizer and the graph of the same text."""

    def __init__(self, text, max_tokens=16, keep_end=False):
        self.max_tokens, self.keep_end, self.tokenizer = max_tokens, keep_end, Tokenizer(text)
        graph = GraphTokenizer(text, max_tokens, keep_end)
        self.graph = tf.function(graph, input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)

    def check(self, texts):
        ids, lengths, _ = self.tokenizer.encode(texts, self.max_tokens, self.keep_end)
        found, found_lengths = self.graph(encoded_texts(texts))
        assert found.dtype == found_lengths.dtype == tf.int32
        wrong = [
            text
            for text, *both in zip(texts, lengths, found_lengths.numpy(), ids, found.numpy(), strict=True)
            if both[0] != both[1] or rows(both[2]) != rows(both[3])
        ]
        assert not wrong and found.shape == ids.shape, [text.encode("unicode_escape") for text in wrong[:3]]


@pytest.fixture(scope="module")
def both():
    return _Both(small_tokenizer())


def test_the_end_of_a_long_text():
    both = _Both(small_tokenizer(), 6, keep_end=True)
    both.check(["", "a", "a b c d", "a b c d e", "the plot was thin, but I loved it all the more, you know" * 3])


def test_chosen_strings(both):
    both.check(PLAIN)
    both.check(ODD)
    for text in (*PLAIN, *ODD):
        both.check([text])
    both.check([])
    ids, _, _ = both.tokenizer.encode([*PLAIN, *ODD], 16)
    # Most of what they hold is known, so that more than unknown words is compared.
    assert len(np.unique(ids)) > 40


def test_marks_that_change_places_are_known_words(both):
    """Were they unknown, their order could not be told from the ids."""
    ids, lengths, _ = both.tokenizer.encode(["a\u302e\u1b44", "a\u1b44\u302e", "a\u302e\u0901\u1b44"], 16)
    vocabulary = both.tokenizer._tokenizer.get_vocab()
    assert ids[0, 2] == ids[1, 2] == vocabulary["##\u1b44\u302e"] and vocabulary["##\u302e\u1b44"] == ids[2, 2]
    assert rows(lengths) == [4, 4, 4]


def test_two_thousand_random_strings(both):
    random = np.random.default_rng(0)
    for _ in range(10):
        both.check(make_texts(random, 200))


def test_a_very_long_text(both):
    both.check(["word " * 10_000, "x" * 50_000, "the"])


def test_cut_at_every_length():
    text = small_tokenizer()
    for max_tokens in (3, 5, 64):
        _Both(text, max_tokens).check(["", "the", "the film", "the filmly is", "ahaha", *PLAIN])


def test_bytes_that_are_no_utf8_are_read_as_python_replaces_them(both):
    random = np.random.default_rng(1)
    pool = [97, 32, 0x80, 0xA0, 0xC3, 0xED, 0xEF, 0xF0, 0x9F, 0x98]
    texts = [bytes(random.choice(pool, random.integers(8)).tolist()) for _ in range(500)]
    found, lengths = both.graph(tf.constant(texts))
    ids, wanted, _ = both.tokenizer.encode([text.decode("utf-8", "replace") for text in texts], 16)
    assert rows(found) == rows(ids) and rows(lengths) == rows(wanted)


def test_minilm():
    both = _Both(_of_minilm(), 64)
    words = list(json.loads(_of_minilm())["model"]["vocab"])
    both.check([*PLAIN, *ODD])
    both.check(make_texts(np.random.default_rng(2), 1000, words))


@pytest.mark.verify
def test_every_code_point_in_minilm():
    """Alone, within a word, and before and behind a mark that canonical order moves."""
    both = _Both(_of_minilm(), 16)
    points = [chr(point) for point in range(0x110000) if not 0xD800 <= point < 0xE000]
    for start in range(0, len(points), 20_000):
        block = points[start : start + 20_000]
        for form in ("{}", "ab{}the", "a{}\u302e", "a\u302e{}\u1b44"):
            both.check([form.format(point) if point not in "{}" else point for point in block])


@pytest.mark.verify
def test_a_hundred_thousand_random_strings_in_minilm():
    both, random = _Both(_of_minilm(), 64), np.random.default_rng(3)
    words = list(json.loads(_of_minilm())["model"]["vocab"])
    for _ in range(100):
        both.check(make_texts(random, 1000, words))


@pytest.mark.verify
@pytest.mark.parametrize(
    "options", list(itertools.product([True, False], [True, False], [None, True, False], [True, False]))
)
def test_every_option_of_the_normalizer(options):
    names = ("clean_text", "handle_chinese_chars", "strip_accents", "lowercase")
    both = _Both(small_tokenizer(**dict(zip(names, options, strict=True))))
    both.check([*PLAIN, *ODD])
    random = np.random.default_rng(4)
    for _ in range(10):
        both.check(make_texts(random, 500))


def test_another_tokenizer_is_told():
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    whole = small_tokenizer()
    assert obstacle(whole) is None and obstacle(None) == "the network has no tokenizer"
    bpe = Tokenizer(models.BPE({"a": 0}, []))
    assert obstacle(bpe.to_str()) == "the model of its tokenizer is BPE, and a graph can be made of WordPiece alone"
    with pytest.raises(ValueError, match="cannot be a graph, because the model of its tokenizer is BPE"):
        GraphTokenizer(bpe.to_str(), 16)
    for part, value, told in (
        ("normalizer", normalizers.Lowercase(), "Lowercase"),
        ("normalizer", None, "none"),
        ("pre_tokenizer", pre_tokenizers.Whitespace(), "Whitespace"),
    ):
        other = Tokenizer.from_str(whole)
        setattr(other, part, value)
        assert obstacle(other.to_str()).startswith(f"the {part} of its tokenizer is {told}, and")
    other = Tokenizer.from_str(whole)
    other.add_tokens(["film star"])
    assert "added tokens, such as 'film star'" in obstacle(other.to_str())
    other.model = models.WordPiece({"a": 0}, unk_token="[UNK]")
    assert "no token for unknown words" in obstacle(other.to_str())


def test_too_few_tokens_are_refused():
    with pytest.raises(ValueError, match=r"room for a word beside 2 special tokens\. Received: max_tokens=2"):
        GraphTokenizer(small_tokenizer(), 2)


def test_without_tensorflow_text_it_is_told(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert obstacle(small_tokenizer()) == "tensorflow_text is not installed"


def test_the_words_of_the_small_tokenizer_have_gaps_in_their_ids():
    ids = sorted(json.loads(small_tokenizer())["model"]["vocab"].values())
    assert len(ids) == len(set(WORDS)) + 4 and ids[-1] == len(ids) + 2
