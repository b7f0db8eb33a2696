"""Files of texts: one a line, or a column of a table."""

import pytest

from plumkeras.data_pipelines import DataError
from plumkeras.data_pipelines.readers.text_file import read_texts


def put(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize(
    ("content", "texts"),
    [
        ("one\ntwo\n", ["one", "two"]),
        ("one\r\n\r\ntwo", ["one", "", "two"]),
        ("\ufeffone\rtwo\r", ["one", "two"]),
        ("a\x00b\x0bc\u2028d\n", ["a\x00b\x0bc\u2028d"]),
        ("\n", [""]),
    ],
)
def test_lines(tmp_path, content, texts):
    assert read_texts(put(tmp_path, "a.TXT", content)) == (texts, [str(i + 1) for i in range(len(texts))], "line")


def test_a_column_by_its_usual_name_and_by_another(tmp_path):
    path = put(tmp_path, "a.csv", '\ufeffID, Text ,raw_text,stars\nx,"one, and\nmore",raw,3\n\ny,two,other,4\n')
    assert read_texts(path) == (["one, and\nmore", "two"], ["x", "y"], "id")
    assert read_texts(path, "raw_text")[0] == ["raw", "other"]
    assert read_texts(path, "stars")[0] == ["3", "4"]


def test_a_table_without_ids_counts_its_rows(tmp_path):
    assert read_texts(put(tmp_path, "a.tsv", "raw_text\tn\none, two\t1\n\t2\n")) == (
        ["one, two", ""],
        ["1", "2"],
        "row",
    )


@pytest.mark.parametrize(
    ("name", "content", "column", "words"),
    [
        ("a.txt", "", None, ["holds no text"]),
        ("a.txt", b"one\ntwo\nth\xffree\n", None, ["line 3", "0xff", "UTF-8"]),
        ("a.txt", "one\n".encode("utf-16"), None, ["line 1", "UTF-8"]),
        ("a.txt", "one", "text", ["no columns", "'text'"]),
        ("a.csv", "", None, ["'text' or 'raw_text'"]),
        ("a.csv", "review,stars\ngood,3\n", None, ["'text' or 'raw_text'", "review, stars", "--text-column"]),
        ("a.csv", "text,stars\ngood,3\n", "review", ["'review'", "text, stars"]),
        ("a.csv", "text,stars\n", None, ["no row"]),
        ("a.csv", "text,stars\ngood,3\nbad\n", None, ["line 3 has 1 columns", "2"]),
        ("a.csv", 'text\n"never closed\n', None, ["line 2", "damaged"]),
        ("a.csv", b"text\nok\nth\xe9 film\n", None, ["line 3", "UTF-8"]),
        ("a.json", "[]", None, [".txt", ".csv", ".tsv"]),
    ],
)
def test_what_is_refused(tmp_path, name, content, column, words):
    path = put(tmp_path, name, content)
    with pytest.raises(DataError) as caught:
        read_texts(path, column)
    assert "\n" not in str(caught.value)
    for word in (name, *words):
        assert word in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "folder.txt").mkdir()
    for name in ("absent.csv", "folder.txt"):
        with pytest.raises(DataError, match="can't be read"):
            read_texts(tmp_path / name)
