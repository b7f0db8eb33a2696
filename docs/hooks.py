"""What MkDocs cannot do by configuration alone: find the package, and show the notebook and the synthetic study."""

import re
import shutil
import tempfile
import textwrap
from pathlib import Path

from mkdocs.plugins import event_priority
from mkdocs.structure.files import File
from nbconvert import MarkdownExporter

ROOT = Path(__file__).resolve().parents[1]
STUDY = ROOT / "recipes" / "results"
# Keras writes `Example:`; of a docstring's sections, mkdocstrings shows code as code in `Examples:` alone.
_EXAMPLE = re.compile(r'^( *)Example:\n\n?((?:\1 *(?!""")\S.*\n)+)', re.MULTILINE)
_packages = tempfile.TemporaryDirectory(prefix="plumkeras_docs_")


@event_priority(100)  # before mkdocstrings reads its own
def on_config(config):
    # Three folders of the repository install as one package. mkdocstrings reads sources: lay them out so.
    for folder in ("plumkeras", "plumkeras/recipes", "plumkeras/data_pipelines"):
        source, target = ROOT / Path(folder).name, Path(_packages.name) / folder
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
    for path in Path(_packages.name).rglob("*.py"):
        path.write_text(_EXAMPLE.sub(_as_section, path.read_text()))
    config.plugins["mkdocstrings"].config["handlers"]["python"]["paths"] = [_packages.name]


def _as_section(match):
    return f"{match[1]}Examples:\n{textwrap.indent(textwrap.dedent(match[2]), match[1] + '    ')}"


def on_files(files, config):
    text, resources = MarkdownExporter().from_filename(str(ROOT / "docs" / "tutorial.ipynb"))
    files.append(File.generated(config, "tutorial.md", content=text))
    for name, data in resources["outputs"].items():
        files.append(File.generated(config, name, content=data))
    for path in (STUDY / "synthetic_study.md", *STUDY.glob("*.png")):
        files.append(File.generated(config, path.name, abs_src_path=str(path)))
