"""The page of an experiment: its tables, pictures and findings."""

import base64

from plumkeras.recipes.report import html
from plumkeras.recipes.report.origin_sections import data_facts, plain
from plumkeras.recipes.report.run_page import origin
from plumkeras.recipes.report.section import LeftOut, Table, section
from plumkeras.recipes.runs import run_directory

# A picture beyond this size is no figure of ours.
_MAX_PICTURE = 8 * 2**20


def render(directory, place) -> str:
    """The page of a finished experiment; arguments as of `run_page.render`."""
    described = run_directory.read_description(directory / run_directory.EXPERIMENT)
    results = run_directory.read_description(directory / run_directory.RESULTS)
    return html.page(
        title=str(results.get("title") or f"Experiment {described.get('experiment', '')}"),
        about=_sentences(results, "about"),
        facts=section("facts", "What was run", _facts, described),
        sections=[
            section("findings", "Findings", _findings, results),
            section("pictures", "Pictures", _pictures, directory, results),
            section("tables", "Results", _tables, results),
            *origin(described, None),
        ],
        warnings=_sentences(described, "warnings"),
    )


def _sentences(values, name):
    found = values.get(name) or []
    # They are Markdown, in which names of fields stand between backticks.
    return [str(sentence).replace("`", "") for sentence in (found if isinstance(found, list) else [found])]


def _facts(described):
    recipe = described.get("recipe") or {}
    facts = [("Experiment", str(described["experiment"]))]
    if recipe:
        facts.append(("Recipe", f"{recipe['name']} ({recipe.get('model', 'plum_net')})"))
    if seeds := described.get("seeds"):
        facts.append(("Seeds", ", ".join(map(str, seeds))))
    for name, value in (described.get("options") or {}).items():
        facts.append((str(name).replace("_", " "), plain(value)))
    return [*facts, *data_facts(described)]


def _findings(results):
    if not (found := _sentences(results, "findings")):
        raise LeftOut("results.json names none")
    return found


def _tables(results):
    found = []
    for table in results.get("tables") or []:
        rows = [_texts(row) for row in table["rows"]]
        shown = Table(_texts(table["header"]), rows, _texts(table.get("notes") or []))
        found.append((str(table.get("title") or table["name"]), shown))
    if not found:
        raise LeftOut("results.json holds no table")
    return found


def _texts(values):
    return [str(value) for value in values]


def _pictures(directory, results):
    """Pictures as data addresses: in an image, nothing that a file may hold is run."""
    found = []
    for picture in results.get("pictures") or []:
        name = str(picture["file"])
        path = directory / name
        if path.parent != directory or path.suffix != ".svg" or path.is_symlink():
            raise ValueError(f"a picture is an .svg file of the directory, not {name:.80}")
        if path.stat().st_size > _MAX_PICTURE:
            raise LeftOut(f"{name} is larger than {_MAX_PICTURE // 2**20} MB")
        content = base64.b64encode(path.read_bytes()).decode()
        title, caption = (str(picture.get(key) or "") for key in ("title", "caption"))
        found.append((f"data:image/svg+xml;base64,{content}", title or name, caption))
    if not found:
        raise LeftOut("results.json names none")
    return found
