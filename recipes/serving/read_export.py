"""An export read back: the same predictions as those of its run, by the SavedModel alone.

A SavedModel is code: its graph can read and write files. It is loaded only where an export is named, never in place of
a run.
"""

from pathlib import Path

import numpy as np

from plumkeras.features import TOKEN_IDS, input_name, width_words
from plumkeras.recipes.config import ConfigError, read_json
from plumkeras.recipes.runs import run_directory

SAVED_MODEL = "saved_model.pb"
# Where TensorFlow leaves place for what is ours.
EXTRA = "assets.extra"
METADATA = "plumkeras.json"


def find_version(directory):
    """The folder of a version: the directory itself, or the newest one in it; `None` where there is none, or a run."""
    directory = Path(directory)
    if any((directory / name).exists() for name in (run_directory.CONFIG, run_directory.NETWORK)):
        return None
    if (directory / SAVED_MODEL).is_file():
        return directory
    if not directory.is_dir():
        return None
    numbered = [path for path in directory.iterdir() if path.name.isascii() and path.name.isdigit()]
    complete = [path for path in numbered if (path / SAVED_MODEL).is_file()]
    return max(complete, key=lambda path: int(path.name), default=None)


def metadata_path(version):
    """Where a version says what it is an export of.

    Raises:
        ConfigError: it does not say.
    """
    path = Path(version) / EXTRA / METADATA
    if not path.is_file():
        raise ConfigError(f"{version}: a SavedModel without {EXTRA}/{METADATA}; export the run by plumkeras export")
    return path


class ExportedNetwork:
    """What of a `PLUMNet` predictions need, by the `explain` signature of a SavedModel.

    Args:
        version: path of the version.
        described: dict with `feature_dims`, `task` and `num_classes`.
        has_strings: bool. Whether it has a signature that takes strings. Defaults to `False`.

    Attributes:
        text_encoder: None: what reads token ids is in the SavedModel, and their tokenizer is a file beside it.

    Raises:
        ConfigError: it cannot be loaded, or has no such signature; or TensorFlow or, where it is needed, TensorFlow
            Text is not installed.
    """

    text_encoder = None

    def __init__(self, version, described, has_strings=False):
        # Late, so that checking a command line does not start TensorFlow; and whatever the backend is.
        try:
            import tensorflow as tf
        except ImportError as error:
            raise ConfigError(
                f"{version}: an export is read by TensorFlow, which cannot be imported: {error}"
            ) from error

        if has_strings:
            _register_text_operations(version)
        self.feature_dims, self.task = described["feature_dims"], described["task"]
        self.num_classes = described["num_classes"]
        try:
            # Kept: a signature does not hold the variables that it reads.
            self._model = tf.saved_model.load(str(version))
            self._explain = self._model.signatures["explain"]
        except Exception as error:
            told = (str(error).splitlines() or [""])[0]
            raise ConfigError(f"{version}: cannot be loaded: {type(error).__name__}: {told}") from error
        inputs = self._explain.structured_input_signature[1]
        found = {name: spec.shape.as_list()[2:] for name, spec in inputs.items() if not name.endswith("_length")}
        told = {name: [width] if width else [] for name, width in self._inputs.items()}
        if found != told:
            raise ConfigError(
                f"{version}: the SavedModel reads {_widths(found)} and {EXTRA}/{METADATA} says {_widths(told)}; export "
                "the run again"
            )

    @property
    def modalities(self):
        return tuple(self.feature_dims)

    @property
    def _inputs(self):
        return {input_name(m, width): width for m, width in self.feature_dims.items()}

    @property
    def prototype_generators(self):
        """The modalities that have labels of their own, as those of `PLUMNet.prototype_generators`."""
        return tuple(m for m in self.modalities if f"{m}_soft_label" in self._explain.structured_outputs)

    def predict(self, batches, verbose=0):
        """As `keras.Model.predict`: dict of arrays `[N, ...]`."""
        import tensorflow as tf

        parts = []
        for batch in batches:
            inputs = batch[0] if isinstance(batch, tuple) else batch
            names = [*self._inputs, *(f"{m}_length" for m in self.modalities)]
            named = {name: tf.convert_to_tensor(inputs[name]) for name in names}
            parts.append({name: value.numpy() for name, value in self._explain(**named).items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _widths(found):
    return {name: width_words(*width or [TOKEN_IDS]) for name, width in found.items()}


def _register_text_operations(version):
    try:
        import tensorflow_text  # noqa: F401 - its import makes the operations known
    except ImportError as error:
        raise ConfigError(
            f"{version}: takes strings, by operations of tensorflow_text, which cannot be imported: {error}; install "
            "tensorflow-text of the version of TensorFlow"
        ) from error


def read_export(version):
    """What a version holds: its `RecipeConfig`, its network and the fingerprint of its training features or `None`.

    Raises:
        ConfigError: a file is missing or damaged.
    """
    path = metadata_path(version)
    config, described = run_directory.read_config(path), run_directory.read_network(path)
    values = read_json(path)
    known, text = values.get("fingerprint"), values.get("text")
    if known is not None:
        run_directory.check_fingerprint(known, path)
    has_strings = isinstance(text, dict) and text.get("no_strings_because") is None
    return config, ExportedNetwork(version, described, has_strings), known
