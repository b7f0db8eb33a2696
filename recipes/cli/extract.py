"""`plumkeras extract`."""

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import tyro

from plumkeras.data_pipelines import save_npz
from plumkeras.data_pipelines.extraction import AudioOptions, TextOptions, VisionOptions, extract
from plumkeras.recipes.cli.parsing import MaxBytes, check_max_bytes, parse
from plumkeras.recipes.cli.quiet import quiet_start
from plumkeras.recipes.config import check_label_range


@dataclasses.dataclass(frozen=True)
class Extract(AudioOptions, TextOptions, VisionOptions):
    """Extracts features from a folder of clips: log-mel frames of the sound; with `--text-encoder`, token vectors of
    the transcripts; with `--frames`, image features. To a data set with texts but no text vectors, adds token vectors.

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


def run_extract(arguments):
    headings = {AudioOptions: "sound", TextOptions: "text", VisionOptions: "frame"}
    options = parse(Extract, arguments, "plumkeras extract", headings=headings)
    from plumkeras.recipes.runs.output_checks import check_npz_target
    from plumkeras.recipes.views import terminal

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
