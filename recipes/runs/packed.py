"""A run as it is shared: what it learned, without the pretrained weights of its text encoder.

`weights.npz` holds the network's weights by path, all but those of the encoder that were not trained; `config.json` is
the run's, with the SHA-256 of the encoder's weights.
"""

import zipfile
from pathlib import Path

import numpy as np

from plumkeras.features import DataError
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.models import build_network
from plumkeras.recipes.runs import run_directory

WEIGHTS = "weights.npz"
ENCODER = "encoder"


def is_packed(directory):
    """Whether a directory holds a packed run."""
    directory = Path(directory)
    return (directory / WEIGHTS).is_file() and not (directory / run_directory.NETWORK).exists()


def own_weights(network):
    """Dict by path of a network's weights, without those of its text encoder that stay as they were pretrained."""
    from plumkeras.recipes.runs.checkpoint import variable_paths

    pretrained = {id(v) for v in network.text_encoder.backbone.non_trainable_weights}
    paths = zip(variable_paths(network.weights), network.weights, strict=True)
    return {path: v for path, v in paths if id(v) not in pretrained}


def read_packed(directory):
    """The network of a packed run: built by its recipe with the encoder, then given its weights.

    Raises:
        ConfigError: a file is missing or damaged, the weights are not those of such a network, or the encoder is
            another one than the run's or cannot be read.
    """
    from plumkeras.text_encoders import weights_sha256

    directory = Path(directory)
    path = directory / run_directory.CONFIG
    config, described = run_directory.read_config(path), run_directory.read_network(path)
    known = run_directory.read_description(path).get(ENCODER)
    arrays = _read_weights(directory / WEIGHTS)
    shape = {name: described[name] for name in ("feature_dims", "task", "num_classes")}
    try:
        if weights_sha256(config.text.encoder) != known:
            raise ConfigError(
                f"{directory}: was trained with other weights of the encoder {config.text.encoder} than those that "
                "are installed (another SHA-256); install the version that its config.json names"
            )
        network = build_network(config, shape)
    except DataError as error:
        raise ConfigError(f"{directory}: its text encoder cannot be read: {error}") from None
    _give(network, arrays, directory / WEIGHTS)
    return network


def _read_weights(path):
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise ConfigError(f"{path}: is damaged: {' '.join(f'{type(error).__name__}: {error}'.split())}") from None


def _give(network, arrays, where):
    """Gives a network weights by path. Raises `ConfigError` unless there is one of the right shape for each."""
    variables = own_weights(network)
    for name in sorted(variables.keys() ^ arrays.keys()):
        raise ConfigError(
            f"{where}: {'holds' if name in arrays else 'lacks'} the weight {name}, which such a network "
            f"{'lacks' if name in arrays else 'has'}"
        )
    for name, variable in variables.items():
        array = arrays[name]
        if array.shape != tuple(variable.shape) or array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise ConfigError(
                f"{where}: {name} is {array.dtype} {array.shape}; finite numbers {tuple(variable.shape)} are expected"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
