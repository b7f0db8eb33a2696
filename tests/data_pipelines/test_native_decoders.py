"""tensorflow-io's native decoders: they need a TensorFlow of their own, in an environment of its own."""

import importlib.util
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from .clip_builders import tone, write_sound

SOURCES = ("plumkeras", "recipes", "data_pipelines", "pyproject.toml", "README.md", "LICENSE")
INSIDE = "PLUMKERAS_NATIVE_DECODERS"


def test_native_decoders_give_soundfiles_samples(tmp_path):
    """Skipped but in the environment that the test below makes."""
    if importlib.util.find_spec("tensorflow_io") is None:
        pytest.skip("the extra io isn't installed")
    from plumkeras.data_pipelines.extraction import decoding

    if INSIDE not in os.environ and not decoding.has_native_library():
        pytest.skip("tensorflow-io's native library doesn't load beside this TensorFlow")
    assert decoding.has_native_library()
    sound = np.stack([tone(700, 22_050), tone(1900, 22_050, loud=0.2)], axis=1)
    for name, subtype, tolerance in (
        ("a.flac", "PCM_16", 1e-6),
        ("b.flac", "PCM_24", 1e-6),
        ("c.ogg", "VORBIS", 1e-3),
        ("d.mp3", None, None),
    ):
        path = str(write_sound(tmp_path / name, sound, 22_050, subtype))
        assert decoding._decoder(path) is decoding._by_tensorflow_io
        native, rate, total = decoding._by_tensorflow_io(path, 0.5)
        other, other_rate, other_total = decoding._by_soundfile(path, 0.5)
        assert rate == other_rate == 22_050 and native.shape == other.shape == (11_025, 2)
        assert abs(total - other_total) <= 2 * 1152
        if tolerance is None:
            # Decoders of MP3 differ in the delay that they leave at the beginning.
            native, other = (np.abs(np.fft.rfft(samples[2000:10_000], axis=0)) for samples in (native, other))
            assert np.all(np.abs(native.argmax(axis=0) - other.argmax(axis=0)) <= 1)
        else:
            np.testing.assert_allclose(native, other, atol=tolerance)
    # Opus is no Vorbis: soundfile's.
    path = str(write_sound(tmp_path / "e.ogg", tone(700, 48_000), 48_000, "OPUS"))
    assert decoding._decoder(path) is decoding._by_soundfile


@pytest.mark.verify
def test_decoders_beside_tensorflow_2_17(repository, tmp_path):
    """Makes the environment and runs the tests of sound in it."""
    source, checks = tmp_path / "source", tmp_path / "checks"
    source.mkdir()
    checks.mkdir()
    for name in SOURCES:
        copy = shutil.copytree if (repository / name).is_dir() else shutil.copy
        copy(repository / name, source / name)
    # The tests apart from the sources, which are to be found as installed.
    shutil.copytree(repository / "tests", checks / "tests", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(repository / "pyproject.toml", checks)
    python = tmp_path / "environment" / ("Scripts" if os.name == "nt" else "bin") / "python"
    install = ["-m", "pip", "install", "--quiet", "--requirement", str(repository / ".ci" / "native.txt")]
    for line in (
        [sys.executable, "-m", "venv", str(tmp_path / "environment")],
        [str(python), *install, f"{source}[io,test]"],
    ):
        done = subprocess.run(line, capture_output=True, text=True, timeout=1800)
        if done.returncode:
            pytest.skip(f"no environment with TensorFlow 2.17.1 could be made: {done.stderr.strip()[-300:]}")
    done = subprocess.run(
        [str(python), "-m", "pytest", "-q", "tests/data_pipelines/test_native_decoders.py",
         "tests/data_pipelines/test_extraction.py", "-m", "not verify", "-k", "not frames and not text_vectors"],
        cwd=checks,
        env={**os.environ, INSIDE: "1", "KERAS_BACKEND": "tensorflow"},
        capture_output=True,
        text=True,
        timeout=1800,
    )  # fmt: skip
    assert done.returncode == 0 and "skipped" not in done.stdout, done.stdout[-4000:] + done.stderr[-2000:]
