"""What an experiment writes: tables, pictures, and a page of both in Markdown."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from plumkeras.files import replacing, write_json
from plumkeras.recipes.runs.run_directory import RESULTS
from plumkeras.recipes.views.tables import ResultTable

PAGE = "page.md"
# Of a comparison, the settings that its searches chose; of robustness, the folder of what was measured.
SETTINGS, CONDITIONS = "settings.json", "conditions"


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture of an experiment, written as `<name>.svg` and `<name>.png`.

    Attributes:
        name: of its files, without an ending.
        title: text.
        caption: text: what is drawn, of how many samples and seeds.
        draw: callable without arguments that returns a matplotlib figure.
    """

    name: str
    title: str
    caption: str
    draw: Callable


@dataclasses.dataclass(frozen=True)
class Results:
    """What came of an experiment.

    Attributes:
        title: text.
        about: sentences: what was run, on what.
        tables: list of `ResultTable`.
        pictures: list of `Picture`.
        findings: sentences that follow from the numbers.
    """

    title: str
    about: list[str]
    tables: list[ResultTable]
    pictures: list[Picture] = dataclasses.field(default_factory=list)
    findings: list[str] = dataclasses.field(default_factory=list)

    def write(self, directory, command: str) -> None:
        """Writes the tables, the pictures, `page.md`, and last `results.json`.

        Args:
            directory: path.
            command: the line that repeats the experiment.
        """
        directory = Path(directory)
        for table in self.tables:
            table.write(directory)
        for picture in self.pictures:
            _save(picture.draw(), directory / picture.name)
        with replacing(directory / PAGE) as partial:
            partial.write_text(self.page(command), encoding="utf-8")
        described = {
            "title": self.title,
            "about": self.about,
            "tables": [table.to_json() for table in self.tables],
            "pictures": [{"file": f"{p.name}.svg", "title": p.title, "caption": p.caption} for p in self.pictures],
            "findings": self.findings,
        }
        write_json(directory / RESULTS, described)

    def page(self, command: str) -> str:
        """The page in Markdown."""
        parts = [f"# {self.title}", *self.about]
        if self.findings:
            parts += ["## Findings", "\n".join(f"- {sentence}" for sentence in self.findings)]
        for picture in self.pictures:
            parts += [f"## {picture.title}", f"![{picture.title}]({picture.name}.png)", picture.caption]
        for table in self.tables:
            parts += [f"## {table.title}", dataclasses.replace(table, title="").markdown().strip()]
        if command:
            parts += ["## Repeat it", f"    {command}"]
        return "\n\n".join(parts) + "\n"

    @property
    def files(self) -> list[str]:
        """The names of all files that `write` makes."""
        tables = [f"{table.name}{ending}" for table in self.tables for ending in (".csv", ".md", ".tex")]
        return [*tables, *(f"{p.name}{ending}" for p in self.pictures for ending in (".svg", ".png")), PAGE, RESULTS]


def _save(figure, path):
    import matplotlib

    # The same bytes from the same numbers: no random ids, no date.
    with matplotlib.rc_context({"svg.hashsalt": "plumkeras", "svg.fonttype": "none"}):
        for ending, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 110})):
            with replacing(path.with_suffix(ending)) as partial:
                figure.savefig(partial, format=ending[1:], **options)
