"""The published models, of which some remember more than weights: resumed, on several devices, compiled before."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import plumkeras
from plumkeras.data_pipelines import make_synthetic
from plumkeras.recipes import ConfigError, load_run
from plumkeras.recipes.config import with_values
from plumkeras.recipes.models import config_class
from plumkeras.recipes.runs.compiled import CompiledStages, graph_key
from plumkeras.recipes.runs.stages import Training, network_shape

SIZES = {"train": 40, "valid": 16, "test": 8}
SHAPES = {"feature_dims": {"text": 5, "audio": 3, "vision": 4}, "max_lengths": {"text": 4, "audio": 3, "vision": 3}}
# Small networks; with dropout, which has a state too.
SMALL = {
    "bbfn": {"network.width": 8, "network.num_layers": 2, "network.num_heads": 2},
    "cubemlp": {"network.width": 8, "network.frames": 4, "network.time_sizes": (3, 2), "network.channel_sizes": (6, 4)},
    "dmd": {"network.width": 8, "network.num_layers": 1, "network.num_heads": 2, "network.frames": 4}
    | {"network.kernel_size": 2},
    "glomo": {"network.width": 8, "network.num_layers": 1, "network.num_heads": 2, "network.fusion_feed_forward": 8},
    "iccn": {"network.width": 4, "network.code_width": 2, "network.head_width": 8},
    "lmf": {"network.width": 4, "network.text_width": 8},
    "mag": {"network.width": 8, "network.num_layers": 1, "network.num_heads": 2},
    "misa": {"network.width": 8, "network.feed_forward": 8},
    "mmim": {"network.width": 8, "training.likelihood_rate": 2.0},
    "mult": {"network.width": 8, "network.num_layers": 1, "network.num_heads": 2},
    "self_mm": {"network.width": 8},
    "tfn": {"network.width": 4, "network.text_width": 8, "network.text_out": 4, "network.fusion_width": 8},
}
# Of those that are dealt with in the same way one is enough for every day.
QUICK = [name if name in ("mmim", "self_mm") else pytest.param(name, marks=pytest.mark.verify) for name in SMALL]
# The noise of GLoMo's gates differs between devices as dropout does, and has no rate to set to 0.
WITHOUT_NOISE = [name for name in SMALL if name != "glomo"]


def small(model, **values):
    given = {"batch_size": 12, "training.learning_rate": 1e-2, **SMALL[model], **values}
    return with_values(config_class(model)(name="small"), given)


def data(seed=0, **sizes):
    return make_synthetic({**SIZES, **sizes}, missing_rate=0.2, seed=seed, **SHAPES)[0]


def checkpointed(directory):
    with np.load(directory / "checkpoint.npz") as file:
        return {name: file[name] for name in file.files if name != "facts"}


@pytest.mark.verify
@pytest.mark.parametrize("model", SMALL)
def test_a_resumed_run_equals_one_in_one_go(model, tmp_path):
    whole = plumkeras.train(small(model, **{"training.epochs": 3}), data(), tmp_path / "whole", verbose=0)
    for epochs in (1, 2, 3):
        config = small(model, **{"training.epochs": epochs})
        resumed = plumkeras.train(config, data(), tmp_path / "resumed", resume=epochs > 1, verbose=0)
    for name, values in whole.history["training"].items():
        np.testing.assert_array_equal(resumed.history["training"][name], values, err_msg=name)
    for one, other in zip(resumed.network.get_weights(), whole.network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    found, expected = checkpointed(tmp_path / "resumed"), checkpointed(tmp_path / "whole")
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)
    if model == "self_mm":
        labels = next(a for name, a in expected.items() if name.endswith("text_labels") and "variables" in name)
        assert np.abs(labels - data()["train"].labels)[labels != 0].max() > 0.05


@pytest.mark.parametrize("model", QUICK)
def test_runs_share_what_was_compiled_and_no_state(model):
    config = small(model, **{"training.epochs": 2})

    def trained(seed, compiled=None):
        training = Training(dataclasses.replace(config, seed=seed), data(seed), compiled=compiled)
        return training.fit(verbose=0), training.network.get_weights()

    compiled = CompiledStages()
    trained(0, compiled)
    (shared, weights), (alone, expected) = trained(1, compiled), trained(1)
    assert shared == alone
    for one, other in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_runs_of_other_sizes_share_nothing_where_there_is_a_memory():
    def key(model, dataset):
        config = small(model)
        return graph_key(config, dataset, network_shape(config, dataset))

    assert key("misa", data()) == key("misa", data(train=44))
    assert key("self_mm", data()) != key("self_mm", data(train=44))


@pytest.mark.verify
@pytest.mark.parametrize("model", WITHOUT_NOISE)
def test_several_devices_have_the_state_of_one(model, tmp_path):
    """What is remembered is of the whole batch. Without dropout, whose masks differ; in processes of their own."""
    values = {"batch_size": 12, "training.learning_rate": 1e-3, "training.epochs": 4}
    values |= {"synthetic.missing_rate": 0.2, **{f"synthetic.{split}": size for split, size in SIZES.items()}}
    rates = [field.name for field in dataclasses.fields(small(model).network) if field.name.endswith("dropout")]
    values |= SMALL[model] | {f"network.{rate}": 0.0 for rate in rates}
    options = []
    for name, value in values.items():
        given = value if isinstance(value, tuple) else (value,)
        options += [f"--{name.replace('_', '-')}", *map(str, given)]
    histories = {}
    for devices in (1, 2):
        run = tmp_path / str(devices)
        line = ["train", "synthetic", "--model", model, *options, f"--devices={devices}", "--output", str(run)]
        done = subprocess.run([sys.executable, "-m", "plumkeras", *line], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        histories[devices] = load_run(run).history["training"]
    assert {name for name in histories[1] if name.endswith("_loss")} >= {"prediction_loss", "val_prediction_loss"}
    for name, values in histories[1].items():
        np.testing.assert_allclose(histories[2][name], values, rtol=1e-3, atol=1e-5, err_msg=name)


def test_labels_are_bounded_by_the_data_or_the_recipe():
    dataset = data()
    assert Training(small("self_mm"), dataset).trainers["training"].label_bound == 3.0
    bounded = small("self_mm", **{"objective.label_bound": 1.5})
    assert Training(bounded, dataset).trainers["training"].label_bound == 1.5
    with pytest.raises(ConfigError, match=r"objective\.label_bound must be 1e-06 or more. Received: 0"):
        small("self_mm", **{"objective.label_bound": 0.0})


def test_self_mm_learns_regression_alone():
    with pytest.raises(ConfigError, match=r"self_mm supports regression only\. Received: task=classification"):
        small("self_mm", task="classification")
    classes, _ = make_synthetic(SIZES, task="classification", **SHAPES)
    with pytest.raises(ConfigError, match="self_mm supports regression only, and the labels are for classification"):
        Training(small("self_mm"), classes)
