"""Exports a run for TensorFlow Serving: the SavedModel and the files beside it."""

import dataclasses
import hashlib
import json
import os
import re
import shlex
from pathlib import Path

from plumkeras.features import TOKEN_IDS
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.runs import provenance, run_directory
from plumkeras.recipes.runs.output_checks import check_run
from plumkeras.recipes.serving import read_export
from plumkeras.recipes.serving.example_requests import described_signatures, write_warmup
from plumkeras.recipes.serving.model_card import model_card
from plumkeras.recipes.serving.notes import MAX_BATCH, serving_notes
from plumkeras.tasks import get_task

WARMUP, CARD = "tf_serving_warmup_requests", "model_card.md"
SIGNATURE, BATCHING = "signature.json", "batching_parameters.txt"
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
    `assets.extra` `plumkeras.json`, from which `load_run` reads the export, the `tokenizer.json` of a text encoder,
    and, where the extra `serving` is installed, the warm-up requests, which the server sends itself before it answers.

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
            text = loaded.config.text
            export.write_saved_model(loaded.network, partial, text.max_tokens, loaded.config.keeps_end)
            docker, batching = docker_command(name), batching_options(name, target.name)
            notes = serving_notes(loaded.config, loaded.network.modalities, described["text"])
            signature = described_signatures(partial, name, loaded, notes)
            extra = partial / read_export.EXTRA
            extra.mkdir()
            _write_json(extra / read_export.METADATA, described)
            if loaded.network.text_encoder is not None:
                run_directory.write_tokenizer(extra, loaded.network.text_encoder)
            has_warmup = write_warmup(extra / WARMUP, name, signature["signatures"], loaded)
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
        "text": _describe_text(network, values["recipe"].get("text"), loaded.config.keeps_end),
    }


def _describe_text(network, options, keeps_end):
    """What an export says of its text encoder, or None: see `serving_notes`."""
    if network.text_encoder is None:
        return None
    # Late: it starts the backend.
    from plumkeras import graph_tokenizer

    encoder = network.text_encoder
    return {
        "modality": next(m for m, width in network.feature_dims.items() if width == TOKEN_IDS),
        **{name: options[name] for name in ("encoder", "max_tokens", "tuning")},
        "kept": "last" if keeps_end else "first",
        "longest": encoder.longest,
        "vocabulary_size": encoder.vocabulary_size,
        "no_strings_because": graph_tokenizer.obstacle(encoder.tokenizer),
    }


def _read_description(run):
    """What `config.json` holds, checked as far as an export repeats it; of paths the name alone."""
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
    return {**values, "data": data, "recipe": _without_path(values["recipe"])}


def _without_path(recipe):
    text = recipe.get("text") if isinstance(recipe, dict) else None
    encoder = text.get("encoder") if isinstance(text, dict) else None
    # Handles of hubs are no paths.
    if not encoder or "://" in encoder:
        return recipe
    return {**recipe, "text": {**text, "encoder": Path(encoder).absolute().name}}


def docker_command(name):
    """The line that serves the newest version of an export, to be run in its directory."""
    return (
        f'docker run --rm -p 8500:8500 -p 8501:8501 -v "$PWD:/models/{name}:ro" -e MODEL_NAME={shlex.quote(name)} '
        "tensorflow/serving"
    )


def batching_options(name, version):
    """What is added to the line where a server is to join requests; not by itself, for it changes what is refused."""
    return f"--enable_batching --batching_parameters_file=/models/{name}/{version}/{BATCHING}"


def _write_json(path, values):
    # A number a line would make thousands of them.
    text = json.dumps(values, indent=2, allow_nan=False)
    text = re.sub(r"\[\s+([^\[\]{}\"]*?)\s+\]", lambda numbers: f"[{' '.join(numbers[1].split())}]", text)
    path.write_text(f"{text}\n", encoding="utf-8")
