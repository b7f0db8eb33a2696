"""Runs that take over what another run compiled give the same bits as runs of their own."""

import dataclasses
import gc
import weakref

import keras
import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import make_synthetic
from plumkeras.recipes.config import AlignmentConfig, NetworkConfig, ObjectiveConfig, RecipeConfig, RefinementConfig
from plumkeras.recipes.runs import compiled as compiled_runs
from plumkeras.recipes.runs.compiled import CompiledStages, compiled_before, graph_key
from plumkeras.recipes.runs.stages import Training, network_shape

CONFIG = RecipeConfig(
    name="small",
    batch_size=16,
    network=NetworkConfig(hidden_dim=8, num_layers=1, num_heads=2, dropout=0.3),
    alignment=AlignmentConfig(epochs=2, learning_rate=1e-3, clipnorm=1.0),
    refinement=RefinementConfig(epochs=2, learning_rate=1e-3, weight_decay=1e-2),
)
SIZES = {"train": 40, "valid": 16, "test": 8}


def _data(seed=0, **sizes):
    return make_synthetic({**SIZES, **sizes}, seed=seed)[0]


def _trained(config, dataset, compiled=None):
    training = Training(config, dataset, compiled=compiled)
    histories = training.fit(verbose=0)
    weights = [keras.ops.convert_to_numpy(v) for v in training.network.variables]
    return histories, weights, training


@pytest.mark.verify
def test_a_run_that_takes_over_what_was_compiled_gives_the_same_bits():
    # Scaled losses and hidden modalities have states of their own.
    network = dataclasses.replace(CONFIG.network, common_branch="per_modality", modality_dropout=0.3)
    config = dataclasses.replace(CONFIG, precision="mixed_float16", network=network)
    # Another seed, another rate, other samples and another number of them, as in a fold.
    alignment = dataclasses.replace(CONFIG.alignment, learning_rate=3e-3, epochs=1)
    other, fold = dataclasses.replace(config, seed=1, alignment=alignment), _data(seed=1, train=56)
    compiled = CompiledStages()
    *_, first = _trained(config, _data(), compiled)
    histories, weights, second = _trained(other, fold, compiled)
    assert second.network is first.network
    expected_histories, expected_weights, own = _trained(other, fold)
    assert own.network is not first.network
    assert histories == expected_histories
    assert all(np.array_equal(a, b) for a, b in zip(weights, expected_weights, strict=True))


def test_what_a_graph_freezes_is_compiled_anew():
    compiled = CompiledStages()
    first = Training(CONFIG, _data(), compiled=compiled)
    other = Training(
        dataclasses.replace(CONFIG, objective=ObjectiveConfig(branch_weight=0.5)), _data(), compiled=compiled
    )
    assert other.network is not first.network
    assert compiled.network is other.network


@pytest.mark.parametrize(
    "change",
    [
        {"network": dataclasses.replace(CONFIG.network, dropout=0.2)},
        {"objective": ObjectiveConfig(alignment_weight=0.2)},
        {"refinement": dataclasses.replace(CONFIG.refinement, weight_decay=0.0)},
        {"alignment": dataclasses.replace(CONFIG.alignment, clipnorm=0.0)},
        {"alignment": dataclasses.replace(CONFIG.alignment, epochs=0)},
        {"precision": "mixed_bfloat16"},
        {"modalities": ("text",)},
        {"class_weight": "balanced"},
    ],
)
def test_keys_of_different_graphs_differ(change):
    data = _data()

    def key(config):
        return graph_key(config, data, network_shape(config, data))

    assert key(dataclasses.replace(CONFIG, **change)) != key(CONFIG)


@pytest.fixture
def nothing_held(monkeypatch):
    monkeypatch.setattr(compiled_runs, "_HELD", [])
    monkeypatch.setattr(compiled_runs, "MOST_HELD", 1)


def test_seeds_of_one_process_share_what_was_compiled(nothing_held, tmp_path, monkeypatch):
    built = []
    hold = CompiledStages.hold
    monkeypatch.setattr(CompiledStages, "hold", lambda self, *given: (built.append(given), hold(self, *given)))

    # Both stages, of a network that is traced quickly.
    config = dataclasses.replace(CONFIG, network=dataclasses.replace(CONFIG.network, modules=("msa",)))

    def files(name, seed):
        run = plumkeras.train(config, _data(), tmp_path / name, seed=seed, verbose=0)
        tables = sorted(p for p in run.directory.glob("*.csv"))
        assert len(tables) == 4  # Two histories, predictions of two splits.
        return [path.read_bytes() for path in tables]

    files("first", 0)
    shared = files("second", 1)
    assert len(built) == 1
    compiled_runs._HELD.clear()
    assert shared == files("alone", 1)
    assert len(built) == 2


def test_what_is_held_is_lent_to_one_run_at_a_time_and_dropped_after_an_error(nothing_held):
    def run(key):
        with compiled_before(key) as compiled:
            if compiled is not None:
                compiled.key = key
        return compiled

    first = run("a")
    with compiled_before("a") as lent:
        assert lent is first
        beside = run("a")
        assert beside is not first
    with pytest.raises(RuntimeError), compiled_before("a"):
        raise RuntimeError
    third = run("a")
    assert third is not first and third is not beside
    assert run(None) is None
    assert run("a") is not third


def test_what_is_let_go_takes_no_setting_of_keras_with_it():
    compiled = CompiledStages()
    Training(CONFIG, _data(), compiled=compiled)
    network = weakref.ref(compiled.network)
    keras.config.disable_interactive_logging()
    try:
        compiled.release_other("another key")
        assert network() is None
        assert not keras.config.is_interactive_logging_enabled()
    finally:
        keras.config.enable_interactive_logging()


@pytest.mark.verify
def test_the_graphs_of_a_run_are_freed_with_it():
    """Those of two stages take hundreds of megabytes, and a search has many; TensorFlow is apt to register them."""
    func_graph = pytest.importorskip("tensorflow.python.framework.func_graph")

    def graphs():
        gc.collect()
        return [found for found in gc.get_objects() if isinstance(found, func_graph.FuncGraph)]

    before = graphs()
    # Stage 2 has every module; without stage 1 it is traced alone.
    _trained(dataclasses.replace(CONFIG, alignment=dataclasses.replace(CONFIG.alignment, epochs=0)), _data())
    assert [graph.name for graph in graphs() if not any(graph is other for other in before)] == []


@pytest.mark.parametrize("most", [1, 2])
def test_no_more_is_held_than_the_limit_says(nothing_held, monkeypatch, most):
    monkeypatch.setattr(compiled_runs, "MOST_HELD", most)
    for key in ("a", "b", "c", "b"):
        with compiled_before(key) as compiled:
            compiled.key = key
        assert len(compiled_runs._HELD) <= most
    assert [held.key for held in compiled_runs._HELD] == ["c", "b"][-most:]


@pytest.mark.parametrize("change", [{"name": "other"}, {"seed": 1}, {"validation_fraction": 0.5}])
def test_keys_of_equal_graphs_are_equal(change):
    data = _data()
    other = dataclasses.replace(CONFIG, **change)
    assert graph_key(other, data, network_shape(other, data)) == graph_key(CONFIG, data, network_shape(CONFIG, data))


def test_a_schedule_holds_the_number_of_its_steps():
    cosine = dataclasses.replace(CONFIG, refinement=dataclasses.replace(CONFIG.refinement, schedule="cosine"))
    short, long = _data(), _data(train=56)
    assert graph_key(cosine, short, network_shape(cosine, short)) != graph_key(
        cosine, long, network_shape(cosine, long)
    )
    assert graph_key(CONFIG, short, network_shape(CONFIG, short)) == graph_key(
        CONFIG, long, network_shape(CONFIG, long)
    )
