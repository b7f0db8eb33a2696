"""Damaged and hostile files of every format: each loads correctly or gives one `DataError`, and nothing else happens.

A format joins by an entry in `FORMATS`. Every damaged case is a pure function of (seed, format, number); the hostile
ones, small files that stand for much more, are those of `hostile_files`.
"""

import dataclasses
import os
import pathlib
import pickle
import subprocess
import sys
import tracemalloc
import warnings
from collections.abc import Callable

import numpy as np
import pytest

from plumkeras.data_pipelines import DataError, describe, load
from plumkeras.data_pipelines import readers as all_readers
from plumkeras.data_pipelines.schema.validation import validate
from tests.testing import dataset_folders as folders
from tests.testing import dataset_pickles as build
from tests.testing import hostile_files as hostile
from tests.testing import shard_folders as shards
from tests.testing.dataset_pickles import mmsa_split
from tests.testing.npz_files import npz_fields

SEED = 20261124
# In all, and of each format.
QUICK, FULL = 150, 1000
PEAK_BYTES = 200e6
# Every fixture is far smaller; a message that quotes a file at length is no message.
LONGEST_MESSAGE = 3000
_DEEPEST = 6
_SMALL = {"vision": 4, "audio": 3, "text": 5}
_FRAMES = {"text": 6, "audio": 6, "vision": 6}


def write_pickle(folder, tree, random):
    path = folder / "features.dat"
    path.write_bytes(pickle.dumps(tree, protocol=int(random.integers(0, 6))))
    return path


def write_npz(folder, tree, random):
    path = folder / "features.dat"
    with path.open("wb") as file:
        (np.savez if random.integers(2) else np.savez_compressed)(file, **tree)
    return path


def mmsa_tree(**options):
    return {name: mmsa_split(3, name, seed=seed, **options) for seed, name in enumerate(("train", "valid", "test"))}


def npz_tree():
    return npz_fields(4, "train/", 0) | npz_fields(3, "test/", 1)


def mult_tree(**options):
    items = {name: build.content(3, seed, True, _SMALL, 6) for seed, name in enumerate(("train", "valid", "test"))}
    return {name: build.mult_split(items[name], name, frames=_FRAMES, **options) for name in items}


def multibench_tree():
    widths = {"vision": 371, "audio": 81, "text": 5}
    items = {name: build.content(3, seed, True, widths, 6) for seed, name in enumerate(("train", "valid", "test"))}
    return {name: build.multibench_split(items[name], name, (0, 1), _FRAMES) for name in items}


def one_video():
    return {"audio": np.ones((4, 5)), "vision": np.ones((3, 4)), "text": np.ones((5, 6)), "text_bert": np.ones((3, 5))}


def write_tuple_folder(folder, tree, random):
    return folders.write_tuple_folder(folder, tree, protocol=int(random.integers(0, 6)))


def tuple_folder_tree():
    return {name: build.misa_list(vision=3, audio=4, seed=seed) for seed, name in enumerate(("train", "dev", "test"))}


def write_csd(folder, tree, random):
    return folders.write_csd_files(folder, tree)


def write_ur_funny(folder, tree, random):
    return folders.write_ur_funny(folder, tree, protocol=int(random.integers(0, 6)))


def write_mustard(folder, tree, random):
    return folders.write_mustard(folder, tree)


def write_label_csv(folder, tree, random):
    rows = tree.get("rows", [])
    if random.integers(2):
        return folders.write_npy_tree(folder, rows, tree.get("arrays", {}))
    folders.write_label_csv(folder, rows)
    write_pickle(folder, tree.get("features", {}), random)
    return folder


def label_csv_tree():
    features = mmsa_tree(aligned=False)
    rows = folders.rows_of(features)
    return {"rows": rows, "features": features, "arrays": folders.npy_arrays(rows)}


@dataclasses.dataclass(frozen=True)
class Format:
    """How a file (or folder) of a format comes about.

    Args:
        write: callable from (folder, tree, random) to the path that is loaded: a file in the folder, or a folder
            in it. The key in `FORMATS` is what the undamaged one's `Dataset.format` has to be.
        tree: callable that gives the fields, whose types and places are damaged too; None leaves it at the bytes.
    """

    write: Callable
    tree: Callable | None = None


FORMATS = {
    "npz": Format(write_npz, npz_tree),
    "mmsa-aligned": Format(write_pickle, lambda: mmsa_tree(aligned=True)),
    "mmsa-unaligned": Format(write_pickle, lambda: mmsa_tree(aligned=False, kind="sims")),
    "mmsa-single": Format(write_pickle, one_video),
    "mult-aligned": Format(write_pickle, lambda: mult_tree(mosei=True)),
    "multibench-aligned": Format(write_pickle, multibench_tree),
    "misa": Format(write_pickle, lambda: build.misa_list(vision=3, audio=4)),
    "misa-folder": Format(write_tuple_folder, tuple_folder_tree),
    "mag": Format(write_pickle, lambda: build.mag_tree(vision=3, audio=4)),
    "hkt": Format(write_pickle, lambda: build.hkt_tree((2, 2, 2))),
    "csd": Format(write_csd, folders.csd_content),
    "label_csv": Format(write_label_csv, label_csv_tree),
    "ur_funny-v1": Format(write_ur_funny, lambda: folders.ur_funny_tree("v1")),
    "ur_funny-v2": Format(write_ur_funny, lambda: folders.ur_funny_tree("v2", str)),
    "mustard": Format(write_mustard, lambda: folders.mustard_tree(width=6, bert=5)),
    "shards": Format(shards.write_shards, shards.shard_tree),
}


# What is done to a file


def spots(tree, path=()):
    """Where something stands in nested dicts, lists and tuples, as paths; a list may hold itself."""
    if len(path) == _DEEPEST:
        return
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, (list, tuple)) else ()
    for key, value in items:
        yield (*path, key)
        yield from spots(value, (*path, key))


def at(tree, path):
    for key in path:
        tree = tree[key]
    return tree


def put(tree, path, value):
    """A copy of the tree with something else in one place."""
    if not path:
        return value
    key, *rest = path
    items = dict(tree) if isinstance(tree, dict) else dict(enumerate(tree))
    items[key] = put(items[key], rest, value)
    return items if isinstance(tree, dict) else type(tree)(items.values())


def swap_fields(tree, random):
    places = list(spots(tree))
    first, second = (places[random.integers(len(places))] for _ in range(2))
    left, right = at(tree, first), at(tree, second)
    tree = put(tree, first, right)
    try:
        return put(tree, second, left)
    except (KeyError, IndexError, TypeError, AttributeError):  # the second place stood in the first
        return tree


class Malice:
    """Leaves a file behind when it is unpickled by anything that calls what it reads."""

    def __init__(self, marker):
        self.command = f"touch {marker}"

    def __reduce__(self):
        return os.system, (self.command,)


def _own(value):
    loop = [value]
    loop.append(loop)
    return loop


def _poke(values):
    """Puts extreme values into a numeric array."""

    def change(value, random):
        array = np.array(value, dtype="float64")
        array.flat[random.integers(array.size)] = values[random.integers(len(values))]
        return array

    return change


ODDITIES = (
    lambda value, random: None,
    lambda value, random: int(random.integers(-(2**40), 2**40)),
    lambda value, random: 10**400,
    lambda value, random: float("nan"),
    lambda value, random: 1 + 2j,
    lambda value, random: "text",
    lambda value, random: "\udc80",
    lambda value, random: "x" * 70_000,
    lambda value, random: b"\xff\xfe",
    lambda value, random: True,
    lambda value, random: [],
    lambda value, random: {},
    lambda value, random: (),
    lambda value, random: {"audio": 1},
    lambda value, random: {1, 2},
    lambda value, random: _own(value),
    lambda value, random: [value] * 3,
    lambda value, random: (value,),
    lambda value, random: value[:-1],
    lambda value, random: value[:0],
    lambda value, random: value[::-1],
    lambda value, random: value + value,
    lambda value, random: np.array(value)[None],
    lambda value, random: np.array(value)[..., None],
    lambda value, random: np.array(value)[..., :0],
    lambda value, random: np.array(value).ravel(),
    lambda value, random: np.array(value).T,
    lambda value, random: np.asfortranarray(value),
    lambda value, random: np.array(value).tolist(),
    lambda value, random: np.array(value).astype("U5"),
    lambda value, random: np.array(value).astype("S3"),
    lambda value, random: np.array(value).astype("int8"),
    lambda value, random: np.array(value).astype("float16"),
    lambda value, random: np.array(value).astype(">f4"),
    lambda value, random: np.array(value).astype("longdouble"),
    lambda value, random: np.array(value).astype("bool"),
    lambda value, random: np.array(value).astype("complex64"),
    lambda value, random: np.array(value).astype("object"),
    lambda value, random: np.array(value).astype("M8[s]"),
    lambda value, random: np.array(5.0),
    lambda value, random: np.empty((10**9, 0)),
    lambda value, random: np.empty((0, 10**9)),
    lambda value, random: np.zeros(3, [("a", "f8"), ("b", "O")]),
    _poke((np.nan, np.inf, -np.inf, 1e300, -1e300, 1e39, 1e7, 5e-324)),
    _poke((-1, 0, 0.5, 2, 1e6, 2**31, 2**63, -(2**31))),
)


def change_type(tree, random, marker):
    places = list(spots(tree))
    path = places[random.integers(len(places))]
    choice = random.integers(len(ODDITIES) + 1)
    if choice == len(ODDITIES):
        return put(tree, path, Malice(marker))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return put(tree, path, ODDITIES[choice](at(tree, path), random))
    except (TypeError, ValueError, OverflowError, IndexError, RuntimeError):  # this can't be made of what stands there
        return put(tree, path, None)


def drop_field(tree, random):
    places = [path for path in spots(tree) if isinstance(at(tree, path[:-1]), (dict, list))]
    *path, key = places[random.integers(len(places))]
    parent = at(tree, path)
    if isinstance(parent, dict):
        return put(tree, path, {name: value for name, value in parent.items() if name != key})
    return put(tree, path, parent[:key] + parent[key + 1 :])


def one_file(path, random):
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return files[random.integers(len(files))]


def flip_bits(path, random):
    """A few bits, half the time near the start, where headers and names are."""
    data = bytearray(path.read_bytes())
    stop = min(len(data), 400) if random.integers(2) else len(data)
    for position in random.integers(0, stop, random.integers(1, 9)):
        data[position] ^= 1 << random.integers(8)
    path.write_bytes(data)


def truncate(path, random):
    data = path.read_bytes()
    path.write_bytes(data[: random.integers(len(data))])


def scramble(path, random):
    """A stretch of bytes is repeated, moved, zeroed or made of noise."""
    data = path.read_bytes()
    start, stop = sorted(random.integers(0, len(data) + 1, 2))
    stop = min(stop, start + 64)
    new = (data[start:stop] * 2, b"", bytes(stop - start), random.bytes(stop - start), b"\xff" * (stop - start))
    path.write_bytes(data[:start] + new[random.integers(len(new))] + data[stop:])


def damaged(format, folder, random):
    """Writes one damaged file; gives the path to load, and what was done."""
    marker = folder / "it-ran"
    tree = format.tree() if format.tree else None
    kinds = ["bits", "truncation", "scrambling", *(["swap", "type", "type", "loss"] if format.tree else [])]
    kind = kinds[random.integers(len(kinds))]
    if kind == "swap":
        tree = swap_fields(tree, random)
    elif kind == "type":
        for _ in range(random.integers(1, 3)):
            tree = change_type(tree, random, marker)
    elif kind == "loss":
        tree = drop_field(tree, random)
    try:
        path = format.write(folder, tree, random)
    except (TypeError, ValueError, AttributeError, OverflowError, pickle.PicklingError):
        # Not everything can be written; then the bytes are damaged instead.
        path, kind = format.write(folder, format.tree(), random), "bits"
    if kind in ("bits", "truncation", "scrambling"):
        {"bits": flip_bits, "truncation": truncate, "scrambling": scramble}[kind](one_file(path, random), random)
    return path, kind


# What must hold then

_RUNS_CODE = {"os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "subprocess.Popen", "pickle.find_class"}
_ran = []


def _hook(event, args):
    if _ran and event in _RUNS_CODE:
        _ran.append(event)


sys.addaudithook(_hook)


def assert_correct(dataset):
    """Everything that training relies on, seen on the arrays themselves."""
    validate(dataset)
    for split in dataset.values():
        pairs = [(split.features, split.lengths), (split.context_features or {}, split.context_lengths or {})]
        for features, lengths in pairs:
            for modality, array in features.items():
                assert array.dtype == np.float32 and array.ndim == 3 and np.isfinite(array).all()
                assert np.abs(array).max(initial=0) <= 1e6
                assert lengths[modality].dtype == np.int32 and lengths[modality].shape == (len(split),)
                padding = np.arange(array.shape[1]) >= lengths[modality][:, None]
                assert not array[padding].any()
        if split.labels is not None:
            assert split.labels.dtype in (np.int32, np.float32) and np.isfinite(split.labels).all()
    describe(dataset)


def outcome(path, folder, max_bytes=None):
    """Loads a file; `"loaded"` or `"refused"`.

    Raises:
        AssertionError: what was loaded isn't correct, memory grew, code ran, or the error says too little or too much.
        Exception: whatever else loading raised.
    """
    _ran[:] = ["armed"]
    tracemalloc.reset_peak()
    start = tracemalloc.get_traced_memory()[0]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)
            assert_correct(load(path, max_bytes=max_bytes))
        result = "loaded"
    except DataError as error:
        assert str(path) in str(error), f"doesn't name the file: {error}"
        assert len(str(error)) < LONGEST_MESSAGE, f"{len(str(error))} characters: {str(error)[:200]}"
        result = "refused"
    finally:
        events, _ran[:] = _ran[1:], []
        peak = tracemalloc.get_traced_memory()[1] - start
    assert not events, f"runs code: {events}"
    assert not (folder / "it-ran").exists(), "code ran"
    assert peak < PEAK_BYTES, f"{peak / 1e6:.0f} MB were allocated"
    return result


def run_cases(name, count, tmp_path):
    """Loads `count` damaged files of a format; gives how many were loaded and refused, and the failures."""
    counts, failures = {"loaded": 0, "refused": 0}, []
    started = not tracemalloc.is_tracing()
    if started:
        tracemalloc.start()
    try:
        for number in range(count):
            random = np.random.default_rng([SEED, *name.encode(), number])
            folder = tmp_path / str(number)
            folder.mkdir()
            path, kind = damaged(FORMATS[name], folder, random)
            try:
                counts[outcome(path, folder)] += 1
            except Exception as error:
                failures.append(f"{name} {number} ({kind}): {type(error).__name__}: {str(error)[:500]}")
    finally:
        if started:
            tracemalloc.stop()
    return counts, failures


@pytest.mark.parametrize("name", FORMATS)
def test_the_undamaged_file_loads(tmp_path, name):
    format = FORMATS[name]
    path = format.write(tmp_path, format.tree() if format.tree else None, np.random.default_rng(0))
    dataset = load(path)
    assert_correct(dataset)
    assert dataset.format == name


@pytest.mark.parametrize("name", FORMATS)
def test_damage(tmp_path, name):
    counts, failures = run_cases(name, -(-QUICK // len(FORMATS)), tmp_path)
    assert not failures, "\n".join(failures)
    assert counts["refused"] > 0


@pytest.mark.verify
@pytest.mark.parametrize("name", FORMATS)
def test_damage_in_full(tmp_path, name):
    counts, failures = run_cases(name, FULL, tmp_path)
    assert not failures, "\n".join(failures)
    assert counts["refused"] > 0 and counts["loaded"] > 0


# Small files that stand for much more

# Those that take seconds to write are left to `make verify`; `test_npz` has small ones.
QUICK_HOSTILE = [name for name in hostile.BUILDERS if not name.startswith("npz")]
HOSTILE_SIZE, HOSTILE_MEMORY, HOSTILE_SECONDS = 1_100_000, 1 << 30, 10


def build_hostile(name, folder):
    """Writes a hostile file, which is small."""
    path = hostile.BUILDERS[name](folder)
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert size < HOSTILE_SIZE, f"{size} bytes"
    return path


# Every fifth in `make test`, all of them in `make verify`.
@pytest.mark.parametrize(
    "name",
    [name if i % 5 == 0 else pytest.param(name, marks=pytest.mark.verify) for i, name in enumerate(QUICK_HOSTILE)],
)
def test_hostile_files_within_a_small_limit(tmp_path, name):
    path = build_hostile(name, tmp_path)
    outcome(path, tmp_path, max_bytes=20_000_000)


_MEASURED = """
import resource, sys, time, warnings
import h5py, numpy
from plumkeras.data_pipelines import DataError, describe, load
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
start = time.process_time()
try:
    describe(load(sys.argv[1]))
    said = "loaded"
except DataError as error:
    said = f"refused {error}"
print(time.process_time() - start, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024, said)
"""


@pytest.mark.verify
@pytest.mark.parametrize("name", hostile.BUILDERS)
def test_hostile_files_cost_little(tmp_path, name):
    """Loading and describing one takes no more than 1 GiB and 10 seconds of CPU, whatever it holds."""
    path = build_hostile(name, tmp_path)
    child = subprocess.run(
        [sys.executable, "-c", _MEASURED, str(path)], capture_output=True, text=True, timeout=600, check=False
    )
    assert child.returncode == 0, child.stderr[-2000:]
    seconds, memory, said = child.stdout.strip().split(" ", 2)
    assert float(seconds) < HOSTILE_SECONDS, said
    assert int(memory) < HOSTILE_MEMORY, f"{int(memory) / 1e6:.0f} MB: {said}"
    assert len(child.stdout.splitlines()) == 1 and len(said) < LONGEST_MESSAGE
    assert said == "loaded" or str(path) in said, said


def _raise_key_error(path, **options):
    raise KeyError("id")


def _unpickle(path, **options):
    with open(path, "rb") as file:
        pickle.load(file)
    raise DataError(f"{path}: no")


def _allocate(path, **options):
    np.ones(30_000_000).sum()
    raise DataError(f"{path}: no")


def _say_nothing(path, **options):
    raise DataError("no")


@pytest.mark.parametrize(
    ("reader", "said"),
    [
        (_raise_key_error, "KeyError"),
        (_unpickle, "runs code"),
        (_allocate, "240 MB were allocated"),
        (_say_nothing, "doesn't name the file"),
    ],
)
def test_the_harness_sees_what_is_wrong(tmp_path, monkeypatch, reader, said):
    """A reader with each fault makes the cases fail."""
    monkeypatch.setattr(all_readers, "read", lambda path, *rest: reader(pathlib.Path(path)))
    failures = run_cases("misa", 6, tmp_path)[1]
    assert any(said in failure for failure in failures), failures
