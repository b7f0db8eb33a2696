"""An experiment from its command to its page, on networks that are compiled in no time."""

import csv
import json
import re
import shutil
import signal
import subprocess
import sys
import time

import pytest

from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import ConfigError, with_values
from plumkeras.recipes.experiments import EXPERIMENTS, find_experiment, running
from plumkeras.recipes.experiments.running import experiment
from plumkeras.recipes.runs.run_directory import METRICS

FIELDS = ["--model=late_fusion", "--training.epochs=2", "--network.hidden-dim=8"]
FIELDS += ["--synthetic.train=64", "--synthetic.valid=32", "--synthetic.test=32"]
LINE = [
    "experiment",
    "comparison",
    "synthetic",
    "--models",
    "early_fusion",
    "--trials=1",
    "--seeds",
    "0",
    "1",
    "--jobs=1",
]


def files(directory):
    """The bytes of every file but those of times, by path below the directory."""
    found = {p.relative_to(directory): p.read_bytes() for p in directory.rglob("*") if p.is_file()}
    times = ("times.", "timings.json", "events.out", ".lock", "report.html", "page.md", "results.json")
    return {path: value for path, value in found.items() if not path.name.startswith(times)}


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    directory = tmp_path_factory.mktemp("experiment") / "all"
    assert main([*LINE, *FIELDS, "--output", str(directory)]) == 0
    return directory


def test_every_row_seed_and_reference_is_there(directory):
    results = json.loads((directory / "results.json").read_text())
    table = next(table for table in results["tables"] if table["name"] == "comparison")
    rows = ["late fusion", "early fusion", "constant", "ridge on mean vectors", "ridge on mean text vectors"]
    assert [row[0] for row in table["rows"]] == rows
    assert [row[1] for row in table["rows"]] == ["2", "2", "-", "-", "-"]
    # Each finding says who is the best row and whether the difference is shown.
    ends = re.compile(r"late fusion has .*best row.*\[[+-].*\]: (a difference|no difference is shown)\)\.")
    assert len(results["findings"]) == 2 and all(ends.search(finding) for finding in results["findings"])
    for row in ("late_fusion", "early_fusion"):
        assert (directory / row / "seed_1" / "network.keras").is_file()
    mean = json.loads((directory / "late_fusion" / METRICS).read_text())["test"]["mae"]
    with (directory / "comparison.csv").open(newline="") as file:
        header, first, *_ = csv.reader(file)
    assert float(first[header.index("MAE")]) == mean


def test_tables_say_samples_seeds_selection_conventions_and_hardware(directory):
    page = (directory / "page.md").read_text()
    for said in ("n = 32", "the seeds 0 1", "chosen on valid", "cut at &gt;= 0", "CPU cores", "paired bootstrap"):
        assert said in page, said
    assert "plumkeras experiment comparison synthetic" in page
    for ending in (".csv", ".md", ".tex"):
        assert (directory / f"comparison{ending}").is_file() and (directory / f"times{ending}").is_file()
    assert "\\toprule" in (directory / "comparison.tex").read_text()
    assert (directory / "comparison.svg").read_text().count("<svg") == 1 and (directory / "comparison.png").is_file()


def test_running_it_again_changes_nothing(directory, capsys):
    before = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    assert main([*LINE, *FIELDS, "--output", str(directory)]) == 0
    after = {path: path.stat().st_mtime_ns for path in directory.rglob("*") if path.is_file()}
    changed = {path.name for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed <= {".lock"} and "One protocol for all" in capsys.readouterr().out


def test_what_was_lost_is_trained_again_to_the_same_tables(directory):
    before = files(directory)
    shutil.rmtree(directory / "early_fusion" / "seed_1")
    (directory / "early_fusion" / METRICS).unlink()
    assert main([*LINE, *FIELDS, "--output", str(directory)]) == 0
    after = files(directory)
    # The run's identity is a new one, and so is what is packed with a date.
    differ = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert {path.name for path in differ} <= {"config.json", "network.keras", "checkpoint.npz"}


@pytest.mark.verify
def test_killed_at_any_moment_the_same_command_makes_the_same_tables(directory, tmp_path):
    line = [sys.executable, "-m", "plumkeras", *LINE, *FIELDS, "--output", str(tmp_path / "all")]
    for seconds in (8, 12, 16):
        process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    expected, found = files(directory), files(tmp_path / "all")
    for path in expected:
        if path.suffix in (".csv", ".md", ".tex") or path.name == METRICS:
            assert found[path] == expected[path], path


def test_another_experiment_is_not_overwritten(directory, capsys):
    before = files(directory)
    others = [
        ["experiment", "labels", "synthetic", *FIELDS[3:], "--output", str(directory)],
        [*LINE, *FIELDS, "--batch-size=16", "--output", str(directory)],
        ["train", "synthetic", "--overwrite", "--output", str(directory)],
        ["train", "synthetic", "--seeds", "0", "--overwrite", "--output", str(directory)],
    ]
    for words in others:
        assert main(words) == 2, words
        assert "choose another" in " ".join(capsys.readouterr().err.split())
    assert files(directory) == before


def test_what_is_refused_costs_nothing(directory, tmp_path, capsys):
    before = files(directory) | {"results": (directory / "results.json").read_bytes()}
    refused = [
        (["experiment", "embeddings", "synthetic", "--network.modules", "msa", "--overwrite"], "has none"),
        ([*LINE, *FIELDS, "--models", "late"], "model must be one of"),
        ([*LINE, *FIELDS, "--trials=2"], "--trials is 1 there, and now it is 2"),
        ([*LINE, *FIELDS, "--settings", str(tmp_path)], "holds no comparison"),
    ]
    for words, said in refused:
        assert main([*words, "--output", str(directory)]) == 2, words
        assert said in " ".join(capsys.readouterr().err.split())
        assert files(directory) | {"results": (directory / "results.json").read_bytes()} == before
    assert main([*refused[0][0], "--output", str(tmp_path / "new")]) == 2
    assert not (tmp_path / "new" / "experiment.json").exists()


def test_overwriting_forgets_what_the_earlier_one_found_out(tmp_path):
    """Settings, searches, references and what was measured would pass for those of the new one."""
    files = ["settings.json", "results.json", "searches/plum_net/trials.json", "searches/plum_net/search.json"]
    files += [
        "conditions/plain_seed_0.json",
        "ridge/reference.json",
        "ridge/metrics.json",
        "ridge/predictions_test.csv",
    ]
    files += ["comparison.csv", "comparison.svg", "comparison.png", "page.md"]
    for name in (*files, "mine.txt", "ridge/mine.txt", "experiment.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    described = {"tables": [{"name": "comparison"}], "pictures": [{"file": "comparison.svg"}]}
    (tmp_path / "results.json").write_text(json.dumps(described))
    running._clear(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"mine.txt", "ridge/mine.txt", "experiment.json"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["experiment"], "experiment needs a name"),
        (["experiment", "ablations", "synthetic"], "did you mean 'ablation'"),
        (["experiment", "ablation", "synthetic", *FIELDS], "ablation is of PLUM-Net"),
        (["experiment", "ablation", "synthetic", "--trials=3"], "--trials is no option of ablation"),
        (["experiment", "alignment", "synthetic", "--stage1-epochs=0"], "--stage1-epochs must be at least 1"),
        (["experiment", "alignment", "synthetic", "--modalities", "text"], "compares modalities"),
        (["experiment", "embeddings", "synthetic", "--network.modules", "msa"], "has none"),
        (["experiment", "labels", "synthetic", "--seeds", "1", "1"], "each once"),
        (["experiment", "labels", "synthetic", "--seed=1"], "--seed is no option of an experiment: it has seeds"),
        (["experiment", "labels", "synthetic", "--devices", "2"], "--devices is no option of an experiment"),
        (["experiment", "comparison", "synthetic", "--models", "late"], "model must be one of"),
        (["experiment", "comparison", "synthetic", "--settings", "nowhere"], "holds no comparison"),
    ],
)
def test_what_cannot_be_run_is_one_line(tmp_path, capsys, words, said):
    output = [] if words == ["experiment"] else ["--output", str(tmp_path / "out")]
    assert main([*words, *output]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.rglob("*.keras"))


def test_every_experiment_has_what_it_takes():
    for name in EXPERIMENTS:
        module = find_experiment(name)
        assert module.SEEDS and isinstance(module.OPTIONS, tuple) and module.make_rows and module.make_results


def test_python_needs_a_directory_to_go_on_in():
    with pytest.raises(ConfigError, match="needs an output directory"):
        experiment("ablation", "synthetic")


def test_rows_of_the_ablation_are_the_recipe_but_for_their_choice():
    from types import SimpleNamespace

    from plumkeras.recipes.experiments import ablation

    recipe = find_recipe("synthetic")
    setup = SimpleNamespace(config=recipe, seeds=(4, 5), options=SimpleNamespace(rows="all"))
    rows = ablation.make_rows(setup)
    assert [rows[name].config.network.modules for name in ablation.TABLE3] == [
        modules for _, modules in ablation.TABLE3.values()
    ]
    assert rows["msa_psl_tfb_prm"].config == recipe
    # What the recipe has already is no row of its own.
    assert not {"target_hard", "prototypes_epoch", "common_shared", "stage2_total"} & rows.keys()
    assert rows["without_psl"].config == with_values(
        recipe, {"objective.private_target": "class", "prototype_policy": "none"}
    )
    assert rows["without_psl"].seeds == (4,) and rows["none"].seeds is None
