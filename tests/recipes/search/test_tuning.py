"""The search for hyper-parameters: what may be searched, what a trial is, and that the test split takes no part."""

import csv
import dataclasses
import json
import re

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, Dataset, make_synthetic, save_npz
from plumkeras.recipes import find_recipe, recipe_names
from plumkeras.recipes.cli import main
from plumkeras.recipes.config import (
    AlignmentConfig,
    ConfigError,
    NetworkConfig,
    RecipeConfig,
    RefinementConfig,
    TrainingError,
    with_values,
)
from plumkeras.recipes.runs import run_directory
from plumkeras.recipes.runs.output_checks import check_search_output
from plumkeras.recipes.search import trials as search_trials
from plumkeras.recipes.search import tuning
from plumkeras.recipes.search.oracle import make_oracle
from plumkeras.recipes.search.plan import SearchOptions, plan
from plumkeras.recipes.search.results import SearchResults
from plumkeras.recipes.search.space import default_space, read_space
from plumkeras.recipes.search.trials import RecipeHyperModel, run_trial
from plumkeras.recipes.search.tuning import run_search, tune

# One modality and little to trace: a trial takes a few seconds.
CONFIG = RecipeConfig(
    name="small",
    modalities=("text",),
    batch_size=8,
    seed=3,
    network=NetworkConfig(hidden_dim=8, num_layers=1, num_heads=2, modules=("msa",), signed_log1p=()),
    alignment=AlignmentConfig(epochs=1),
    refinement=RefinementConfig(epochs=2),
)
HEAD_ALONE = with_values(CONFIG, {"network.modules": []})
SPLITS = {"train": 32, "valid": 16, "test": 8}


def dataset(**options):
    return make_synthetic(SPLITS, **options)[0]


def rows(directory):
    with (directory / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def space_file(tmp_path, space):
    path = tmp_path / "space.json"
    path.write_text(json.dumps(space))
    return path


@pytest.fixture(scope="module")
def search_directory(tmp_path_factory):
    """A search of eight trials that train, by the command's own function. Tests must not change it."""
    folder = tmp_path_factory.mktemp("search")
    save_npz(dataset(), folder / "features.npz")
    space = {
        # 6 is no multiple of 4: some trials do not fit together.
        "network.hidden_dim": {"values": [4, 6, 8]},
        "network.num_heads": {"values": [2, 4]},
        "network.modules": {"values": [[], ["msa"]]},
        "network.dropout": {"min": 0.0, "max": 0.5},
        "refinement.learning_rate": {"min": 1e-3, "max": 1e-1, "sampling": "log"},
        "network.normalize_labels": {"values": [True, False]},
    }
    options = SearchOptions(algorithm="random", trials=8, space=space_file(folder, space))
    from plumkeras.data_pipelines import load

    run_search(plan(HEAD_ALONE, load(folder / "features.npz"), options), folder / "search")
    return folder / "search"


def test_eight_trials_end_in_tables_a_picture_and_the_best_configuration(search_directory):
    names = {path.name for path in search_directory.iterdir()}
    assert names == {"search.json", "trials.json", "trials.csv", "best_config.json", "search.png"}
    trials = rows(search_directory)
    assert [int(row["trial"]) for row in trials] == list(range(8))
    assert (search_directory / "search.png").read_bytes().startswith(b"\x89PNG")
    # The recipe's own values come first.
    own = trials[0]
    assert (own["network.hidden_dim"], own["network.modules"], own["network.dropout"]) == ("8", "[]", "0.1")
    for row in trials:
        # What does not fit together fails with its reason, and the search goes on.
        fits = int(row["network.hidden_dim"]) % int(row["network.num_heads"]) == 0
        assert row["status"] == ("completed" if fits else "failed")
        assert ("multiple of network.num_heads" in row["reason"]) == (row["status"] == "failed")
        assert bool(row["objective"]) == (row["status"] == "completed")
    assert {"completed", "failed"} == {row["status"] for row in trials}
    assert {row["network.modules"] for row in trials if row["status"] == "completed"} == {"[]", '["msa"]'}
    completed = [row for row in trials if row["status"] == "completed"]
    best = min(completed, key=lambda row: float(row["objective"]))
    config = run_directory.read_config(search_directory / "best_config.json")
    assert str(config.network.dropout) == best["network.dropout"]
    assert str(config.refinement.learning_rate) == best["refinement.learning_rate"]
    assert (config.seed, config.batch_size) == (CONFIG.seed, CONFIG.batch_size)


def test_the_best_configuration_trains_to_the_objective_of_its_trial(search_directory, tmp_path):
    """A trial is a whole run: `train --config` repeats it, and keeps the same epoch."""
    arguments = ["--config", str(search_directory / "best_config.json")]
    arguments += ["--data", str(search_directory.parent / "features.npz"), "--output", str(tmp_path / "run")]
    assert main(["train", *arguments]) == 0
    with (tmp_path / "run" / "refinement_history.csv").open(newline="") as file:
        losses = [float(row["val_prediction_loss"]) for row in csv.DictReader(file)]
    completed = [row for row in rows(search_directory) if row["status"] == "completed"]
    best = min(completed, key=lambda row: float(row["objective"]))
    assert min(losses) == pytest.approx(float(best["objective"]), rel=1e-4)
    assert losses.index(min(losses)) + 1 == int(best["kept_epoch_seed_3"])
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert metrics["valid"]["mae"] == pytest.approx(float(best["objective"]), rel=1e-4)


@pytest.fixture
def cheap(monkeypatch):
    """Trains nothing: the objective is a function of the configuration and of the samples that the search holds."""

    def fit(self, hp, network, seed=None):
        config = self.trial_config(hp, seed)
        samples = sum(float(np.abs(s.labels).sum() + s.features["text"].sum()) for s in self.search.dataset.values())
        assert set(self.search.dataset) == {"train", "valid"}
        return {"val_prediction_loss": config.network.dropout + samples + (config.seed - 3) * 0.25, "best_epoch": 0}

    monkeypatch.setattr(RecipeHyperModel, "build", lambda self, hp, seed=None: None)
    monkeypatch.setattr(RecipeHyperModel, "fit", fit)
    monkeypatch.setattr(tuning, "write_picture", lambda results, directory: None)
    monkeypatch.setattr(tuning.keras.utils, "clear_session", lambda: None)


def test_the_test_split_is_never_looked_at(cheap, tmp_path):
    """With other test samples, or none, everything that is found is the same."""
    whole = dataset()
    garbage = dataclasses.replace(
        whole["test"], labels=whole["test"].labels[::-1] * 0 + 3, features={"text": whole["test"].features["text"] * -7}
    )
    garbage = dataclasses.replace(garbage, lengths={"text": whole["test"].lengths["text"]})
    parts = {name: whole[name].select(["text"]) for name in ("train", "valid")}
    found = []
    tests = ({"test": whole["test"].select(["text"])}, {}, {"test": garbage})
    for number, test in enumerate(tests):
        splits = {**parts, **test}
        options = SearchOptions(algorithm="random", trials=4)
        search = plan(CONFIG, Dataset(splits), options)
        assert set(search.dataset) == {"train", "valid"}
        results = tune(search, tmp_path / str(number))
        found.append([(trial.values, trial.objective, trial.status) for trial in results.trials])
    assert found[0] == found[1] == found[2]


def test_of_shards_the_test_split_is_not_held(cheap, tmp_path):
    from plumkeras.data_pipelines import convert, open_shards

    save_npz(dataset(), tmp_path / "features.npz")
    convert(tmp_path / "features.npz", tmp_path / "shards")
    shard = tmp_path / "shards" / "test-features-text.npy"
    shard.write_bytes(shard.read_bytes()[:128] + bytes(shard.stat().st_size - 128))
    search = plan(CONFIG, open_shards(tmp_path / "shards"), SearchOptions(algorithm="random", trials=2))
    assert set(search.dataset) == {"train", "valid"} and search.dataset.format == "shards"


def test_several_seeds_are_averaged_and_kept(cheap, tmp_path):
    results = tune(plan(CONFIG, dataset(), SearchOptions(algorithm="random", trials=3, seeds_per_trial=3)), tmp_path)
    for trial, row in zip(results.trials, rows(tmp_path), strict=True):
        first = trial.objectives[0]
        assert trial.objectives == pytest.approx([first, first + 0.25, first + 0.5])
        assert trial.objective == pytest.approx(first + 0.25) and trial.objective_std == pytest.approx(0.25)
        assert float(row["objective_seed_5"]) == trial.objectives[2] and float(row["objective"]) == trial.objective
    mean, std = results.gain
    assert mean == pytest.approx(results.own.objective - results.best.objective) and std == pytest.approx(0, abs=1e-6)


def test_hyperband_gives_the_best_more_epochs(cheap, tmp_path):
    config = with_values(CONFIG, {"refinement.epochs": 9})
    results = tune(plan(config, dataset(), SearchOptions(algorithm="hyperband", trials=31)), tmp_path)
    epochs = [trial.values["refinement.epochs"] for trial in results.trials]
    # The recipe's own, then brackets of 9, 3 and 1 epochs to begin with, each ending with all nine.
    assert epochs[0] == 9 and set(epochs) == {1, 3, 9}
    by_epochs = {n: [t.objective for t in results.trials[1:] if t.values["refinement.epochs"] == n] for n in (1, 3)}
    first_round = results.trials[1 : 1 + epochs[1:].index(3)]
    promoted = [t for t in results.trials[1:] if t.values["refinement.epochs"] == 3][: len(first_round) // 3]
    assert {t.objective for t in promoted} <= {t.objective for t in sorted(first_round, key=lambda t: t.objective)[:4]}
    assert len(by_epochs[1]) > len(by_epochs[3])
    best = run_directory.read_config(tmp_path / "best_config.json")
    assert best.refinement.epochs == results.best.values["refinement.epochs"]


@pytest.mark.parametrize(("trials", "shortest"), [(4, 9), (12, 3), (31, 1)])
def test_hyperband_leaves_out_brackets_that_there_is_no_room_for(trials, shortest):
    """Few trials are not all spent on the shortest rounds."""
    config = with_values(CONFIG, {"refinement.epochs": 9})
    oracle = make_oracle(plan(config, dataset(), SearchOptions(algorithm="hyperband", trials=trials)))
    oracle.create_trial("a")
    assert oracle.create_trial("b").hyperparameters.values["tuner/epochs"] == shortest


def test_bayesian_proposes_within_the_space_though_the_recipe_lies_outside(cheap, tmp_path):
    space = {"network.dropout": {"min": 0.2, "max": 0.5}, "network.hidden_dim": {"values": [4, 6]}}
    options = SearchOptions(algorithm="bayesian", trials=7, space=space_file(tmp_path, space))
    results = tune(plan(CONFIG, dataset(), options), tmp_path / "search")
    assert results.own.values == {"network.dropout": 0.1, "network.hidden_dim": 8}
    for trial in results.trials[1:]:
        assert 0.2 <= trial.values["network.dropout"] <= 0.5 and trial.values["network.hidden_dim"] in (4, 6)
    # The objective falls with dropout: the process finds the edge, which random values would not hit.
    assert min(trial.values["network.dropout"] for trial in results.trials[1:]) == 0.2
    assert results.best is results.own and results.gain == (0.0, None)


def test_a_space_that_is_used_up_ends_the_search(cheap, tmp_path):
    space = {"network.normalize_labels": {"values": [True, False]}}
    for algorithm in ("random", "bayesian", "hyperband"):
        options = SearchOptions(algorithm=algorithm, trials=9, space=space_file(tmp_path, space))
        results = tune(plan(CONFIG, dataset(), options), tmp_path / algorithm)
        assert {trial.status for trial in results.trials} == {"completed"}
        assert {trial.values["network.normalize_labels"] for trial in results.trials} == {True, False}


class XlaRuntimeError(RuntimeError):
    """As jaxlib's."""


class ResourceExhaustedError(Exception):
    """As TensorFlow's."""


FAILURES = {
    "training diverged": TrainingError("training diverged: no epoch of stage 2 has a finite validation loss"),
    "out of memory: MemoryError": MemoryError(),
    "out of memory: ResourceExhaustedError: OOM": ResourceExhaustedError("OOM when allocating\nand more"),
    "out of memory: XlaRuntimeError": XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes"),
    "out of memory: RuntimeError: [enforce": RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
    "out of memory: RuntimeError: CUDA": RuntimeError("CUDA out of memory. Tried to allocate 2 GiB"),
}


@pytest.mark.parametrize("reason", FAILURES)
def test_a_failed_trial_is_recorded_and_the_search_goes_on(reason, tmp_path, monkeypatch):
    class Failing:
        def __init__(self, config, dataset, network, compiled):
            self.dropout = config.network.dropout

        def fit(self, verbose):
            if self.dropout > 0.2:
                raise FAILURES[reason]
            return {"refinement": {"val_prediction_loss": [2.0, self.dropout], "best_epoch": 1}}

    monkeypatch.setattr(search_trials, "seeded_network", lambda config, dataset, seeds_backend: None)
    monkeypatch.setattr(search_trials, "Training", Failing)
    monkeypatch.setattr(tuning, "write_picture", lambda results, directory: None)
    monkeypatch.setattr(tuning.keras.utils, "clear_session", lambda: None)
    results = tune(plan(CONFIG, dataset(), SearchOptions(algorithm="random", trials=9)), tmp_path)
    for trial in results.trials:
        failed = trial.values["network.dropout"] > 0.2
        assert trial.status == ("failed" if failed else "completed") and (trial.reason is not None) == failed
        assert not failed or trial.reason.startswith(reason)
        assert failed or (trial.objective == trial.values["network.dropout"] and trial.best_epochs == [1])
    # More failures in a row than KerasTuner would put up with.
    assert [trial.status for trial in results.trials].count("failed") > 3


@pytest.mark.parametrize("error", [DataError("shard-3: damaged"), ZeroDivisionError("a mistake of ours")])
def test_what_is_wrong_with_more_than_a_trial_ends_the_search(error, tmp_path, monkeypatch):
    def fail(config, dataset, seeds_backend):
        raise error

    monkeypatch.setattr(search_trials, "seeded_network", fail)
    with pytest.raises(type(error), match=str(error)):
        tune(plan(CONFIG, dataset(), SearchOptions(algorithm="random", trials=3)), tmp_path)


def test_when_every_trial_fails_the_first_reason_is_told(tmp_path, monkeypatch):
    def fail(config, dataset, seeds_backend):
        raise MemoryError

    monkeypatch.setattr(search_trials, "seeded_network", fail)
    with pytest.raises(TrainingError, match="no trial came to its end; the first: out of memory"):
        tune(plan(CONFIG, dataset(), SearchOptions(algorithm="random", trials=3)), tmp_path)
    assert [row["status"] for row in rows(tmp_path)] == ["failed"] * 3
    assert not (tmp_path / "best_config.json").exists()


def test_a_trial_that_really_diverges_fails_with_its_reason():
    search = plan(with_values(HEAD_ALONE, {"refinement.learning_rate": 1e30}), dataset(), SearchOptions(trials=1))
    oracle = make_oracle(search)
    record = run_trial(RecipeHyperModel(search), oracle.create_trial("a").hyperparameters)
    assert record["objective"] is None and "training diverged in stage refinement" in record["reason"]


def test_keras_tuners_own_tuner_takes_the_hypermodel(cheap, tmp_path):
    """`build` and `fit` are what it asks of a `HyperModel`; the names are those of the recipe's fields."""
    import keras
    import keras_tuner

    search = plan(CONFIG, dataset(), SearchOptions(trials=2))

    class Ours(RecipeHyperModel):
        def build(self, hp):
            assert self.trial_config(hp).network.dropout == hp.get("network.dropout")
            return keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])

        def fit(self, hp, network, callbacks=(), **options):
            return super().fit(hp, network)["val_prediction_loss"]

    tuner = keras_tuner.RandomSearch(Ours(search), max_trials=2, directory=tmp_path, project_name="ours", seed=1)
    tuner.search(verbose=0)
    assert len(tuner.oracle.end_order) == 2
    assert set(search.space) == {hp.name for hp in tuner.oracle.get_space().space}


WRONG_SPACES = {
    "[1]": "a space is an object",
    "{}": "a space is an object",
    '{"network.hidden_dims": {"values": [8]}}': "unknown field network.hidden_dims",
    '{"hidden_dim": {"values": [8]}}': "unknown field hidden_dim",
    '{"network": {"values": [8]}}': "unknown field network",
    '{"network.hidden_dim": [8]}': "network.hidden_dim wants",
    '{"network.hidden_dim": {"values": []}}': "network.hidden_dim: values must be a list",
    '{"network.hidden_dim": {"values": [8, "16"]}}': "field network.hidden_dim must be int. Received: '16'",
    '{"network.hidden_dim": {"values": [7]}}': "network.hidden_dim must be even",
    '{"network.hidden_dim": {"min": 8, "max": 16}}': "network.hidden_dim wants values in place of a range",
    '{"network.dropout": {"min": 0.1, "max": 1.5}}': "network.dropout must be in [0, 1). Received: 1.5",
    '{"network.dropout": {"min": 0.3, "max": 0.1}}': "network.dropout: min must be below max",
    '{"network.dropout": {"min": 0.1}}': "network.dropout wants",
    '{"network.dropout": {"min": 0.1, "max": 0.5, "sampling": "even"}}': 'sampling must be "linear" or "log"',
    '{"network.dropout": {"min": 0.0, "max": 0.5, "sampling": "log"}}': "starts above 0",
    '{"network.dropout": {"min": NaN, "max": 0.5}}': "network.dropout must be in [0, 1)",
    '{"network.fusion": {"min": "sequence", "max": "vector"}}': "network.fusion is no number",
    '{"network.fusion": {"values": ["sum"]}}': "field network.fusion must be 'sequence' or 'vector'",
    '{"network.modules": {"values": [["prm"]]}}': "network.modules must be a leading part",
    '{"network.num_heads": {"values": [2, 3]}}': "network.num_heads: 3 fits no network.hidden_dim",
    '{"network.hidden_dim": {"values": [8, 6]}, "network.num_heads": {"values": [4]}}': "network.hidden_dim: 6 fits no",
    '{"seed": {"values": [1, 2]}}': "seed cannot be searched: it is the same for all trials",
    '{"synthetic.noise": {"min": 0.0, "max": 1.0}}': "synthetic.noise cannot be searched",
    "{": "not valid JSON",
}


@pytest.mark.parametrize("content", WRONG_SPACES)
def test_a_wrong_space_is_one_line_that_names_file_and_field(content, tmp_path):
    path = tmp_path / "space.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=re.escape(WRONG_SPACES[content])) as caught:
        read_space(path, CONFIG)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_what_a_space_says_is_what_is_searched(tmp_path):
    space = {
        "network.hidden_dim": {"values": [8, 12]},
        "network.num_heads": {"values": [2, 4]},
        "objective.label_classes": {"values": ["sign3", [-1.5, 0.5]]},
        "refinement.weight_decay": {"values": [0, 0.01]},
        "alignment.epochs": {"min": 1, "max": 4, "sampling": "linear"},
        "alignment.learning_rate": {"min": 1e-4, "max": 1e-2, "sampling": "log"},
    }
    search = plan(CONFIG, dataset(), SearchOptions(trials=60, algorithm="random", space=space_file(tmp_path, space)))
    oracle, seen = make_oracle(search), {name: set() for name in space}
    for number in range(60):
        hp = oracle.create_trial(str(number)).hyperparameters
        config = RecipeHyperModel(search).trial_config(hp)
        for name in space:
            section, field = name.split(".")
            seen[name].add(getattr(getattr(config, section), field))
        own = {name: getattr(CONFIG, name) for name in ("network", "objective", "alignment", "refinement")}
        assert dataclasses.replace(config, **own) == CONFIG
    assert seen["network.hidden_dim"] == {8, 12} and seen["network.num_heads"] == {2, 4}
    assert seen["objective.label_classes"] == {"sign3", (-1.5, 0.5)}
    assert seen["refinement.weight_decay"] == {0.0, 0.01} and seen["alignment.epochs"] == {1, 2, 3, 4}
    rates = np.array(sorted(seen["alignment.learning_rate"] - {CONFIG.alignment.learning_rate}))
    assert rates.min() >= 1e-4 and rates.max() <= 1e-2
    # Evenly by the logarithm: about half lie below the middle decade's border.
    assert 0.3 < np.mean(rates < 1e-3) < 0.7
    # Four digits, so that what is written is what was searched.
    assert all(float(f"{rate:.4g}") == rate for rate in rates)


@pytest.mark.parametrize("name", recipe_names())
def test_the_default_space_of_every_recipe_holds_its_own_values(name, tmp_path):
    config = find_recipe(name)
    space = default_space(config, ("text", "audio", "vision"))
    path = tmp_path / "space.json"
    path.write_text(json.dumps({field: kind.to_json() for field, kind in space.items()}))
    # What is written down of a space is a space file, of the same search.
    assert read_space(path, config) == space
    for field, kind in space.items():
        section, name = field.split(".")
        assert kind.contains(getattr(getattr(config, section), name)), field
    assert f"{config.STAGES[-1]}.learning_rate" in space
    assert ("network.modality_dropout" in space) == (config.model == "plum_net")
    assert "network.modality_dropout" not in default_space(config, ("text",))


def test_a_width_goes_with_the_heads_whatever_it_is_called(tmp_path):
    path, recipe = tmp_path / "space.json", find_recipe("mult_mosi")

    def read(space, recipe=recipe):
        path.write_text(json.dumps(space))
        return read_space(path, recipe)

    assert read({"network.width": {"values": [30, 40]}, "network.num_heads": {"values": [5, 10]}})
    with pytest.raises(ConfigError, match=r"network\.width: 36 fits no network\.num_heads of 10"):
        read({"network.width": {"values": [36, 40]}})
    with pytest.raises(ConfigError, match=r"network\.width wants values in place of a range"):
        read({"network.width": {"min": 20, "max": 40}})
    assert read({"network.width": {"min": 20, "max": 40}}, find_recipe("self_mm_mosi"))


def test_what_the_modules_do_not_use_is_not_searched():
    names = {}
    for modules in ((), ("msa",), ("msa", "psl_tfb")):
        config = with_values(CONFIG, {"network.modules": list(modules)})
        names[modules] = set(default_space(config, ("text",)))
    assert names[()] == {"network.hidden_dim", "network.dropout", "refinement.learning_rate", "refinement.weight_decay"}
    assert names["msa",] - names[()] == {"objective.alignment_weight", "alignment.epochs", "alignment.learning_rate"}
    more = {"network.num_layers", "network.label_temperature", "objective.branch_weight"}
    assert names["msa", "psl_tfb"] - names["msa",] == more


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"trials": 0}, "--trials must be at least 1. Received: 0"),
        ({"seeds_per_trial": 0}, "--seeds-per-trial must be at least 1"),
    ],
)
def test_wrong_options_are_one_line(options, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        SearchOptions(**options)


def test_data_that_cannot_be_searched_on_are_refused(tmp_path):
    whole = dataset()
    with pytest.raises(DataError, match="no split 'valid'"):
        plan(CONFIG, Dataset({"train": whole["train"]}), SearchOptions())
    unlabelled = Dataset({"train": whole["train"], "valid": dataclasses.replace(whole["valid"], labels=None)})
    with pytest.raises(DataError, match="valid has no labels"):
        plan(CONFIG, unlabelled, SearchOptions())
    with pytest.raises(ConfigError, match="--fold 1: the data set has splits, not folds"):
        plan(CONFIG, whole, SearchOptions(fold=1))
    path = space_file(tmp_path, {"modalities": {"values": [["text"], ["smell"]]}})
    with pytest.raises(DataError, match="no modality 'smell'"):
        plan(CONFIG, whole, SearchOptions(space=path))
    path = space_file(tmp_path, {"refinement.epochs": {"min": 1, "max": 4}})
    with pytest.raises(ConfigError, match="is what hyperband itself sets"):
        plan(CONFIG, whole, SearchOptions(space=path, algorithm="hyperband"))


def test_of_folds_one_is_left_out():
    split = dataset()["train"]
    folded = Dataset({"all": dataclasses.replace(split, folds=np.arange(32) % 4)})
    for fold, number in ((None, 0), (2, 2)):
        search = plan(CONFIG, folded, SearchOptions(fold=fold))
        assert search.fold == number and search.held_out == 8
        held = set(split.ids[np.arange(32) % 4 == number])
        valid = set(split.ids[np.arange(32) % 4 == number + 1])
        assert set(search.dataset["valid"].ids) == valid
        assert set(search.dataset["train"].ids) == set(split.ids) - held - valid
    with pytest.raises(ConfigError, match=re.escape("--fold 7: the data set has the folds [0, 1, 2, 3]")):
        plan(CONFIG, folded, SearchOptions(fold=7))


def test_directories_are_not_written_over(tmp_path, search_directory):
    check_search_output(tmp_path / "new", False)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text("{}")
    for overwrite, resume in ((False, False), (True, False), (False, True)):
        with pytest.raises(ConfigError, match="is not empty and holds no search"):
            check_search_output(tmp_path / "other", overwrite, resume)
    with pytest.raises(ConfigError, match="already holds a search; resume it with --resume"):
        check_search_output(search_directory, False)
    check_search_output(search_directory, True)
    check_search_output(search_directory, False, True)


def test_the_terminal_says_what_was_gained_and_by_which_convention(cheap, tmp_path, capsys):
    options = SearchOptions(algorithm="random", trials=4, seeds_per_trial=2)
    run_search(plan(CONFIG, dataset(), options), tmp_path)
    said = " ".join(capsys.readouterr().out.split())
    assert "mean absolute error of the prediction on valid (n = 16)" in said
    assert "mean over the seeds 3, 4" in said and "The test split took no part" in said
    results = SearchResults.of(plan(CONFIG, dataset(), options), _loaded(plan(CONFIG, dataset(), options), tmp_path))
    mean, std = results.gain
    assert f"Trial {results.best.number} is {mean:.4f} ± {std:.4f}" in said or results.best is results.own
    assert said.count("(4 of 4 done)") == 1


def _loaded(search, directory):
    oracle = make_oracle(search, directory)
    oracle.load()
    return oracle


def test_the_command_searches_and_refuses(cheap, tmp_path, capsys):
    save_npz(dataset(), tmp_path / "features.npz")
    asked = ["tune", "mosi_frozen", "--data", str(tmp_path / "features.npz"), "--trials=3", "--algorithm=random"]
    asked.append("--jobs=1")
    out = str(tmp_path / "search")
    assert main([*asked, "--output", out, "--network.dropout=0.3", "--seeds-per-trial=2"]) == 0
    assert "best_config.json" in "".join(capsys.readouterr().out.split())
    trials = rows(tmp_path / "search")
    assert len(trials) == 3 and trials[0]["network.dropout"] == "0.3"
    before = (tmp_path / "search" / "trials.json").read_bytes()
    for options, told in (
        (["--output", out], "already holds a search"),
        (["--output", out, "--resume"], "network.dropout has changed"),
        (["--output", out, "--resume", "--overwrite"], "choose one"),
        (["--output", out, "--network.dropout=0.3", "--seeds-per-trial=0"], "--seeds-per-trial must be at least 1"),
        (["--output", out, "--overwrite", "--space", str(tmp_path / "none.json")], "none.json"),
    ):
        assert main([*asked, *options]) == 2
        error = capsys.readouterr().err
        assert told in error and error.count("\n") == 1
    assert (tmp_path / "search" / "trials.json").read_bytes() == before


@pytest.mark.verify
def test_the_tuned_configuration_beats_the_recipe_on_validation(tmp_path):
    """On generated data, where the recipe's learning rate is too low for its epochs; both with the same two seeds."""
    config = with_values(find_recipe("synthetic"), {"network.hidden_dim": 16, "modalities": ["text", "audio"]})
    config = with_values(config, {"alignment.epochs": 1, "refinement.epochs": 4, "refinement.learning_rate": 3e-4})
    space = {
        "network.modules": {"values": [[], ["msa"]]},
        "network.dropout": {"min": 0.0, "max": 0.3},
        "refinement.learning_rate": {"min": 1e-4, "max": 1e-2, "sampling": "log"},
    }
    data, _ = make_synthetic({"train": 256, "valid": 128}, seed=1)
    config = with_values(config, {"network.modules": ["msa"]})
    options = SearchOptions(algorithm="bayesian", trials=8, seeds_per_trial=2, space=space_file(tmp_path, space))
    results = tune(plan(config, data, options), tmp_path / "search")
    mean, std = results.gain
    print(f"recipe {results.own.objective:.4f}, best {results.best.objective:.4f}, gain {mean:.4f} ± {std:.4f}")
    assert mean > 0.05 and mean > 2 * std
