"""Tables of results as CSV, Markdown and LaTeX."""

import dataclasses
import math
from pathlib import Path

from plumkeras.files import replacing, write_csv
from plumkeras.recipes.views.escaping import for_csv, for_markdown

_LATEX = {
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "²": r"$^2$",
    "≥": r"$\geq$",
    "\u00a0": "~",
}


@dataclasses.dataclass(frozen=True)
class Spread:
    """A cell with a mean over seeds, and their standard deviation (ddof 1) where there are two or more.

    Attributes:
        mean: float, or None: undefined.
        std: float or None.
        percent: whether it is a share of 1, shown as percent.
    """

    mean: float | None
    std: float | None = None
    percent: bool = False

    def __str__(self):
        if self.mean is None or math.isnan(self.mean):
            return "undefined"
        scale, digits = (100, 1) if self.percent else (1, 3)
        shown = f"{scale * self.mean:.{digits}f}"
        return shown if self.std is None else f"{shown}\u00a0±\u00a0{scale * self.std:.{digits}f}"


@dataclasses.dataclass(frozen=True)
class ResultTable:
    """A table with what a reader needs to know of it: samples, conventions, seeds, selection, time, hardware.

    Attributes:
        name: of its files, without an ending.
        title: text.
        header: texts, the first column's first.
        rows: lists of cells: texts, numbers, `Spread` or None.
        notes: sentences, below the table.
    """

    name: str
    title: str
    header: list
    rows: list
    notes: list = dataclasses.field(default_factory=list)

    def texts(self) -> list[list[str]]:
        """The rows as a person reads them; an empty cell where there is no value."""
        return [[_text(cell) for cell in row] for row in self.rows]

    def markdown(self) -> str:
        """The table in Markdown, with its title and notes."""
        lines = [for_markdown(self.title), ""] if self.title else []
        lines += [_markdown_row(self.header), _markdown_row(["---"] * len(self.header), escaped=True)]
        lines += [_markdown_row(row) for row in self.texts()]
        lines += ["", *(for_markdown(note) for note in self.notes)] if self.notes else []
        return "\n".join(lines) + "\n"

    def latex(self) -> str:
        """The table in LaTeX, for the package booktabs; its notes are part of the caption."""
        caption = " ".join([f"{self.title}." if self.title else "", *self.notes]).strip()
        return "\n".join(
            [
                "% \\usepackage{booktabs}",
                "\\begin{table}",
                "  \\centering",
                f"  \\caption{{{_latex(caption)}}}",
                f"  \\begin{{tabular}}{{l{'r' * (len(self.header) - 1)}}}",
                "    \\toprule",
                f"    {_latex_row(self.header)}",
                "    \\midrule",
                *(f"    {_latex_row(row)}" for row in self.texts()),
                "    \\bottomrule",
                "  \\end{tabular}",
                "\\end{table}",
                "",
            ]
        )

    def csv_rows(self) -> list[list]:
        """The rows of the csv file: numbers in full, a column `... std` behind each that has deviations."""
        wide = [any(isinstance(row[i], Spread) for row in self.rows) for i in range(len(self.header))]
        rows = [[cell for name, split in zip(self.header, wide, strict=True) for cell in _named(name, split)]]
        for row in self.rows:
            rows.append([cell for value, split in zip(row, wide, strict=True) for cell in _numbers(value, split)])
        return [[for_csv(cell) for cell in row] for row in rows]

    def write(self, directory) -> None:
        """Writes `<name>.csv`, `<name>.md` and `<name>.tex` into a directory."""
        directory = Path(directory)
        write_csv(directory / f"{self.name}.csv", self.csv_rows())
        for ending, text in ((".md", self.markdown()), (".tex", self.latex())):
            with replacing(directory / f"{self.name}{ending}") as partial:
                partial.write_text(text, encoding="utf-8")

    def to_json(self) -> dict:
        """The table as `results.json` holds it, every cell a text."""
        return {**dataclasses.asdict(self), "rows": self.texts()}


def _text(cell):
    if cell is None:
        return ""
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _markdown_row(cells, escaped=False):
    return f"| {' | '.join(cell if escaped else _markdown_cell(cell) for cell in cells)} |"


def _markdown_cell(cell):
    return for_markdown(cell).replace(" ± ", "\u00a0±\u00a0")


def _latex(text):
    return "".join(_LATEX.get(character, character) for character in text)


def _latex_row(cells):
    return f"{' & '.join(map(_latex, cells))} \\\\"


def _named(name, split):
    # Its own values are shares of 1, whatever the table shows.
    name = name.removesuffix(" %") if split else name
    return [name, f"{name} std"] if split else [name]


def _numbers(value, split):
    if isinstance(value, Spread):
        return ["" if number is None else number for number in (value.mean, value.std)]
    value = "" if value is None else value
    return [value, ""] if split else [value]
