"""A file appears whole or not at all."""

import json

import pytest

from plumkeras import files


@pytest.mark.parametrize("name", ["metrics.json", "network.keras"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(name, tmp_path):
    path = tmp_path / name
    for content in ("first", "second"):
        with files.replacing(path) as partial:
            partial.write_text(content)
            assert partial.parent == tmp_path and partial.suffix == (".keras" if name.endswith("keras") else ".partial")
        assert path.read_text() == content
    for error in (RuntimeError, KeyboardInterrupt):
        with pytest.raises(error), files.replacing(path) as partial:
            partial.write_text("half")
            raise error
    assert path.read_text() == "second" and list(tmp_path.iterdir()) == [path]


def test_json_and_csv(tmp_path):
    files.write_json(tmp_path / "a.json", {"a": [1, None]})
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, None]}
    files.write_csv(tmp_path / "a.csv", [["id", "text"], ["1", 'said "so", \ud800']])
    assert (tmp_path / "a.csv").read_bytes() == b'id,text\r\n1,"said ""so"", \\ud800"\r\n'
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "a.json"]


def test_values_that_json_lacks_leave_the_old_file(tmp_path):
    files.write_json(tmp_path / "a.json", 1)
    with pytest.raises(TypeError):
        files.write_json(tmp_path / "a.json", {"a": object()})
    assert (tmp_path / "a.json").read_text() == "1\n" and len(list(tmp_path.iterdir())) == 1
