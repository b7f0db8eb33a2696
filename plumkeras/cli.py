"""The command line: reads what was asked, refuses what cannot be done, and only then starts a backend."""

import contextlib
import dataclasses
import io
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.data_pipelines import DataError, describe, load
from plumkeras.recipes import ConfigError, RecipeConfig, find_recipe, recipe_names, run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig, TrainingError
from plumkeras.recipes.synthetic import generate

SUMMARY = """\
usage: plumkeras COMMAND ...

PLUM-Net (AAAI 2026) in Keras 3: sentiment, humor and sarcasm from text, audio and vision.

commands:
  train RECIPE --data PATH --output DIR    train both stages, measure valid and test, write a run directory
  evaluate RUN --data PATH                 the standard metrics of a run on a split of a file
  predict RUN --data PATH --output CSV     predictions with each modality's label distribution
  inspect PATH                             what a feature file holds, and what is wrong with it
  benchmark epoch --data PATH              time an epoch with length-aware batches against padded ones

recipes: {recipes}, or the path of a recipe file
`plumkeras COMMAND --help` shows the options; `plumkeras train RECIPE --help` those of a recipe.
"""


class UsageError(Exception):
    """The words on the command line are off."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Train:
    """Trains a recipe's two stages on `train`, chooses the epoch on `valid`, measures `valid` and `test` once."""

    output: Path
    """The run directory to make."""
    data: Path | None = None
    """Feature file: native npz or MMSA pickle. `synthetic` needs none."""
    overwrite: bool = False
    """Replace a run that the output directory holds."""
    resume: bool = False
    """Go on with the output directory's run where it was stopped; start it where there is none."""


@dataclasses.dataclass(frozen=True)
class Evaluate:
    """The standard metrics of a run on one split of a file."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory."""
    data: Path | None = None
    """Feature file. Not needed for a run of `synthetic`."""
    split: str = "test"
    """Split to measure."""


@dataclasses.dataclass(frozen=True)
class Predict:
    """Writes id, prediction and, per modality, the hard and soft prototype label, so that one sees who disagrees."""

    run: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
    """Run directory."""
    output: Path
    """The csv file to write."""
    data: Path | None = None
    """Feature file; labels are not needed. Not needed for a run of `synthetic`."""
    split: str | None = None
    """Split to predict; by default test, or the only one of the file."""
    overwrite: bool = False
    """Replace an existing csv file."""


@dataclasses.dataclass(frozen=True)
class Inspect:
    """What a feature file holds, what was cleaned, and what is suspicious."""

    path: tyro.conf.Positional[Path]
    """Feature file."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Times an epoch of stage 2 with length-aware batches against one padded to the longest sample."""

    part: tyro.conf.Positional[Literal["epoch"]]
    """What to measure."""
    data: Path
    """Feature file."""
    recipe: str = "mosi"
    """Recipe whose network and batch size are used."""
    rounds: int = 5
    """Counted epochs of each kind."""


def main(arguments=None):
    """Runs a command line; returns the exit status: 0, 2 for a mistake of the user, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "train": _train,
        "evaluate": _evaluate,
        "predict": _predict,
        "inspect": _inspect,
        "benchmark": _benchmark,
    }
    try:
        if not arguments or arguments[0] in ("-h", "--help"):
            print(SUMMARY.format(recipes=", ".join(recipe_names())), end="")
            return 0
        if arguments[0] == "--version":
            import plumkeras

            print(f"plumkeras {plumkeras.__version__}")
            return 0
        if arguments[0] not in commands:
            raise UsageError(f"unknown command {arguments[0]!r}; there are {', '.join(commands)}")
        warnings.filterwarnings("ignore", category=UserWarning, module="keras")
        commands[arguments[0]](arguments[1:])
        return 0
    except BrokenPipeError:
        # The reader of a pipe went away, as `head` does; nothing more can be written there.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 1
    except (UsageError, ConfigError, DataError, TrainingError, OSError) as error:
        print(f"plumkeras: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("plumkeras: interrupted", file=sys.stderr)
        return 130


@contextlib.contextmanager
def _quiet_start():
    """Around what starts the backend: holds back what TensorFlow's C++ prints on standard error, unless that fails."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        real = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except ImportError as error:
            backend = os.environ.get("KERAS_BACKEND", "tensorflow")
            raise UsageError(f"the {backend} backend (KERAS_BACKEND) cannot be imported: {error}") from error
        except BaseException:
            os.dup2(real, 2)
            held.seek(0)
            sys.stderr.write(held.read().decode(errors="replace"))
            raise
        finally:
            os.dup2(real, 2)
            os.close(real)


def _train(arguments):
    options, recipe = _parse_train(arguments)
    from plumkeras.recipes.checks import check_dataset, check_output

    if options.overwrite and options.resume:
        raise UsageError("--overwrite replaces a run and --resume goes on with it; choose one")
    check_output(options.output, options.overwrite, options.resume)
    dataset = _read(options.data, recipe)
    check_dataset(recipe, dataset)
    going_on = options.resume and run_directory.holds_run(options.output)
    if going_on:
        run_directory.check_same(options.output, recipe, dataset)
        if run_directory.is_finished(options.output):
            print(f"{options.output}: this run is finished; its metrics:")
    from plumkeras.recipes import terminal

    terminal.print_data(dataset)
    with _quiet_start():
        from plumkeras.recipes.train import train
    metrics = train(recipe, dataset, options.output, resume=options.resume)
    rows = {"valid": metrics["valid"], "test": metrics["test"], "test, baseline": metrics["baseline"]}
    terminal.print_metrics(rows, dataset.task)
    print(f"Run directory: {options.output}")


def _evaluate(arguments):
    options = _parse(Evaluate, arguments, "plumkeras evaluate")
    dataset, described = _for_run(options.run, options.data)
    from plumkeras.recipes.checks import check_labels

    check_labels(described, dataset, options.split)
    split = dataset[options.split]
    from plumkeras.recipes import load_run, predictions, terminal

    with _quiet_start():
        network = load_run(options.run).network
    outputs = predictions.predict_split(network, split)
    terminal.print_metrics({options.split: predictions.report(network.task, split.labels, outputs)}, network.task)


def _predict(arguments):
    options = _parse(Predict, arguments, "plumkeras predict")
    from plumkeras.recipes.checks import check_csv_target, choose_split

    check_csv_target(options.output, options.overwrite)
    dataset, _ = _for_run(options.run, options.data)
    name = choose_split(dataset, options.split)
    from plumkeras.recipes import load_run, predictions

    with _quiet_start():
        network = load_run(options.run).network
    outputs = predictions.predict_split(network, dataset[name])
    predictions.write_csv(options.output, dataset[name].ids, network, outputs)
    print(f"{options.output}: {len(dataset[name])} predictions of {name}")


def _inspect(arguments):
    options = _parse(Inspect, arguments, "plumkeras inspect")
    from plumkeras.recipes import terminal

    terminal.print_description(describe(load(options.path)))


def _benchmark(arguments):
    options = _parse(Benchmark, arguments, "plumkeras benchmark")
    if options.rounds < 1:
        raise UsageError(f"--rounds must be at least 1. Received: {options.rounds}")
    recipe = find_recipe(options.recipe)
    dataset = load(options.data)
    from plumkeras.recipes.checks import check_dataset

    check_dataset(recipe, dataset)
    from plumkeras.recipes import terminal

    with _quiet_start():
        from plumkeras.recipes.benchmark import benchmark_epoch

    terminal.print_benchmark(benchmark_epoch(recipe, dataset, options.rounds), recipe.name)


def _for_run(directory, data):
    """The data set to put to a run, checked against its network, and what the run says of the network."""
    from plumkeras.recipes.checks import check_run, check_widths

    check_run(directory)
    path = directory / run_directory.CONFIG
    described = run_directory.read_network(path)
    dataset = _read(data, run_directory.read_config(path))
    check_widths(described["feature_dims"], dataset)
    return dataset, described


def _read(path, recipe):
    """The file's data set, or the one that the recipe generates."""
    if isinstance(recipe, SyntheticRecipeConfig):
        if path is None:
            return generate(recipe.synthetic)[0]
    elif path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return load(path)


def _parse_train(arguments):
    """The options, and the recipe (by name, file or `--config`) with its overrides."""
    arguments = list(arguments)
    if arguments and not arguments[0].startswith("-"):
        named = arguments.pop(0)
        recipe = find_recipe(named)
    elif (replayed := _take(arguments, "--config")) is not None:
        named, recipe = f"--config {replayed}", run_directory.read_config(replayed)
    elif {"-h", "--help"} & set(arguments):
        named, recipe = "RECIPE", RecipeConfig(name="RECIPE")
    else:
        raise UsageError(f"train needs a recipe: {', '.join(recipe_names())}, a recipe file, or --config FILE")
    # One flat line: the options of the command, then the fields of the recipe with the recipe's own values.
    line = dataclasses.make_dataclass(
        "train", [], bases=(Train, type(recipe)), frozen=True, namespace={"__doc__": Train.__doc__}
    )
    default = line(output=tyro.MISSING, **{f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)})
    parsed = _parse(line, arguments, f"plumkeras train {named}", default)
    return parsed, type(recipe)(**{f.name: getattr(parsed, f.name) for f in dataclasses.fields(recipe)})


def _take(arguments, option):
    """Removes `option VALUE` or `option=VALUE` from the arguments and returns the value, or None."""
    for index, argument in enumerate(arguments):
        if argument == option:
            if index + 1 == len(arguments):
                raise UsageError(f"{option} needs a value")
            del arguments[index]
            return arguments.pop(index)
        if argument.startswith(f"{option}="):
            return arguments.pop(index).split("=", 1)[1]
    return None


def _parse(line, arguments, prog, default=None):
    """Parses the options of a command; a mistake becomes one line in place of tyro's box."""
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(line, prog=prog, args=arguments, **({} if default is None else {"default": default}))
    except SystemExit as stop:
        if not stop.code:
            raise
        raise UsageError(f"{_one_line(said.getvalue())} (see {prog} --help)") from None


def _one_line(box):
    """The message in a box of tyro's, and the option it thinks was meant."""
    lines = [re.sub("[│╭╮╰╯─]", "", line).strip() for line in box.splitlines()]
    # The first line is the title of the box, which the message repeats.
    lines = [line for line in lines if line.strip("-") and not line.endswith(("--help", "For full helptext, run:"))][1:]
    end = next((i for i, line in enumerate(lines) if line in ("Perhaps you meant:", "Argument helptext:")), len(lines))
    message = " ".join(lines[:end])
    if "Perhaps you meant:" in lines[end : end + 1]:
        message += f"; did you mean {lines[end + 1].split()[0]}?"
    return message


if __name__ == "__main__":
    sys.exit(main())
