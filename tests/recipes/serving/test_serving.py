"""A run, exported: what stands beside the SavedModel, reading it back, and features unlike those of training."""

import contextlib
import dataclasses
import hashlib
import importlib.util
import io
import json
import shutil
import sys
import warnings

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console

import plumkeras
from plumkeras.data_pipelines import Dataset, make_synthetic, save_npz
from plumkeras.data_pipelines.inspection.fingerprint import DriftWarning
from plumkeras.recipes import ConfigError
from plumkeras.recipes.benchmarks.serving import benchmark_serving
from plumkeras.recipes.cli import main
from plumkeras.recipes.runs import predictions, run_directory
from plumkeras.recipes.runs.network_data import description_path
from plumkeras.recipes.runs.run import Run
from plumkeras.recipes.serving import model_card
from plumkeras.recipes.serving.example_requests import write_warmup
from plumkeras.recipes.serving.export_run import check_export, export_run
from plumkeras.recipes.views.terminal import print_serving_benchmark
from tests.testing.networks import make_network
from tests.testing.serving_requests import call


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    return export_run(tiny_run, tmp_path_factory.mktemp("served") / "my model")


@pytest.fixture(scope="module")
def model(exported):
    return tf.saved_model.load(str(exported.version))


@pytest.fixture(scope="module")
def runs(tiny_run, exported):
    """The run, and its export."""
    return plumkeras.load_run(tiny_run), plumkeras.load_run(exported.version)


@pytest.fixture(scope="module")
def dataset():
    """Other samples of the kind that the run was trained on, some of a modality less."""
    return make_synthetic({"test": 40}, seed=5, missing_rate=0.2)[0]


def _loaded(version, name):
    return json.loads((version / name).read_text())


def test_what_an_export_holds(exported, tiny_run):
    assert exported.version.name == "1" and exported.name == "my_model"
    assert exported.signatures == ("serving_default", "explain", "embed")
    names = {path.name for path in exported.version.iterdir()} | {
        f"assets.extra/{path.name}" for path in (exported.version / "assets.extra").iterdir()
    }
    assert names >= {
        *("saved_model.pb", "model_card.md", "signature.json", "batching_parameters.txt"),
        "assets.extra/plumkeras.json",
    }
    assert "pad_variable_length_inputs: true" in (exported.version / "batching_parameters.txt").read_text()
    card = (exported.version / "model_card.md").read_text()
    assert "--batching_parameters_file=/models/my_model/1/batching_parameters.txt" in card
    assert "batching" not in exported.docker and "/models/my_model:ro" in exported.docker
    described = _loaded(exported.version, "assets.extra/plumkeras.json")
    trained = json.loads((tiny_run / "config.json").read_text())
    assert described["recipe"] == trained["recipe"] and described["data"]["sha256"] == trained["data"]["sha256"]
    assert described["network"]["sha256"] == hashlib.sha256((tiny_run / "network.keras").read_bytes()).hexdigest()
    assert described["fingerprint"] == json.loads((tiny_run / "fingerprint.json").read_text())
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert described["metrics"] == {name: metrics[name] for name in ("valid", "test")}
    assert described["warnings"] == metrics["warnings"]
    assert described["classes"] == ["negative", "exactly neutral", "positive"]


def test_the_card_says_how_good_it_is_and_by_what_measure(exported, tiny_run):
    card = (exported.version / "model_card.md").read_text()
    test = json.loads((tiny_run / "metrics.json").read_text())["test"]
    rows = {line.split("|")[1].strip(): line.split("|")[-2].strip() for line in card.splitlines() if line[:1] == "|"}
    assert rows["MAE"] == f"{test['mae']:.3f}" and rows["n"] == str(test["n"])
    assert rows["ACC-2 has0 %"] == f"{100 * test['acc2_has0']:.1f}" and "cut at >= 0" in card
    for said in (
        "`embed` gives",
        "which modality disagrees",
        "0: negative",
        exported.docker,
        "Not for judging persons",
        "Apache-2.0",
        "generated data",
        "train 64, valid 32",
    ):
        assert said in card


def test_the_card_of_classes():
    described = {
        "recipe": {"name": "mine"},
        "seed": 0,
        "backend": "tensorflow",
        "network": {
            "feature_dims": {"text": 4},
            "task": "classification",
            "num_classes": 2,
            "modules": [],
            "sha256": "",
        },
        "data": {"path": "humor.pkl", "format": "mult", "sha256": "0", "samples": {"train": 3}},
        "label_range": None,
        "classes": ["class 0 of the data", "class 1 of the data"],
        "metrics": {"test": {"accuracy": 0.5, "f1_weighted": 0.4, "f1_macro": None, "n": 10}},
        "exported_with": {},
        "fingerprint": None,
    }
    card = model_card.model_card("m", "3", described, ["serving_default"], "docker", "batching", ["note"])
    assert (
        "for 2 classes, from text" in card and "| accuracy % | 50.0 |" in card and "| F1 macro % | undefined |" in card
    )
    assert "modules none" in card and "humor.pkl" in card
    # It says nothing of what a network of fewer modules lacks.
    assert not any(said in card for said in ("`embed`", "branches", "which modality disagrees"))


def test_nothing_names_the_machine(tiny_run, tmp_path, monkeypatch):
    """Neither where the data lie nor where the run is; an export is handed on."""
    run = tmp_path / "secret place"
    shutil.copytree(tiny_run, run)
    config = json.loads((run / "config.json").read_text())
    config["data"]["path"] = "/home/someone/features.npz"
    (run / "config.json").write_text(json.dumps(config))
    # Only the SavedModel itself takes long to write, and another test looks at it.
    monkeypatch.setattr("plumkeras.export.write_saved_model", lambda *arguments: None)
    monkeypatch.setattr(
        "plumkeras.recipes.serving.export_run.described_signatures", lambda *arguments: {"signatures": {"explain": {}}}
    )
    version = export_run(run, tmp_path / "served").version
    for path in version.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert b"someone" not in content and str(tmp_path).encode() not in content
    assert "Trained on features.npz (" in (version / "model_card.md").read_text()


def test_warm_up_requests_replay(exported, model):
    pytest.importorskip("tensorflow_serving.apis", reason="the extra serving is not installed")
    from google.protobuf import json_format
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    assert exported.has_warmup
    path = str(exported.version / "assets.extra" / "tf_serving_warmup_requests")
    counts = {}
    for record in tf.data.TFRecordDataset(path).as_numpy_iterator():
        request = prediction_log_pb2.PredictionLog.FromString(record).predict_log.request
        assert request.model_spec.name == exported.name
        signature = request.model_spec.signature_name
        inputs = {name: tf.make_ndarray(proto) for name, proto in request.inputs.items()}
        batch = len(inputs["text_length"])
        assert all(inputs[m].shape[1] == inputs[f"{m}_length"].max() > 1 for m in ("text", "audio", "vision"))
        outputs = call(model, signature, inputs)
        assert all(len(value) == batch and np.isfinite(value).all() for value in outputs.values())
        counts.setdefault(signature, []).append(batch)
    assert set(counts) == set(exported.signatures) and all(len(set(sizes)) > 1 for sizes in counts.values())
    example = _loaded(exported.version, "signature.json")["grpc"]["request"]
    request = json_format.ParseDict(example, predict_pb2.PredictRequest())
    assert json_format.MessageToDict(request, preserving_proto_field_name=True) == example


def test_without_the_extra_serving_no_warm_up_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_serving.apis.prediction_log_pb2", None)
    assert write_warmup(tmp_path / "requests", "m", {"embed": {}}, None) is False
    assert not list(tmp_path.iterdir())


def test_example_requests_get_their_example_answer(exported, model):
    from google.protobuf import json_format
    from tensorflow.core.framework import tensor_pb2

    described = _loaded(exported.version, "signature.json")
    assert list(described["signatures"]) == list(exported.signatures)
    inputs = described["signatures"]["explain"]["inputs"]
    assert inputs["text"] == {"dtype": "float32", "shape": [None, None, 24]}
    assert described["signatures"]["explain"]["outputs"]["text_soft_label"]["shape"] == [None, 3]
    row, column = described["rest"]["row_format"], described["rest"]["column_format"]
    instances = row["request"]["instances"]
    stacked = {name: [instance[name] for instance in instances] for name in instances[0]}
    assert stacked == column["request"]["inputs"]
    request = described["grpc"]["request"]
    by_grpc = {
        name: tf.make_ndarray(json_format.ParseDict(value, tensor_pb2.TensorProto()))
        for name, value in request["inputs"].items()
    }
    by_rest = {name: np.array(value, inputs[name]["dtype"]) for name, value in column["request"]["inputs"].items()}
    assert set(by_grpc) == set(by_rest) == set(inputs)
    for arrays in (by_grpc, by_rest):
        answer = call(model, request["model_spec"]["signature_name"], arrays)["prediction"]
        np.testing.assert_allclose(answer, column["response"]["outputs"], rtol=1e-5)
    assert row["response"]["predictions"] == column["response"]["outputs"]


def test_what_a_client_must_do_to_the_data_is_told(tiny_run, tmp_path, monkeypatch):
    """Of what the recipe does to the data before the network sees them the SavedModel knows nothing."""
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    config = json.loads((run / "config.json").read_text())
    config["recipe"] |= {"sample_norm": ["audio", "vision"], "context_frames": 7}
    (run / "config.json").write_text(json.dumps(config))
    monkeypatch.setattr("plumkeras.export.write_saved_model", lambda *arguments: None)
    monkeypatch.setattr(
        "plumkeras.recipes.serving.export_run.described_signatures",
        lambda *arguments: {"signatures": {"explain": {}}, "notes": arguments[3]},
    )
    version = export_run(run, tmp_path / "served").version
    card, described = (version / "model_card.md").read_text(), _loaded(version, "signature.json")
    for told in ("audio, vision must be standardised within each sample", "up to 7 frames of what was said before"):
        assert told in card and told in " ".join(described["notes"])


def test_what_batching_changes_is_told(exported):
    """As the server does it: it refuses what is larger than a batch, and pads widths as it pads frames."""
    batching = (exported.version / "batching_parameters.txt").read_text()
    most = next(line for line in batching.splitlines() if line.startswith("max_batch_size")).split()[3]
    card = (exported.version / "model_card.md").read_text()
    assert f"more than {most} samples is refused" in card and "may be padded by the server until it passes" in card
    assert "standardised within each sample" not in card


def test_an_export_predicts_what_its_run_predicts(runs, dataset, tmp_path):
    lines = []
    for number, run in enumerate(runs):
        outputs = run.predict(dataset)
        assert set(outputs) >= {"prediction", "text_soft_label", "vision_hard_label"}
        path = tmp_path / f"{number}.csv"
        predictions.write_csv(path, dataset["test"], run.network, outputs, run.class_names)
        lines.append([line.split(",") for line in path.read_text().splitlines()])
    assert lines[0][0] == lines[1][0] and len(lines[0]) == len(lines[1]) == 41
    for (id_, *values), (id_of_export, *values_of_export) in zip(lines[0][1:], lines[1][1:], strict=True):
        assert id_ == id_of_export
        np.testing.assert_allclose(np.array(values, float), np.array(values_of_export, float), atol=1e-6)
    served = runs[1]
    assert served.config.network.hidden_dim == 8 and served.network.task == "regression"
    # A dict of arrays too, and what does not fit is told as of a run.
    arrays = {m: dataset["test"].features[m][:3] for m in dataset.modalities}
    assert served.predict(arrays)["prediction"].shape == (3,)
    with pytest.raises(plumkeras.data_pipelines.DataError, match=r"text has width 5; .* width 24"):
        served.predict({**arrays, "text": arrays["text"][:, :, :5]})


def test_the_newest_complete_version_is_read(exported, tiny_run, tmp_path):
    for name in ("2", "10"):
        shutil.copytree(exported.version, tmp_path / name)
    (tmp_path / "11").mkdir()
    (tmp_path / "12.abc.partial").mkdir()
    assert plumkeras.load_run(tmp_path).directory == tmp_path / "10"
    assert description_path(tmp_path) == tmp_path / "10" / "assets.extra" / "plumkeras.json"
    assert description_path(tmp_path / "2") == tmp_path / "2" / "assets.extra" / "plumkeras.json"
    assert description_path(tiny_run) == tiny_run / "config.json"
    network = run_directory.read_network(description_path(tmp_path))
    assert network == run_directory.read_network(description_path(tiny_run))


@pytest.mark.parametrize(
    ("break_it", "told"),
    [
        (lambda version: (version / "assets.extra" / "plumkeras.json").unlink(), "plumkeras export"),
        (lambda version: (version / "assets.extra" / "plumkeras.json").write_text("{"), "not valid JSON"),
        (lambda version: (version / "assets.extra" / "plumkeras.json").write_text("{}"), "plumkeras.json"),
        (lambda version: (version / "saved_model.pb").write_bytes(b"nothing"), "cannot be loaded"),
    ],
)
def test_a_damaged_export_is_told_in_a_line(exported, tmp_path, break_it, told):
    version = tmp_path / "1"
    shutil.copytree(exported.version, version)
    break_it(version)
    with pytest.raises(ConfigError, match=told) as error:
        plumkeras.load_run(version)
    assert "\n" not in str(error.value)


def test_without_tensorflow_an_export_is_refused_in_a_line(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(ConfigError, match="read by TensorFlow, which cannot be imported"):
        plumkeras.load_run(exported.version)


def test_what_cannot_be_exported_is_refused_before_a_backend_starts(tiny_run, exported, tmp_path):
    (tmp_path / "file").write_text("")
    unfinished, cross_validated = tmp_path / "unfinished", tmp_path / "folds"
    (cross_validated / "fold_0").mkdir(parents=True)
    shutil.copytree(tiny_run, unfinished)
    (unfinished / "metrics.json").unlink()
    served = exported.version.parent
    for run, directory, options, told in (
        (tmp_path / "absent", tmp_path / "e", {}, "no such run"),
        (unfinished, tmp_path / "e", {}, "not finished"),
        (cross_validated, tmp_path / "e", {}, "one fold"),
        (tiny_run, tmp_path / "file", {}, "is a file"),
        (tiny_run, tmp_path / "file" / "e", {}, "cannot be written to|is not a directory"),
        (tiny_run, tiny_run, {}, "is a run"),
        (tiny_run, exported.version, {}, "version of an export"),
        (tiny_run, served, {"version": 1}, "this version exists"),
        (tiny_run, served, {"version": 0}, "must be 1 or more"),
        (tiny_run, served, {"name": "a/b"}, "--name"),
    ):
        with pytest.raises(ConfigError, match=told):
            check_export(run, directory, **options)
    assert sorted(path.name for path in served.iterdir()) == ["1"]
    assert check_export(tiny_run, served) == "my_model"


@contextlib.contextmanager
def _drift_told():
    told = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield told
    told += [str(w.message) for w in caught if issubclass(w.category, DriftWarning)]


def test_other_features_are_told_by_run_and_export(runs, dataset):
    split = dataset["test"]
    scaled = {**split.features, "audio": split.features["audio"] * 10}
    other = Dataset({"test": dataclasses.replace(split, features=scaled)})
    for run in runs:
        with _drift_told() as told:
            run.predict(dataset)
        assert told == []
        with _drift_told() as told:
            run.predict(other)
        assert len(told) == 1 and told[0].startswith("audio: ") and "scale" in told[0]
        assert run.drift(other["test"]) == told


def test_a_warning_names_the_line_that_called(runs, dataset):
    arrays = {m: np.zeros_like(array[:2]) for m, array in dataset["test"].features.items()}
    with pytest.warns(DriftWarning, match="every frame is zero") as caught:
        runs[0].predict(arrays)
    assert {warning.filename for warning in caught} == {__file__}


def test_a_run_of_an_earlier_version_is_silent_and_a_damaged_one_is_told(tiny_run, runs, tmp_path, dataset):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    path = run / "fingerprint.json"
    known = json.loads(path.read_text())
    del known["modalities"]["text"]["std"][0]
    for damaged in ("[]", "{", json.dumps(known), '{"modalities": {"text": 3}}'):
        path.write_text(damaged)
        with pytest.raises(ConfigError, match=r"fingerprint\.json"):
            plumkeras.load_run(run)
    path.unlink()
    split = dataset["test"]
    zeros = dataclasses.replace(split, features={m: 0 * array for m, array in split.features.items()})
    assert run_directory.read_fingerprint(path) is None
    assert Run(run, runs[0].config, runs[0].network, None).drift(zeros) == []
    assert len(runs[0].drift(zeros)) == 3


def test_the_commands_export_and_predict_with_the_export(tiny_run, dataset, tmp_path, capsys):
    served, data = tmp_path / "served", tmp_path / "other.npz"
    scaled = {**dataset["test"].features, "audio": dataset["test"].features["audio"] * 10}
    save_npz(Dataset({"test": dataclasses.replace(dataset["test"], features=scaled)}), data)
    assert main(["export", str(tiny_run), str(served)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "serving_default, explain, embed" in printed and "docker run" in printed and "/models/served:ro" in printed
    installed = importlib.util.find_spec("tensorflow_serving") is not None
    assert ("No warm-up requests were written" in printed and "plumkeras[serving]" in printed) != installed
    for options, told in (
        (["--version=1"], "this version exists"),
        (["--version=0"], "--version must be 1 or more"),
        (["--name=a b"], "--name must be of letters"),
    ):
        assert main(["export", str(tiny_run), str(served), *options]) == 2
        assert told in capsys.readouterr().err
    written = {}
    for source in (tiny_run, served, served / "1"):
        csv = tmp_path / f"{len(written)}.csv"
        assert main(["predict", str(source), "--data", str(data), "--output", str(csv)]) == 0
        error = capsys.readouterr().err
        assert error.startswith("plumkeras: warning: audio: ") and error.count("\n") == 1
        lines = [line.split(",") for line in csv.read_text().splitlines()]
        written[source] = lines
    (header, *run), *exports = written.values()
    for other, *rows in exports:
        assert other == header and [row[0] for row in rows] == [row[0] for row in run]
        numbers = [np.array([row[1:] for row in part], dtype="float64") for part in (rows, run)]
        np.testing.assert_allclose(*numbers, rtol=1e-5, atol=1e-5)
    assert main(["evaluate", str(served), "--data", str(data)]) == 0
    assert "MAE" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--data", "x.npz"], "unknown option --data"),
        (["--recipe", "mosi"], "unknown option --recipe"),
        (["--seconds=0"], "--seconds must be"),
        (["--calls=0"], "--calls must be at least 1"),
    ],
)
def test_benchmark_serve_is_refused(options, told, capsys):
    assert main(["benchmark", "serve", *options]) == 2
    assert told in capsys.readouterr().err


def test_benchmark_compares_both_and_counts_the_load():
    network = make_network({"text": 4}, modules=("msa",))
    result = benchmark_serving(calls=3, seconds=0.2, threads=2, network=network, progress=lambda line: None)
    assert set(result["latency"]) == {1, 32} and result["load"]["errors"] == []
    for measured in result["latency"].values():
        for kind in ("exported", "in_memory"):
            assert len(measured[kind]["all"]) == 3 and 0 < measured[kind]["p50"] <= measured[kind]["p99"]
        ratio = measured["exported"]["p50"] / measured["in_memory"]["p50"]
        assert measured["ratio_p50"] == pytest.approx(ratio)
    console = Console(width=200, file=io.StringIO())
    print_serving_benchmark(result, console)
    printed = console.file.getvalue()
    for said in (
        "over 3 calls",
        "ratio",
        "width 8, 1 layers, 2 heads; text 50 x 4",
        "2 threads, batch 1",
    ):
        assert said in printed
    assert f"{result['load']['calls']} calls, 0 errors" in printed


def test_the_load_tells_errors():
    from plumkeras.recipes.benchmarks.serving import _load

    calls = iter([{}, {}])

    def fail(inputs):
        return next(calls)

    errors = _load(fail, {}, 5, 2)["errors"]
    assert len(errors) == 2
