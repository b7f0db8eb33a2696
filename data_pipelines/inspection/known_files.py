"""The published files whose hash is known, and what their originals hold."""

import dataclasses

from plumkeras.data_pipelines.schema.validation import MODALITIES, DataError
from plumkeras.data_pipelines.shards import layout


@dataclasses.dataclass(frozen=True)
class KnownFile:
    """A published file.

    Args:
        name: str.
        format: str. As a `Dataset` of it says.
        samples: dict by split.
        widths: dict by modality.
    """

    name: str
    format: str
    samples: dict
    widths: dict


def _mmsa(name, form, samples, widths):
    return KnownFile(
        f"MMSA {name}",
        f"mmsa-{form}",
        dict(zip(("train", "valid", "test"), samples, strict=True)),
        dict(zip(MODALITIES, widths, strict=True)),
    )


_MOSI = ((1284, 229, 686), (768, 5, 20))
_MOSEI = ((16326, 1871, 4659), (768, 74, 35))
_SIMS = ((1368, 456, 457), (768, 33, 709))

# By the SHA-256 that MMSA's README states.
KNOWN_FILES = {
    "78e0f8b5ef8ff71558e7307848fc1fa929ecb078203f565ab22b9daab2e02524": _mmsa("MOSI unaligned_50", "unaligned", *_MOSI),
    "d3994fd25681f9c7ad6e9c6596a6fe9b4beb85ff7d478ba978b124139002e5f9": _mmsa("MOSI aligned_50", "aligned", *_MOSI),
    "ad8b23d50557045e7d47959ce6c5b955d8d983f2979c7d9b7b9226f6dd6fec1f": _mmsa(
        "MOSEI unaligned_50", "unaligned", *_MOSEI
    ),
    "45eccfb748a87c80ecab9bfac29582e7b1466bf6605ff29d3b338a75120bf791": _mmsa("MOSEI aligned_50", "aligned", *_MOSEI),
    "c9e20c13ec0454d98bb9c1e520e490c75146bfa2dfeeea78d84de047dbdd442f": _mmsa("SIMS unaligned_39", "unaligned", *_SIMS),
}


def source_of(dataset):
    """Dict of `format` and `sha256` of the file that a data set was read from; of shards, of what was converted."""
    if dataset.format == layout.NAME and dataset.path is not None:
        try:
            source = layout.read_schema(dataset.path).get("source")
        except (OSError, DataError):
            # The folder may be gone by now, and it says nothing about the data.
            source = None
        if isinstance(source, dict):
            return {"format": source.get("format"), "sha256": source.get("sha256")}
    return {"format": dataset.format, "sha256": dataset.sha256}


def known_file(dataset):
    """The `KnownFile` that a data set's source is by its hash, or None."""
    sha256 = source_of(dataset)["sha256"]
    return KNOWN_FILES.get(sha256) if isinstance(sha256, str) else None


def compare_with_known(dataset):
    """What doesn't fit between a data set and the published file that it is, or looks like.

    A file looks like a published one by its format, its widths, and the sizes of all splits but one at most.

    Returns:
        A list of sentences.
    """
    known, how = known_file(dataset), "is by its SHA-256"
    if known is None:
        candidates = [file for file in KNOWN_FILES.values() if _looks_like(dataset, file)]
        if not candidates:
            return []
        known, how = candidates[0], "looks like"
    found = [
        f"{name}: {count} samples, where {known.name}, which this file {how}, has {known.samples[name]}"
        for name, count in _differing(dataset, known).items()
    ]
    if how == "looks like":
        found.append(f"looks like {known.name}, but its SHA-256 isn't the published one: it was saved anew, or changed")
    return found


def _differing(dataset, known):
    counts = {name: len(dataset[name]) if name in dataset else 0 for name in known.samples}
    return {name: count for name, count in counts.items() if count != known.samples[name]}


def _looks_like(dataset, known):
    source, widths = source_of(dataset), dataset.feature_dims
    # Text vectors are as wide in every file; and data in memory have no hash to compare.
    telling = source["sha256"] is not None and source["format"] == known.format and set(widths) - {"text"}
    same = all(known.widths.get(modality) == width for modality, width in widths.items())
    return bool(telling) and same and len(_differing(dataset, known)) <= 1
