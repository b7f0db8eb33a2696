"""Folders of shards taken apart and put together again, with checksums that fit whatever was changed."""

import functools
import json
import pathlib
import tempfile

import numpy as np

from plumkeras.data_pipelines import Dataset, Split, convert
from plumkeras.data_pipelines.shards import layout


@functools.cache
def _parts():
    """The schema, the indexes and the shards of a small folder."""
    random = np.random.default_rng(0)

    def split(count):
        lengths = random.integers(0, 4, count)
        text = random.normal(size=(count, 3, 2))
        text[np.arange(3) >= lengths[:, None]] = 0
        return Split(
            [f"s{i}" for i in range(count)],
            {"text": text, "audio": random.normal(size=(count, 1, 3))},
            {"text": lengths, "audio": np.ones(count)},
            labels=random.uniform(-3, 3, count).astype("float32"),
            raw_text=[f"words {i}" for i in range(count)],
            folds=np.arange(count),
            context_features={"text": np.ones((count, 2, 2))},
            context_lengths={"text": np.full(count, 2)},
        )

    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work) / "shards"
        convert(Dataset({"train": split(5), "test": split(2)}), folder)
        indexes = {}
        for path in folder.glob("*.npz"):
            with np.load(path) as archive:
                indexes[path.name] = dict(archive)
        shards = {path.name: path.read_bytes() for path in folder.glob("*.npy")}
        return json.loads((folder / "schema.json").read_text()), indexes, shards


def shard_tree():
    """The schema and the indexes, as nested dicts that can be changed."""
    schema, indexes, _ = _parts()
    return {"schema": json.loads(json.dumps(schema)), **{name: dict(arrays) for name, arrays in indexes.items()}}


def write_shards(folder, tree, random, save=np.savez):
    """Writes a folder of that schema and those indexes, as whoever knows how the checksums are made."""
    path = folder / "shards"
    path.mkdir(exist_ok=True)
    for name, data in _parts()[2].items():
        (path / name).write_bytes(data)
    schema = tree.get("schema")
    for name in _parts()[1]:
        arrays = tree.get(name)
        if isinstance(arrays, dict):
            arrays = {str(field): np.asanyarray(array) for field, array in arrays.items()}
            save(path / name, **arrays)
            split = name.removesuffix(layout.index_name(""))
            entry = schema.get("splits") if isinstance(schema, dict) else None
            entry = entry.get(split) if isinstance(entry, dict) else None
            if isinstance(entry, dict) and "index_sha256" in entry:
                entry["index_sha256"] = layout.digest(arrays)
    if isinstance(schema, dict):
        schema = {key: value for key, value in schema.items() if key != "sha256"}
        schema["sha256"] = layout.checksum(schema)
    (path / "schema.json").write_text(json.dumps(schema))
    return path
