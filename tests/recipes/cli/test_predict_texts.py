"""`plumkeras predict` of texts."""

import csv
import io
import json
import shutil

import numpy as np
import pytest

import plumkeras
from plumkeras.recipes.cli import main
from tests.testing.text_encoders import make_texts

TEXTS = ["a good film", "the plot was awful"]


def told(capsys, *arguments):
    """The lines of standard output and of standard error of a command that succeeds."""
    assert main(["predict", *map(str, arguments)]) == 0
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def refused(capsys, *arguments):
    assert main(["predict", *map(str, arguments)]) == 2
    captured = capsys.readouterr()
    assert not captured.out and len(captured.err.splitlines()) == 1
    return captured.err


def test_the_score_comes_first(text_run, capsys):
    out, err = told(capsys, text_run, "--text", *TEXTS)
    expected = plumkeras.load_run(text_run).predict(TEXTS)["prediction"]
    for line, text, score in zip(out, TEXTS, expected, strict=False):
        assert line == f"{round(float(score), 1) + 0.0:+.1f}  {text}"
    assert out[2:] == ["Scale: -3 to 3, positive is good. A score says nothing of how certain it is."]
    assert len(err) == 1 and "no audio, which the network reads: missing for every sample" in err[0]


def test_a_csv_file_as_of_data(text_run, tmp_path, capsys):
    table, out = tmp_path / "in.csv", tmp_path / "out.csv"
    table.write_text("id,review\nx,a good film\ny,=awful\n")
    lines, _ = told(capsys, text_run, "--text-file", table, "--text-column", "review", "--output", out)
    assert lines == [f"{out}: predictions of 2 texts"]
    rows = list(csv.DictReader(out.open(newline="")))
    assert [(row["id"], row["text"]) for row in rows] == [("x", "a good film"), ("y", "'=awful")]
    expected = plumkeras.load_run(text_run).predict(["a good film", "=awful"])["prediction"]
    np.testing.assert_allclose([float(row["prediction"]) for row in rows], expected, atol=1e-5)
    assert rows[0]["audio_hard_label"] == "-1" and "text_soft_label_positive" in rows[0]
    assert "--overwrite" in refused(capsys, text_run, "--text", "good", "--output", out)


def test_of_many_texts_the_first_are_shown(text_run, tmp_path, capsys):
    path = tmp_path / "many.txt"
    path.write_text("\n".join(make_texts(45)[0]))
    out, _ = told(capsys, text_run, "--text-file", path)
    assert len(out) == 22 and out[20] == "... and 25 more: --output FILE.csv writes all"


def test_standard_input_and_empty_lines(text_run, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"good\n\n bad\x1b[31m \n")))
    out, err = told(capsys, text_run, "--text", "-")
    assert out[1].split() == ["-", "(empty)"] and out[2].endswith(r"bad\x1b[31m")
    assert "1 of 3 texts are empty (line 2): their predictions say nothing" in err[-1]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"ok\nb\xffd\n")))
    assert "standard input: line 2 is not UTF-8" in refused(capsys, text_run, "--text", "-")
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"")))
    assert "standard input holds no text" in refused(capsys, text_run, "--text", "-")


def test_other_scales(text_run, tmp_path, capsys):
    run = tmp_path / "run"
    shutil.copytree(text_run, run)
    described = json.loads((run / "config.json").read_text())
    described["data"]["label_range"] = [1.0, 5.0]
    (run / "config.json").write_text(json.dumps(described))
    out, _ = told(capsys, run, "--text", "good")
    assert out[-1].startswith("Scale: 1 to 5. ") and not out[0].startswith("+")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--text", "good", "--data", "x.npz"], "--text and --data do not go together"),
        (["--text", "good", "--text-file", "x.txt"], "--text and --text-file do not go together"),
        (["--text", "good", "--split", "test"], "--split is about --data"),
        (["--text", "good", "--text-column", "a"], "--text-column names a column of --text-file"),
        (["--text-column", "a"], "--text-file"),
        (["--text"], "--text needs a text"),
        (["--text", ""], "the text is empty"),
        (["--text-file", "absent.csv"], "absent.csv: can't be read"),
        ([], "--output FILE.csv is needed"),
    ],
)
def test_what_does_not_go(text_run, arguments, words, capsys):
    assert words in refused(capsys, text_run, *arguments)


def test_a_run_is_not_taken_for_a_text(text_run, tiny_run, capsys):
    assert "name it in front of --text" in refused(capsys, "--text", "good", text_run)
    assert "reads feature vectors of text" in refused(capsys, tiny_run, "--text", "good")
    assert "name a run, or texts" in refused(capsys, "--output", "x.csv")


def test_words_of_classes_and_labels():
    from plumkeras.tasks import get_task

    assert get_task("regression").prediction_words(np.array([1.84, -0.04, -3.01]), []) == ["+1.8", "+0.0", "-3.0"]
    assert get_task("regression").prediction_words(np.array([-0.126]), [], (-1, 1)) == ["-0.13"]
    probabilities = np.array([[0.2, 0.8], [0.9, 0.1]])
    assert get_task("classification").prediction_words(probabilities, ["no", "yes"]) == ["yes 0.80", "no 0.90"]
    sets = np.array([[0.7, 0.8], [0.1, 0.2]])
    assert get_task("multilabel").prediction_words(sets, ["joy", "fear"]) == ["joy 0.70, fear 0.80", "none"]


def test_a_text_longer_than_the_name_of_a_file_is_no_run(monkeypatch, text_run, capsys):
    monkeypatch.setattr("plumkeras.recipes.pretrained.pretrained_folder", lambda: text_run)
    text = "good film " * 60
    assert told(capsys, "--text", text)[0][0].endswith(" ...")
