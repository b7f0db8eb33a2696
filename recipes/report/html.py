"""The templates of the pages, and what is written into every page."""

import base64
import functools
import hashlib
from pathlib import Path

from plumkeras.recipes.views.escaping import for_terminal

_TEMPLATES = Path(__file__).parent / "templates"


def page(title, facts, sections, about=(), warnings=()) -> str:
    """A page, with every text from a file escaped.

    Args:
        title: its heading.
        facts: `Section` of what was run, a list of (title, text).
        sections: list of `Section`; `templates/sections.html` has a macro for each of their names.
        about: sentences under the heading.
        warnings: sentences, what was suspicious about the data.
    """
    values = {"title": title, "facts": facts, "sections": sections, "about": about, "warnings": warnings}
    return _environment().get_template("page.html").render(values)


@functools.cache
def _environment():
    import jinja2
    from markupsafe import Markup

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        # Control characters and marks of direction are shown, not obeyed.
        finalize=lambda value: for_terminal(value) if type(value) is str else value,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = ((_TEMPLATES / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment.globals.update(
        style=Markup(style),
        script=Markup(script),
        # No network and no script but this one, whatever a text may hold. Figures and shaded cells have styles.
        policy="default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'",
    )
    return environment
