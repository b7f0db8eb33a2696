"""The README's examples run as they are printed."""

import re

import numpy as np


def _python_blocks(repository):
    return re.findall(r"```python\n(.*?)```", (repository / "README.md").read_text(), flags=re.S)


def test_own_arrays(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(_python_blocks(repository)[0], names)
    assert names["outputs"]["prediction"].shape == (64,)
    assert np.isfinite(names["outputs"]["prediction"]).all()
    assert (tmp_path / "network.keras").is_file()


def test_load_run(repository, tiny_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "synthetic").symlink_to(tiny_run)
    exec(_python_blocks(repository)[1], {})
    assert "'n': 16" in capsys.readouterr().out
