"""A search that is killed, gone on with, or spread over processes ends with the trials of one that was left alone.

No trial trains anything here, but for the long proofs; see `cheap_search`.
"""

import csv
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from plumkeras.recipes.config import ConfigError, TrainingError, from_dict, to_dict, with_values
from plumkeras.recipes.search import trials as search_trials
from plumkeras.recipes.search import tuning
from plumkeras.recipes.search.oracle import STATE, make_oracle, make_report
from tests.testing import cheap_search
from tests.testing.cheap_search import cheap_plan


class Killed(BaseException):
    """The process dies here: nothing that stands behind is run, and no `except Exception` sees it."""


@pytest.fixture
def cheap(monkeypatch):
    """Trains nothing; a test may set `before`, which is called in every trial and seed."""
    hooks = type("Hooks", (), {"before": None, "begun": []})()
    hooks.begun = []

    def before(config):
        hooks.begun.append(config)
        if hooks.before is not None:
            hooks.before(config)

    cheap_search.make_cheap(monkeypatch.setattr, before)
    monkeypatch.setattr(tuning, "write_picture", lambda results, directory: None)
    return hooks


def rows(directory):
    """The trials as they are written, without what depends on the clock or on who ran them."""
    with (directory / "trials.csv").open(newline="") as file:
        return [{k: v for k, v in row.items() if k not in ("seconds", "worker")} for row in csv.DictReader(file)]


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "bayesian"])
def test_a_search_killed_in_any_trial_goes_on_without_repeating_one(algorithm, cheap, tmp_path):
    options = {"algorithm": algorithm, "trials": 5 if algorithm == "bayesian" else 12}
    # A Gaussian process of few fields is soon fitted.
    options["space"] = tmp_path / "space.json"
    options["space"].write_text(
        '{"network.dropout": {"min": 0.0, "max": 0.5}, "network.hidden_dim": {"values": [4, 6, 8]},'
        ' "refinement.learning_rate": {"min": 1e-4, "max": 1e-2, "sampling": "log"}}'
    )
    tuning.tune(cheap_plan(**options), tmp_path / "whole")
    whole = list(cheap.begun)

    for kill in (1, 4):
        cheap.begun.clear()

        def die(config, kill=kill):
            if len(cheap.begun) == kill + 1:
                raise Killed

        cheap.before = die
        with pytest.raises(Killed):
            tuning.tune(cheap_plan(**options), tmp_path / str(kill))
        cheap.before = None
        tuning.tune(cheap_plan(**options), tmp_path / str(kill), resume=True)
        # The trial that was running is run again, and no other.
        assert cheap.begun == [*whole[: kill + 1], *whole[kill:]]
        assert rows(tmp_path / str(kill)) == rows(tmp_path / "whole")


@pytest.mark.parametrize("moment", ["half", "whole"])
@pytest.mark.parametrize("count", range(1, 7))
def test_a_kill_while_the_state_is_written_costs_nothing(count, moment, cheap, tmp_path, monkeypatch):
    """Each trial writes it when it begins and when it has ended; the last good one stays."""
    search = cheap_plan(algorithm="random", trials=3)
    tuning.tune(search, tmp_path / "whole")
    cheap.begun.clear()
    replace, seen = Path.replace, []

    def watched(self, target):
        if Path(target).name == STATE:
            seen.append(target)
            if len(seen) == count:
                if moment == "half":
                    os.truncate(self, self.stat().st_size // 2)
                raise Killed
        return replace(self, target)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", watched)
        with pytest.raises(Killed):
            tuning.tune(search, tmp_path / "run")
    ended = rows(tmp_path / "run") if (tmp_path / "run" / "trials.csv").exists() else []
    ended = [row for row in ended if row["status"] == "completed"]
    before = len(cheap.begun)
    tuning.tune(search, tmp_path / "run", resume=True)
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert len(cheap.begun) - before <= 3 - len(ended)


def test_a_trial_that_kills_the_process_again_and_again_is_given_up(cheap, tmp_path):
    """As the kernel does when memory ends: no exception tells of it."""
    search = cheap_plan(algorithm="random", trials=4)
    tuning.tune(search, tmp_path / "whole")
    fatal = cheap.begun[2]

    def die(config):
        if config == fatal:
            raise Killed

    cheap.before = die
    for attempt in range(3):
        with pytest.raises(Killed):
            tuning.tune(search, tmp_path / "run", resume=bool(attempt))
    tuning.tune(search, tmp_path / "run", resume=True)
    statuses = [row["status"] for row in rows(tmp_path / "run")]
    assert statuses == ["completed", "completed", "failed", "completed"]
    assert "the process ended in the middle of it 3 times" in rows(tmp_path / "run")[2]["reason"]


def test_a_finished_search_is_not_run_again_and_can_be_made_longer(cheap, tmp_path):
    tuning.tune(cheap_plan(algorithm="random", trials=3), tmp_path / "run")
    tuning.tune(cheap_plan(algorithm="random", trials=3), tmp_path / "run", resume=True)
    assert len(cheap.begun) == 3
    tuning.tune(cheap_plan(algorithm="random", trials=12), tmp_path / "run", resume=True)
    assert len(cheap.begun) == 12
    tuning.tune(cheap_plan(algorithm="random", trials=12), tmp_path / "once")
    assert rows(tmp_path / "run") == rows(tmp_path / "once")


@pytest.mark.parametrize("changed", ["recipe", "space", "data", "seeds", "algorithm"])
def test_another_search_is_refused_by_name(changed, cheap, tmp_path):
    tuning.tune(cheap_plan(algorithm="random", trials=2), tmp_path / "run")
    before = (tmp_path / "run" / STATE).read_bytes()
    config, options = cheap_search.CONFIG, {"algorithm": "random", "trials": 2}
    (tmp_path / "space.json").write_text('{"network.dropout": {"min": 0.0, "max": 0.4}}')
    if changed == "recipe":
        config = from_dict({**to_dict(config), "batch_size": 8}, "test")
    elif changed == "space":
        options["space"] = tmp_path / "space.json"
    elif changed == "seeds":
        options["seeds_per_trial"] = 2
    elif changed == "algorithm":
        options["algorithm"] = "hyperband"
    search = cheap_plan(config, **options)
    if changed == "data":
        search.dataset["valid"].labels[0] += 0.5
    named = {
        "recipe": "batch_size has changed: .* 32, and now it is 8",
        "space": "space [a-z_.]+ has changed",
        "data": "data.sha256 has changed",
        "seeds": "seeds_per_trial has changed: .* 1, and now it is 2",
        "algorithm": "algorithm has changed: .* 'random', and now it is 'hyperband'",
    }[changed]
    with pytest.raises(ConfigError, match=f"--resume: {named}"):
        tuning.tune(search, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / STATE).read_bytes() == before


def test_a_search_of_version_0_1_0_is_resumed(cheap, tmp_path):
    """It had `share_common_encoder` in place of `common_branch`."""
    config = with_values(cheap_search.CONFIG, {"network.common_branch": "per_modality"})
    tuning.tune(cheap_plan(config, algorithm="random", trials=2), tmp_path)
    described = json.loads((tmp_path / "search.json").read_text())
    del described["recipe"]["network"]["common_branch"], described["facts"]["network.common_branch"]
    described["recipe"]["network"]["share_common_encoder"] = described["facts"]["network.share_common_encoder"] = False
    (tmp_path / "search.json").write_text(json.dumps(described))
    tuning.tune(cheap_plan(config, algorithm="random", trials=3), tmp_path, resume=True)
    assert len(cheap.begun) == 3


@pytest.mark.parametrize("content", ["{", "[]", '{"oracle": {}, "trials": {}}', '{"oracle": 1, "trials": {"0": 3}}'])
def test_a_damaged_state_is_one_line(content, cheap, tmp_path):
    search = cheap_plan(algorithm="random", trials=2)
    tuning.tune(search, tmp_path / "run")
    (tmp_path / "run" / STATE).write_text(content)
    with pytest.raises(ConfigError, match=re.escape(str(tmp_path / "run" / STATE))):
        tuning.tune(search, tmp_path / "run", resume=True)


def test_a_search_without_resume_begins_anew_and_leaves_other_files(cheap, tmp_path):
    search = cheap_plan(algorithm="random", trials=2)
    tuning.tune(search, tmp_path / "run")
    (tmp_path / "run" / "notes.txt").write_text("mine")
    tuning.tune(search, tmp_path / "run")
    assert len(cheap.begun) == 4 and (tmp_path / "run" / "notes.txt").read_text() == "mine"


def start(point, directory, **options):
    """A process of `cheap_search`, on JAX where it is there: the search itself needs no TensorFlow."""
    environment = {**os.environ, "GRPC_VERBOSITY": "ERROR", "no_proxy": "*"}
    if importlib.util.find_spec("jax"):
        environment |= {"KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, cheap_search.__file__, point, str(directory), json.dumps(options)]
    return subprocess.Popen(
        command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=directory.parent
    )


def finish(process):
    try:
        out, err = process.communicate(timeout=1200)
    finally:
        process.kill()
    return process.returncode, out, err


def trained(out):
    return json.loads(out.split("trained ")[1].splitlines()[0])


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def test_sigkill_and_resume_in_processes(cheap, tmp_path):
    options = {"algorithm": "random", "trials": 6}
    tuning.tune(cheap_plan(**options), tmp_path / "whole")
    code, _, err = finish(start("trial:3", tmp_path / "run", **options))
    assert code == -signal.SIGKILL, err
    assert [row["status"] for row in rows(tmp_path / "run")].count("completed") == 3
    code, out, err = finish(start("never", tmp_path / "run", **options, resume=True))
    assert code == 0, err
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert len(trained(out)) == 3
    assert "Train the best configuration: plumkeras train --config" in out


def test_a_chief_and_workers_end_with_the_trials_of_one_process(cheap, tmp_path):
    """Three workers, one of which is killed in its first trial: another one takes that up."""
    options = {"algorithm": "random", "trials": 9}
    tuning.tune(cheap_plan(**options), tmp_path / "whole")
    address = f"127.0.0.1:{free_port()}"
    chief = start("never", tmp_path / "run", **options, chief=address)
    # Alone with the chief, so that there is a trial for it whatever the machine's speed.
    lost = finish(start("trial:0", tmp_path / "none", **options, join=address, worker="lost"))
    # Each keeps its first trial until the other has one, so that the search does not end before the second is there.
    meet = f"meet:{tmp_path / 'met'}"
    workers = [start(meet, tmp_path / "none", **options, join=address, worker=name) for name in "ab"]
    ended = [lost, *(finish(process) for process in (*workers, chief))]
    assert [code for code, _, _ in ended] == [-signal.SIGKILL, 0, 0, 0], ended
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert sum(len(trained(out)) for _, out, _ in ended[1:3]) >= 9
    # A worker writes nothing, and the chief trains nothing.
    assert not (tmp_path / "none").exists() and trained(ended[3][1]) == []
    assert "Nothing was heard of worker lost" in ended[3][1]


def test_workers_wait_while_the_last_trials_run(tmp_path):
    """The oracle has no more trials, but those that run may yet be lost."""
    oracle = make_oracle(cheap_plan(algorithm="random", trials=2), None)
    first, second = oracle.create_trial("a"), oracle.create_trial("b")
    assert oracle.create_trial("c").status == "IDLE" and not oracle.is_finished
    oracle.give_up_worker("a")
    taken = oracle.create_trial("c")
    assert taken.trial_id == first.trial_id and taken.hyperparameters.values == first.hyperparameters.values
    record = {"objective": 1.0, "objectives": [1.0], "best_epochs": [0], "seconds": 1.0, "reason": None, "worker": "c"}
    oracle.end_trial(make_report(taken.trial_id, record))
    # The worker that was given up was alive after all: what it hands in later changes nothing.
    oracle.end_trial(make_report(first.trial_id, {**record, "objective": 9.0, "worker": "a"}))
    assert oracle.records[first.trial_id]["worker"] == "c" and oracle.trials[first.trial_id].score == 1.0
    oracle.end_trial(make_report(second.trial_id, {**record, "reason": "diverged"}))
    assert oracle.is_finished
    assert {oracle.create_trial(name).status for name in "abc"} == {"STOPPED"}


def test_a_chief_that_is_gone_on_with_leaves_trials_to_workers_that_are_still_at_them(cheap, tmp_path):
    search = cheap_plan(algorithm="random", trials=3)
    tuning._start(tmp_path, search)
    oracle = make_oracle(search, tmp_path)
    running = oracle.create_trial("a")
    again = make_oracle(search, tmp_path)
    again.load(has_workers=True)
    assert again.create_trial("b").trial_id != running.trial_id
    again.end_trial(
        make_report(
            running.trial_id, search_trials.run_trial(search_trials.RecipeHyperModel(search), running.hyperparameters)
        )
    )
    assert again.trials[running.trial_id].status == "COMPLETED"


def test_a_worker_of_another_search_is_refused(cheap, tmp_path):
    from plumkeras.recipes.search import workers as search_workers

    facts = cheap_plan(algorithm="random", trials=2, seeds_per_trial=2).facts("tensorflow")
    space = type("Space", (), {"values": {search_workers._FACTS: json.dumps(facts)}})()
    client = type("Client", (), {"get_space": lambda self: space})()
    search = cheap_plan(algorithm="random", trials=2)
    with pytest.raises(ConfigError, match="--join x:1: the chief has another search: seeds_per_trial is 2 there and 1"):
        search_workers._check_same(search, client, "x:1")


def test_a_port_in_use_is_one_line(cheap, tmp_path):
    from plumkeras.recipes.search import workers as search_workers

    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        oracle = make_oracle(cheap_plan(algorithm="random", trials=2), None)
        with pytest.raises(ConfigError, match=f"--chief 127.0.0.1:{port}: cannot be listened at"):
            search_workers.serve(oracle, "127.0.0.1", port)


def test_a_chief_that_does_not_answer_is_one_line(cheap, monkeypatch):
    from plumkeras.recipes.search import workers as search_workers

    monkeypatch.setattr(search_workers, "PATIENCE_SECONDS", 0.3)
    with pytest.raises(TrainingError, match="no chief answers"):
        search_workers.join(cheap_plan(algorithm="random", trials=2), "127.0.0.1", free_port(), "a")
    assert "KERASTUNER_ORACLE_IP" not in os.environ


TRAINED = [
    "synthetic",
    {
        "modalities": ["text"],
        "network.modules": [],
        "network.hidden_dim": 8,
        "network.num_heads": 2,
        "refinement.epochs": 2,
        "synthetic.train": 64,
        "synthetic.valid": 32,
        "synthetic.test": 8,
    },
]
# As the command line goes about it.
SCRIPT = """
import json, sys
from pathlib import Path
from plumkeras.recipes import find_recipe
from plumkeras.recipes.search.plan import SearchOptions, plan
from plumkeras.recipes.config import with_values
from plumkeras.recipes.synthetic import generate
(recipe, values), directory, options, resume = json.loads(sys.argv[1])
config, options = with_values(find_recipe(recipe), values), SearchOptions(**options)
search = plan(config, generate(config.synthetic)[0], options)
from plumkeras.recipes.search.tuning import run_search
run_search(search, options, Path(directory), resume)
"""


def start_training(directory, resume=False, **options):
    command = [sys.executable, "-c", SCRIPT, json.dumps([TRAINED, str(directory), options, resume])]
    environment = {**os.environ, "GRPC_VERBOSITY": "ERROR", "no_proxy": "*"}
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def assert_same_trials(directory, whole):
    ours, theirs = rows(directory), rows(whole)
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        loss, expected = float(mine.pop("objective")), float(other.pop("objective"))
        seeds = [name for name in mine if name.startswith("objective_seed")]
        assert mine.pop(seeds[0]) and other.pop(seeds[0])
        assert mine == other and loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.verify
def test_with_real_training_kill_resume_and_workers_end_with_the_same_trials(tmp_path):
    options = {"algorithm": "random", "trials": 8}
    code, _, err = finish(start_training(tmp_path / "whole", **options))
    assert code == 0, err

    killed = start_training(tmp_path / "killed", **options)
    for line in killed.stdout:
        if line.startswith("Trial 2 "):
            killed.send_signal(signal.SIGKILL)
            break
    finish(killed)
    ended = [row for row in rows(tmp_path / "killed") if row["status"] == "completed"]
    assert 3 <= len(ended) < 8
    code, out, err = finish(start_training(tmp_path / "killed", True, **options))
    assert code == 0, err
    # The finished ones are not run again.
    assert len(re.findall(r"^Trial \d+ \(", out, re.MULTILINE)) == 8 - len(ended)
    assert_same_trials(tmp_path / "killed", tmp_path / "whole")

    address = f"127.0.0.1:{free_port()}"
    chief = start_training(tmp_path / "chief", chief=address, **options)
    workers = [start_training(tmp_path / "none", join=address, worker=name, **options) for name in "ab"]
    ended = [finish(process) for process in (*workers, chief)]
    assert [code for code, _, _ in ended] == [0, 0, 0], ended
    assert_same_trials(tmp_path / "chief", tmp_path / "whole")
    assert sum(int(re.search(r"(\d+) trials were run here", out)[1]) for _, out, _ in ended[:2]) == 8
