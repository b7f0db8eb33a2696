"""The report of a run, of folds, of seeds and of an experiment: what it says, what it leaves out, what it refuses."""

import csv
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from plumkeras.files import write_json
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError
from plumkeras.recipes.report import ReportWarning, calibration, disagreement, report_or_warn, write_report
from plumkeras.recipes.runs import resuming, run_directory
from plumkeras.recipes.runs.run_directory import read_config
from tests.testing import report_directories as made

NAMES = ["no sarcasm", "sarcasm", "<b>irony</b>"]


class Page(HTMLParser):
    """What a browser would read of a page: its elements by kind, and the text of each section."""

    def __init__(self, path):
        super().__init__()
        self.source = path.read_text(encoding="utf-8")
        self.elements, self.texts, self._section = [], {"": ""}, ""
        self.feed(self.source)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag == "section":
            self._section = dict(attrs)["id"]
            self.texts[self._section] = ""

    def handle_data(self, data):
        self.texts[self._section] += f"{data} "

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self, section):
        return " ".join(self.texts[section].split())

    @property
    def left_out(self):
        return {name: text for name, text in self.texts.items() if "Left out:" in text}


def report(directory):
    return Page(write_report(directory))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Directories by task. Tests must not change them."""
    folder = tmp_path_factory.mktemp("runs")
    made.write_run(folder / "regression")
    made.write_run(folder / "classification", "classification", NAMES)
    made.write_run(folder / "multilabel", "multilabel", ["happy", "sad"])
    return folder


@pytest.fixture
def run(runs, tmp_path):
    """A copy of a run of regression, to be changed."""
    return shutil.copytree(runs / "regression", tmp_path / "run", ignore=shutil.ignore_patterns("report.html"))


@pytest.mark.parametrize("task", ["regression", "classification", "multilabel"])
def test_the_page_of_a_run_has_every_section_and_loads_nothing(runs, task):
    page = report(runs / task)
    assert not page.left_out
    sections = ["facts", "metrics", "curves", "predictions", "calibration", "disagreement"]
    assert list(page.texts) == ["", *sections, "configuration", "versions", "reproduce"]
    metrics = json.loads((runs / task / "metrics.json").read_text())
    first = f"{metrics['test']['mae']:.3f}" if task == "regression" else f"{100 * metrics['test']['accuracy']:.1f}"
    assert first in page.text("metrics")
    assert "test, baseline" in page.text("metrics") and "90" in page.text("metrics")
    # One script, ours; no address but those inside the page.
    assert len(page.all("script")) == 1 and not page.all("link") and not page.all("iframe") and not page.all("img")
    links = [attributes.get(name, "") for _, attributes in page.elements for name in ("href", "src")]
    assert all(link.startswith("#") for link in links if link)
    (policy,) = (meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy and "unsafe-inline" not in policy.partition("script-src")[2]
    identifiers = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    assert all(svg["aria-label"] for svg in page.all("svg")) and page.all("svg")


def test_a_page_depends_on_the_files_alone(runs, tmp_path):
    first, again = (write_report(runs / "regression", tmp_path / name).read_bytes() for name in ("a.html", "b.html"))
    assert first == again


def test_facts_configuration_and_how_to_reproduce(run):
    values = json.loads((run / "config.json").read_text())
    values["recipe"]["network"]["dropout"] = 0.25
    write_json(run / "config.json", values)
    page = report(run)
    assert "Kept epoch 4 of 6" in page.text("facts") and "126,206" in page.text("facts")
    assert "train 60, valid 30, test 90" in page.text("facts") and "Training time 2 min" in page.text("facts")
    # What differs, and nothing else, stands before the whole of it.
    shown = page.text("configuration").partition("The whole configuration")[0]
    assert "network.dropout 0.1 0.25" in shown and "network.hidden_dim" not in shown
    assert "plumkeras train synthetic --output 'a run; echo $HOME'" in page.text("reproduce")
    assert "--config config.json" in page.text("reproduce") and "ab" * 32 in page.text("reproduce")
    assert "keras 3.15.1" in page.text("versions")


def test_curves_have_every_term(run):
    page = report(run)
    figures = [svg["aria-label"] for svg in page.all("svg")]
    for term in ("prediction loss", "inter loss", "common loss", "label entropy"):
        assert f"{term} by epoch" in figures
    # A line for each modality, training and validation.
    source = page.source.partition('aria-label="common loss by epoch"')[2].partition("</svg>")[0]
    assert len(re.findall("<path [^>]*clip-path=[^>]*fill: none; [^>]*stroke-width: 1.3", source)) == 6


def test_texts_of_files_are_shown_and_not_obeyed(runs):
    for task in ("regression", "classification"):
        page = report(runs / task)
        for escaped in (
            "&lt;script&gt;document.title",
            "&lt;img src=x onerror=",
            "&lt;/td&gt;&lt;/table&gt;&lt;style&gt;",
            "{{ 7 * 7 }} {% raw %} &amp;amp;",
            "\\u202egnihtyna\\u202c \\x1b[31m \\x00 \u05e9\u05dc\u05d5\u05dd",
        ):
            assert escaped in page.source
        assert "\u202e" not in page.source and "\x1b" not in page.source and "<script>document" not in page.source
        # The apostrophe is the csv file's, against spreadsheets.
        assert ">=HYPERLINK(" in page.source
    # Names of classes too.
    assert "<b>irony" not in page.source and "&lt;b&gt;irony&lt;/b&gt;" in page.source


def test_samples_that_disagree_most_come_first_and_a_missing_modality_is_said(runs):
    page = report(runs / "regression")
    with open(runs / "regression" / "predictions_test.csv", newline="", encoding="utf-8") as file:
        rows = {row["id"]: row for row in csv.DictReader(file)}
    names = ("negative", "neutral", "positive")

    def apart(row):
        soft = {
            m: np.array([float(row[f"{m}_soft_label_{name}"]) for name in names])
            for m in made.MODALITIES
            if row[f"{m}_hard_label"] != "-1"
        }
        pairs = [(a, b) for a in soft for b in soft if a < b]
        return np.mean([np.abs(soft[a] - soft[b]).sum() / 2 for a, b in pairs])

    def differs(row):
        return len({row[f"{m}_hard_label"] for m in made.MODALITIES} - {"-1"}) > 1

    expected = sorted(rows, key=lambda name: (not differs(rows[name]), -apart(rows[name])))
    shown = re.findall(r'<td data-title="id"[^>]*>([^<]*)</td>', page.source)
    assert shown == expected
    marked = re.findall(r'<tr( data-differs)?><td data-title="id"', page.source)
    assert [bool(mark) for mark in marked] == [differs(rows[name]) for name in expected]
    assert f"In {sum(map(differs, rows.values()))} of 90 samples" in page.text("disagreement")
    row = page.source.partition(">video_3<")[2].partition("</tr>")[0]
    assert re.search(r'data-title="audio says" data-key=""[^>]*>missing<', row)


def test_many_samples_and_long_texts_are_cut_and_that_is_said(run, monkeypatch):
    monkeypatch.setattr(disagreement, "MAX_SAMPLES", 20)
    page = report(run)
    assert len(re.findall('<td data-title="id"', page.source)) == 20
    assert "Of 90 samples, the 20 that disagree most are listed" in page.text("disagreement")
    assert "Texts are cut at 1000 characters" in page.text("disagreement")
    monkeypatch.undo()
    assert ">" + "word" * 250 + "…<" in report(run).source


def test_calibration_error_of_probabilities():
    bins = calibration.probability_bins([0.95, 0.95, 0.05, 1.0, 0.55, 0.55], [True, False, False, True, True, True])
    assert bins.count.tolist() == [1, 2, 3] and bins.low.tolist() == [0, 0.5, 0.9]
    np.testing.assert_allclose(bins.predicted, [0.05, 0.55, 2.9 / 3])
    np.testing.assert_allclose(bins.true, [0, 1, 2 / 3])
    assert bins.error == pytest.approx((0.05 + 2 * 0.45 + 3 * 0.3) / 6)


def test_intervals_of_mean_labels():
    rng = np.random.default_rng(0)
    predicted, labels = rng.normal(size=57), rng.normal(size=57)
    bins = calibration.value_bins(predicted, labels)
    assert bins.count.tolist() == [12, 12, 11, 11, 11] and (bins.high[:-1] <= bins.low[1:]).all()
    last = np.argsort(predicted)[-11:]
    assert bins.true[-1] == pytest.approx(labels[last].mean())
    assert bins.interval[-1] == pytest.approx(1.96 * labels[last].std(ddof=1) / np.sqrt(11))
    assert np.isnan(calibration.value_bins(predicted[:1], labels[:1]).interval[0])


@pytest.mark.parametrize(
    ("damage", "section", "told"),
    [
        (lambda run: (run / "predictions_test.csv").unlink(), "predictions", "predictions_test.csv is missing"),
        (lambda run: [p.unlink() for p in run.glob("*_history.csv")], "curves", "no history of a stage"),
        (lambda run: (run / "refinement_history.csv").write_text("epoch,loss\n1,x\n"), "curves", "damaged"),
        (lambda run: (run / "predictions_test.csv").write_text("id,label\na\n"), "calibration", "damaged"),
        (lambda run: _change(run, "versions", None), "versions", "no versions"),
        (lambda run: _change(run, "recipe", {"name": 3}), "configuration", "name"),
        (lambda run: _drop_columns(run, "_label"), "disagreement", "no labels per modality"),
        (lambda run: _drop_columns(run, "label"), "predictions", "no labels"),
    ],
)
def test_what_is_missing_or_damaged_is_left_out_and_said(run, damage, section, told):
    damage(run)
    page = report(run)
    assert told in page.left_out[section]
    assert "0." in page.text("metrics") and "metrics" not in page.left_out


def _change(run, field, value):
    write_json(run / "config.json", {**json.loads((run / "config.json").read_text()), field: value})


def _drop_columns(run, ending):
    path = run / "predictions_test.csv"
    with open(path, newline="", encoding="utf-8") as file:
        header, *rows = csv.reader(file)
    kept = [k for k, name in enumerate(header) if not name.endswith(ending)]
    made.write_rows(path, [[row[k] for k in kept] for row in (header, *rows)])


def test_a_run_of_the_first_version_has_a_page(run):
    """No baseline, kept epoch, times, probabilities of modalities or warnings; epochs counted from 0."""
    metrics = json.loads((run / "metrics.json").read_text())
    write_json(run / "metrics.json", {name: metrics[name] for name in ("valid", "test")})
    (run / "timings.json").unlink()
    values = json.loads((run / "config.json").read_text())
    for name in ("run_id", "warnings", "fold"):
        del values[name]
    write_json(run / "config.json", values)
    path = run / "refinement_history.csv"
    header, *rows = path.read_text().splitlines()
    path.write_text("\n".join([header, *(f"{k},{row.partition(',')[2]}" for k, row in enumerate(rows))]))
    for m in made.MODALITIES:
        for name in ("negative", "neutral", "positive"):
            _drop_columns(run, f"{m}_soft_label_{name}")
    page = report(run)
    assert not page.left_out
    assert "earlier version" in page.text("metrics")
    assert "share of pairs of modalities" in page.text("disagreement")


def test_an_unlabelled_test_split_is_shown_without_labels(run):
    metrics = json.loads((run / "metrics.json").read_text())
    write_json(run / "metrics.json", {**metrics, "test": None, "valid": None})
    _drop_columns(run, "label")
    page = report(run)
    assert set(page.left_out) >= {"metrics", "predictions", "calibration"}


def test_folds_are_pooled_and_named(tmp_path):
    made.write_folds(tmp_path / "folds")
    for fold in (0, 2):
        write_report(tmp_path / "folds" / f"fold_{fold}")
    page = report(tmp_path / "folds")
    assert not page.left_out
    assert "fold 0 fold 1 fold 2" in page.text("folds")
    links = [a["href"] for a in page.all("a") if "report" in a["href"]]
    assert links == ["./fold_0/report.html", "./fold_2/report.html"] and "fold_1 (none written)" in page.text("folds")
    assert "tested on 1, validated on 2" in report(tmp_path / "folds" / "fold_1").text("facts")


def test_seeds_have_mean_and_spread_and_links_from_wherever_the_page_is(tmp_path):
    made.write_seeds(tmp_path / "the seeds", seeds=(0, 1))
    metrics = json.loads((tmp_path / "the seeds" / "metrics.json").read_text())
    write_report(tmp_path / "the seeds" / "seed_1")
    page = report(tmp_path / "the seeds")
    assert not page.left_out
    mean, std = metrics["test"]["mae"], metrics["std"]["test"]["mae"]
    assert f"{mean:.3f} ± {std:.3f}" in page.text("metrics")
    assert f"MAE {metrics['seeds']['0']['test']['mae']:.3f}" in page.text("seeds")
    away = Page(write_report(tmp_path / "the seeds", tmp_path / "away.html"))
    assert [a["href"] for a in away.all("a") if "report" in a["href"]] == ["the%20seeds/seed_1/report.html"]


def test_an_experiment_shows_tables_pictures_and_findings(tmp_path):
    made.write_experiment(tmp_path / "experiment", "<svg xmlns='http://www.w3.org/2000/svg'><script>0</script></svg>")
    page = report(tmp_path / "experiment")
    assert not page.left_out and "0.257 ± 0.004" in page.text("tables") and "Stage 1 helps." in page.text("findings")
    # In an image a script is never run.
    assert page.all("img")[0]["src"].startswith("data:image/svg+xml;base64,") and len(page.all("script")) == 1
    results = json.loads((tmp_path / "experiment" / "results.json").read_text())
    (tmp_path / "secret.svg").write_text("<svg/>")
    results["pictures"][0]["file"] = "../secret.svg"
    write_json(tmp_path / "experiment" / "results.json", results)
    assert "pictures" in report(tmp_path / "experiment").left_out


@pytest.mark.parametrize(
    ("prepare", "told"),
    [
        (lambda run: shutil.rmtree(run), "there is no such directory"),
        (lambda run: (run / "config.json").unlink(), "holds no run"),
        (lambda run: (run / "config.json").write_text("{}"), "says nothing of a network"),
        (lambda run: (run / "metrics.json").unlink(), "resume it with plumkeras train --resume"),
        (lambda run: (run / "metrics.json").write_text("[1]"), "holds no metrics"),
        (lambda run: made.write_values(run / "search.json", {}), "holds a search"),
        (lambda run: made.write_values(run / "experiment.json", {}), "the same command continues it"),
    ],
)
def test_what_has_no_report_is_one_line(run, prepare, told, capsys):
    prepare(run)
    assert main(["report", str(run)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert told in line and str(run) in line
    assert not (run / "report.html").exists()
    with pytest.raises(ConfigError, match=re.escape(told)):
        write_report(run)


def test_the_command_writes_in_place_or_elsewhere(run, tmp_path, capsys, lock_holder):
    assert main(["report", str(run)]) == 0 and "report.html" in capsys.readouterr().out
    assert main(["report", str(run)]) == 0
    (tmp_path / "mine.html").write_text("mine")
    assert main(["report", str(run), "--output", str(tmp_path / "mine.html")]) == 2
    assert "--overwrite" in capsys.readouterr().err and (tmp_path / "mine.html").read_text() == "mine"
    assert main(["report", str(run), "--output", str(tmp_path / "page.txt")]) == 2
    assert "end its name in .html" in capsys.readouterr().err
    assert main(["report", str(run), "--output", str(tmp_path / "mine.html"), "--overwrite"]) == 0
    assert (tmp_path / "mine.html").read_text().startswith("<!DOCTYPE html>")
    lock_holder(run)
    assert main(["report", str(run)]) == 2 and "is writing here" in capsys.readouterr().err.splitlines()[-1]


def test_a_report_needs_no_backend(run):
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['keras', 'tensorflow', 'jax', 'torch', 'sklearn']))\n"
        "from plumkeras.recipes.report import write_report\n"
        f"write_report({str(run)!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert (run / "report.html").is_file()


def test_a_failing_report_costs_a_warning(run, monkeypatch):
    monkeypatch.setattr("plumkeras.recipes.report.writing.check_reportable", lambda directory: 1 / 0)
    with pytest.warns(ReportWarning, match="ZeroDivisionError.*plumkeras report"):
        report_or_warn(run)
    assert not (run / "report.html").exists()


def test_a_run_that_is_extended_or_replaced_has_no_stale_report(run):
    config = read_config(run / "config.json")
    write_report(run)
    (run / "checkpoint.npz").write_bytes(b"")
    values = json.loads((run / "config.json").read_text())
    values["recipe"]["refinement"]["epochs"] -= 1
    write_json(run / "config.json", values)
    resuming.raise_epochs(run, config)
    assert not (run / "report.html").exists() and not run_directory.is_finished(run)
    for name in ("report.html", "report.html.partial"):
        (run / name).write_text("")
    run_directory._clear(run)
    assert not list(run.glob("report.html*"))


def test_a_finished_training_has_its_report(tiny_run):
    page = Page(tiny_run / "report.html")
    assert not page.left_out and "synthetic" in page.text("facts")
