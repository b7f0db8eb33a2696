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

from plumkeras.features import LIMIT
from plumkeras.locking import locked

if TYPE_CHECKING:
    import keras

_PARTIAL = ".partial"


def export_saved_model(network: "keras.Model", directory: str | os.PathLike, version: int | None = 1) -> Path:
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

    Args:
        network: `PLUMNet`.
        directory: path. Made where it does not exist.
        version: int, 1 or more, or `None`: the next free number. Defaults to `1`.

    Returns:
        Path of the version. It appears in one move, complete.

    Raises:
        ValueError: the backend is not TensorFlow, `version` is no version, or a modality's name is none of an input.
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
        write_saved_model(network, partial)
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


def write_saved_model(network, path):
    """Writes the signatures of a network into a folder; see `export_saved_model`."""
    import keras
    import tensorflow as tf

    archive = keras.export.ExportArchive()
    specs = input_specs(network.feature_dims)
    for name, endpoint in endpoints(network).items():
        archive.add_endpoint(name, pruned(endpoint, specs), [specs])
    # Functions only: where the network was defined is nobody's business.
    archive.write_out(str(path), tf.saved_model.SaveOptions(save_debug_info=False), verbose=False)


def input_specs(feature_dims):
    """The inputs of every signature: dict by name of `tf.TensorSpec`, batch and time free."""
    import tensorflow as tf

    specs = {}
    for m, width in feature_dims.items():
        specs[m] = tf.TensorSpec((None, None, width), tf.float32, name=m)
        specs[f"{m}_length"] = tf.TensorSpec((None,), tf.int32, name=f"{m}_length")
    return specs


def endpoints(network):
    """The functions behind the signatures: dict by signature name, each from a dict of inputs to a dict of outputs."""
    return {name: _endpoint(network, outputs) for name, outputs in network.signatures().items()}


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


def _endpoint(network, names):
    import tensorflow as tf

    part = network.select(*dict.fromkeys(names.values()))

    def serve(inputs):
        outputs = part(checked(inputs, network.feature_dims), training=False)
        found = {key: outputs[name] for key, name in names.items()}
        for key, value in found.items():
            if key.endswith("_probabilities"):
                found[key] = tf.nn.softmax(tf.cast(value, tf.float32), axis=-1)
        # Under 16 bits too a client gets the numbers that it can read.
        return {key: tf.cast(value, tf.float32) if value.dtype.is_floating else value for key, value in found.items()}

    return serve


def checked(inputs, feature_dims):
    """What the network reads of a request, refused or cleaned, in the graph.

    Args:
        inputs: dict of tensors by the names of `input_specs`.
        feature_dims: dict from modality to width.

    Returns:
        The dict, features finite and at least one frame long.
    """
    import tensorflow as tf

    shaped = {}
    for m, width in feature_dims.items():
        shaped[m] = _with_shape(inputs[m], (None, None, width), m)
        shaped[f"{m}_length"] = _with_shape(inputs[f"{m}_length"], (None,), f"{m}_length")
    first = next(iter(shaped))
    batch, checks = tf.shape(shaped[first])[0], []
    for m in feature_dims:
        length, frames = shaped[f"{m}_length"], tf.shape(shaped[m])[1]
        for name in (m, f"{m}_length"):
            if name != first:
                rows = tf.shape(shaped[name])[0]
                told = [f"{name}: has another batch size than {first}. Received, and of {first}:", rows, batch]
                checks.append(tf.debugging.Assert(tf.equal(rows, batch), told))
        within = tf.reduce_all(tf.logical_and(length >= 0, length <= frames))
        told = [f"{m}_length: must be within 0 and the number of frames of {m}. Received, and frames:", length, frames]
        checks.append(tf.debugging.Assert(within, told))
    ready = {}
    with tf.control_dependencies(checks):
        for name, value in shaped.items():
            ready[name] = _cleaned(value) if name in feature_dims else tf.identity(value)
    return ready


def _with_shape(value, shape, name):
    import tensorflow as tf

    # A server feeds what the client sent, whatever the signature says. Behind an input of unknown shape the check
    # cannot be optimised away, and its error has the name of that input.
    with tf.name_scope(f"{name}_of_request"):
        loose = tf.compat.v1.placeholder_with_default(value, tf.TensorShape(None), name=name)
        return tf.ensure_shape(loose, shape, name=f"{name}_shape")


def _cleaned(features):
    import tensorflow as tf

    def clean():
        # NaN fails the comparison too.
        return tf.where(tf.abs(features) <= LIMIT, features, tf.zeros_like(features))

    # One reading pass tells that nothing needs cleaning: a value to be cleaned would alone make half the sum of squares
    # five times as large, or NaN.
    surely_clean = tf.nn.l2_loss(features) < LIMIT**2 / 10
    ready = tf.cond(surely_clean, lambda: features, clean)
    # Attention needs a frame to look at, and a request may have none.
    lacking = tf.maximum(1 - tf.shape(ready)[1], 0)
    return tf.pad(ready, [[0, 0], [0, lacking], [0, 0]])
