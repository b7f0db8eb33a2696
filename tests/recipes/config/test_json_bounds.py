"""JSON that is nested without end, or holds numbers of thousands of digits, is one line wherever it is read."""

import json
import shutil

import pytest

from plumkeras import json_text
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError, read_json
from plumkeras.recipes.config.values import from_dict
from plumkeras.recipes.runs import run_directory

DEEP = {"beyond the stack": 100_000, "within the stack": 900, "one too deep": json_text.MAX_DEPTH + 1}


def nested(depth, inner="1"):
    return '{"a":' * depth + inner + "}" * depth


@pytest.mark.parametrize("depth", DEEP.values(), ids=DEEP)
@pytest.mark.parametrize("option", ["--config", "--space"])
def test_nested_on_the_line(tmp_path, capsys, option, depth):
    path = tmp_path / "nested.json"
    path.write_text(nested(depth))
    recipe = [] if option == "--config" else ["synthetic"]
    assert main(["tune", *recipe, option, str(path), "--output", str(tmp_path / "search")]) == 2
    said = capsys.readouterr().err.strip()
    assert said == f"plumkeras: error: {path}: not valid JSON: nested more than 100 deep"


@pytest.mark.parametrize("name", [run_directory.CONFIG, run_directory.FINGERPRINT])
@pytest.mark.parametrize("depth", DEEP.values(), ids=DEEP)
def test_nested_in_a_run(tiny_run, tmp_path, capsys, name, depth):
    run = tmp_path / "run"
    shutil.copytree(tiny_run, run)
    (run / name).write_text(nested(depth))
    assert main(["predict", str(run), "--output", str(tmp_path / "out.csv")]) == 2
    said = capsys.readouterr().err.strip()
    assert f"error: {run / name}: not valid JSON: nested more than 100 deep" in said and len(said.splitlines()) == 1


@pytest.mark.parametrize("value", [2**63, 10**400, -(10**400), "9" * 5000])
def test_huge_integers(tmp_path, value):
    path = tmp_path / "config.json"
    path.write_text(f'{{"name": "x", "refinement": {{"epochs": {value}}}}}')
    with pytest.raises(ConfigError, match=r"config\.json: not valid JSON: an integer of \d+ digits"):
        read_json(path)


@pytest.mark.parametrize("value", ["9" * 400, "-" + "9" * 400])
def test_huge_integers_on_the_line(tmp_path, capsys, value):
    assert main(["train", "synthetic", "--output", str(tmp_path / "run"), f"--seed={value}"]) == 2
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and "seed must be in" in said
    assert not (tmp_path / "run").exists()


def test_an_integer_that_python_does_not_read_is_told_by_tyro(tmp_path, capsys):
    assert main(["train", "synthetic", "--output", str(tmp_path / "run"), f"--seed={'9' * 5000}"]) == 2
    said = capsys.readouterr().err
    assert "--seed" in said and "Traceback" not in said and not (tmp_path / "run").exists()


def test_what_is_read():
    deep = nested(json_text.MAX_DEPTH)
    assert json_text.parse(deep) == json.loads(deep)
    assert json_text.parse(b"null") is None and json_text.parse("[9223372036854775807, -9223372036854775808]")
    with pytest.raises(ValueError, match="nested"):
        json_text.parse("[" * 101 + "]" * 101)


@pytest.mark.parametrize("value", ["Balanced", ["a"]])
def test_a_field_of_several_types_names_them_all(value):
    with pytest.raises(ConfigError, match=r"class_weight must be 'none' or 'balanced' or a list of floats\. Received"):
        from_dict({"name": "x", "class_weight": value}, "config.json")
