"""Exports a run for TensorFlow Serving: the SavedModel and the files beside it."""

import dataclasses
import hashlib
import json
import math
import os
import re
import shlex
from pathlib import Path

from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import provenance, run_directory
from plumkeras.recipes.runs.output_checks import check_run
from plumkeras.recipes.serving import read_export
from plumkeras.recipes.serving.model_card import model_card
from plumkeras.recipes.serving.notes import MAX_BATCH, serving_notes
from plumkeras.tasks import get_task

WARMUP, CARD = "tf_serving_warmup_requests", "model_card.md"
SIGNATURE, BATCHING = "signature.json", "batching_parameters.txt"
_WARMUP_BATCHES, _WARMUP_FRAMES = (1, 8, 32), (8, 256)
# Requests are joined by padding the shorter ones, which the network does not see: no output depends on the padding.
_BATCHING = f"""\
max_batch_size {{ value: {MAX_BATCH} }}
batch_timeout_micros {{ value: 2000 }}
max_enqueued_batches {{ value: 128 }}
num_batch_threads {{ value: 2 }}
pad_variable_length_inputs: true
"""


@dataclasses.dataclass(frozen=True)
class Export:
    """What `export_run` wrote.

    Args:
        version: Path of the version.
        name: str. Name of the served model.
        signatures: tuple of str.
        docker: str. The command that serves it.
        has_warmup: bool. Whether it has warm-up requests.
    """

    version: Path
    name: str
    signatures: tuple
    docker: str
    has_warmup: bool


def export_run(run, directory, version=None, name=None):
    """Writes a run as the next version of a served model.

    `<directory>/<version>` holds the SavedModel (see `plumkeras.export_saved_model`), `model_card.md`,
    `signature.json` (inputs, outputs, example requests and their answer), `batching_parameters.txt`, and in
    `assets.extra` `plumkeras.json`, from which `load_run` reads the export, and, where the extra `serving` is
    installed, the warm-up requests, which the server sends itself before it answers.

    Args:
        run: path of a run directory.
        directory: path of the export. Made where it does not exist.
        version: int, or `None` for the next free number.
        name: str, the served model's name, or `None`: that of the directory.

    Returns:
        `Export`.

    Raises:
        ConfigError: there is no finished run, the directory or the version does not do, or the backend is not
            TensorFlow.
    """
    run, directory = Path(run), Path(directory)
    name = check_export(run, directory, version, name)
    # Late: these start the backend.
    from plumkeras import export
    from plumkeras.recipes.runs.run import load_run

    try:
        export.check_backend()
        loaded = load_run(run)
        export.check_modalities(loaded.network.modalities)
        described = _describe(run, loaded)
        with export.new_version(directory, version) as (partial, target):
            export.write_saved_model(loaded.network, partial)
            docker, batching = docker_command(name), batching_options(name, target.name)
            notes = serving_notes(loaded.config, loaded.network.modalities)
            signature = _signature(partial, name, loaded, notes)
            extra = partial / read_export.EXTRA
            extra.mkdir()
            _write_json(extra / read_export.METADATA, described)
            has_warmup = _write_warmup(extra / WARMUP, name, signature["signatures"], loaded)
            _write_json(partial / SIGNATURE, signature)
            (partial / BATCHING).write_text(_BATCHING, encoding="utf-8")
            card = model_card(name, target.name, described, list(signature["signatures"]), docker, batching, notes)
            (partial / CARD).write_text(card, encoding="utf-8")
    except (ValueError, FileExistsError, BlockingIOError) as error:
        raise ConfigError(str(error)) from error
    return Export(target, name, tuple(signature["signatures"]), docker, has_warmup)


def check_export(run, directory, version=None, name=None):
    """Refuses what cannot be exported, before a backend starts; returns the served model's name.

    Raises:
        ConfigError: as `export_run`.
    """
    run, directory = Path(run), Path(directory)
    check_run(run)
    if not run_directory.is_finished(run):
        raise ConfigError(
            f"{run}: the run is not finished: {run_directory.METRICS} is missing; resume it with plumkeras train "
            "--resume"
        )
    run_directory.read_metrics(run / run_directory.METRICS)
    _read_description(run)
    if version is not None and version < 1:
        raise ConfigError(f"--version must be 1 or more. Received: {version}")
    if directory.exists() and not directory.is_dir():
        raise ConfigError(f"{directory}: is a file, not a directory to export to")
    if (directory / run_directory.CONFIG).is_file() or (directory / read_export.SAVED_MODEL).is_file():
        raise ConfigError(
            f"{directory}: is a run or a version of an export; name the directory that holds the versions"
        )
    there = next(path for path in (directory.absolute(), *directory.absolute().parents) if path.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise ConfigError(f"{directory}: {there} is not a directory that can be written to")
    if version is not None and (directory / str(version)).exists():
        raise ConfigError(f"{directory / str(version)}: this version exists; leave out --version for the next free one")
    if name is None:
        return re.sub(r"[^A-Za-z0-9_-]+", "_", directory.absolute().name).strip("_") or "plumkeras"
    if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
        raise ConfigError(f"--name must be of letters, digits, - and _. Received: {name!r}")
    return name


def _describe(run, loaded):
    """What `plumkeras.json` holds: of `config.json` what does not name the machine, and what else predictions need."""
    values = _read_description(run)
    metrics = run_directory.read_metrics(run / run_directory.METRICS)
    network, label_classes = loaded.network, loaded.config.label_classes
    digest = hashlib.sha256((run / run_directory.NETWORK).read_bytes()).hexdigest()
    kept = {name: values.get(name) for name in ("recipe", "seed", "backend", "versions", "fold")}
    return {
        **kept,
        "network": {**values["network"], "modules": list(getattr(network, "modules", ())), "sha256": digest},
        "data": values["data"],
        "label_range": values["data"].get("label_range"),
        # What the numbers of the classes mean, as far as it is known.
        "classes": get_task(network.task).class_meanings(network.num_classes, label_classes, loaded.class_names),
        "metrics": {name: report for name in ("valid", "test") if (report := metrics.get(name)) is not None},
        "warnings": metrics.get("warnings", []),
        "exported_with": provenance.versions(),
        "fingerprint": loaded.fingerprint,
    }


def _read_description(run):
    """What `config.json` holds, checked as far as an export repeats it; of the data's path the name alone."""
    path = run / run_directory.CONFIG
    values = run_directory.read_description(path)
    run_directory.check_fold(values.get("fold"), path)
    try:
        data = {**values["data"]}
        data["path"] = data.get("path") and Path(data["path"]).name
        dict(data.get("samples", {}))
        if (label_range := data.get("label_range")) is not None:
            data["label_range"] = [float(end) for end in label_range]
    except (KeyError, AttributeError, TypeError, ValueError):
        raise ConfigError(f"{path}: says nothing of the data; is it damaged?") from None
    return {**values, "data": data}


def docker_command(name):
    """The line that serves the newest version of an export, to be run in its directory."""
    return (
        f'docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD:/models/{name}:ro" -e MODEL_NAME={shlex.quote(name)} '
        "tensorflow/serving"
    )


def batching_options(name, version):
    """What is added to the line where a server is to join requests; not by itself, for it changes what is refused."""
    return f"--enable_batching --batching_parameters_file=/models/{name}/{version}/{BATCHING}"


def _signature(version, name, loaded, notes):
    """What `signature.json` holds; the answer in it is that of the SavedModel."""
    import tensorflow as tf
    from google.protobuf.json_format import MessageToDict

    model = tf.saved_model.load(str(version))
    shapes = {
        key: {"inputs": _specs(found.structured_input_signature[1]), "outputs": _specs(found.structured_outputs)}
        for key, found in model.signatures.items()
    }
    example, inputs = _example(loaded), shapes["serving_default"]["inputs"]
    tensors = {key: tf.constant(value, inputs[key]["dtype"]) for key, value in example.items()}
    answer = model.signatures["serving_default"](**tensors)["prediction"].numpy()
    protos = {key: tf.make_tensor_proto(value, inputs[key]["dtype"]) for key, value in example.items()}
    for proto in protos.values():
        # Numbers that can be read in place of their bytes.
        values, floating = tf.make_ndarray(proto).ravel().tolist(), proto.dtype == tf.float32.as_datatype_enum
        for field in ("tensor_content", "float_val", "int_val"):
            proto.ClearField(field)
        (proto.float_val if floating else proto.int_val).extend(values)
    answered = [float(f"{value:.7g}") for value in answer[0]] if answer.ndim > 1 else float(f"{answer[0]:.7g}")
    instance = {key: value[0] for key, value in example.items()}
    return {
        "model": name,
        "signatures": shapes,
        "notes": notes,
        "rest": {
            "method": "POST",
            "path": f"/v1/models/{name}:predict",
            "row_format": {
                "request": {"signature_name": "serving_default", "instances": [instance]},
                "response": {"predictions": [answered]},
            },
            "column_format": {
                "request": {"signature_name": "serving_default", "inputs": example},
                "response": {"outputs": [answered]},
            },
        },
        "grpc": {
            "method": "tensorflow.serving.PredictionService/Predict",
            "request": {
                "model_spec": {"name": name, "signature_name": "serving_default"},
                "inputs": {key: MessageToDict(p, preserving_proto_field_name=True) for key, p in protos.items()},
            },
        },
    }


def _specs(structure):
    return {key: {"dtype": spec.dtype.name, "shape": spec.shape.as_list()} for key, spec in sorted(structure.items())}


def _example(loaded):
    """One sample of one frame: the mean of the training frames, or zeros where it is not known."""
    example = {}
    for m, width in loaded.network.feature_dims.items():
        known = loaded.fingerprint and loaded.fingerprint["modalities"][m]["mean"]
        example[m] = [[[float(f"{value:.4g}") for value in known or [0.0] * width]]]
        example[f"{m}_length"] = [1]
    return example


def _write_warmup(path, name, signatures, loaded):
    """Writes requests of the usual length in a few batch sizes, for every signature.

    Returns:
        bool. `False` where the extra `serving` is not installed, and nothing was written.
    """
    import tensorflow as tf
    from tensorflow.core.framework import tensor_pb2

    try:
        from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog
    except ImportError:
        return False
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature in signatures:
            for batch in _WARMUP_BATCHES:
                log = PredictionLog()
                request = log.predict_log.request
                request.model_spec.name, request.model_spec.signature_name = name, signature
                for m, width in loaded.network.feature_dims.items():
                    frames = _usual_frames(loaded, m)
                    shape = tf.TensorShape((batch, frames, width)).as_proto()
                    # One value stands for all.
                    zeros = tensor_pb2.TensorProto(
                        dtype=tf.float32.as_datatype_enum, tensor_shape=shape, float_val=[0.0]
                    )
                    request.inputs[m].CopyFrom(zeros)
                    request.inputs[f"{m}_length"].CopyFrom(tf.make_tensor_proto([frames] * batch, tf.int32))
                writer.write(log.SerializeToString())
    return True


def _usual_frames(loaded, modality):
    if loaded.fingerprint is None:
        return _WARMUP_FRAMES[0]
    return min(math.ceil(loaded.fingerprint["modalities"][modality]["mean_length"]), _WARMUP_FRAMES[1])


def _write_json(path, values):
    # A number a line would make thousands of them.
    text = json.dumps(values, indent=2, allow_nan=False)
    text = re.sub(r"\[\s+([^\[\]{}\"]*?)\s+\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    path.write_text(f"{text}\n", encoding="utf-8")
