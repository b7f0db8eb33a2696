"""A trained network as a SavedModel: raw features in, no Python of ours at load time.

The layout is TensorFlow Serving's, `<directory>/<version>`. TensorFlow is imported late, so that a wrong argument is
told before it starts.
"""

import contextlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from plumkeras import graph_tokenizer
from plumkeras.export_inputs import checked, input_specs
from plumkeras.locking import locked

if TYPE_CHECKING:
    import keras

# The signature that takes strings, of a network that reads token ids.
FROM_TEXT = "from_text"
_PARTIAL = ".partial"


def export_saved_model(
    network: "keras.Model", directory: str | os.PathLike, version: int | None = 1, max_tokens: int | None = None
) -> Path:
    """Writes a network as version `<directory>/<version>` of a served model.

    Inputs of every signature, by name: per modality `<modality>` `[B, T, F]` float32, raw features, and
    `<modality>_length` `[B]` int32, valid leading frames. Batch and time are free; `T` may be 0 where every length is
    0, and an empty batch gives empty outputs. NaN, infinities and magnitudes above 1e6 become 0, as when a file is
    read. A wrong shape, another batch size, a negative length or one beyond the frames is an error that names the
    input.

    Signatures: `serving_default` gives `prediction` and computes nothing else. `explain` adds, per modality,
    `<modality>_soft_label`, `<modality>_hard_label`, `<modality>_common_probabilities` and
    `<modality>_private_probabilities`. `embed` gives `<modality>_common_embedding`, `<modality>_private_embedding` and
    `<modality>_refined_embedding`. What a network of fewer `modules` lacks is left out; without any embedding there is
    no `embed`.

    Of a modality that a text encoder reads the inputs are `<modality>_ids` `[B, T]` int32, token ids, and
    `<modality>_length`; an id that the encoder does not know, or more tokens than it takes, is an error. Where its
    tokenizer is a WordPiece one, as of BERT, a signature `from_text` gives what `explain` does, and takes `<modality>`
    `[B]` string in place of both; a text without tokens is missing. It needs the operations of TensorFlow Text, so in
    Python `import tensorflow_text` goes before `tf.saved_model.load`.

    Args:
        network: `PLUMNet`.
        directory: path. Made where it does not exist.
        version: int, 1 or more, or `None`: the next free number. Defaults to `1`.
        max_tokens: int, how many tokens `from_text` keeps of a text, its first ones, special tokens among them; or
            `None`: as many as the encoder takes.

    Returns:
        Path of the version. It appears in one move, complete.

    Raises:
        ValueError: the backend is not TensorFlow, `version` is no version, a modality's name is none of an input, or
            `max_tokens` is too few, or more than the encoder takes.
        FileExistsError: that version exists.
        BlockingIOError: another process exports to the directory.

    Example:
        >>> import tempfile
        >>> network = plumkeras.PLUMNet({"text": 12}, hidden_dim=8, num_layers=1, num_heads=2)
        >>> export_saved_model(network, tempfile.mkdtemp()).name
        '1'
    """
    check_backend()
    check_modalities(network.modalities)
    with new_version(directory, version) as (partial, target):
        write_saved_model(network, partial, max_tokens)
    return target


def check_backend():
    """Raises `ValueError` unless the backend is TensorFlow."""
    import keras

    if (backend := keras.backend.backend()) != "tensorflow":
        raise ValueError(
            "a SavedModel is written with the TensorFlow backend; set KERAS_BACKEND=tensorflow, and load the network "
            f"there. Received: KERAS_BACKEND={backend}"
        )


def check_modalities(modalities):
    """Raises `ValueError` unless modalities can be the names of a signature's inputs."""
    for m in modalities:
        # What a Python argument cannot be named, a SavedModel's signature does not keep.
        if not m.isidentifier():
            raise ValueError(f"a modality is named by letters, digits and _. Received: {m!r}")


@contextlib.contextmanager
def new_version(directory, version=1):
    """A folder to write a version in, which becomes `<directory>/<version>` in one move when all went well.

    Args:
        directory: path. Made where it does not exist.
        version: int, 1 or more, or `None`: the next free number.

    Yields:
        Path of the folder to write in, beside the version and with a name that no server takes for one; and the path
        that it will have.

    Raises:
        ValueError: `version` is no version.
        FileExistsError: that version exists.
        BlockingIOError: another process exports to the directory.
    """
    if version is not None and (isinstance(version, bool) or not isinstance(version, int) or version < 1):
        raise ValueError(f"`version` must be 1 or more. Received: version={version!r}")
    directory = Path(directory)
    with locked(directory) as alone:
        target = directory / str(version or next_version(directory))
        if target.exists():
            raise FileExistsError(f"{target}: this version exists; choose another")
        if alone:
            _clear_partial(directory)
        partial = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=_PARTIAL, dir=directory))
        try:
            yield partial, target
            # `mkdtemp` makes it for its owner alone; a server is another user.
            partial.chmod(0o755)
            try:
                os.rename(partial, target)
            except OSError as error:
                # Another export took the number meanwhile: a folder that holds something is never replaced.
                if target.exists():
                    raise FileExistsError(f"{target}: this version exists; choose another") from error
                raise
        except BaseException:
            shutil.rmtree(partial, ignore_errors=True)
            raise


def _clear_partial(directory):
    """Removes what exports that were killed left."""
    for path in directory.iterdir():
        # The name as `mkdtemp` makes it.
        if re.fullmatch(rf"\d+\.[a-z0-9_]{{8}}{re.escape(_PARTIAL)}", path.name) and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def next_version(directory):
    """One above the highest version in a directory; 1 where there is none."""
    return max(versions(directory), default=0) + 1


def versions(directory):
    """Numbers of the versions in a directory, as a server sees them, in order."""
    directory = Path(directory)
    names = [path.name for path in directory.iterdir() if path.is_dir()] if directory.is_dir() else []
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def write_saved_model(network, path, max_tokens=None, keep_end=False):
    """Writes the signatures of a network into a folder; see `export_saved_model`."""
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    tokenizer = _graph_tokenizer(network.text_encoder, max_tokens, keep_end)
    if tokenizer is not None:
        archive.track(tokenizer.table)
    for name, endpoint in endpoints(network, tokenizer).items():
        specs = input_specs(network.feature_dims, name == FROM_TEXT)
        archive.add_endpoint(name, pruned(endpoint, specs), [specs])
    # Functions only: where the network was defined is nobody's business.
    archive.write_out(str(path), tf.saved_model.SaveOptions(save_debug_info=False), verbose=False)


def _graph_tokenizer(text_encoder, max_tokens, keep_end):
    """The `GraphTokenizer` of a text encoder; None without one, or where its tokenizer cannot be a graph."""
    if text_encoder is None or graph_tokenizer.obstacle(text_encoder.tokenizer) is not None:
        return None
    max_tokens = text_encoder.longest if max_tokens is None else max_tokens
    if max_tokens > text_encoder.longest:
        raise ValueError(
            f"`max_tokens` must be at most {text_encoder.longest}, which the encoder takes. Received: "
            f"max_tokens={max_tokens}"
        )
    return graph_tokenizer.GraphTokenizer(text_encoder.tokenizer, max_tokens, keep_end)


def endpoints(network, tokenizer=None):
    """The functions behind the signatures: dict by signature name, each from a dict of inputs to a dict of outputs.

    Args:
        network: `MultimodalNetwork`.
        tokenizer: `GraphTokenizer` with which there is a signature `from_text`, or None.
    """
    signatures = network.signatures()
    found = {name: _endpoint(network, outputs) for name, outputs in signatures.items()}
    if tokenizer is not None:
        found[FROM_TEXT] = _endpoint(network, signatures["explain"], tokenizer)
    return found


def pruned(endpoint, specs):
    """The same function of a dict of inputs, without the operations that its outputs do not need.

    A layer that gives several outputs computes all of them; and a traced function reads every weight that it meets.

    Args:
        endpoint: one of `endpoints`.
        specs: what `input_specs` gives.
    """
    import tensorflow as tf

    whole = tf.compat.v1.wrap_function(endpoint, [specs])
    # Inputs are in the order of their names. The checks are kept: the outputs wait for them.
    needed = whole.prune(dict(zip(sorted(specs), whole.inputs, strict=False)), whole.structured_outputs)
    return lambda inputs: needed(**inputs)


def _endpoint(network, names, tokenizer=None):
    import tensorflow as tf

    part = network.select(*dict.fromkeys(names.values()))

    def serve(inputs):
        outputs = part(checked(inputs, network.feature_dims, network.text_encoder, tokenizer), training=False)
        found = {key: outputs[name] for key, name in names.items()}
        for key, value in found.items():
            if key.endswith("_probabilities"):
                found[key] = tf.nn.softmax(tf.cast(value, tf.float32), axis=-1)
        # Under 16 bits too a client gets the numbers that it can read.
        return {key: tf.cast(value, tf.float32) if value.dtype.is_floating else value for key, value in found.items()}

    return serve
