"""What is printed fits a terminal of 80 or 120 columns, with every value whole."""

import dataclasses
import io
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from plumkeras.data_pipelines import Dataset, describe, make_synthetic
from plumkeras.recipes.views import terminal
from plumkeras.recipes.views.wrapping import fill_command

WIDTHS = pytest.mark.parametrize("columns", [80, 120])


def printed(function, *arguments, columns, **options):
    console = Console(width=columns, file=io.StringIO(), force_terminal=True, color_system=None)
    function(*arguments, console=console, **options)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= columns
    return text


@WIDTHS
@pytest.mark.parametrize("folds", [5, 10])
def test_the_metrics_of_folds(folds, columns):
    names = ["mae", "corr", "acc7", "acc5", "acc2_has0", "f1_has0", "acc2_non0", "f1_non0", "n", "n_non0"]
    titles = [*(f"fold {number}" for number in range(folds)), "pooled test", "pooled test, baseline"]
    reports = {
        title: {name: (i + 1) / 100 + j / 1000 for j, name in enumerate(names)} | {"n": 752, "n_non0": 1730 + i}
        for i, title in enumerate(titles)
    }
    lines = printed(terminal.print_metrics, reports, "regression", columns=columns).splitlines()
    for title, report in reports.items():
        for whole in (title, f" {report['mae']:.3f} ", f" {100 * report['f1_non0']:.1f} ", f" {report['n_non0']} "):
            assert any(whole in line for line in lines)


@WIDTHS
def test_the_table_of_a_search(columns):
    fields = ("objective.label_classes", "network.hidden_dim", "alignment.learning_rate", "network.signed_log1p")
    values = dict(zip(fields, ("round7", 256, 0.000123456, ["text", "audio", "vision"]), strict=True))
    trials = [
        SimpleNamespace(
            **{"number": n, "objective": 0.8765 + n, "objective_std": 0.0123, "objectives": [1.0, 2.0]},
            **{"values": values, "status": "completed", "reason": None},
        )
        for n in range(6)
    ]
    dataset = SimpleNamespace(path=Path("/data/mosi.npz"))
    search = SimpleNamespace(algorithm="bayesian", seeds=(0, 1, 2), dataset=dataset)
    results = SimpleNamespace(
        **{"search": search, "trials": trials, "completed": trials, "fields": fields, "own": trials[0]},
        **{"best": trials[0], "objective_title": "MAE", "samples": 229, "gain": (0.0, 0.0)},
    )
    text = printed(terminal.print_search, results, Path("/searches/mosi"), columns=columns)
    for whole in (*fields, "trial 3", " 3.8765 ", "0.000123456", "text audio vision"):
        assert any(whole in line for line in text.splitlines())
    command = "plumkeras train --config /searches/mosi/best_config.json --data /data/mosi.npz --output RUN"
    assert " ".join(text.replace("\\\n", "").split()).endswith(command)


@WIDTHS
def test_what_inspect_prints(columns):
    dims = {"text": 768, "audio": 74, "vision": 71}
    splits = make_synthetic({"train": 120, "valid": 22, "test": 68}, feature_dims=dims)[0]
    labelled = {}
    for name, split in splits.items():
        features = {m: values * 12345.678 for m, values in split.features.items()}
        labelled[name] = dataclasses.replace(
            split, features=features, modality_labels=dict.fromkeys(dims, np.asarray(split.labels))
        )
    lines = printed(terminal.print_description, describe(Dataset(labelled)), columns=columns).splitlines()
    for whole in ("vision", " 120 ", " 768 ", "correlation", "padding %", "positive:"):
        assert any(whole in line for line in lines)


@WIDTHS
def test_benchmarks(columns):
    kind = {"seconds": 123.456, "padding_share": 0.5, "all_seconds": [1.0] * 5}
    epoch = {"samples": 16326, "batches": 511, "padded": kind, "length_aware": kind, "speedup": 1.5}
    text = printed(terminal.print_benchmark, epoch, "mosi_trimodal", columns=columns)
    assert " 123.46 " in text
    part = {"samples": 16326, "seconds": 123.456, "samples_per_second": 123456.0, "all_seconds": [1.0] * 5}
    data = {name: part for name in ("conversion", "reading", "training")} | {
        **{"samples": 16326, "sample_bytes": 123456, "reading_over_training": 1.0},
        "peak_memory": {"whole": 1e9, "tenth": 1e9},
    }
    assert " 123456 " in printed(terminal.print_data_benchmark, data, "mosei", columns=columns)
    latency = {"p50": 12345.67, "p99": 123456.78, "all": [1.0] * 200}
    served = {
        "latency": {
            b: {"exported": latency, "in_memory": latency, "ratio_p50": 1, "ratio_p99": 1} for b in (1, 32, 256)
        },
        "shape": "text 50 x 384, audio 1 x 73; width 256",
        "load": {
            **{"memory_before": 1e9, "memory_after": 1e9, "threads": 8, "seconds": 60.0, "calls": 123456},
            "errors": ["ValueError: " + "what went wrong " * 20],
        },
    }
    assert " 123456.78 " in printed(terminal.print_serving_benchmark, served, columns=columns)


@WIDTHS
def test_the_progress_of_a_stage(columns, capsys, monkeypatch):
    from plumkeras.recipes.runs.progress import StageProgress

    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    names = ("loss", "prediction_loss", "val_loss", "val_prediction_loss", "val_corr")
    logs = {name: -0.1234 - number for number, name in enumerate(names)}
    progress = StageProgress("refinement")
    progress.set_params({"epochs": 2, "steps": 512})
    progress.set_model(SimpleNamespace(best_epoch=1))
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    for batch in range(512):
        progress.on_train_batch_end(batch, {"loss": 10.1234, "prediction_loss": 10.1234})
    progress.on_epoch_end(0, logs)
    progress.on_train_end()
    text = re.sub("\x1b\\[[0-9;]*m|\b", "", capsys.readouterr().out)
    assert max(map(len, re.split("[\r\n]", text))) <= columns
    assert all(f"{name}: {value:.4f}" in text for name, value in logs.items())


def test_a_command_is_broken_at_its_options_alone():
    command = 'docker run --rm -p 8500:8500 -v "$PWD:/models/mosi:ro" -e MODEL_NAME=mosi tensorflow/serving'
    lines = fill_command(command, 60).splitlines()
    assert len(lines) > 1 and max(map(len, lines)) <= 60 and all(line.endswith(" \\") for line in lines[:-1])
    assert " ".join(" ".join(lines).replace("\\", "").split()) == command
