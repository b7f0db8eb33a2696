"""`plumkeras inspect`, `convert` and `extract`."""

import dataclasses
import json
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.cli.data_sets import load_path
from plumkeras.cli.starting import quiet_start
from plumkeras.cli.words import MaxBytes, UsageError, check_max_bytes, parse, say
from plumkeras.data_pipelines import convert, describe, open_shards, save_npz, tfrecord
from plumkeras.data_pipelines.extraction import AudioOptions, TextOptions, VisionOptions, extract
from plumkeras.recipes.config import check_label_range


@dataclasses.dataclass(frozen=True)
class Inspect:
    """Shows what a feature file or folder holds, what was cleaned, and what is suspicious.

    plumkeras inspect mosi_text_audio.npz --plot mosi.png
    """

    path: tyro.conf.Positional[Path]
    """Feature file or folder; shards stay in their files."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels, in place of the file's own."""
    json: bool = False
    """Print JSON, one line, in place of tables."""
    plot: Annotated[Path | None, tyro.conf.arg(metavar="FILE.png")] = None
    """Draw labels, lengths and feature columns into this picture."""
    overwrite: bool = False
    """Replace an existing picture."""
    max_bytes: MaxBytes = None


@dataclasses.dataclass(frozen=True)
class Convert:
    """Writes TFRecord shards and schema.json, from which data larger than memory stream.

    plumkeras convert aligned_50.pkl mosei_shards
    """

    path: tyro.conf.Positional[Path]
    """Feature file or folder."""
    directory: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DIR")]
    """The folder to make."""
    shards: int = 8
    """Files per split."""
    label_range: tuple[float, float] | None = None
    """The range of regression labels, in place of the file's own; the shards keep it."""
    overwrite: bool = False
    """Replace the shards that the folder holds."""
    max_bytes: MaxBytes = None


@dataclasses.dataclass(frozen=True)
class Extract(AudioOptions, TextOptions, VisionOptions):
    """Features of a folder of clips: log-mel of the sound, and of transcripts and frames with `--text-encoder` and
    `--frames`. For a data set that has texts and no vectors of them: the same with token vectors.

        plumkeras extract clips --output clips.npz --text-encoder bert-base-uncased
    """

    path: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="CLIPS")]
    """Folder of WAV, FLAC, MP3 and OGG files; or a feature file or folder with texts."""
    output: Annotated[Path, tyro.conf.arg(metavar="FILE.npz")]
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
    max_bytes: MaxBytes = None


def run_inspect(arguments):
    options = parse(Inspect, arguments, "plumkeras inspect")
    from plumkeras.recipes import terminal
    from plumkeras.recipes.checks import check_picture_target

    check_label_range(options.label_range, "--label-range")
    if options.plot is not None:
        check_picture_target(options.plot, options.overwrite)
    description = describe(load_path(options.path, options.label_range, options.max_bytes))
    if options.json:
        print(json.dumps(description, allow_nan=False))
    else:
        terminal.print_description(description)
    if options.plot is not None:
        from plumkeras.data_pictures import plot_description

        plot_description(description, options.plot)
        if not options.json:
            say(f"Picture: {options.plot}")


def run_convert(arguments):
    options = parse(Convert, arguments, "plumkeras convert")
    if not 1 <= options.shards <= tfrecord.MAX_SHARDS:
        raise UsageError(f"--shards must be within 1 and {tfrecord.MAX_SHARDS}. Received: {options.shards}")
    check_label_range(options.label_range, "--label-range")
    check_max_bytes(options.max_bytes)
    from plumkeras.recipes import terminal

    with quiet_start(backend=False), terminal.counting("Converting") as progress:
        schema = convert(
            options.path,
            options.directory,
            shards=options.shards,
            overwrite=options.overwrite,
            progress=progress,
            label_range=options.label_range,
            max_bytes=options.max_bytes,
        )
    terminal.print_conversion(schema, open_shards(options.directory, max_bytes=options.max_bytes))


def run_extract(arguments):
    headings = {AudioOptions: "sound", TextOptions: "text", VisionOptions: "frame"}
    options = parse(Extract, arguments, "plumkeras extract", headings=headings)
    from plumkeras.recipes import terminal
    from plumkeras.recipes.checks import check_npz_target

    check_npz_target(options.output, options.overwrite)
    check_label_range(options.label_range, "--label-range")
    check_max_bytes(options.max_bytes)
    kinds = (AudioOptions, TextOptions, VisionOptions)
    made_of = [kind(**{f.name: getattr(options, f.name) for f in dataclasses.fields(kind)}) for kind in kinds]
    with quiet_start(backend=False), terminal.counting("Extracting") as progress:
        asked = (options.task, options.label_range, progress, options.max_bytes)
        found = extract(options.path, options.labels, *made_of, *asked)
    save_npz(found.dataset, options.output, options.overwrite)
    terminal.print_extraction(found, options.output)
