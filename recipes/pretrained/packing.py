"""`pack_run`: a finished run as a network that comes with the package."""

import shutil
from pathlib import Path

import numpy as np

from plumkeras.files import replacing, write_json
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.output_checks import check_run
from plumkeras.recipes.runs.packed import ENCODER, WEIGHTS, own_weights, read_packed

# What `config.json` says of a run without naming the machine that it was trained on.
_KEPT = ("run_id", "recipe", "seed", "network", "data", "backend", "versions", "fold", "warnings")
# How far predictions may be from the run's, and weights from those of the low rank.
_TOLERANCE = 1e-4


def pack_run(run_directory_path, folder) -> Path:
    """Writes what a run learned, without the pretrained weights of its text encoder, for `load_run`.

    A saved network has low-rank additions merged into the weights that they are added to; they are got back from the
    difference to the pretrained weights, which has their rank. A `card.md` in the folder stays as it is.

    Args:
        run_directory_path: path of a finished run with a text encoder, of tuning lora or none.
        folder: path of the folder, made where it is not there. What was packed there before is replaced.

    Returns:
        Path, the folder.

    Raises:
        ConfigError: there is no such run, it has changed other weights of the encoder, or what was packed predicts
            something else.
    """
    from plumkeras.recipes.models.text import text_options
    from plumkeras.recipes.runs.run import load_run
    from plumkeras.text_encoders import weights_sha256

    source, folder = Path(run_directory_path), Path(folder)
    check_run(source)
    path = source / run_directory.CONFIG
    config, described = run_directory.read_config(path), run_directory.read_description(path)
    if not config.text.encoder:
        raise ConfigError(f"{source}: has no text encoder; only runs with one are packed")
    if config.text.tuning == "full":
        raise ConfigError(f"{source}: text.tuning=full trains every weight of the encoder; pack a run of lora or none")
    network = load_run(source).network
    _restore_low_rank(network.text_encoder, text_options(config, described["network"])["text_encoder"], source)
    folder.mkdir(parents=True, exist_ok=True)
    values = {name: described[name] for name in _KEPT if name in described}
    values["data"] = {**values["data"], "path": values["data"]["path"] and Path(values["data"]["path"]).name}
    write_json(folder / run_directory.CONFIG, {**values, ENCODER: weights_sha256(config.text.encoder)})
    for name in (run_directory.METRICS, run_directory.FINGERPRINT):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    arrays = {name: _plain(variable) for name, variable in own_weights(network).items()}
    with replacing(folder / WEIGHTS) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **arrays)
    _check_predictions(load_run(source).network, read_packed(folder), folder)
    return folder


def _plain(variable):
    array = np.asarray(variable)
    return array.astype("float32") if array.dtype.kind == "f" else array


def _restore_low_rank(tuned, pretrained, source):
    """Gives the layers of an encoder the low-rank additions that were merged into their kernels."""
    for layer, before in zip(_low_rank_layers(tuned), _low_rank_layers(pretrained), strict=True):
        original = np.asarray(before.kernel, "float64")
        a, b = _factors(np.asarray(layer.kernel, "float64") - original, layer.lora_rank)
        b /= layer.lora_alpha / layer.lora_rank
        layer.lora_kernel_a.assign(a.reshape(layer.lora_kernel_a.shape))
        layer.lora_kernel_b.assign(b)


def _low_rank_layers(encoder):
    return [layer for layer in encoder.backbone._flatten_layers() if getattr(layer, "lora_enabled", False)]


def _factors(difference, rank):
    """Factors `[..., rank]` and `[rank, F]` of a difference of kernels `[..., F]`."""
    matrix = difference.reshape(-1, difference.shape[-1])
    left, sizes, right = np.linalg.svd(matrix, full_matrices=False)
    a, b = np.zeros((len(matrix), rank)), np.zeros((rank, matrix.shape[1]))
    kept = min(rank, len(sizes))
    a[:, :kept], b[:kept] = left[:, :kept] * np.sqrt(sizes[:kept]), np.sqrt(sizes[:kept])[:, None] * right[:kept]
    return a, b


def _check_predictions(network, packed, folder):
    """Raises `ConfigError` unless two networks predict the same for random inputs."""
    random, inputs = np.random.default_rng(0), {}
    for m, width in network.feature_dims.items():
        inputs[f"{m}_length"] = random.integers(3, 9, 16)
        size = network.text_encoder.vocabulary_size
        inputs[m if width else f"{m}_ids"] = (
            random.normal(size=(16, 8, width)) if width else random.integers(size, size=(16, 8))
        )
    found, expected = (n.predict(inputs, verbose=0)["prediction"] for n in (packed, network))
    if not (error := np.abs(found - expected).max()) < _TOLERANCE:
        raise ConfigError(f"{folder}: what was packed predicts something else than the run: by up to {error:.2g}")
