"""What the tests of the tokenizer in a graph and of exports that read text share."""

import json

import numpy as np

_WORDS = """
a b c e i o s t u the it is was good bad film great word ha 1 2 . , ! ? ' # - [ ] ##a ##b ##e ##s ##ing ##ly ##ha ##1
\u00df \u0131 \u03c3 \u03c2 \u0436 \u4e2d \u65e5 \u06de \u00bd \u00e9 \u00fc \u00c9 ##\u00e9 \u0301 ##\u0301 \u2603
\u1112 \u1161 \u11ab ##\u1161 ##\u11ab \u302e ##\u302e \u1b44 ##\u1b44 ##\u302e\u1b44 ##\u1b44\u302e \ufffd ##\ufffd
\U0001f600 ##\U0001f600 [PAD ##sep cls sep unk
"""
WORDS = tuple(_WORDS.split())
# Marks that canonical order moves, some of them kept where accents are stripped; letters of odd cases; what is dropped.
_MARKS = [0x302E, 0x302F, 0x1B44, 0x11446, 0x1D165, 0x1D16D, 0x1E94A, 0x8D4, 0x301, 0x327, 0x345, 0x334, 0x901, 0x344]
_ODD = (
    "\u0130\u0131\u00df\u1e9e\u03a3\u03c2\u03c3\u00c5\u212b\u01c5\ufb01\u00e9\u4e2d\u65e5\ud55c\uac01\uac00\u1112"
    "\0\t\r\n\v\u0085\u00a0\u00ad\u061c\u200b\u200d\u2028\u3000\ufeff\ufffd\ufffe\ue000\U0001f3f3\ufe0f\u200d\U0001f308"
)


def small_tokenizer(longest_word=12, **normalizer):
    """The text of the `tokenizer.json` of a small WordPiece tokenizer."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    # Ids with gaps, as of a vocabulary from which words were taken.
    ids = {word: number + 3 * (number > 20) for number, word in enumerate(dict.fromkeys([*special, *WORDS]))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=longest_word))
    tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(special)
    around = [(token, ids[token]) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=around)
    return tokenizer.to_str()


def vocabulary_size(text):
    """One more than the highest id of a tokenizer."""
    return max(json.loads(text)["model"]["vocab"].values()) + 1


def small_encoder(text=None, longest=64, seed=0, **options):
    """A `TextEncoder` of a random BERT of two blocks, with a tokenizer."""
    import keras
    import keras_hub

    from plumkeras.layers import TextEncoder

    keras.utils.set_random_seed(seed)
    text = small_tokenizer() if text is None else text
    sizes = {"num_layers": 2, "num_heads": 2, "hidden_dim": 8, "intermediate_dim": 16, "max_sequence_length": longest}
    backbone = keras_hub.models.BertBackbone(vocabulary_size=vocabulary_size(text), **sizes)
    return TextEncoder(backbone, text, **options)


def save_encoder(folder):
    """Writes a small encoder as a folder of KerasHub, which a recipe can name."""
    encoder = small_encoder()
    encoder.backbone.save_to_preset(str(folder))
    (folder / "tokenizer.json").write_text(encoder.tokenizer, encoding="utf-8")


def make_texts(random, count, words=WORDS):
    """Strings of words, odd letters, marks and code points of every plane; some are empty, and some have long words."""

    def character():
        kind = random.integers(10)
        if kind < 3:
            return chr(random.integers(1, 0x250))
        if kind < 5:
            return chr(random.choice(_MARKS))
        if kind < 7:
            return _ODD[random.integers(len(_ODD))]
        point = random.integers((0x10000, 0x20000, 0x110000)[kind - 7])
        return " " if 0xD800 <= point < 0xE000 else chr(point)

    def piece():
        kind = random.integers(12)
        if kind < 5:
            return words[random.integers(len(words))].removeprefix("##")
        if kind < 7:
            return " "
        if kind == 7:
            return words[random.integers(len(words))] * random.integers(1, 40)
        return "".join(character() for _ in range(random.integers(1, 4)))

    return ["".join(piece() for _ in range(random.choice([0, 1, 2, 4, 10, 60]))) for _ in range(count)]


def encoded_texts(texts):
    """The strings as a tensor; what UTF-8 has no bytes for is replaced, as `Tokenizer` does it."""
    import tensorflow as tf

    return tf.constant([text.encode("utf-8", "replace") for text in texts], tf.string, shape=[len(texts)])


def rows(array):
    """An array of any shape as lists, for one comparison."""
    return np.asarray(array).tolist()
