"""The restricted unpickler: reads what the standard one reads, and runs nothing."""

import collections
import copyreg
import io
import os
import pickle
import pickletools
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plumkeras.data_pipelines import DataError, load
from plumkeras.data_pipelines.containers.pickles.unpickler import read_pickle


def same(left, right):
    if isinstance(left, np.ndarray):
        return (
            isinstance(right, np.ndarray)
            and (left.dtype, left.shape) == (right.dtype, right.shape)
            and np.array_equal(left, right)
        )
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, (list, tuple)):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, (bytes, bytearray)):
        return bytes(left) == bytes(right)
    if isinstance(left, str):
        return left == str(right)
    return type(left) is type(right) and (left == right or left != left)


@pytest.fixture
def unpickle(tmp_path):
    def run(data):
        path = tmp_path / "mosi.pkl"
        path.write_bytes(data)
        return read_pickle(path)[0]

    return run


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("dumps", [pickle.dumps, pickle._dumps])
def test_reads_what_the_standard_loader_reads(unpickle, protocol, dumps):
    random = np.random.default_rng(0)
    tree = {
        "large": random.normal(size=(40, 50, 20)),
        "fortran": np.asfortranarray(random.normal(size=(3, 4)).astype("float32")),
        "big-endian": np.arange(4, dtype=">i2"),
        "texts": np.array(["aé", "b" * 20]),
        "objects": np.array(["x", None, 3.5, b"y"], dtype=object),
        "flags": np.array([True, False]),
        "nothing": np.empty((0, 3)),
        "scalars": [np.float64(3.2), np.int64(7), np.float32(1.5)],
        "floats": [i / 7 for i in range(5000)],
        "mixed": [(1, 2.5), [True, None, -5, 2**70, -1, 300, 70000], 0.5, "s"],
        "sets": [{1, "x"}, frozenset([2, b"z"])],
        "bytes": [b"abc", b"", bytearray(b"q"), b"\xff" * 70000],
        "complex": 1 + 2j,
        "ordered": collections.OrderedDict(b=1, a=2),
        "long text": "ü" * 100000,
        (1, "key"): 2,
    }
    tree["again"] = tree["large"]
    value = unpickle(dumps(tree, protocol=protocol))
    assert same(tree, value)
    assert value["again"] is value["large"]


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=15,
)


@settings(max_examples=60, deadline=None)
@given(tree=plain, protocol=st.integers(0, 5))
def test_plain_values_round_trip(tmp_path_factory, tree, protocol):
    path = tmp_path_factory.getbasetemp() / "plain.pkl"
    path.write_bytes(pickle.dumps(tree, protocol=protocol))
    assert same(tree, read_pickle(path)[0])


def test_numpy_2_names_and_python_2_strings(unpickle):
    array = np.arange(6.0).reshape(2, 3)
    for protocol in (2, 4, 5):
        data = pickle.dumps(array, protocol=protocol)
        for old, new in ((b"numpy._core", b"numpy.core"), (b"numpy.core", b"numpy._core")):
            if old in data:
                data = _rename(data, old, new)
            assert same(array, unpickle(data))
    # What Python 2 wrote: SHORT_BINSTRING everywhere, for keys, ids and an array's bytes.
    raw = array.tobytes()
    data = (
        b"\x80\x02}q\x00(U\x02idq\x01]U\x03v$1aU\x01acnumpy.core.multiarray\n_reconstruct\n"
        b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02K\x03\x86cnumpy\ndtype\nU\x02f8K\x00K\x01"
        b"\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U" + bytes([len(raw)]) + raw + b"tbu."
    )
    value = unpickle(data)
    assert list(value) == ["id", "a"] and value["id"] == [b"v$1"] and same(array, value["a"])


def _rename(data, old, new):
    """Exchanges a module's name in a pickle, its length included; frames are left out."""
    out = io.BytesIO()
    ops = list(pickletools.genops(data))
    for (op, arg, at), following in zip(ops, [*ops[1:], (None, None, len(data))], strict=True):
        if op.name == "FRAME":
            continue
        if op.name == "SHORT_BINUNICODE" and arg.startswith(old.decode()):
            text = arg.encode().replace(old, new)
            out.write(b"\x8c" + bytes([len(text)]) + text)
        else:
            out.write(data[at : following[2]].replace(old, new) if op.name == "GLOBAL" else data[at : following[2]])
    return out.getvalue()


class _Reduce:
    def __init__(self, *parts):
        self.parts = parts

    def __reduce__(self):
        return self.parts


def _text(value):
    return b"\x8c" + bytes([len(value)]) + value.encode()


def attacks(marker):
    """Name, pickle, and a name that the error has to say. Each would leave `marker` behind."""
    touch = f"touch {marker}"
    code = f"open({str(marker)!r}, 'w').close()"
    system = _Reduce(os.system, (touch,))
    posix = os.system.__module__
    evaluated = _Reduce(eval, (code,))
    nested = np.empty(2, dtype=object)
    nested[:] = ["a", system]
    command = b"X" + struct.pack("<I", len(touch)) + touch.encode()
    yield "system", pickle.dumps(system), f"`{posix}.system`"
    yield "system, text protocol", pickle.dumps(system, protocol=0), f"`{posix}.system`"
    yield "eval", pickle.dumps(evaluated), "`builtins.eval`"
    yield "python 2 eval", b"\x80\x02c__builtin__\neval\n" + command + b"\x85R.", "__builtin__.eval"
    yield "getattr chain", pickle.dumps(_Reduce(getattr, (os, "system")).parts[0]), "getattr"
    yield "in an object array", pickle.dumps(nested), f"`{posix}.system`"
    yield "in a dict's list", pickle.dumps({"train": {"id": [1, system]}}), f"`{posix}.system`"
    yield "as a dict's key", b"\x80\x04}(cos\nsystem\n" + command + b"\x85RK\x01u.", "`os.system`"
    yield (
        "dotted name",
        (b"\x80\x04" + _text("numpy") + _text("os.system") + b"\x93" + command + b"\x85R."),
        "`numpy.os.system`",
    )
    yield (
        "through an admitted name",
        (b"\x80\x04" + _text("numpy") + _text("dtype.__init__.__globals__") + b"\x93."),
        "numpy.dtype.__init__",
    )
    yield "numpy testing", (b"\x80\x02cnumpy.testing._private.utils\nrunstring\n" + command + b"}\x86R."), "runstring"
    yield "numpy f2py", b"\x80\x02cnumpy.f2py.crackfortran\nmyeval\n" + command + b"\x85R.", "myeval"
    yield "numpy load", b"\x80\x02cnumpy\nload\n" + command + b"\x85R.", "`numpy.load`"
    yield "instance", b"(" + command + b"ios\nsystem\n.", "INST"
    yield "object", b"(cos\nsystem\n" + command + b"o.", "os.system"
    yield "new object", b"\x80\x04csubprocess\nPopen\n" + command + b"\x85\x81.", "subprocess.Popen"
    yield "new object, keywords", b"\x80\x04cnumpy\ndtype\n)}X\1\0\0\0aK\1s\x92.", "keyword"
    yield "calls what isn't a name", b"\x80\x04" + command + b")R.", "calls a str"
    yield "calls a type", b"\x80\x04cnumpy\nndarray\nM\xff\xff\x85R.", "calls `numpy.ndarray`"
    yield "persistent id", b"\x80\x02" + command + b"Q.", "persistent"
    yield "persistent id, text", b"Pabc\n.", "persistent"
    yield "extension registry", b"\x80\x02\x82\xf0" + command + b"\x85R.", "extension registry"
    yield "extension registry, wide", b"\x80\x02\x84\xf0\0\0\0.", "extension registry"
    yield "out of band", b"\x80\x05\x97.", "outside the file"
    yield (
        "state of an admitted name",
        (b"\x80\x02c_codecs\nencode\nN}X\x08\0\0\0__code__" + command + b"s\x86b."),
        "state of a",
    )
    yield (
        "state of a container",
        (b"\x80\x02ccollections\nOrderedDict\n)R}X\x09\0\0\0__class__cos\nsystem\nsb."),
        "os.system",
    )
    yield "copyreg", b"\x80\x02ccopyreg\n_reconstructor\n)R.", "copyreg._reconstructor"
    yield (
        "dtype of objects from raw bytes",
        (
            b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(C\x08AAAAAAAAcnumpy\ndtype\nX\2\0\0\0O8\x85R"
            b"K\1\x85X\1\0\0\0CtR."
        ),
        "objects from raw bytes",
    )
    yield "structured dtype", pickle.dumps(np.zeros(2, [("a", "f8")])), "structured"
    yield "date", pickle.dumps(np.array(["2020-01-01"], "M8[D]")), "dtype"


def _names():
    return [name for name, _, _ in attacks("x")]


@pytest.mark.parametrize("position", range(len(_names())), ids=_names())
def test_nothing_runs(tmp_path, position):
    marker = tmp_path / "it-ran"
    copyreg.add_extension("os", "system", 0xF0)
    try:
        _, data, said = list(attacks(marker))[position]
        path = tmp_path / "mosi_features.pkl"
        path.write_bytes(data)
        with pytest.raises(DataError) as caught:
            load(path)
    finally:
        copyreg.remove_extension("os", "system", 0xF0)
    assert not marker.exists()
    message = str(caught.value)
    assert said in message and str(path) in message
    assert "only numpy arrays, plain containers, strings and numbers are admitted" in message


def test_the_attacks_are_real(tmp_path):
    """The standard loader does run them: the markers above could have appeared."""
    for wanted in ("system", "eval", "in an object array", "dotted name", "instance"):
        marker = tmp_path / wanted.replace(" ", "")
        data = {name: data for name, data, _ in attacks(marker)}[wanted]
        if wanted == "dotted name":  # numpy has lost its `os`; the mechanism is what counts
            data = data.replace(_text("numpy"), _text("shutil"))
        pickle.loads(data)
        assert marker.exists(), wanted


def test_dtype_state_cannot_forge_flags(unpickle):
    """Flags that make numpy take raw bytes for object pointers have no effect."""
    good = pickle.dumps(np.arange(3), protocol=2)
    state = b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00t"
    assert state in good
    forged = good.replace(state, state[:-2] + b"\x3ft")
    assert unpickle(forged).dtype == np.int64 and not unpickle(forged).dtype.hasobject


@pytest.mark.parametrize(
    "data",
    [
        # An array said to be huge, with 8 bytes behind it.
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(C\x08AAAAAAAAcnumpy\ndtype\nX\2\0\0\0f8\x85R"
        b"\x8a\x06\0\0\0\0\0\x01\x85X\1\0\0\0CtR.",
        # Texts of no width, 65536 of them, without a byte.
        b"\x80\x02cnumpy.core.numeric\n_frombuffer\n(C\0cnumpy\ndtype\nX\2\0\0\0U0\x85R"
        b"\x8a\x03\0\0\x01\x85X\1\0\0\0CtR.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",  # bytes
        b"\x80\x04\x8d\xff\xff\xff\xff\xff\x00\x00\x00abc.",  # text
        b"\x80\x05\x96\xff\xff\xff\xff\xff\x00\x00\x00abc.",  # bytearray
        b"\x80\x02\x8b\xff\xff\xff\x7fabc.",  # integer
        b"\x80\x02cbuiltins\nbytearray\n\x8a\x06\0\0\0\0\0\x01\x85R.",  # bytearray(2**40)
        b"\x80\x02L" + b"9" * 5000 + b"L\n.",
    ],
)
def test_declared_sizes_are_backed_by_data(unpickle, data):
    with pytest.raises(DataError, match=r"mosi\.pkl: truncated or corrupt pickle"):
        unpickle(data)


@pytest.mark.parametrize("dtype", ["f8", "O"])
def test_rows_without_a_byte_are_no_rows(unpickle, dtype):
    for shape in ((10**9, 0), (3, 10**9, 0, 5)):
        with pytest.raises(DataError, match="has rows and nothing in them"):
            unpickle(pickle.dumps(np.empty(shape, dtype)))
    assert unpickle(pickle.dumps(np.empty((0, 10**9), dtype))).shape == (0, 10**9)


def test_a_memo_number_is_not_an_allocation(unpickle):
    """The standard loader allocates 64 GiB for this one."""
    assert unpickle(b"\x80\x02K\x07r\xff\xff\xff\xff.") == 7


def test_deep_nesting_does_not_overflow(unpickle):
    depth = 200_000
    with pytest.raises(DataError):
        unpickle(b"\x80\x02}" + b")" + b"\x85" * depth + b"K\x01s.")


def test_every_truncation_is_refused(unpickle, mmsa_tree):
    data = pickle.dumps(mmsa_tree(), protocol=4)
    for stop in {*range(1, 200), *range(200, len(data) - 1, 1999), len(data) - 1}:
        with pytest.raises(DataError, match=r"mosi\.pkl"):
            unpickle(data[:stop])


@settings(max_examples=150, deadline=None)
@given(at=st.integers(0, 700), byte=st.integers(0, 255))
def test_damage_is_a_data_error_or_harmless(tmp_path_factory, at, byte):
    tree = {"train": {"id": ["a"], "text": np.ones((1, 2, 3)), "s": {1}, "n": [1.5, 2.5]}}
    data = bytearray(pickle.dumps(tree, protocol=2))
    data[at % len(data)] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.pkl"
    path.write_bytes(data)
    try:
        read_pickle(path)
    except DataError as error:
        assert str(path) in str(error)


def test_arrays_are_views_into_the_file(unpickle):
    value = unpickle(pickle.dumps({"a": np.ones((100, 100))}, protocol=4))["a"]
    assert not value.flags.owndata and not value.flags.writeable
