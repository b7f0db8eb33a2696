"""What the command line says before and while a backend starts. Each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest

COMMANDS = ["train", "evaluate", "predict", "tune", "export", "extract", "benchmark"]


def run(*arguments, code=None, **environment):
    """A command, or Python code with `arguments` in `sys.argv`."""
    command = [sys.executable, *(["-m", "plumkeras"] if code is None else ["-c", code]), *map(str, arguments)]
    given = {name: value for name, value in os.environ.items() if not name.startswith(("KERAS_", "TF_"))}
    return subprocess.run(command, capture_output=True, text=True, env={**given, **environment})


@pytest.mark.parametrize("command", COMMANDS)
def test_an_unknown_backend_is_refused_in_one_line(command):
    done = run(command, "whatever", KERAS_BACKEND="openvino" if command == "evaluate" else "foo")
    assert done.returncode == 2 and not done.stdout
    assert done.stderr.startswith("plumkeras: error: KERAS_BACKEND must be tensorflow, jax or torch. Received: '")
    assert done.stderr.count("\n") == 1


def test_a_backend_that_is_not_installed_is_refused_in_one_line():
    code = "import sys; sys.modules['jax'] = None; from plumkeras.recipes.cli import main; sys.exit(main())"
    done = run("train", "synthetic", "--output", "x", code=code, KERAS_BACKEND="jax")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "the jax backend (KERAS_BACKEND) is not installed; pip install jax" in done.stderr
    assert "KERAS_BACKEND to tensorflow" in done.stderr


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"backend": "foo"}, "keras.json must be tensorflow, jax or torch. Received: 'foo'"),
        ({"backend": None}, "Received: None"),
        (["tensorflow"], "keras.json: must hold a JSON object"),
        ({"floatx": "float16"}, "keras.json: floatx must be float32"),
        ({"epsilon": 1}, "keras.json: epsilon must be"),
        ({"image_data_format": "wide"}, "keras.json: image_data_format must be"),
    ],
)
def test_a_bad_configuration_of_keras_is_refused_in_one_line(tmp_path, settings, told):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    done = run("evaluate", "whatever", KERAS_HOME=str(tmp_path))
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "plumkeras: error: " in done.stderr and told in done.stderr


def test_the_environment_goes_before_the_configuration(tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps({"backend": "foo"}))
    code = "from plumkeras.backends import check_backend; check_backend()"
    assert run(code=code, KERAS_HOME=str(tmp_path), KERAS_BACKEND="jax").returncode == 0
    assert run(code=code, KERAS_HOME=str(tmp_path)).returncode == 1


def test_what_needs_no_backend_works_with_any(tmp_path):
    code = (
        "import plumkeras\n"
        "from plumkeras.data_pipelines import make_synthetic, save_npz\n"
        f"save_npz(make_synthetic({{'train': 8}})[0], {str(tmp_path / 'data.npz')!r})\n"
        "for use in (lambda: plumkeras.PLUMNet, lambda: plumkeras.layers):\n"
        "    try:\n"
        "        use()\n"
        "    except ImportError as error:\n"
        "        print(error)\n"
    )
    done = run(code=code, KERAS_BACKEND="foo")
    assert done.stdout.splitlines() == ["KERAS_BACKEND must be tensorflow, jax or torch. Received: 'foo'"] * 2
    assert run("inspect", tmp_path / "data.npz", KERAS_BACKEND="foo").returncode == 0
    assert run("train", "--help", KERAS_BACKEND="foo").returncode == 0


LIBRARY = """
import logging, os, sys, warnings
os.write(2, b"WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\\n")
os.write(2, b"E0000 00:00:17.1 1 cuda_fft.cc:467] Unable to register cuFFT factory\\n")
warnings.warn("the plugin does not load")
logger = logging.getLogger("absl")
logger.warning("You are saving something")
"""


@pytest.fixture
def fake_library(tmp_path):
    """A package `torch` that prints while it is imported; the folder that it is in."""
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text(LIBRARY)
    return tmp_path


def printed(folder, lines):
    code = f"import sys; sys.path.insert(0, {str(folder)!r})\nfrom plumkeras.recipes.cli.quiet import quiet\n"
    done = run(code=code + "with quiet():\n" + "".join(f"    {line}\n" for line in lines))
    return done.stderr


def test_what_libraries_print_stays_away_whenever_they_are_imported(fake_library):
    said = printed(
        fake_library,
        [
            "import torch, warnings",
            "warnings.warn('You should not do this')",
            "torch.logger.warning('Compiled cluster')",
            # Each trial and fold is a network of its own, traced anew; TensorFlow takes that for a mistake in a loop.
            "torch.logging.getLogger('tensorflow').warning('5 calls triggered tf.function retracing. Tracing')",
            "torch.logger.error('An error of a library')",
            "print('ours', file=sys.stderr)",
        ],
    )
    assert said == "An error of a library\nours\n"


def test_what_a_library_printed_is_shown_when_its_import_fails_unexpectedly(fake_library):
    (fake_library / "torch" / "__init__.py").write_text(LIBRARY + "raise RuntimeError('no driver')\n")
    said = printed(fake_library, ["import torch"])
    assert "cuFFT" in said and said.endswith("RuntimeError: no driver\n")


def test_errors_while_a_backend_starts_are_seen():
    said = printed(
        "/",
        [
            "import os",
            "from plumkeras.recipes.cli.quiet import quiet_start",
            "with quiet_start():",
            "    os.write(2, b'native\\n')",
            "    print('python', file=sys.stderr)",
        ],
    )
    assert said == "python\n"


@pytest.mark.parametrize(("backend", "library"), [("tensorflow", "TensorFlow"), ("jax", "JAX")])
def test_devices_without_gpus_are_warned_of_before_training(backend, library):
    """Once, as one line; in Python it is a warning of Python's."""
    code = (
        "from plumkeras.recipes.cli.quiet import quiet, quiet_start\n"
        "from plumkeras.recipes.config import RecipeConfig\n"
        "with quiet():\n"
        "    with quiet_start():\n"
        "        from plumkeras.recipes.runs.stages import _devices\n"
        "    for devices in (1, 2, 2):\n"
        "        _devices(RecipeConfig(name='x', devices=devices))\n"
    )
    hidden = {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu", "KERAS_BACKEND": backend}
    done = run(code=code, **hidden)
    assert done.stderr == (
        f"plumkeras: warning: `devices`=2, but {library} sees no GPU: each batch is cut among 2 logical devices of the "
        "CPU, which takes several times as long as `devices`=1 and gains nothing\n"
    )
    in_python = run(code="from plumkeras.devices import data_parallel; data_parallel(2)", **hidden)
    assert "UserWarning: `devices`=2, but" in in_python.stderr


def test_a_precision_that_jax_lacks_on_the_cpu_is_refused():
    code = (
        "from plumkeras.recipes import ConfigError\n"
        "from plumkeras.recipes.config import RecipeConfig\n"
        "from plumkeras.recipes.runs.stages import _devices\n"
        "_devices(RecipeConfig(name='x', precision='mixed_bfloat16'))\n"
        "try:\n"
        "    _devices(RecipeConfig(name='x', precision='mixed_float16'))\n"
        "except ConfigError as error:\n"
        "    print(error)\n"
    )
    done = run(code=code, KERAS_BACKEND="jax", JAX_PLATFORMS="cpu")
    assert done.stdout.startswith("JAX has no attention in float16 on the CPU; use mixed_bfloat16 or float32, or ")
    assert done.stdout.count("\n") == 1 and done.stdout.endswith("Received: precision='mixed_float16'\n")
