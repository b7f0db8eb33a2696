"""The SavedModel: the same numbers as the network's, without us, and an answer to every wrong request."""

import os
import re
import threading

import keras
import numpy as np
import pytest
import tensorflow as tf

import plumkeras
from plumkeras import export
from plumkeras.data_pipelines.features.cleaning import clean_array
from tests.testing.networks import WIDTHS, make_network
from tests.testing.serving_requests import call, expected, make_request, run_without_us

NAMES = {
    "serving_default": ["prediction"],
    "explain": [
        "prediction",
        *(f"{m}_{n}" for m in WIDTHS for n in ("soft_label", "hard_label")),
        *(f"{m}_{b}_probabilities" for m in WIDTHS for b in ("common", "private")),
    ],
    "embed": [f"{m}_{b}_embedding" for m in WIDTHS for b in ("common", "private", "refined")],
}
REQUESTS = {
    "one": make_request(1),
    "three": make_request(3, {"text": 17, "audio": 2}),
    "many": make_request(64, {"text": 5, "audio": 30}),
    "no_frame_of_text": make_request(2, {"text": 0, "audio": 4}),
    "nothing_at_all": make_request(2, {"text": 0, "audio": 0}),
}


@pytest.fixture(scope="module")
def network():
    return make_network(compression={"audio": "signed_log1p"})


@pytest.fixture(scope="module")
def version(network, tmp_path_factory):
    return plumkeras.export_saved_model(network, tmp_path_factory.mktemp("export") / "model")


@pytest.fixture(scope="module")
def model(version):
    return tf.saved_model.load(str(version))


def _assert_equal(actual, wanted, names, tolerance=1e-6):
    """To a part of each output's largest value, as float32 sums in another order differ."""
    assert set(actual) == set(names)
    for name in names:
        largest = max(1.0, np.abs(wanted[name]).max(initial=0))
        np.testing.assert_allclose(actual[name], wanted[name], rtol=tolerance, atol=tolerance * largest, err_msg=name)


def test_outputs_are_those_of_the_network_in_a_process_without_us(network, version, tmp_path):
    """Whatever the batch, the lengths and the modalities that are missing; no custom object, no Python of ours."""
    np.savez(tmp_path / "in.npz", **{f"{r}/{n}": v for r, inputs in REQUESTS.items() for n, v in inputs.items()})
    code = """
import numpy as np, tensorflow as tf
model, found = tf.saved_model.load(sys.argv[1]), {}
with np.load(sys.argv[2]) as data:
    for request in sorted({key.split("/")[0] for key in data}):
        inputs = {key.split("/")[1]: tf.constant(data[key]) for key in data if key.split("/")[0] == request}
        for name, signature in model.signatures.items():
            found.update({f"{request}/{name}/{key}": value.numpy() for key, value in signature(**inputs).items()})
np.savez(sys.argv[3], **found)
"""
    run_without_us(code, version, tmp_path / "in.npz", tmp_path / "out.npz")
    with np.load(tmp_path / "out.npz") as found:
        for request, inputs in REQUESTS.items():
            # In memory a sequence has a frame; its length says that it has none.
            padded = {n: np.pad(v, [(0, 0), (0, 1), (0, 0)]) if v.ndim == 3 else v for n, v in inputs.items()}
            wanted = expected(network, padded)
            for signature, names in NAMES.items():
                prefix = f"{request}/{signature}/"
                actual = {key.removeprefix(prefix): found[key] for key in found if key.startswith(prefix)}
                _assert_equal(actual, wanted, names)


def test_saved_model_cli_runs_it(network, version, tmp_path):
    inputs = REQUESTS["three"]
    np.savez(tmp_path / "in.npz", **inputs)
    code = """
from tensorflow.python.tools import saved_model_cli
saved_model_cli.main()
"""
    given = ";".join(f"{name}={tmp_path / 'in.npz'}[{name}]" for name in inputs)
    arguments = ["run", "--dir", version, "--tag_set", "serve", "--signature_def", "explain", "--inputs", given]
    run_without_us(code, *arguments, "--outdir", tmp_path)
    found = {path.stem: np.load(path) for path in tmp_path.glob("*.npy")}
    _assert_equal(found, expected(network, inputs), NAMES["explain"])


@pytest.mark.parametrize("fill", ["first", np.nan, np.inf, -3e38])
def test_no_output_depends_on_the_padding(model, fill):
    """A server pads with a request's first value; whatever else stands there does not matter either."""
    inputs, longer = REQUESTS["three"], {}
    for name, value in inputs.items():
        if value.ndim == 3:
            valid = np.arange(value.shape[1] + 7)[None] < inputs[f"{name}_length"][:, None]
            padded = np.pad(value, [(0, 0), (0, 7), (0, 0)])
            filled = value.flat[0] if fill == "first" else np.float32(fill)
            value = np.where(valid[:, :, None], padded, filled)
        longer[name] = value
    for signature, names in NAMES.items():
        _assert_equal(call(model, signature, longer), call(model, signature, inputs), names, 2e-6)


def test_values_are_cleaned_as_when_a_file_is_read(network, model):
    inputs = make_request(4)
    inputs["text_length"][:], inputs["audio_length"][:] = 6, 9
    for sample, values in enumerate(([np.nan, np.inf], [-np.inf, 1.1e6], [1e6, -1e6], [1e5, -4e5])):
        inputs["text"][sample, 0, :2] = inputs["audio"][sample, 3, 1:] = values
    cleaned = {name: clean_array(value)[0] if value.ndim == 3 else value for name, value in inputs.items()}
    for one in (slice(None), slice(0, 1), slice(1, 2), slice(2, 3), slice(3, 4)):
        found = call(model, "explain", {name: value[one] for name, value in inputs.items()})
        wanted = expected(network, {name: value[one] for name, value in cleaned.items()})
        _assert_equal(found, wanted, NAMES["explain"], 2e-6)


def test_an_empty_batch_gives_empty_outputs(model):
    found = call(model, "explain", make_request(0))
    assert found["prediction"].shape == (0,) and found["text_soft_label"].shape == (0, 3)


def test_serving_default_computes_the_prediction_alone(model):
    """No weight and no operation of what only `explain` and `embed` give."""

    def operations(name):
        # The signature calls a function that calls that of the endpoint.
        functions = model.signatures[name].graph.as_graph_def().library.function
        return [node.name for function in functions for node in function.node_def]

    assert not [op for op in operations("serving_default") if re.search("classifier|visible|_pool", op)]
    assert [op for op in operations("explain") if "classifier" in op]
    reads = {name: sum("ReadVariableOp" in op for op in operations(name)) for name in model.signatures}
    # A classifier has two weights; a modality has two of them, and the attention that pools what they read.
    assert 0 < reads["serving_default"] < reads["explain"] - 2 * 2 * 2


def test_variables_stand_once_in_the_file(network, version):
    stored = tf.train.list_variables(str(version / "variables" / "variables"))
    sizes = sorted(int(np.prod(shape)) for name, shape in stored if name.endswith("VARIABLE_VALUE"))
    used = [v for v in network.variables if "seed_generator" not in v.path]
    assert sizes == sorted(int(np.prod(v.shape)) for v in used)


# What is changed in a good request, and what the error names.
WRONG = {
    "width": ({"text": np.zeros((2, 6, 5), "float32")}, "text"),
    "rank": ({"audio": np.zeros((2, 3), "float32")}, "audio"),
    "rank of a length": ({"text_length": np.ones((2, 1), "int32")}, "text_length"),
    "scalar length": ({"text_length": np.int32(1)}, "text_length"),
    "negative length": ({"text_length": np.array([-1, 2], "int32")}, "text_length"),
    "length beyond the frames": ({"audio_length": np.array([1, 10], "int32")}, "audio_length"),
    "length without frames": ({"text": np.zeros((2, 0, 4), "float32")}, "text_length"),
    "batch of a modality": ({"audio": np.zeros((3, 9, 3), "float32")}, "audio: has another batch size than text"),
    "batch of a length": ({"audio_length": np.array([1], "int32")}, "audio_length: has another batch size"),
    "type of a length": ({"text_length": np.array([1, 2], "int64")}, r"input #3.*int32.*int64"),
    "type of features": ({"text": np.zeros((2, 6, 4), "float64")}, r"input #2.*float.*double"),
    "missing": ({"audio_length": None}, "audio_length"),
    "unknown": ({"smell": np.zeros((2, 3), "float32")}, "smell"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_request_is_refused_by_name(model, case):
    change, told = WRONG[case]
    request = {**make_request(2), **change}
    with pytest.raises(Exception, match=told):
        call(model, "serving_default", {name: value for name, value in request.items() if value is not None})
    assert np.isfinite(call(model, "serving_default", make_request(2))["prediction"]).all()


def _mutate(random, request):
    """One to three changes, most of them wrong."""
    names = list(WIDTHS)
    for _ in range(random.integers(1, 4)):
        m = names[random.integers(len(names))]
        name = (m, f"{m}_length")[random.integers(2)]
        if name not in request:
            continue
        value = request[name]
        kind = random.integers(10)
        if kind == 0:
            del request[name]
        elif kind == 1:
            request[f"{name}{random.integers(9)}"] = value
        elif kind == 2:
            request[name] = value.astype(random.choice(["int32", "int64", "float32", "float64", "float16"]))
        elif kind == 3 and value.ndim:
            request[name] = value[: random.integers(0, len(value) + 1)]
        elif kind == 4:
            wider = random.integers(2) or not value.ndim
            request[name] = value[..., None] if wider else np.asarray(value.sum(axis=-1, dtype=value.dtype))
        elif kind == 5 and value.ndim == 3:
            request[name] = value[:, : random.integers(0, value.shape[1] + 1)]
        elif kind == 6 and value.ndim == 3:
            request[name] = value[:, :, : random.integers(0, value.shape[2] + 1)]
        elif kind == 7 and value.ndim == 1:
            request[name] = random.integers(-3, 40, value.shape).astype(value.dtype)
        elif kind == 8:
            request[name] = np.concatenate([value, value]) if value.ndim else value[None]
        elif value.dtype == np.float32 and value.size:
            value = value.copy()
            flat = value.reshape(-1)
            flat[random.integers(value.size, size=3)] = random.choice([np.nan, np.inf, -np.inf, 3e38, 1e30, 1e-40])
            request[name] = value
    return request


def test_five_hundred_mutated_requests(model):
    """Each gives finite outputs, or an error that names an input, or for a wrong type its position."""
    random, answered, refused = np.random.default_rng(0), 0, 0
    told = re.compile(r"\b(text|audio)(_length)?\d?\b|input #\d.*expected to be")
    for number in range(500):
        request = _mutate(random, make_request(int(random.integers(0, 4)), seed=number))
        try:
            outputs = call(model, "explain", request)
        except Exception as error:
            assert told.search(str(error)), f"request {number}: {error}"
            refused += 1
            continue
        assert all(np.isfinite(value).all() for value in outputs.values()), number
        answered += 1
    assert answered > 50 and refused > 200
    assert np.isfinite(call(model, "serving_default", make_request(2))["prediction"]).all()


def test_eight_threads_get_what_one_gets(model):
    requests = [make_request(1 + number % 3, seed=number) for number in range(8)]
    wanted, wrong = [call(model, "explain", request) for request in requests], []

    def work(number):
        try:
            for _ in range(15):
                _assert_equal(call(model, "explain", requests[number]), wanted[number], NAMES["explain"])
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.verify
def test_eight_threads_for_a_minute_leave_memory_as_it_was(network):
    from plumkeras.recipes.benchmarks.serving import benchmark_serving

    load = benchmark_serving(calls=20, seconds=60, threads=8, network=network, progress=lambda line: None)["load"]
    assert load["errors"] == [] and load["calls"] > 1000
    assert load["memory_before"] is None or load["memory_after"] - load["memory_before"] < 50e6


@pytest.fixture
def quick(monkeypatch):
    """Writes a file in place of a SavedModel, for what is not about its content."""
    monkeypatch.setattr(
        export, "write_saved_model", lambda network, path, max_tokens: (path / "saved_model.pb").write_text("whole")
    )


def test_versions_stand_beside_each_other(network, tmp_path, quick):
    directory = tmp_path / "a" / "model"
    assert plumkeras.export_saved_model(network, directory) == directory / "1"
    assert plumkeras.export_saved_model(network, directory, version=7) == directory / "7"
    assert plumkeras.export_saved_model(network, directory, version=None) == directory / "8"
    with pytest.raises(FileExistsError, match="7: this version exists"):
        plumkeras.export_saved_model(network, directory, version=7)
    for version in (0, -1, True, "1", 1.0):
        with pytest.raises(ValueError, match="version"):
            plumkeras.export_saved_model(network, directory, version=version)
    assert sorted(path.name for path in directory.iterdir()) == ["1", "7", "8"]


def test_a_failure_leaves_no_half_version(network, tmp_path, quick, monkeypatch):
    plumkeras.export_saved_model(network, tmp_path)

    def fail(*arguments):
        raise KeyboardInterrupt

    for target, name in ((os, "rename"), (export, "write_saved_model")):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(target, name, fail)
            plumkeras.export_saved_model(network, tmp_path, version=None)
        assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_what_a_killed_export_leaves_is_no_version(network, tmp_path, quick, monkeypatch):
    """Nobody clears up after SIGKILL; a server and the next export pass by what lies there."""
    monkeypatch.setattr(export.shutil, "rmtree", lambda path, **options: None)
    monkeypatch.setattr(export.os, "rename", lambda partial, target: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        plumkeras.export_saved_model(network, tmp_path)
    left = [path.name for path in tmp_path.iterdir()]
    assert len(left) == 1 and not left[0].isdigit() and export.versions(tmp_path) == []
    monkeypatch.undo()
    assert export.next_version(tmp_path) == 1


def test_a_number_that_another_export_took_meanwhile_is_not_replaced(network, tmp_path, monkeypatch):
    def write(network, path, max_tokens):
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "saved_model.pb").write_text("of the other")

    monkeypatch.setattr(export, "write_saved_model", write)
    with pytest.raises(FileExistsError, match="this version exists"):
        plumkeras.export_saved_model(network, tmp_path)
    assert (tmp_path / "1" / "saved_model.pb").read_text() == "of the other"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


def test_other_backends_are_told_apart(network, tmp_path, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ValueError, match="KERAS_BACKEND=tensorflow"):
        plumkeras.export_saved_model(network, tmp_path / "model")
    assert not (tmp_path / "model").exists()


ROWS = {
    (): ["prediction"],
    ("msa",): ["prediction"],
    ("msa", "psl_tfb"): [
        *("prediction", "text_soft_label", "text_hard_label"),
        *("text_common_probabilities", "text_private_probabilities"),
    ],
}


@pytest.mark.parametrize("modules", ROWS)
def test_a_network_of_fewer_modules_exports_what_it_has(modules, tmp_path):
    """And one of a single modality, and of classes."""
    widths = {"text": 4}
    network = make_network(widths, modules=modules, task="classification", num_classes=4)
    model = tf.saved_model.load(str(plumkeras.export_saved_model(network, tmp_path)))
    inputs = make_request(3, widths=widths)
    wanted = expected(network, inputs)
    _assert_equal(call(model, "serving_default", inputs), wanted, ["prediction"])
    _assert_equal(call(model, "explain", inputs), wanted, ROWS[modules])
    assert wanted["prediction"].shape == (3, 4)
    if "psl_tfb" in modules:
        _assert_equal(call(model, "embed", inputs), wanted, ["text_common_embedding", "text_private_embedding"])
    else:
        assert "embed" not in model.signatures


def test_sixteen_bits_inside_and_float32_outside(tmp_path):
    widths = {"text": 4}
    network = make_network(widths, dtype="mixed_bfloat16", modules=("msa", "psl_tfb"))
    model = tf.saved_model.load(str(plumkeras.export_saved_model(network, tmp_path)))
    inputs = make_request(3, widths=widths)
    wanted = expected(network, inputs)
    for signature in ("serving_default", "explain", "embed"):
        for name, value in call(model, signature, inputs).items():
            assert value.dtype in (np.float32, np.int32), name
            np.testing.assert_allclose(value, np.asarray(wanted[name], "float32"), atol=0.05, err_msg=name)
