"""Small files and folders of every format that stand for much more: nested, shared, huge, colliding or compressed.

Each builder writes into an empty folder and returns the path to load. None takes more than 1 MB, and to each a reader
without a bound would give gigabytes, minutes, or the end of its stack.
"""

import io
import itertools
import json
import pickle
import struct
import zipfile

import h5py
import numpy as np

from tests.testing import dataset_folders as folders
from tests.testing import shard_folders as shards

BUILDERS = {}
"""By the name of the format and of the attack."""


def builder(name):
    def add(function):
        BUILDERS[name] = function
        return function

    return add


# Pickles, opcode by opcode

_START = b"\x80\x04"
_PRIME = (1 << 61) - 1  # what Python's hash of an int is modulo
_OBJECTS, _BYTES, _SHELL = (
    b"cnumpy\ndtype\nX\x02\0\0\0O8\x85R",
    b"cnumpy\ndtype\nX\x02\0\0\0i1\x85R",
    b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\0\x85C\x01b\x87R",
)


def put(number):
    return b"r" + struct.pack("<I", number)


def get(number):
    return b"j" + struct.pack("<I", number)


def text(value):
    value = value if isinstance(value, bytes) else value.encode()
    return b"X" + struct.pack("<I", len(value)) + value


def data(value):
    return b"B" + struct.pack("<I", len(value)) + value


def whole(number):
    packed = number.to_bytes(number.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + struct.pack("<I", len(packed)) + packed


def raw(value):
    """What pushes a value, to be put into a larger pickle."""
    return pickle.dumps(value, protocol=2)[2:-1]


def again(code, count, before=b""):
    """A list of something that the file holds once, and a call or name that takes few bytes many times."""
    return before + b"](" + code * count + b"e"


def dict_of(keys):
    return b"}(" + b"".join(key + b"N" for key in keys) + b"u"


def _nested_arrays(link_in, link_out, depth):
    before = _OBJECTS + b"q\x000"
    return before + (_SHELL + b"(K\x01K\x01\x85h\x00\x89" + link_in) * depth + b"N" + (link_out + b"tb") * depth


def _shared_lists(levels=30):
    """Lists of lists, each held eight times: a few bytes, and more text than memory."""
    code = b"]q\x03"
    for _ in range(levels):
        code += b"0](" + b"h\x03" * 8 + b"eq\x03"
    return code + b"0"


def _colliding_complex(count):
    for i in range(count):
        yield (
            b"cbuiltins\ncomplex\n"
            + b"".join(b"G" + struct.pack(">d", part) for part in (2.0**45 - 1_000_003 * i, float(i)))
            + b"\x86R"
        )


def _colliding_tuples(count):
    # -1 and -2 have one hash.
    for bits in itertools.islice(itertools.product((-1, -2), repeat=14), count):
        yield b"(" + b"".join(b"J" + struct.pack("<i", bit) for bit in bits) + b"t"


def _colliding_ints(count):
    return (whole(i * _PRIME) for i in range(1, count))


def _frombuffer(shape):
    return b"cnumpy.core.numeric\n_frombuffer\n(C\x08AAAAAAAA" + _BYTES + shape + b"X\x01\0\0\0CtR"


_BROAD = data(b"a" * 60_000) + b"q\x000"
_LIST = b"](" + b"".join(b"M" + struct.pack("<H", i) for i in range(60_000)) + b"eq\x000"

PICKLES = {
    "nested arrays": lambda: _nested_arrays(b"]", b"a", 8000),
    "arrays and lists nested": lambda: _nested_arrays(b"]]]", b"aaa", 7800),
    "nested tuples": lambda: b")" + b"\x85" * 900_000,
    "nested lists": lambda: b"]" * 400_000 + b"a" * 399_999,
    "nested dicts": lambda: b"}N" * 300_000 + b"}" + b"s" * 300_000,
    "shared lists for a shape": lambda: _shared_lists() + _frombuffer(b"h\x03"),
    "shared lists for an order": lambda: (
        _shared_lists() + b"cnumpy\ndtype\nX\x02\0\0\0i8\x85R(K\x03h\x03NNNK\x08K\x01K\0tb"
    ),
    "shared lists for a key": lambda: b"}" + _shared_lists() + b"h\x03Ns",
    "huge numbers for a shape": lambda: _frombuffer(b"(" + (whole(1 << 96_000)) * 32 + b"t"),
    "many numbers for a shape": lambda: _LIST + _frombuffer(b"h\x00"),
    "a huge number for a key": lambda: b"}" + whole(1 << 100_000) + b"Ns",
    "a huge number in text": lambda: b"L" + b"9" * 900_000 + b"L\n",
    "colliding numbers": lambda: dict_of(_colliding_ints(50_000)),
    "colliding numbers one by one": lambda: b"}" + b"".join(key + b"Ns" for key in _colliding_ints(50_000)),
    "colliding numbers in a set": lambda: b"\x8f(" + b"".join(_colliding_ints(50_000)) + b"\x90",
    "colliding numbers in a frozenset": lambda: b"(" + b"".join(_colliding_ints(50_000)) + b"\x91",
    "colliding numbers in a called set": lambda: b"cbuiltins\nset\n](" + b"".join(_colliding_ints(50_000)) + b"e\x85R",
    "colliding numbers in an ordered dict": lambda: (
        b"ccollections\nOrderedDict\n](" + b"".join(key + b"N\x86" for key in _colliding_ints(50_000)) + b"e\x85R"
    ),
    "colliding tuples": lambda: dict_of(_colliding_tuples(12_000)),
    "colliding complex numbers": lambda: dict_of(_colliding_complex(20_000)),
    "a long tuple for a key again": lambda: b"(" + b"K\x01" * 100_000 + b"tq\x000" + dict_of([b"h\x00"] * 200_000),
    "long bytes for a key again": lambda: _BROAD + dict_of([b"h\x00"] * 200_000),
    "long text for a name": lambda: b"c" + b"a" * 900_000 + b"\nb\n",
    "a text encoded again": lambda: again(
        b"h\x01h\x00\x85R", 150_000, text(b"a" * 60_000) + b"q\x000c_codecs\nencode\nq\x010"
    ),
    "a long text encoded again": lambda: again(
        b"h\x01h\x00\x85R", 140_000, text(b"a" * 100_000) + b"q\x000c_codecs\nencode\nq\x010"
    ),
    "bytes copied again": lambda: again(b"h\x01h\x00\x85R", 150_000, _BROAD + b"cbuiltins\nbytearray\nq\x010"),
    "a set of a list again": lambda: again(b"h\x01h\x00\x85R", 100_000, _LIST + b"cbuiltins\nset\nq\x010"),
    "scalars again": lambda: again(
        b"h\x02h\x01h\x00\x86R",
        120_000,
        _BROAD + b"cnumpy\ndtype\nX\x06\0\0\0S60000\x85Rq\x010cnumpy.core.multiarray\nscalar\nq\x020",
    ),
    "arrays of objects again": lambda: again(
        _SHELL + b"h\x03b",
        9_000,
        _OBJECTS + b"q\x010(" + b"N" * 100_000 + b"lq\x000(K\x01J\xa0\x86\x01\x00\x85h\x01\x89h\x00tq\x030",
    ),
    "one shell built again": lambda: (
        _BYTES + b"q\x000(K\x01K\0\x85h\x00\x89C\0tq\x010" + _SHELL + b"\x94" * 300_000 + b"2h\x01b0" * 130_000
    ),
    "empty sets": lambda: again(b"\x8f", 990_000),
    "empty dicts": lambda: again(b"}", 990_000),
    "lists that are kept": lambda: again(b"]\x94", 490_000),
    "the same field again": lambda: b"}" + text("train") + _split(_BROAD[:-3] + put(9) + b"0" + again(get(9), 180_000)),
    "many unknown fields": lambda: (
        b"}" + text("train") + raw(_mmsa()) + b"(" + b"".join(text(f"{i:05x}") + b"N" for i in range(80_000)) + b"us"
    ),
    "many unknown splits": lambda: (
        raw({"train": _mmsa()}) + b"(" + b"".join(text(f"{i:05x}") + b"N" for i in range(80_000)) + b"u"
    ),
    "a MISA sample again": lambda: again(get(9), 190_000, raw(_misa_sample()) + put(9) + b"0"),
    "a MISA sample again, shortly": lambda: again(b"h\xff", 480_000, raw(_misa_sample()) + b"q\xff0"),
    "a MAG sample again": lambda: (
        b"}" + text("train") + again(b"h\xff", 480_000, raw(_mag_sample()) + b"q\xff0") + b"s"
    ),
    "one long sequence": lambda: (
        again(b"h\xff", 100_000, raw(_misa_sample()) + b"q\xff0")
        + raw(((np.zeros(1), np.ones((100_000, 3), "int8"), np.ones((1, 4)), ["a"]), np.ones((1, 1)), "b"))
        + b"a"
    ),
}


def _mmsa():
    features = np.ones((3, 2, 2))
    return {"id": ["a", "b", "c"], "text": features, "audio": features, "regression_labels": np.ones(3)}


def _split(code):
    return raw(_mmsa()) + text("raw_text") + code + b"ss"


def _misa_sample():
    return (([1], np.ones((1, 3)), np.ones((1, 4)), ["a"]), np.ones((1, 1)), "id")


def _mag_sample():
    return ((["a"], np.ones((1, 3)), np.ones((1, 4))), np.ones((1, 1)), "id")


def _pickle_builder(code):
    def build(folder):
        path = folder / "features.pkl"
        path.write_bytes(_START + code() + b".")
        return path

    return build


for _name, _code in PICKLES.items():
    BUILDERS[f"pickle: {_name}"] = _pickle_builder(_code)


# npz


def npy(shape, dtype, order=False):
    """An npy file of zeros, and the bytes that it begins with."""
    header = io.BytesIO()
    np.lib.format.write_array_header_2_0(
        header, {"descr": np.dtype(dtype).str, "fortran_order": order, "shape": tuple(shape)}
    )
    return header.getvalue(), int(np.prod(shape, dtype=object)) * np.dtype(dtype).itemsize


def write_zip(path, members, method=zipfile.ZIP_DEFLATED):
    """A zip of members that are zeros after their header, by name (header, size)."""
    with zipfile.ZipFile(path, "w", method, compresslevel=9) as archive:
        for name, (header, size) in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                member.write(header)
                for start in range(0, size, 1 << 20):
                    member.write(bytes(min(1 << 20, size - start)))
    return path


def _npz_builder(members, method=zipfile.ZIP_DEFLATED):
    def build(folder):
        return write_zip(folder / "features.npz", {name: npy(*array) for name, array in members.items()}, method)

    return build


BUILDERS |= {
    "npz: zeros": _npz_builder({"text": ((5, 400_000, 100), "f4")}),
    "npz: zeros within the limit": _npz_builder({"text": ((100, 20_000, 100), "f4"), "text_lengths": ((100,), "i8")}),
    "npz: small numbers": _npz_builder({"text": ((900, 10_000, 100), "i1")}),
    "npz: one sample": _npz_builder({"text": ((1, 900_000, 250), "f4")}),
    "npz: many frames": _npz_builder({"text": ((1, 200_000_000, 1), "f4")}),
    "npz: Fortran order": _npz_builder({"text": ((4, 1_000_000, 100), "f2", True)}),
    "npz: one wide row": _npz_builder({"text": ((1, 1, 230_000_000), "f4")}),
    "npz: one wide row of small numbers": _npz_builder({"text": ((1, 1, 240_000_000), "i1")}),
    "npz: many samples": _npz_builder({"text": ((50_000_000, 1, 1), "i1"), "id": ((50_000_000,), "U1")}),
    "npz: many samples without ids": _npz_builder({"text": ((200_000_000, 1, 1), "i1")}),
    "npz: long ids": _npz_builder({"text": ((100, 1, 1), "f4"), "id": ((100,), "U2000000")}),
    "npz: long texts": _npz_builder({"text": ((100, 1, 1), "f4"), "raw_text": ((100,), "U2000000")}),
    "npz: long bytes": _npz_builder({"text": ((100, 1, 1), "f4"), "raw_text": ((100,), "S9000000")}),
    "npz: many texts": _npz_builder({"text": ((100, 1, 1), "f4"), "raw_text": ((100_000_000,), "S1")}),
    "npz: many labels": _npz_builder({"text": ((10, 1, 1), "f4"), "regression_labels": ((110_000_000,), "f8")}),
    "npz: bzip2": _npz_builder({"text": ((4, 100_000, 100), "f4")}, zipfile.ZIP_BZIP2),
    "npz: LZMA": _npz_builder({"text": ((4, 100_000, 100), "f4")}, zipfile.ZIP_LZMA),
    "npz: many members": _npz_builder({f"{i:04x}": ((0,), "i1") for i in range(4000)}),
    "npz: many modalities": _npz_builder(
        {f"{i:03x}{end}": (shape, "i1") for i in range(2000) for end, shape in (("", (1, 1, 1)), ("_lengths", (1,)))}
    ),
}


# HDF5


def _csd_builder(change):
    def build(folder):
        change(folders.write_csd_folder(folder))
        return folder

    return build


def _replace(path, root, make, entries=None, field="features", count=None):
    """Puts another array in place of one of each entry of a .csd; the intervals fit."""
    with h5py.File(path, "a") as file:
        for name in entries or list(file[root]["data"]):
            entry = file[root]["data"][name]
            del entry[field]
            make(entry, field)
            if count is not None:
                del entry["intervals"]
                times = np.array([[0.0, 4.0]]).repeat(min(count, 4096), axis=0)
                made = entry.create_dataset("intervals", (count, 2), "f8", chunks=(len(times), 2), compression=9)
                for start in range(0, count, len(times)):
                    made[start : start + len(times)] = times[: count - start]


def _array(shape, dtype, chunks=None, value=None, compression=None):
    def make(entry, field):
        entry.create_dataset(field, shape, dtype, chunks=chunks, fillvalue=value, compression=compression)
        if compression:
            for start in range(0, shape[0], chunks[0]):
                entry[field][start : start + chunks[0]] = 1

    return make


AUDIO = "file2.csd", "COVAREP"


@builder("csd: zeros")
@_csd_builder
def _(folder):
    _replace(folder / AUDIO[0], AUDIO[1], _array((600_000, 74), "f4", (20_000, 74), None, 9), count=600_000)


@builder("csd: nothing but a fill value")
@_csd_builder
def _(folder):
    _replace(folder / AUDIO[0], AUDIO[1], _array((1_000_000, 74), "f4", (1000, 74), 1.5), count=1_000_000)


@builder("csd: chunks of one number")
@_csd_builder
def _(folder):
    _replace(folder / AUDIO[0], AUDIO[1], _array((200_000, 74), "i1", (1, 1), 1), count=200_000)


@builder("csd: one chunk that is larger than its array")
@_csd_builder
def _(folder):
    def make(entry, field):
        entry.create_dataset(field, (6, 74), "f4", maxshape=(None, 74), chunks=(14_000_000, 74), fillvalue=1.0)

    _replace(folder / AUDIO[0], AUDIO[1], make)


@builder("csd: frames that overlap all words")
@_csd_builder
def _(folder):
    _replace(folder / AUDIO[0], AUDIO[1], _array((60_000, 74), "f4", (6000, 74), None, 9), count=60_000)
    for name, root, value in (("file0.csd", "words", b"a"), ("file1.csd", "glove_vectors", 1.0)):

        def make(entry, field, value=value):
            kind, width = ("S1", 1) if isinstance(value, bytes) else ("f4", 300)
            entry.create_dataset(field, (60_000, width), kind, chunks=(6000, width), fillvalue=value)

        _replace(folder / name, root, make, count=60_000)


@builder("csd: few words, wide frames")
@_csd_builder
def _(folder):
    _replace(folder / AUDIO[0], AUDIO[1], _array((2, 900_000), "f4", (1, 900_000), 1.0), count=2)
    _replace(folder / "file0.csd", "words", _array((60_000, 1), "S1", (6000, 1), b"a"), count=60_000)


@builder("csd: a long word in every segment")
@_csd_builder
def _(folder):
    def make(entry, field):
        entry.create_dataset(field, data=np.array([[b"a" * 400_000]]), chunks=(1, 1), compression=9)

    _replace(folder / "file0.csd", "words", make, count=1)
    _replace(folder / "file4.csd", "Opinion Segment Labels", _array((60_000, 1), "f4", (6000, 1), 1.0), count=60_000)


@builder("csd: a text named many times")
@_csd_builder
def _(folder):
    def make(entry, field):
        texts = entry.create_dataset(field, (30_000, 1), h5py.string_dtype(), chunks=(30_000, 1), compression=9)
        texts[0, 0] = "a" * 100_000
        # The same reference to the one text, 30,000 times.
        stored, size = texts.id.read_direct_chunk((0, 0)), 16
        import zlib

        first = zlib.decompress(stored[1])[:size]
        texts.id.write_direct_chunk((0, 0), zlib.compress(first * 30_000, 9))

    _replace(folder / "file0.csd", "words", make, entries=[folders.VIDEOS["train"]], count=30_000)


@builder("csd: entries named many times")
@_csd_builder
def _(folder):
    for name, root in ((f"file{number}.csd", root) for number, root in enumerate(folders.CSD_ROOTS.values())):
        with h5py.File(folder / name, "a") as file:
            data = file[root]["data"]
            one = data[folders.VIDEOS["train"]]
            for number in range(1800):
                data[f"{number:x}"] = one


@builder("csd: lists of folds without an end")
@_csd_builder
def _(folder):
    (folder / "folds.py").write_text("standard_train_fold=[" * 40_000)


@builder("csd: metadata")
@_csd_builder
def _(folder):
    with h5py.File(folder / AUDIO[0], "a") as file:
        del file[AUDIO[1]]["metadata"]["root name"]
        file[AUDIO[1]]["metadata"].create_dataset("root name", (300_000_000,), "S8", chunks=(1000,), fillvalue=b"a")


@builder("mustard: one chunk")
def _mustard_chunk(folder):
    tree = folders.mustard_tree(width=6, bert=5)
    folders.write_mustard(folder, tree)
    path = folder / "features/utterances_final/resnet_pool5.hdf5"
    with h5py.File(path, "a") as file:
        for name in list(file)[:1]:
            del file[name]
            made = file.create_dataset(name, (60_000_000, 6), "i1", chunks=(60_000_000, 6), compression=9)
            made[:10] = 1
    return folder


@builder("mustard: a clip named many times")
def _mustard_links(folder):
    item = {"utterance": "", "speaker": "", "sarcasm": 0}
    table = {f"{number:x}": item for number in range(9000)}
    (folder / "sarcasm_data.json").write_text(json.dumps(table))
    path = folder / "features/utterances_final/a.hdf5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w", libver="latest") as file:
        first, *rest = table
        file.create_dataset(first, (1000, 60), "f4", chunks=(1000, 60), fillvalue=1.0)
        for name in rest:
            file[name] = file[first]
    return folder


@builder("mustard: nested JSON")
def _mustard_json(folder):
    folders.write_mustard(folder, folders.mustard_tree(width=6, bert=5))
    (folder / "sarcasm_data.json").write_text('{"a":' * 80_000 + "1" + "}" * 80_000)
    return folder


@builder("mustard: a huge number")
def _mustard_number(folder):
    table = folders.mustard_table()
    table["1_0"]["sarcasm"] = 10**4000
    folders.write_mustard(folder, {**folders.mustard_tree(width=6, bert=5), "sarcasm_data.json": table})
    return folder


@builder("mustard: nested JSON lines")
def _mustard_lines(folder):
    folders.write_mustard(folder, folders.mustard_tree(width=6, bert=5))
    (folder / "bert-output.jsonl").write_text("[" * 400_000 + "\n")
    return folder


# Folders of pickles


@builder("ur_funny: one segment many times")
def _ur_funny_ids(folder):
    folders.write_ur_funny(folder)
    (folder / "data_folds.pkl").write_bytes(
        _START + b"}" + text("train") + again(b"h\xff", 150_000, raw(1) + b"q\xff0") + b"s."
    )
    return folder


@builder("ur_funny: one context in all")
def _ur_funny_context(folder):
    folders.write_ur_funny(folder)
    frames = raw(np.ones((1, 81), "f4")) + b"q\xfe0"
    entry = b"}(" + text("punchline_features") + b"h\xfe" + text("context_features") + again(b"h\xfe", 150_000) + b"u"
    (folder / "covarep_features_sdk.pkl").write_bytes(
        _START + frames + entry + b"q\xfd0}(" + b"".join(raw(k) + b"h\xfd" for k in (1, 2, 30, 4, 5, 6, 70)) + b"u."
    )
    return folder


@builder("ur_funny: words of one sentence")
def _ur_funny_words(folder):
    folders.write_ur_funny(folder)
    entry = b"}(" + text("punchline_embedding_indexes") + again(b"K\x01", 100_000)
    entry += text("context_embedding_indexes") + b"]u"
    (folder / "language_sdk.pkl").write_bytes(
        _START + entry + b"q\xfd0}(" + b"".join(raw(k) + b"h\xfd" for k in (1, 2, 30, 4, 5, 6, 70)) + b"u."
    )
    return folder


@builder("tuple_folder: a sample again")
def _tuple_folder(folder):
    for name in ("train", "dev", "test"):
        code = again(b"h\xff", 150_000, raw(_misa_sample()) + b"q\xff0")
        (folder / f"{name}.pkl").write_bytes(_START + code + b".")
    return folder


@builder("label_csv: large features of clips that have others")
def _label_csv(folder):
    rows = [{"video_id": "v", "clip_id": f"{row:x}", "label": "1", "mode": "train"} for row in range(20_000)]
    folders.write_label_csv(folder, rows)
    names = [f"v$_${row['clip_id']}" for row in rows]
    labels = np.ones(len(names), "f4")
    (folder / "audio.pkl").write_bytes(
        pickle.dumps(
            {"train": {"id": names[:1], "audio": np.ones((1, 200, 300), "i1"), "regression_labels": labels[:1]}}
        )
    )
    ids = b"](" + b"".join(text(name) for name in names) + b"e"
    rest = raw({"vision": np.ones((len(names), 1, 1), "i1"), "regression_labels": labels.astype("f2")})
    (folder / "vision.pkl").write_bytes(_START + b"}" + text("train") + rest + text("id") + ids + b"ss.")
    return folder


@builder("label_csv: long ids")
def _label_csv_ids(folder):
    rows = [{"video_id": "v" * (1000 if not row else 1), "clip_id": f"{row:x}"} for row in range(60_000)]
    folders.write_label_csv(folder, rows)
    (folder / "audio" / "v").mkdir(parents=True)
    np.save(folder / "audio" / "v" / "1.npy", np.ones((2, 3)))
    return folder


@builder("label_csv: one long clip")
def _label_csv_long(folder):
    folders.write_label_csv(folder, [{"video_id": "v", "clip_id": f"{row:x}", "mode": "train"} for row in range(8000)])
    (folder / "audio" / "v").mkdir(parents=True)
    np.save(folder / "audio" / "v" / "0.npy", np.ones((500_000, 1), "i1"))
    for row in range(1, 8000, 8):
        np.save(folder / "audio" / "v" / f"{row:x}.npy", np.ones((1, 1), "i1"))
    return folder


# Shards


def _shards(change):
    def build(folder):
        tree = shards.shard_tree()
        change(tree)
        return shards.write_shards(folder, tree, None, np.savez_compressed)

    return build


@builder("shards: frames that aren't there")
@_shards
def _(tree):
    tree["schema"]["splits"]["train"]["features"]["text"] = [2**31 - 1, 2]


@builder("shards: many samples")
@_shards
def _(tree):
    for field, array in tree["train-index.npz"].items():
        if array.shape == (5,):
            tree["train-index.npz"][field] = np.zeros(8_000_000, array.dtype)


@builder("shards: many texts")
@_shards
def _(tree):
    tree["train-index.npz"]["raw_text"] = np.frombuffer(b"[" + b"[]," * 20_000_000 + b"[]]", "uint8")


@builder("shards: nested schema")
def _shards_schema(folder):
    path = shards.write_shards(folder, shards.shard_tree(), None)
    (path / "schema.json").write_text('{"format": ' + "[" * 200_000 + "]" * 200_000 + "}")
    return path


@builder("shards: schema as deep as can be read")
def _shards_deep(folder):
    path = shards.write_shards(folder, shards.shard_tree(), None)
    schema = json.loads((path / "schema.json").read_text())
    inner = "[" * 900 + "]" * 900
    (path / "schema.json").write_text(json.dumps({**schema, "fields": "HERE"}).replace('"HERE"', inner))
    return path
