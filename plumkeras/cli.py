"""The command line: reads what was asked, refuses what cannot be done, and only then starts a backend."""

import contextlib
import dataclasses
import io
import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.data_pipelines import DataError, convert, data_errors, describe, load, open_shards, save_npz, tfrecord
from plumkeras.data_pipelines.extraction import AudioOptions, TextOptions, VisionOptions, extract
from plumkeras.recipes import ConfigError, RecipeConfig, find_recipe, recipe_names, run_directory
from plumkeras.recipes.config import SyntheticRecipeConfig, TrainingError
from plumkeras.recipes.protocol import fold_dataset, fold_numbers, prepare
from plumkeras.recipes.synthetic import generate

SUMMARY = """\
usage: plumkeras COMMAND ...

PLUM-Net (AAAI 2026) in Keras 3: sentiment, humor and sarcasm from text, audio and vision.

commands:
  train RECIPE --data PATH --output DIR    train both stages, measure valid and test, write a run directory
  evaluate RUN --data PATH                 the standard metrics of a run on a split of a file
  predict RUN --data PATH --output CSV     predictions with each modality's label distribution
  inspect PATH                             what a feature file holds, and what is wrong with it
  convert PATH DIR                         write a feature file as TFRecord shards, which stream
  extract CLIPS --output FILE.npz          features of sound, transcripts and frames, as a native file
  benchmark epoch --data PATH              time an epoch with length-aware batches against padded ones
  benchmark data                           measure conversion, reading and memory on generated data of MOSEI's size

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
    """What a feature file or folder holds, what was cleaned, and what is suspicious."""

    path: tyro.conf.Positional[Path]
    """Feature file or folder; shards stay in their files."""
    json: bool = False
    """Print JSON, one line, in place of tables."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Draw labels, lengths and feature columns into this picture."""
    overwrite: bool = False
    """Replace an existing picture."""


@dataclasses.dataclass(frozen=True)
class Convert:
    """Writes TFRecord shards and schema.json, from which data larger than memory stream."""

    path: tyro.conf.Positional[Path]
    """Feature file or folder."""
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """The folder to make."""
    shards: int = 8
    """Files per split."""
    overwrite: bool = False
    """Replace the shards that the folder holds."""


@dataclasses.dataclass(frozen=True)
class Extract(AudioOptions, TextOptions, VisionOptions):
    """Features of a folder of clips: log-mel of the sound, and of transcripts and frames with `--text-encoder` and
    `--frames`. For a data set that has texts and no vectors of them: the same with token vectors."""

    path: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CLIPS")]
    """Folder of WAV, FLAC, MP3 and OGG files; or a feature file or folder with texts."""
    output: Path
    """The npz file to write."""
    labels: Path | None = None
    """The csv of the clips; by default label.csv in the folder. Columns: video_id and clip_id, or id, or path; text,
    label, mode or split."""
    task: Literal["regression", "classification"] = "regression"
    """What the column label holds."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels; by default -3 3, and -1 1 with labels per modality."""
    overwrite: bool = False
    """Replace an existing npz file."""


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """`epoch` times an epoch of stage 2 with length-aware batches against one padded to the longest sample; `data`
    measures conversion to shards, reading them, and the memory of training from them, on generated data."""

    part: tyro.conf.Positional[Literal["epoch", "data"]]
    """What to measure."""
    data: Path | None = None
    """Feature file, for `epoch`."""
    recipe: str | None = None
    """Recipe whose network and batch size are used; by default `mosi`, for `data` `mosei`."""
    rounds: int = 5
    """Counted epochs of each kind."""
    samples: int = 16_326
    """Samples to generate, for `data`; by default as many as MOSEI has for training."""


def main(arguments=None):
    """Runs a command line; returns the exit status: 0, 2 for a mistake of the user, 130 when interrupted."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    commands = {
        "train": _train,
        "evaluate": _evaluate,
        "predict": _predict,
        "inspect": _inspect,
        "convert": _convert,
        "extract": _extract,
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
        with data_errors():
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
    folds = fold_numbers(dataset)
    for part in [fold_dataset(dataset, number) for number in folds] or [dataset]:
        check_dataset(recipe, part)
    going_on = options.resume and run_directory.holds_run(options.output)
    if going_on:
        run_directory.check_same(options.output, recipe, dataset)
        if run_directory.is_finished(options.output):
            print(f"{options.output}: this run is finished; its metrics:")
    from plumkeras.recipes import terminal

    terminal.print_data(dataset, recipe)
    with _quiet_start():
        from plumkeras.recipes.cross_validation import cross_validate
        from plumkeras.recipes.train import train
    run = cross_validate if folds else train
    metrics = run(recipe, dataset, options.output, resume=options.resume)
    rows = {"valid": metrics["valid"], "test": metrics["test"], "test, baseline": metrics["baseline"]}
    if folds:
        rows = {f"fold {number}": report for number, report in metrics["folds"].items()}
        rows |= {"pooled": metrics["test"], "pooled, baseline": metrics["baseline"]}
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
    terminal.print_metrics({options.split: predictions.report(dataset, split.labels, outputs)}, network.task)


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
    from plumkeras.recipes.checks import check_picture_target

    if options.plot is not None:
        check_picture_target(options.plot, options.overwrite)
    description = describe(_load(options.path))
    if options.json:
        print(json.dumps(description, allow_nan=False))
    else:
        terminal.print_description(description)
    if options.plot is not None:
        from plumkeras.data_pictures import plot_description

        plot_description(description, options.plot)
        if not options.json:
            print(f"Picture: {options.plot}")


def _convert(arguments):
    options = _parse(Convert, arguments, "plumkeras convert")
    if not 1 <= options.shards <= tfrecord.MAX_SHARDS:
        raise UsageError(f"--shards must be within 1 and {tfrecord.MAX_SHARDS}. Received: {options.shards}")
    from plumkeras.recipes import terminal

    with _quiet_start(), terminal.counting("Converting") as progress:
        schema = convert(
            options.path, options.directory, shards=options.shards, overwrite=options.overwrite, progress=progress
        )
    terminal.print_conversion(schema, options.directory)


def _extract(arguments):
    options = _parse(Extract, arguments, "plumkeras extract")
    from plumkeras.recipes import terminal
    from plumkeras.recipes.checks import check_npz_target

    check_npz_target(options.output, options.overwrite)
    kinds = (AudioOptions, TextOptions, VisionOptions)
    made_of = [kind(**{f.name: getattr(options, f.name) for f in dataclasses.fields(kind)}) for kind in kinds]
    with _quiet_start(), terminal.counting("Extracting") as progress:
        found = extract(options.path, options.labels, *made_of, options.task, options.label_range, progress)
    save_npz(found.dataset, options.output, options.overwrite)
    terminal.print_extraction(found, options.output)


def _benchmark(arguments):
    options = _parse(Benchmark, arguments, "plumkeras benchmark")
    for name in ("rounds", "samples"):
        if getattr(options, name) < 1:
            raise UsageError(f"--{name} must be at least 1. Received: {getattr(options, name)}")
    if options.part == "data":
        return _benchmark_data(options)
    if options.data is None:
        raise UsageError("benchmark epoch needs --data PATH, a feature file")
    recipe = find_recipe(options.recipe or "mosi")
    dataset = load(options.data)
    from plumkeras.recipes.checks import check_dataset

    check_dataset(recipe, dataset)
    from plumkeras.recipes import terminal

    with _quiet_start():
        from plumkeras.recipes.benchmark import benchmark_epoch

    terminal.print_benchmark(benchmark_epoch(recipe, dataset, options.rounds), recipe.name)


def _benchmark_data(options):
    if options.data is not None:
        raise UsageError(f"benchmark data generates its own data; leave out --data. Received: {options.data}")
    recipe = find_recipe(options.recipe or ("mosei" if "mosei" in recipe_names() else "mosi"))
    from plumkeras.recipes import terminal

    with _quiet_start():
        from plumkeras.recipes.benchmark import benchmark_data

    terminal.print_data_benchmark(benchmark_data(recipe, options.samples, rounds=options.rounds), recipe.name)


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
    """The file's data set, or the one that the recipe generates, as the recipe uses it."""
    if path is None and isinstance(recipe, SyntheticRecipeConfig):
        return generate(recipe.synthetic)[0]
    if path is None:
        raise UsageError(f"recipe {recipe.name!r} needs --data PATH, a feature file")
    return prepare(recipe, _load(path))


def _load(path):
    """The data set of a path; of shards, which may be larger than memory, the features stay in their files."""
    return open_shards(path) if tfrecord.matches(path) else load(path)


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
