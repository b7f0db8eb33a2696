"""README, documentation and tutorial do what they print."""

import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import tyro

from plumkeras.recipes.cli import main
from plumkeras.recipes.config import to_dict
from plumkeras.recipes.mosi import mosi

REPOSITORY = Path(__file__).resolve().parents[1]
DOCS = REPOSITORY / "docs"
PAGES = [REPOSITORY / "README.md", *sorted(DOCS.glob("*.md"))]
BLOCK = re.compile(r"^( *)```(\w+)([^\n]*)\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
# Its blocks are parts of the files that they name.
EXTENDING = DOCS / "extending.md"
SCRIPT = DOCS / "examples" / "ten_lines.py"
TUTORIAL = DOCS / "tutorial.py"


def blocks(page, *languages):
    """The fenced blocks of a page in these languages: a list of (what follows the language, text)."""
    found = [block for block in BLOCK.findall(page.read_text()) if block[1] in languages]
    return [(rest, re.sub(f"^{margin}", "", text, flags=re.M)) for margin, _, rest, text in found]


def commands():
    """Every line of `plumkeras ...` in a shell block, with its page."""
    for page in PAGES:
        for _, text in blocks(page, "sh"):
            for line in text.replace("\\\n", " ").splitlines():
                if line.startswith("plumkeras "):
                    yield pytest.param(shlex.split(line, comments=True)[1:], id=f"{page.stem}: {line}")


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with the files that command lines are read by: a run's configuration, a recipe file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "mosi").mkdir(parents=True)
    (tmp_path / "runs" / "mosi" / "config.json").write_text(json.dumps(to_dict(mosi)))
    for page in PAGES:
        for rest, text in blocks(page, "python") if page != EXTENDING else ():
            if named := re.search(r'title="(.*?)"', rest):
                (tmp_path / named[1]).write_text(text)


# The README's block is the script of ten lines, which has tests of its own. An export takes long.
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.stem, marks=[pytest.mark.verify] if page.stem == "serving" else [])
        for page in PAGES[1:]
        if blocks(page, "python") and page != EXTENDING
    ],
)
def test_python_blocks_run(page, place, monkeypatch, capsys):
    from plumkeras.trainers.stage import StageTrainer

    # A few steps are taken sooner than a graph of them is made.
    compile_trainer = StageTrainer.compile
    monkeypatch.setattr(StageTrainer, "compile", lambda self, *a, **k: compile_trainer(self, *a, run_eagerly=True, **k))
    names = {"__name__": "__main__"}
    for _, text in blocks(page, "python"):
        exec(compile(text, page.name, "exec"), names)
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


def lines_of(text):
    """The lines that say something, each without its indentation, and a line break on both sides of each."""
    return "\n".join(["", *(line.strip() for line in text.splitlines() if line.strip()), ""])


@pytest.mark.parametrize(
    "rest, text",
    [
        pytest.param(*block, id=f"{number} {block[0]}")
        for number, block in enumerate(blocks(EXTENDING, "python", "toml"))
    ],
)
def test_what_the_extending_page_quotes_is_there(rest, text):
    """Part by part, in this order: `# ...` stands for lines left out."""
    source = lines_of((REPOSITORY / re.search(r'title="(.*?)"', rest)[1]).read_text())
    at = 0
    for part in re.split(r"^ *# \.\.\.$", text, flags=re.M):
        found = source.find(lines_of(part), at)
        assert found >= 0, f"not there, or not there any more:\n{part}"
        # The line break between two parts may be both the end of one and the beginning of the next.
        at = found + len(lines_of(part)) - 1


def test_links_of_the_readme_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", (REPOSITORY / "README.md").read_text())
    files = [target.split("#")[0] for target in targets if "://" not in target]
    assert files and all((REPOSITORY / name).exists() for name in files)


@pytest.mark.parametrize(
    "module",
    [
        "plumkeras",
        *(f"plumkeras.{n}" for n in ("data_pipelines", "recipes", "layers", "metrics", "tasks", "trainers")),
    ],
)
def test_the_reference_has_every_public_name(module):
    text = (DOCS / "reference.md").read_text()
    module = importlib.import_module(module)
    names = [name for name in module.__all__ if not isinstance(getattr(module, name), (str, type(module)))]
    assert [name for name in names if f"heading: {name}\n" not in text and f"`{name}`" not in text] == []


def test_the_readme_shows_the_script_of_ten_lines():
    ((_, text),) = blocks(REPOSITORY / "README.md", "python")
    assert text == SCRIPT.read_text()
    assert len([line for line in text.splitlines() if line and not line.startswith(("import", "from"))]) <= 10


def check_script_output(text):
    assert "'n': 64" in text and "(64, 32)" in text and re.search(r"^\[\d\.\d+\]$", text, re.M)


@pytest.mark.verify
def test_the_script_in_a_plain_interpreter(tmp_path):
    done = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr
    check_script_output(done.stdout)
    assert not list(tmp_path.iterdir()), "a run without output leaves something behind"


@pytest.mark.verify
def test_the_script_in_a_notebook(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(SCRIPT.read_text())])
    nbclient.NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = notebook.cells[0].outputs
    check_script_output("".join(output.get("text", "") for output in outputs))
    # Progress rewrites its line: a notebook keeps a page of it, not thousands of lines.
    assert sum(output.get("text", "").count("\n") for output in outputs) < 100


@pytest.mark.verify
def test_the_tutorial_runs(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "agg"}
    line = [sys.executable, TUTORIAL]
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


@pytest.mark.verify
def test_the_site_builds(tmp_path):
    pytest.importorskip("material")
    pytest.importorskip("mkdocstrings")
    line = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path]
    done = subprocess.run(line, cwd=REPOSITORY, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tutorial" / "index.html").is_file()


def test_the_models_page_says_what_plumkeras_models_says():
    from plumkeras.recipes.models import MODELS, find_model

    page = (DOCS / "models.md").read_text()
    for name in MODELS:
        about = find_model(name).ABOUT
        row = next(line for line in page.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"| {about.paper or 'ours'} | {about.parameters:,} | {', '.join(about.data_sets) or '-'} |" in row
        assert row.endswith(f"| {about.differs} |")
