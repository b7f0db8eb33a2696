"""Tables of results as CSV, Markdown and LaTeX."""

import csv

from plumkeras.recipes.views.tables import ResultTable, Spread

TABLE = ResultTable(
    "table",
    "Rows & columns",
    ["row", "MAE", "ACC-2 non0 %", "seconds"],
    [
        ["a_b | <i>", Spread(0.9114, 0.0404), Spread(0.8101, 0.0102, percent=True), 12.0],
        ["=1+1", Spread(0.5), Spread(None, percent=True), None],
    ],
    ["n = 686: 100% of test."],
)


def test_markdown_shows_spreads_and_escapes_what_it_would_act_on():
    lines = TABLE.markdown().splitlines()
    assert lines[0] == "Rows &amp; columns"
    assert lines[2:4] == ["| row | MAE | ACC-2 non0 % | seconds |", "| --- | --- | --- | --- |"]
    assert lines[4] == "| a_b \\| &lt;i&gt; | 0.911\u00a0±\u00a00.040 | 81.0\u00a0±\u00a01.0 | 12.000 |"
    assert lines[5] == "| =1+1 | 0.500 | undefined |  |"
    assert lines[-1] == "n = 686: 100% of test."


def test_latex_is_booktabs_with_everything_escaped():
    text = TABLE.latex()
    assert "\\caption{Rows \\& columns. n = 686: 100\\% of test.}" in text
    assert "a\\_b | <i> & 0.911~$\\pm$~0.040 & 81.0~$\\pm$~1.0 & 12.000 \\\\" in text
    assert [line.strip() for line in text.splitlines() if "rule" in line] == ["\\toprule", "\\midrule", "\\bottomrule"]


def test_csv_has_numbers_in_full_and_deviations_in_columns_of_their_own(tmp_path):
    TABLE.write(tmp_path)
    with (tmp_path / "table.csv").open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["row", "MAE", "MAE std", "ACC-2 non0", "ACC-2 non0 std", "seconds"]
    assert rows[1] == ["a_b | <i>", "0.9114", "0.0404", "0.8101", "0.0102", "12.0"]
    assert rows[2] == ["'=1+1", "0.5", "", "", "", ""]
    assert (tmp_path / "table.md").read_text() == TABLE.markdown()
    assert (tmp_path / "table.tex").read_text() == TABLE.latex()
