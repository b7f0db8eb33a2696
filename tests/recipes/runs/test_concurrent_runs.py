"""Two that write to one directory: one goes on, the other is told. And only what is ours is ever cleared away."""

import dataclasses
import json
import os
import shutil
import socket
import subprocess
import sys
import types

import keras
import numpy as np
import pytest

from plumkeras import locking
from plumkeras.data_pipelines import Dataset, make_synthetic
from plumkeras.recipes import ConfigError, find_recipe
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import TrainingError
from plumkeras.recipes.runs import fold_training, resuming, run_directory, stages, training
from plumkeras.recipes.runs.checkpoint import CheckpointFile, Position
from plumkeras.recipes.runs.output_checks import check_output, check_search_output
from plumkeras.recipes.search import tuning
from plumkeras.recipes.search.plan import SearchOptions, plan


@pytest.fixture
def busy(lock_holder):
    """Has another process write to a directory, and returns what is said of it."""

    def start(directory):
        process = lock_holder(directory)
        return f"{directory}: process {process.pid} on host {socket.gethostname()} is writing here"

    return start


@pytest.fixture
def run(tiny_run, tmp_path):
    """A copy of a finished run."""
    return shutil.copytree(tiny_run, tmp_path / "run")


@pytest.fixture
def dataset():
    return make_synthetic({"train": 8, "valid": 4, "test": 4})[0]


def tree(directory):
    return {str(p.relative_to(directory)): p.read_bytes() for p in sorted(directory.rglob("*")) if p.is_file()}


def start_run(directory, dataset, **options):
    network = types.SimpleNamespace(feature_dims=dataset.feature_dims, task="regression", num_classes=3)
    run_directory.start(directory, find_recipe("synthetic"), dataset, network, **options)


@pytest.mark.parametrize("more", [[], ["--resume"], ["--overwrite"]])
@pytest.mark.parametrize("begun", [False, True])
def test_a_start_beside_a_run_is_told_who_runs(run, busy, tiny_options, capsys, begun, more):
    if not begun:  # The other one has not written anything yet.
        shutil.rmtree(run)
    told = busy(run)
    before = tree(run)
    assert main(["train", "synthetic", "--output", str(run), *tiny_options, *more]) == 2
    assert told in capsys.readouterr().err
    assert tree(run) == before


def test_a_run_keeps_others_out_from_beginning_to_end(tmp_path, dataset, monkeypatch):
    seen = []

    def look(*arguments, **options):
        with pytest.raises(ConfigError, match=f"process {os.getpid()} "):
            run_directory.check_unlocked(tmp_path / "run")
        seen.append(1)
        raise TrainingError("enough")

    monkeypatch.setattr(training, "Training", look)
    with pytest.raises(TrainingError, match="enough"):
        training.train_run(find_recipe("synthetic"), dataset, tmp_path / "run")
    assert seen and not (tmp_path / "run").exists()


def test_a_run_that_another_process_finished_meanwhile_is_not_cleared_away(run, dataset, busy):
    before = tree(run)
    with pytest.raises(ConfigError, match="already holds a run"):
        training.train_run(find_recipe("synthetic"), dataset, run, overwrite=False)
    told = busy(run)
    for resume in (False, True):
        with pytest.raises(ConfigError, match=told):
            training.train_run(find_recipe("synthetic"), dataset, run, resume=resume)
    (run / locking.NAME).unlink()
    assert tree(run) == before


def test_a_cross_validation_keeps_others_out_of_itself_and_its_folds(tmp_path, busy, monkeypatch):
    split = make_synthetic({"train": 12}, feature_dims={"text": 4})[0]["train"]
    split = split.__class__(**{**vars(split), "folds": np.arange(12) % 3})
    dataset, recipe = Dataset({"all": split}), find_recipe("mosi_frozen")
    told = busy(tmp_path / "run")
    with pytest.raises(ConfigError, match=told):
        fold_training.cross_validate(recipe, dataset, tmp_path / "run", verbose=0)
    told = busy(tmp_path / "other" / "fold_1")
    monkeypatch.setattr(training, "_train", lambda *arguments: {})
    monkeypatch.setattr(training.predictions, "baseline_report", lambda *arguments: {})
    with pytest.raises(ConfigError, match=told):
        fold_training.cross_validate(recipe, dataset, tmp_path / "other", verbose=0)


def test_a_search_keeps_others_out(tmp_path, dataset, busy, capsys):
    search = plan(find_recipe("synthetic"), dataset, SearchOptions(trials=2))
    told = busy(tmp_path / "search")
    for resume in (False, True):
        with pytest.raises(ConfigError, match=told):
            tuning.tune(search, tmp_path / "search", resume=resume)
    assert main(["tune", "synthetic", "--output", str(tmp_path / "search"), "--resume"]) == 2
    assert told in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "search").iterdir()] == [locking.NAME]


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="an export needs TensorFlow")
def test_an_export_keeps_others_out_and_clears_what_a_killed_one_left(tiny_run, tmp_path, busy, capsys, monkeypatch):
    from plumkeras import export

    directory = tmp_path / "served"
    ours, theirs = directory / "1.abcdefgh.partial", directory / "notes.partial"
    for path in (ours, theirs):
        path.mkdir(parents=True)
        (path / "saved_model.pb").write_text("half")
    process_told = busy(directory)
    assert main(["export", str(tiny_run), str(directory)]) == 2
    assert process_told in capsys.readouterr().err and ours.exists()
    (directory / locking.NAME).unlink()
    with export.new_version(directory) as (partial, _):
        (partial / "saved_model.pb").write_text("whole")
    assert sorted(path.name for path in directory.iterdir()) == ["1", "notes.partial"]


def test_a_checkpoint_of_another_run_is_refused(tmp_path, dataset):
    start_run(tmp_path / "a", dataset)
    start_run(tmp_path / "b", dataset)
    ids = [run_directory.run_id(tmp_path / name) for name in "ab"]
    assert len(set(ids)) == 2 and None not in ids
    position = Position("refinement", 1, False, {"refinement": {}}, {}, {"variables": {"a/bias": np.zeros(3)}})
    CheckpointFile(tmp_path / "a").write(position)
    assert CheckpointFile(tmp_path / "a").read().epochs == 1
    shutil.copy(tmp_path / "a" / "checkpoint.npz", tmp_path / "b")
    with pytest.raises(TrainingError, match=r"b/checkpoint\.npz: is the checkpoint of another run than config\.json"):
        CheckpointFile(tmp_path / "b").read()


def test_a_run_of_version_0_1_0_has_no_id_and_goes_on(tmp_path, dataset):
    start_run(tmp_path, dataset)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    del values["run_id"], values["fold"]
    path.write_text(json.dumps(values))
    arrays = {
        "facts": {"stage": "alignment", "epochs": 2, "stopped": False, "histories": {}, "facts": {}, "arrays": {}}
    }
    np.savez(
        tmp_path / "checkpoint.npz", **{k: np.frombuffer(json.dumps(v).encode(), "uint8") for k, v in arrays.items()}
    )
    assert CheckpointFile(tmp_path).read().epochs == 2
    CheckpointFile(tmp_path).write(CheckpointFile(tmp_path).read())
    assert CheckpointFile(tmp_path).read().epochs == 2


def test_a_finished_run_is_rid_of_what_a_kill_left(run, tiny_options, capsys):
    before = tree(run)
    (run / "metrics.json.partial").write_bytes(b"{")
    (run / "partial.network.keras").write_bytes(b"half")
    assert main(["train", "synthetic", "--output", str(run), *tiny_options, "--resume"]) == 0
    assert "this run is finished" in capsys.readouterr().out
    assert tree(run) == before


@pytest.mark.parametrize(
    ("schedule", "stopped_early", "is_kept"),
    [("constant", False, True), ("constant", True, False), ("cosine", False, False)],
)
def test_a_finished_run_keeps_a_checkpoint_that_more_epochs_can_follow(tmp_path, schedule, stopped_early, is_kept):
    (tmp_path / "checkpoint.npz").write_bytes(b"of the run")
    recipe = find_recipe("synthetic")
    recipe = dataclasses.replace(recipe, refinement=dataclasses.replace(recipe.refinement, schedule=schedule))
    training._clear_checkpoint(tmp_path, recipe, stopped_early)
    assert (tmp_path / "checkpoint.npz").exists() == is_kept


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("metrics.json", text) for text in ("[]", "{", '{"test": 3}', '{"test": {"mae": "<b>"}}', '"x"', "\udcff")),
        *(("config.json", text) for text in ("[]", "{", '{"recipe": 1}', '{"data": 3}')),
    ],
)
def test_a_damaged_file_of_a_run_is_one_line(run, tmp_path, capsys, name, text):
    """Told before a backend starts."""
    (run / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    commands = [["export", str(run), str(tmp_path / "served")]]
    commands += [["evaluate", str(run)]] if name == "config.json" else []
    for command in commands:
        assert main(command) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1 and name in lines[0]
    if name == "metrics.json":
        with pytest.raises(ConfigError, match=r"metrics\.json"):
            run_directory.read_metrics(run / name)


@pytest.mark.parametrize("data", [3, {"path": 3}, {"label_range": ["a", "b"]}, {"samples": 3}])
def test_an_export_of_a_damaged_configuration_is_one_line(run, tmp_path, capsys, data):
    path = run / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "data": data}))
    assert main(["export", str(run), str(tmp_path / "served")]) == 2
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and "config.json: says nothing of the data" in lines[0]


def test_other_versions_are_said_when_a_run_goes_on(tmp_path, dataset, capsys):
    start_run(tmp_path, dataset)
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    resuming.warn_of_other_versions(path)  # Nothing: they are the same.
    now = values["versions"]["keras"]
    other = {"tensorflow": "torch", "jax": "torch", "torch": "jax"}[values["backend"]]
    # Another backend's version does not matter.
    values["versions"] |= {"keras": "3.0.1", other: "0.0.1"}
    path.write_text(json.dumps(values))
    told = f"is resumed with other packages than it was begun with: keras was 3.0.1 and is {now}; the result"
    with pytest.warns(resuming.ResumeWarning, match=told):
        resuming.warn_of_other_versions(path)


def test_a_run_that_goes_on_says_so_on_the_command_line(tmp_path, tiny_options, capsys, monkeypatch):
    def stop(*arguments):
        raise TrainingError("enough")

    command = ["train", "synthetic", "--output", str(tmp_path / "run"), *tiny_options]
    monkeypatch.setattr(stages.Training, "fit", stop)
    assert main(command) == 2
    path = tmp_path / "run" / "config.json"
    values = json.loads(path.read_text())
    values["versions"]["numpy"] = "1.0"
    path.write_text(json.dumps(values))
    capsys.readouterr()
    assert main([*command, "--resume"]) == 2
    warned, refused = capsys.readouterr().err.strip().splitlines()
    assert warned.startswith("plumkeras: warning: ") and "numpy was 1.0 and is " in warned
    assert refused == "plumkeras: error: enough"


def test_overwriting_clears_folds_and_logs_of_ours_alone(tmp_path, dataset):
    start_run(tmp_path, dataset)
    start_run(tmp_path / "fold_0", dataset)
    start_run(tmp_path / "fold_1", dataset)
    start_run(tmp_path / "elsewhere", dataset)
    (tmp_path / "fold_3").symlink_to(tmp_path / "elsewhere")
    for name in ("fold_0/metrics.json", "fold_0/logs/refinement/train/events.out.tfevents.1.host"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("of the run before")
    kept = [
        "fold_1/thesis.tex",
        "fold_2/thesis.tex",
        "fold_mine/config.json",
        "logs/server.log",
        "logs/refinement/notes.txt",
        "fold_4/config.json",
        "elsewhere/config.json",
    ]
    for name in kept:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if not (tmp_path / name).exists():
            (tmp_path / name).write_text("{}" if name.endswith(".json") else "precious")
    events = tmp_path / "logs" / "refinement" / "events.out.tfevents.1.host"
    events.write_text("of the run before")
    start_run(tmp_path, dataset)
    found = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file() and "fold_3" not in p.parts}
    assert found == {*kept, "config.json"}
    assert not (tmp_path / "fold_0").exists() and (tmp_path / "fold_3").is_symlink()


def test_a_fold_that_somebody_goes_on_with_is_not_cleared_away(tmp_path, dataset, busy):
    start_run(tmp_path, dataset)
    start_run(tmp_path / "fold_0", dataset)
    told = busy(tmp_path / "fold_0")
    with pytest.raises(ConfigError, match=told):
        start_run(tmp_path, dataset)
    assert (tmp_path / "fold_0" / "config.json").exists()


def test_a_search_json_of_other_software_is_no_search(tmp_path):
    for text in ('{"query": "x"}', "[]", "{"):
        (tmp_path / "search.json").write_text(text)
        with pytest.raises(ConfigError, match="holds no search"):
            check_search_output(tmp_path, overwrite=True)


def test_what_a_killed_process_left_is_a_free_directory(tmp_path):
    (tmp_path / locking.NAME).write_text("process 1 on host gone\n")
    check_output(tmp_path, overwrite=False)
    check_search_output(tmp_path, overwrite=False)


@pytest.mark.verify
def test_of_two_starts_at_once_one_runs_and_the_other_is_told(tmp_path, tiny_options):
    """In processes, three times; and what the one leaves is what it leaves when it is alone."""
    options = [*tiny_options, "--deterministic", "--modalities", "text"]

    def command(directory, *more):
        return [sys.executable, "-m", "plumkeras", "train", "synthetic", "--output", str(directory), *options, *more]

    def begin(*arguments):
        return subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    alone = begin(tmp_path / "alone")
    assert alone.communicate() and alone.returncode == 0
    for name, more in (("start", ()), ("resume", ("--resume",)), ("mixed", ())):
        directory = tmp_path / name
        both = [begin(directory, *more), begin(directory, *(("--resume",) if name == "mixed" else more))]
        told = [process.communicate()[1] for process in both]
        # The later one may find the other's run finished where it is allowed to go on with it.
        codes = [process.returncode for process in both]
        assert 0 in codes and set(codes) <= {0, 2}, told
        for code, said in zip(codes, told, strict=True):
            assert code == 0 or "is writing here" in said or "already holds a run" in said, said
        for file in ("metrics.json", "alignment_history.csv", "refinement_history.csv", "predictions_test.csv"):
            assert (directory / file).read_bytes() == (tmp_path / "alone" / file).read_bytes()
        assert {p.name for p in directory.iterdir()} == {p.name for p in (tmp_path / "alone").iterdir()}
