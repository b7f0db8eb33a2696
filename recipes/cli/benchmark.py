"""`plumkeras benchmark`."""

import dataclasses
import os
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.data_pipelines import load
from plumkeras.files import write_json
from plumkeras.nearest import nearest
from plumkeras.recipes import find_recipe
from plumkeras.recipes.cli.help import filled, is_asked, listing
from plumkeras.recipes.cli.parsing import MaxBytes, UsageError, check_max_bytes, parse
from plumkeras.recipes.cli.quiet import quiet_start


@dataclasses.dataclass(frozen=True)
class EpochBenchmark:
    """Times an epoch of stage 2 with length-aware batches against one padded to the longest sample.

    plumkeras benchmark epoch --data mosi_text_audio.npz --recipe mosi_frozen
    """

    data: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    """Feature file."""
    recipe: str = "mosi"
    """Recipe whose network and batch size are used."""
    rounds: int = 5
    """Counted epochs of each kind."""
    max_bytes: MaxBytes = None


@dataclasses.dataclass(frozen=True)
class DataBenchmark:
    """Measures conversion to shards, reading them, and the memory of training from them, on generated data.

    plumkeras benchmark data --samples 2000
    """

    recipe: str = "mosei"
    """Recipe whose network and batch size are used."""
    samples: int = 16_326
    """Samples to generate; by default as many as MOSEI has for training."""
    rounds: int = 5
    """Epochs that are read."""


@dataclasses.dataclass(frozen=True)
class ServingBenchmark:
    """Measures the latency of an exported network beside that of the network in memory, then the load of eight threads.

    plumkeras benchmark serve --calls 100 --seconds 20
    """

    calls: int = 200
    """Timed calls of each kind and batch size."""
    seconds: float = 60.0
    """Duration of the load."""


@dataclasses.dataclass(frozen=True)
class StepBenchmark:
    """Measures the first call and the steps of both stages in CPU seconds, for several kinds of network in turn.

    plumkeras benchmark step --shape mosi_frozen --against ../plumkeras-0.1.0
    """

    shape: Literal["reference", "mosi_frozen", "unaligned"] = "reference"
    """Three modalities of 50 frames; those of `mosi_frozen`; or 50, 375 and 500 frames."""
    rounds: int = 5
    """Turns of each process."""
    steps: int = 4
    """Timed steps in a turn."""
    against: Annotated[Path | None, tyro.conf.arg(metavar="DIR")] = None
    """Another checkout of plumkeras, to be timed beside this one."""
    torch: Annotated[Path | None, tyro.conf.arg(metavar="FILE.py")] = None
    """A Python file that defines the network in PyTorch, `PlumNet`, to be timed too; see docs/performance.md."""
    json: Annotated[Path | None, tyro.conf.arg(metavar="FILE.json")] = None
    """Where to write everything that was measured."""


@dataclasses.dataclass(frozen=True)
class ModelsBenchmark:
    """Times an epoch of every model, with its preset for frozen features, beside an epoch of the recipe's own model.

    plumkeras benchmark models --data mosi_text_audio.npz --recipe plum_net_frozen
    """

    data: Annotated[Path, tyro.conf.arg(metavar="PATH")]
    """Feature file."""
    recipe: str = "mosi_frozen"
    """Recipe whose own model the others are timed beside, and whose batch size is used."""
    models: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME")] = ()
    """Models to time; by default all that can be trained on the data."""
    rounds: int = 3
    """Counted epochs of each model."""
    max_bytes: MaxBytes = None


@dataclasses.dataclass(frozen=True)
class ExperimentBenchmark:
    """Times the ablation of four rows on generated data, and the same runs trained one after the other by `train`.

    plumkeras benchmark experiment --seeds 2
    """

    seeds: int = 5
    """Seeds of each row."""
    jobs: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Runs of the experiment at a time; by default as many as the machine carries."""


def run_benchmark(arguments):
    if arguments and arguments[0] in PARTS:
        run, _ = PARTS[arguments[0]]
        return run(arguments[1:])
    if is_asked(arguments[:1]):
        print("usage: plumkeras benchmark PART [options]\n")
        print(listing({name: summary for name, (_, summary) in PARTS.items()}))
        print("\n" + filled("`plumkeras benchmark PART --help` shows the options of a part, with an example."))
        return None
    if not arguments or arguments[0].startswith("-"):
        raise UsageError(f"benchmark needs what to measure: {', '.join(PARTS)} (see plumkeras benchmark --help)")
    hint = nearest(arguments[0], PARTS) or f"; there are {', '.join(PARTS)}"
    raise UsageError(f"unknown benchmark {arguments[0]!r}{hint}")


def _benchmark_epoch(arguments):
    options = _parse(EpochBenchmark, arguments, "epoch")
    recipe = find_recipe(options.recipe)
    check_max_bytes(options.max_bytes)
    dataset = load(options.data, **recipe.label_options, max_bytes=options.max_bytes)
    from plumkeras.recipes.runs.data_checks import check_dataset

    check_dataset(recipe, dataset)
    from plumkeras.recipes.views import terminal

    with quiet_start():
        from plumkeras.recipes.benchmarks.training import benchmark_epoch

    terminal.print_benchmark(benchmark_epoch(recipe, dataset, options.rounds), recipe.name)


def _benchmark_data(arguments):
    options = _parse(DataBenchmark, arguments, "data")
    recipe = find_recipe(options.recipe)
    from plumkeras.recipes.views import terminal

    with quiet_start():
        from plumkeras.recipes.benchmarks.training import benchmark_data

    terminal.print_data_benchmark(benchmark_data(recipe, options.samples, rounds=options.rounds), recipe.name)


def _benchmark_serving(arguments):
    options = _parse(ServingBenchmark, arguments, "serve")
    from plumkeras.recipes.views import terminal

    with quiet_start():
        from plumkeras.recipes.benchmarks.serving import benchmark_serving

    terminal.print_serving_benchmark(benchmark_serving(options.calls, options.seconds))


def _benchmark_step(arguments):
    options = _parse(StepBenchmark, arguments, "step")
    if options.json is not None:
        folder = options.json.absolute().parent
        if not folder.is_dir():
            raise UsageError(f"--json {options.json}: there is no folder {options.json.parent}")
        if options.json.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError(f"--json {options.json}: no file can be written there")
    from plumkeras.recipes.benchmarks.step import benchmark_step
    from plumkeras.recipes.views import terminal

    result = benchmark_step(options.shape, options.against, options.torch, options.rounds, options.steps)
    terminal.print_step_benchmark(result)
    if options.json is not None:
        write_json(options.json, result)


def _benchmark_models(arguments):
    options = _parse(ModelsBenchmark, arguments, "models")
    recipe = find_recipe(options.recipe)
    check_max_bytes(options.max_bytes)
    dataset = load(options.data, **recipe.label_options, max_bytes=options.max_bytes)
    from plumkeras.recipes.runs.data_checks import check_dataset, chosen_models
    from plumkeras.recipes.runs.label_classes import with_label_classes
    from plumkeras.recipes.runs.protocol import fold_dataset, fold_numbers, prepare
    from plumkeras.recipes.views import terminal

    dataset = prepare(recipe, dataset)
    if numbers := fold_numbers(dataset):
        dataset = fold_dataset(dataset, numbers[0])
    check_dataset(recipe, dataset)
    models = chosen_models(recipe, dataset, options.models)
    with quiet_start():
        from plumkeras.recipes.benchmarks.models import benchmark_models

    recipe = with_label_classes(recipe, dataset)
    found = benchmark_models(recipe, dataset, models, options.rounds, terminal.print_line)
    terminal.print_models_benchmark(found, recipe.name, len(dataset["train"]), options.rounds)


def _parse(line, arguments, part):
    options = parse(line, arguments, f"plumkeras benchmark {part}")
    for name in ("rounds", "samples", "calls", "steps", "seeds"):
        if getattr(options, name, 1) < 1:
            raise UsageError(f"--{name} must be at least 1. Received: {getattr(options, name)}")
    if not 0 < getattr(options, "seconds", 1) < float("inf"):
        raise UsageError(f"--seconds must be a number above 0. Received: {options.seconds}")
    return options


def _benchmark_experiment(arguments):
    options = _parse(ExperimentBenchmark, arguments, "experiment")
    from plumkeras.recipes.benchmarks.experiment import benchmark_experiment
    from plumkeras.recipes.views import terminal

    result = benchmark_experiment(options.seeds, options.jobs)
    terminal.print_line(
        f"experiment: {result['experiment_seconds']:.0f} s; {result['runs']} train commands: "
        f"{result['train_seconds']:.0f} s; ratio {result['ratio']:.2f}"
    )


PARTS = {
    "epoch": (_benchmark_epoch, "time an epoch with length-aware batches against padded ones, on a feature file"),
    "data": (_benchmark_data, "measure conversion, reading and memory on generated data of MOSEI's size"),
    "step": (
        _benchmark_step,
        "measure the first call and the steps of both stages, beside another version",
    ),
    "models": (
        _benchmark_models,
        "time an epoch of every model beside the recipe's own, on a feature file",
    ),
    "experiment": (_benchmark_experiment, "time an experiment beside the same runs, trained one after the other"),
    "serve": (_benchmark_serving, "measure the latency of a served network beside the network itself, and a load test"),
}
