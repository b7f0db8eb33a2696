"""A search that is killed, resumed, or spread over processes ends with the trials of one that was left alone.

No trial trains anything here, but for the long proofs; see `cheap_search`.
"""

import csv
import dataclasses
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from plumkeras.data_pipelines import make_synthetic, save_npz
from plumkeras.recipes.config import ConfigError, from_dict, to_dict, with_values
from plumkeras.recipes.execution import WorkerLostError
from plumkeras.recipes.runs import provenance
from plumkeras.recipes.runs.jobs import DataSource
from plumkeras.recipes.search import trials as search_trials
from plumkeras.recipes.search import tuning
from plumkeras.recipes.search.oracle import STATE, make_oracle
from plumkeras.recipes.search.plan import SearchOptions, plan
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


class TwoThreads(ThreadPoolExecutor):
    """Two workers in this process, where training is replaced."""

    workers = 2

    def __init__(self):
        super().__init__(2)


@pytest.mark.parametrize("algorithm", ["random", "hyperband"])
def test_two_workers_propose_the_same_however_long_each_trial_takes(algorithm, cheap, tmp_path, monkeypatch):
    monkeypatch.setattr(tuning, "open_executor", lambda **options: TwoThreads())
    found = []
    for number, slow in enumerate((0, 1)):

        def wait(config, slow=slow):
            time.sleep(0.03 if len(cheap.begun) % 2 == slow else 0)

        cheap.before = wait
        tuning.tune(cheap_plan(algorithm=algorithm, trials=9), tmp_path / str(number))
        found.append(rows(tmp_path / str(number)))
    assert found[0] == found[1] and len(found[0]) == 9


def test_a_lost_worker_costs_its_trial_alone(cheap, tmp_path, monkeypatch):
    class Losing(TwoThreads):
        def submit(self, function, task):
            future = super().submit(function, task)
            if task.hyperparameters.values["network.dropout"] == lost:
                future = Future()
                future.set_exception(WorkerLostError("the process died 3 times"))
            return future

    search = cheap_plan(algorithm="random", trials=4)
    tuning.tune(search, tmp_path / "whole")
    lost = cheap.begun[2].network.dropout
    monkeypatch.setattr(tuning, "open_executor", lambda **options: Losing())
    tuning.tune(search, tmp_path / "run")
    assert [row["status"] for row in rows(tmp_path / "run")] == ["completed", "completed", "failed", "completed"]
    assert "the process died 3 times" in rows(tmp_path / "run")[2]["reason"]


def test_a_process_reads_the_data_that_the_search_sees(tmp_path, monkeypatch):
    save_npz(make_synthetic(cheap_search.SPLITS)[0], tmp_path / "data.npz")
    source = DataSource(str(tmp_path / "data.npz"))
    search = plan(
        cheap_search.CONFIG, source.prepared(cheap_search.CONFIG), SearchOptions(algorithm="random", trials=1)
    )
    seen = []
    monkeypatch.setattr(search_trials, "run_trial", lambda model, hp, worker: seen.append(model.search) or model)
    bare = dataclasses.replace(search, dataset=None)
    task = search_trials.TrialTask(bare, source, provenance.sha256(search.dataset), "key")
    model = search_trials.run_task(task)
    # Once for all trials.
    assert search_trials.run_task(task) is model
    assert list(seen[0].dataset) == ["train", "valid"]
    for name, split in search.dataset.items():
        np.testing.assert_array_equal(seen[0].dataset[name].features["text"], split.features["text"])
    search_trials.forget("key")
    with pytest.raises(ConfigError, match=r"data\.npz: has changed since the search began"):
        search_trials.run_task(dataclasses.replace(task, sha256="another"))


def test_a_trial_lost_with_its_search_is_run_again_by_the_same_values(tmp_path):
    search = cheap_plan(algorithm="random", trials=2)
    tuning._start(tmp_path, search)
    oracle = make_oracle(search, tmp_path)
    first, second = oracle.begin(), oracle.begin()
    assert oracle.begin() is None
    again = make_oracle(search, tmp_path)
    again.load()
    taken = [again.begin(), again.begin()]
    assert [t.trial_id for t in taken] == [first.trial_id, second.trial_id]
    assert taken[0].hyperparameters.values == first.hyperparameters.values


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
(recipe, values), directory, options, resume, jobs = json.loads(sys.argv[1])
config, options = with_values(find_recipe(recipe), values), SearchOptions(**options)
search = plan(config, generate(config.synthetic)[0], options)
from plumkeras.recipes.search.tuning import run_search
run_search(search, Path(directory), resume, jobs=jobs)
"""


def start_training(directory, resume=False, jobs=1, **options):
    command = [sys.executable, "-c", SCRIPT, json.dumps([TRAINED, str(directory), options, resume, jobs])]
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
def test_with_real_training_kill_resume_and_two_workers_end_with_the_same_trials(tmp_path):
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

    # Random trials do not depend on one another.
    code, _, err = finish(start_training(tmp_path / "two", jobs=2, **options))
    assert code == 0, err
    assert_same_trials(tmp_path / "two", tmp_path / "whole")
