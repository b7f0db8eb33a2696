"""Tiny text encoders on disk, data whose labels depend on words, and encoders by numpy alone."""

import json
import math
from pathlib import Path

import numpy as np

from plumkeras.data_pipelines import Dataset, Split

WORDS = {"good": 1.0, "great": 2.0, "bad": -1.0, "awful": -2.0}
FILLERS = ("a", "film", "it", "was", "the", "plot", "and", "very")
# With the pieces that no word of the texts needs.
VOCABULARY = (
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    *WORDS,
    *FILLERS,
    "##s",
    "##ly",
    *".,!?[]()",
    *"unsepcl",
    "##l",
)
WIDTH, LAYERS, HEADS, INNER, LONGEST = 8, 2, 2, 16, 24
HUGGING_FACE = ("bert", "roberta", "albert", "distilbert", "xlm-roberta")


def write_tokenizer(folder):
    """A WordPiece tokenizer with `[CLS]` and `[SEP]` around a text; returns the text of its `tokenizer.json`."""
    import tokenizers

    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordPiece({token: i for i, token in enumerate(dict.fromkeys(VOCABULARY))}, unk_token="[UNK]")
    )
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"])
    around = [(token, tokenizer.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=around)
    tokenizer.save(str(Path(folder) / "tokenizer.json"))
    return (Path(folder) / "tokenizer.json").read_text(encoding="utf-8")


def write_encoder(folder, kind="bert", **changes):
    """A random encoder in Hugging Face's layout, with its tokenizer.

    Args:
        folder: made where it is not there.
        kind: one of `HUGGING_FACE`.
        **changes: of `config.json`.
    """
    from safetensors.numpy import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    (folder / "config.json").write_text(json.dumps(_config(kind) | changes))
    random = np.random.default_rng(0)
    save_file(
        {
            # Norms around 1, the rest around 0, as those of an encoder that was trained; all apart from their starts.
            name: ((len(shape) == 1 and "orm.weight" in name) + random.normal(0, 0.3, shape)).astype("float32")
            for name, shape in _shapes(kind).items()
        },
        folder / "model.safetensors",
    )
    return folder


def write_own_encoder(folder, backbone="DebertaV3Backbone", **options):
    """A random encoder in KerasHub's layout, with a `tokenizer.json` beside it."""
    import keras_hub

    sizes = {"vocabulary_size": len(set(VOCABULARY)), "num_layers": LAYERS, "num_heads": HEADS, "hidden_dim": WIDTH}
    sizes |= {"intermediate_dim": INNER, "max_sequence_length": LONGEST, **options}
    if backbone == "DebertaV3Backbone":
        sizes["bucket_size"] = 8
    getattr(keras_hub.models, backbone)(**sizes).save_to_preset(str(folder))
    write_tokenizer(folder)
    return folder


def _config(kind):
    common = {"model_type": kind, "vocab_size": len(set(VOCABULARY)), "max_position_embeddings": LONGEST}
    if kind == "distilbert":
        return common | {
            **{"n_layers": LAYERS, "n_heads": HEADS, "dim": WIDTH, "hidden_dim": INNER, "dropout": 0.1},
            "activation": "gelu",
        }
    common |= {
        **{"num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "hidden_size": WIDTH},
        **{"intermediate_size": INNER, "hidden_dropout_prob": 0.1, "attention_probs_dropout_prob": 0.1},
        **{"hidden_act": "gelu", "layer_norm_eps": 1e-12, "type_vocab_size": 2},
    }
    if kind == "albert":
        common |= {"embedding_size": 4, "num_hidden_groups": 1, "inner_group_num": 1, "hidden_act": "gelu_new"}
    elif "roberta" in kind:
        # The first two positions are reserved.
        common |= {"max_position_embeddings": LONGEST + 2, "layer_norm_eps": 1e-5, "type_vocab_size": 1}
    return common


def _shapes(kind):
    config, narrow = _config(kind), 4 if kind == "albert" else WIDTH
    prefix = {"bert": "", "xlm-roberta": ""}.get(kind, f"{kind}.")
    found = {}

    def norm(name, width=WIDTH):
        found.update({f"{prefix}{name}.weight": (width,), f"{prefix}{name}.bias": (width,)})

    def dense(name, inputs=WIDTH, outputs=WIDTH):
        found.update({f"{prefix}{name}.weight": (outputs, inputs), f"{prefix}{name}.bias": (outputs,)})

    found[f"{prefix}embeddings.word_embeddings.weight"] = (config["vocab_size"], narrow)
    found[f"{prefix}embeddings.position_embeddings.weight"] = (config["max_position_embeddings"], narrow)
    if kind != "distilbert":
        found[f"{prefix}embeddings.token_type_embeddings.weight"] = (config["type_vocab_size"], narrow)
    norm("embeddings.LayerNorm", narrow)
    if kind == "albert":
        dense("encoder.embedding_hidden_mapping_in", narrow)
        blocks = ["encoder.albert_layer_groups.0.albert_layers.0"]
    elif kind == "distilbert":
        blocks = [f"transformer.layer.{i}" for i in range(LAYERS)]
    else:
        blocks = [f"encoder.layer.{i}" for i in range(LAYERS)]
    attention, output, norms, first, second = {
        "albert": (
            *("attention.{}", "attention.dense", ("attention.LayerNorm", "full_layer_layer_norm")),
            *("ffn", "ffn_output"),
        ),
        "distilbert": (
            *("attention.{}_lin", "attention.out_lin", ("sa_layer_norm", "output_layer_norm")),
            *("ffn.lin1", "ffn.lin2"),
        ),
    }.get(
        kind,
        (
            *("attention.self.{}", "attention.output.dense", ("attention.output.LayerNorm", "output.LayerNorm")),
            *("intermediate.dense", "output.dense"),
        ),
    )
    for block in blocks:
        for part in ("q", "k", "v") if kind == "distilbert" else ("query", "key", "value"):
            dense(f"{block}.{attention.format(part)}")
        dense(f"{block}.{output}")
        for name in norms:
            norm(f"{block}.{name}")
        dense(f"{block}.{first}", WIDTH, INNER)
        dense(f"{block}.{second}", INNER, WIDTH)
    if kind in ("bert", "albert"):
        dense("pooler.dense" if kind == "bert" else "pooler")
    return found


def make_texts(count, seed=0, longest=12):
    """Texts of various lengths, and labels within -3..3: the sum of the worths of their words."""
    random = np.random.default_rng(seed)
    texts, labels = [], []
    for _ in range(count):
        words = [*random.choice(FILLERS, random.integers(1, longest - 2)), *random.choice(list(WORDS), 2)]
        words = [str(word) for word in random.permutation(words)]
        texts.append(" ".join(words))
        labels.append(np.clip(sum(WORDS.get(word, 0.0) for word in words), -3, 3))
    return texts, np.array(labels, "float32")


def make_split(count, seed=0, audio=True, name="s"):
    """A split with `raw_text`, and audio unless told otherwise; else with text features of width 1, which go."""
    texts, labels = make_texts(count, seed)
    random = np.random.default_rng(seed + 1)
    features = {"audio": random.normal(size=(count, 6, 3))} if audio else {"text": np.ones((count, 1, 1))}
    (modality, array), lengths = next(iter(features.items())), random.integers(1, 7, count)
    return Split(
        ids=[f"{name}{seed}_{i}" for i in range(count)],
        features={modality: array.astype("float32")},
        lengths={modality: lengths if audio else np.ones(count, "int32")},
        labels=labels,
        raw_text=texts,
    )


def make_data(train=40, valid=16, test=16, seed=0, audio=True):
    """A `Dataset` of `make_split`s, a regression."""
    sizes = {"train": train, "valid": valid, "test": test}
    return Dataset({n: make_split(c, 10 * seed + i, audio, n) for i, (n, c) in enumerate(sizes.items())})


class ByNumpy:
    """Encoders of Hugging Face's layout in float64."""

    def __init__(self, folder):
        from safetensors.numpy import load_file

        self.config = json.loads((Path(folder) / "config.json").read_text())
        self.kind = self.config["model_type"]
        prefix = f"{self.kind}."
        weights = load_file(Path(folder) / "model.safetensors")
        self.weights = {name.removeprefix(prefix): array.astype("float64") for name, array in weights.items()}

    def linear(self, x, name):
        return x @ self.weights[f"{name}.weight"].T + self.weights[f"{name}.bias"]

    def norm(self, x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x**2).mean(-1, keepdims=True) + self.config.get("layer_norm_eps", 1e-12))
        return x * self.weights[f"{name}.weight"] + self.weights[f"{name}.bias"]

    def gelu(self, x):
        if self.config.get("hidden_act", "gelu") == "gelu":
            return x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))
        return x * 0.5 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))

    def block(self, x, name, heads, names):
        query, key, value, dense, norm, first, second, last = names
        query, key, value = (
            self.linear(x, f"{name}.{part}").reshape(len(x), heads, -1).transpose(1, 0, 2)
            for part in (query, key, value)
        )
        scores = np.exp(query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[-1]))
        seen = (scores / scores.sum(-1, keepdims=True) @ value).transpose(1, 0, 2).reshape(len(x), -1)
        x = self.norm(x + self.linear(seen, f"{name}.{dense}"), f"{name}.{norm}")
        inner = self.gelu(self.linear(x, f"{name}.{first}"))
        return self.norm(x + self.linear(inner, f"{name}.{second}"), f"{name}.{last}")

    def __call__(self, ids):
        table, reserved = self.weights, 2 if "roberta" in self.kind else 0
        x = table["embeddings.word_embeddings.weight"][ids]
        x = x + table["embeddings.position_embeddings.weight"][reserved : reserved + len(ids)]
        if self.kind != "distilbert":
            x = x + table["embeddings.token_type_embeddings.weight"][0]
        x = self.norm(x, "embeddings.LayerNorm")
        heads = self.config.get("num_attention_heads") or self.config["n_heads"]
        layers = self.config.get("num_hidden_layers") or self.config["n_layers"]
        if self.kind == "albert":
            x = self.linear(x, "encoder.embedding_hidden_mapping_in")
        for i in range(layers):
            x = self.block(x, *self._names(i, heads))
        return x

    def _names(self, i, heads):
        if self.kind == "albert":
            parts = ("attention.query", "attention.key", "attention.value", "attention.dense", "attention.LayerNorm")
            return (
                "encoder.albert_layer_groups.0.albert_layers.0",
                heads,
                (*parts, "ffn", "ffn_output", "full_layer_layer_norm"),
            )
        if self.kind == "distilbert":
            parts = ("attention.q_lin", "attention.k_lin", "attention.v_lin", "attention.out_lin", "sa_layer_norm")
            return f"transformer.layer.{i}", heads, (*parts, "ffn.lin1", "ffn.lin2", "output_layer_norm")
        parts = (*(f"attention.self.{part}" for part in ("query", "key", "value")), "attention.output.dense")
        parts = (*parts, "attention.output.LayerNorm", "intermediate.dense", "output.dense", "output.LayerNorm")
        return f"encoder.layer.{i}", heads, parts
