"""What `benchmark step` counts, and that its processes do what they are asked."""

import json

import keras
import pytest

from plumkeras.models.plum_net import PLUMNet
from plumkeras.recipes.benchmarks import step
from plumkeras.recipes.cli import main

TINY = {
    "feature_dims": {"text": 6, "audio": 3},
    "frames": {"text": 5, "audio": 4},
    "network": {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "dropout": 0.1},
    "optimizer": {"learning_rate": 1e-3, "clipnorm": 1.0},
}


@pytest.mark.parametrize("stage", step.STAGES)
def test_the_formula_counts_the_multiplications_of_the_graph(stage):
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("counts the products of a TensorFlow graph")
    network = PLUMNet(TINY["feature_dims"], **TINY["network"])
    names = [n for n in network.output if n.endswith(("_logits", "_aligned_common"))]
    part = network.select(*(["prediction"] if stage == "refinement" else []), *names)
    inputs = {}
    for m, width in TINY["feature_dims"].items():
        inputs[m] = tf.TensorSpec((step.BATCH_SIZE, TINY["frames"][m], width))
        inputs[f"{m}_length"] = tf.TensorSpec((step.BATCH_SIZE,), "int32")
    graph = tf.function(lambda x: part(x, training=False), autograph=False).get_concrete_function(inputs).graph
    counted = 0
    for operation in graph.get_operations():
        if operation.type in ("MatMul", "BatchMatMulV2"):
            left, right = (tensor.shape for tensor in operation.inputs)
            assert not operation.get_attr("transpose_a" if operation.type == "MatMul" else "adj_x")
            if left[0] == 1:  # The query of a pool.
                continue
            counted += left.num_elements() * right[-1]
    assert step.flops(TINY, stage) == 3 * 2 * counted


@pytest.mark.parametrize(
    "options, message",
    [
        (["--against", "there-is-none"], "is no checkout of plumkeras"),
        (["--torch", "there-is-none.py"], "is no file"),
        (["--rounds", "0"], "--rounds must be at least 1"),
        (["--json", "no-such-folder/step.json"], "there is no folder no-such-folder"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_timed(options, message, capsys):
    assert main(["benchmark", "step", *options]) != 0
    assert message in capsys.readouterr().err


def test_a_process_that_ends_says_why():
    settings = step._settings(TINY, {"network": {"hidden_dim": 7}})
    process = step._Process("shared", settings)
    with pytest.raises(step.ConfigError, match=r"the process that times shared ended: .*7"):
        process.ask("fit", stage="alignment", steps=1)
    process.close()


def test_another_checkout_is_fed_by_its_own_pipeline(tmp_path, repository):
    (tmp_path / "plumkeras").symlink_to(repository / "plumkeras")
    (tmp_path / "data_pipelines").mkdir()
    (tmp_path / "data_pipelines" / "__init__.py").write_text("raise RuntimeError('the pipeline of the checkout')")
    process = step._Process("against", step._settings(TINY, {"checkout": str(tmp_path)}))
    with pytest.raises(step.ConfigError, match=r"the process that times against ended: .*the pipeline of the checkout"):
        process.ask("fit", stage="alignment", steps=1)
    process.close()


@pytest.mark.verify
def test_the_command_measures_each_kind(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(step.SHAPES, "reference", TINY)
    assert main(["benchmark", "step", "--rounds", "1", "--steps", "1", "--json", str(tmp_path / "step.json")]) == 0
    assert "Ratios to shared common branch" in capsys.readouterr().out
    kinds = json.loads((tmp_path / "step.json").read_text())["kinds"]
    assert list(kinds) == ["shared", "per_modality", "mixed_bfloat16"]
    for kind in kinds.values():
        assert kind["peak_memory"] > 0
        for stage in step.STAGES:
            assert min(*kind[stage]["first"], *kind[stage]["step"], kind[stage]["share_of_peak"]) > 0
