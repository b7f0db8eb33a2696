"""README, documentation and tutorial do what they print."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from plumkeras.cli import main

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES = [REPOSITORY / "README.md", *sorted((REPOSITORY / "docs").glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
TUTORIAL = REPOSITORY / "docs" / "tutorial.py"


def blocks(page, *languages):
    """The fenced blocks of a page in these languages: a list of (what follows the language, text)."""
    found = [block for block in BLOCK.findall(page.read_text()) if block[1] in languages]
    return [(rest, re.sub(f"^{margin}", "", text, flags=re.M)) for margin, _, rest, text in found]


def commands():
    """Every line of `plumkeras ...` in a shell block, with its page."""
    for page in PAGES:
        for _, text in blocks(page, "sh", "console"):
            for line in text.replace("\\\n", " ").splitlines():
                if line.lstrip("$ ").startswith("plumkeras "):
                    yield pytest.param(shlex.split(line.lstrip("$ "), comments=True)[1:], id=f"{page.stem}: {line}")


@pytest.fixture
def place(tiny_run, tmp_path, monkeypatch):
    """A working directory with what the pages take for granted: runs, and a recipe file of the user's."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    for name in ("synthetic", "mosi"):
        shutil.copytree(tiny_run, tmp_path / "runs" / name)
    for page in PAGES:
        for rest, text in blocks(page, "python"):
            if named := re.search(r'title="(.*?)"', rest):
                (tmp_path / named[1]).write_text(text)
    return tmp_path


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda page: page.stem)
def test_python_blocks_run(page, place, capsys):
    for _, text in blocks(page, "python"):
        exec(compile(text, page.name, "exec"), {"__name__": "__main__"})
    assert "nan" not in capsys.readouterr().out


class Parsed(BaseException):
    """A line was read to its end; nothing may catch this but the test."""


@pytest.mark.parametrize("arguments", commands())
def test_command_lines_parse(arguments, place, monkeypatch, capsys):
    parse = tyro.cli

    def stop(*args, **kwargs):
        parse(*args, **kwargs)
        raise Parsed

    monkeypatch.setattr(tyro, "cli", stop)
    with pytest.raises(Parsed):
        main(arguments)
        pytest.fail(capsys.readouterr().err)


def test_links_of_the_readme_lead_somewhere(repository):
    text = (repository / "README.md").read_text()
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)]+)\)", text) if "://" not in t]
    assert targets and all((repository / target).exists() for target in targets)


def first_script():
    """The README's script: a user's arrays to metrics, embeddings and a prediction."""
    return blocks(REPOSITORY / "README.md", "python")[0][1]


def check_script_output(text):
    assert "'n': 32" in text and "(32, 256)" in text


def test_the_readme_script_in_a_plain_interpreter(tmp_path):
    script = first_script()
    assert len([line for line in script.splitlines() if line and not line.startswith(("import", "from"))]) <= 10
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    check_script_output(done.stdout)
    assert not list(tmp_path.iterdir()), "a run without output leaves something behind"


def test_the_readme_script_in_a_notebook(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(first_script())])
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = notebook.cells[0].outputs
    check_script_output("".join(output.get("text", "") for output in outputs))
    # Progress rewrites its line: a notebook keeps a page of it, not thousands of lines.
    assert sum(output.get("text", "").count("\n") for output in outputs) < 100


def test_the_tutorial_runs(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "agg"}
    line = [sys.executable, str(TUTORIAL)]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr


def test_the_notebook_is_the_tutorial():
    """Its cells are the script's, and each was run: `make tutorial` after a change of the script."""
    path = TUTORIAL.with_suffix(".ipynb")
    cells = json.loads(path.read_text())["cells"]
    parts = re.split(r"^# %%", TUTORIAL.read_text(), flags=re.M)[1:]
    code = [part.strip() for part in parts if not part.startswith(" [markdown]")]
    assert ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"] == code
    assert all(cell["execution_count"] for cell in cells if cell["cell_type"] == "code")
    assert not any(o["output_type"] == "error" for cell in cells for o in cell.get("outputs", []))
    assert path.stat().st_size < 500_000
