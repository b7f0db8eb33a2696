"""`plumkeras benchmark`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.cli.starting import quiet_start
from plumkeras.cli.words import MaxBytes, UsageError, check_max_bytes, parse
from plumkeras.data_pipelines import load
from plumkeras.recipes import find_recipe, recipe_names


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """`epoch` times an epoch of stage 2 with length-aware batches against one padded to the longest sample; `data`
    measures conversion to shards, reading them, and the memory of training from them, on generated data; `serve` the
    latency of an exported network beside that of the network in memory, and eight threads calling it."""

    part: tyro.conf.Positional[Literal["epoch", "data", "serve"]]
    """What to measure."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="PATH")] = None
    """Feature file, for `epoch`."""
    recipe: str | None = None
    """Recipe whose network and batch size are used; by default `mosi`, for `data` `mosei`."""
    rounds: int = 5
    """Counted epochs of each kind."""
    samples: int = 16_326
    """Samples to generate, for `data`; by default as many as MOSEI has for training."""
    calls: int = 200
    """Timed calls of each kind and batch size, for `serve`."""
    seconds: float = 60.0
    """Duration of the load, for `serve`."""
    max_bytes: MaxBytes = None


def run_benchmark(arguments):
    options = parse(Benchmark, arguments, "plumkeras benchmark")
    for name in ("rounds", "samples", "calls"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name} must be at least 1. Received: {getattr(options, name)}")
    if not 0 < options.seconds < float("inf"):
        raise UsageError(f"--seconds must be a number above 0. Received: {options.seconds}")
    if options.part == "data":
        return _benchmark_data(options)
    if options.part == "serve":
        return _benchmark_serving(options)
    if options.data is None:
        raise UsageError("benchmark epoch needs --data PATH, a feature file")
    recipe = find_recipe(options.recipe or "mosi")
    check_max_bytes(options.max_bytes)
    dataset = load(options.data, label_range=recipe.label_range, max_bytes=options.max_bytes)
    from plumkeras.recipes.checks import check_dataset

    check_dataset(recipe, dataset)
    from plumkeras.recipes import terminal

    with quiet_start():
        from plumkeras.recipes.benchmark import benchmark_epoch

    terminal.print_benchmark(benchmark_epoch(recipe, dataset, options.rounds), recipe.name)


def _benchmark_data(options):
    _refuse_data(options)
    recipe = find_recipe(options.recipe or ("mosei" if "mosei" in recipe_names() else "mosi"))
    from plumkeras.recipes import terminal

    with quiet_start():
        from plumkeras.recipes.benchmark import benchmark_data

    terminal.print_data_benchmark(benchmark_data(recipe, options.samples, rounds=options.rounds), recipe.name)


def _benchmark_serving(options):
    _refuse_data(options)
    if options.recipe is not None:
        raise UsageError(f"benchmark serve has a network of its own; leave out --recipe. Received: {options.recipe}")
    from plumkeras.recipes import terminal

    with quiet_start():
        from plumkeras.recipes.benchmark_serving import benchmark_serving

    terminal.print_serving_benchmark(benchmark_serving(options.calls, options.seconds))


def _refuse_data(options):
    if options.data is not None:
        raise UsageError(f"benchmark {options.part} generates its own data; leave out --data. Received: {options.data}")
