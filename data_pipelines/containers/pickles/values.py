"""What the restricted unpickler can make: plain values, and numpy values from their parts.

Types and states arrive as plain data and are checked one by one; numpy never sees a state that
this module hasn't rebuilt.
"""

import codecs
import collections
import itertools
import math
import mmap
import re

import numpy as np

from plumkeras.data_pipelines.containers import budget

_KINDS = "biufcSU"
_TYPE = re.compile(r"([biufcSUO])(\d{0,9})|\?")
_MAX_DIMENSIONS = 32
# Without a byte behind them, rows could be any number.
_MAX_EMPTY_ROWS = 1 << 16
_PIECE = 4 << 20
# What a key may be: ids are shorter, and a key is hashed and compared as often as the file names it.
_MAX_KEY, _MAX_KEY_PARTS = 4096, 16
# Python's hashes of numbers and tuples can be chosen, and keys of one hash take time that is quadratic in their number.
# Nothing real has more than a few.
MAX_EQUAL_HASHES = 100
# What is paid for an array beside its data, an item of a set or a dict, and a reference: the time that they take too.
_ARRAY, _ITEM, _REFERENCE = 256, 400, 128


class Refused(Exception):
    """The pickle asks for something that is not allowed."""


def _spend(size):
    """Takes what a call is about to make off the budget: a file may ask for it again and again."""
    budget.spend(size, "the pickle")


class LongText:
    """A long text, still undecoded: as a rule an array's bytes, written as text (protocol 2)."""

    __slots__ = ("view",)

    def __init__(self, view):
        self.view = view

    def __str__(self):
        return str(self.view, "utf-8", "surrogatepass")

    def latin1(self):
        """The bytes that the text stands for, piece by piece: they are large."""
        _spend(len(self.view))
        decoder = codecs.getincrementaldecoder("utf-8")()
        data = bytearray()
        for start in range(0, len(self.view), _PIECE):
            piece = self.view[start : start + _PIECE]
            last = start + _PIECE >= len(self.view)
            data += decoder.decode(piece, final=last).encode("latin-1")
            if hasattr(mmap, "MADV_DONTNEED") and isinstance(self.view.obj, mmap.mmap):
                self.view.obj.madvise(mmap.MADV_DONTNEED)
        return data


def as_text(value):
    """Text from any of the forms that a string takes in a pickle."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        try:
            return str(value, "utf-8")
        except UnicodeDecodeError:
            return str(value, "latin-1")
    if isinstance(value, (str, LongText)):
        return str(value)
    raise ValueError(f"a text is expected, not {type(value).__name__}")


def short_text(value):
    """As `as_text`, for what is never long: names, orders, encodings, keys."""
    if isinstance(value, LongText) or (
        isinstance(value, (str, bytes, bytearray, memoryview)) and len(value) > _MAX_KEY
    ):
        raise ValueError(f"a text is longer than {_MAX_KEY}")
    return as_text(value)


def as_bytes(value, encoding="latin-1"):
    """Bytes (or a view of them) from any of the forms that an array's data take in a pickle."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value
    if isinstance(value, (str, LongText)):
        if short_text(encoding).lower().replace("_", "-") not in ("latin1", "latin-1", "iso-8859-1"):
            raise ValueError(f"encoding {encoding!r:.40} isn't known here")
        if isinstance(value, LongText):
            return value.latin1()
        _spend(len(value))
        return value.encode("latin-1")
    raise ValueError(f"bytes are expected, not {type(value).__name__}")


class Shell:
    """A numpy value of which only the type of thing is known yet; `build` gives the value."""

    __slots__ = ("memo_indices",)

    def __init__(self):
        self.memo_indices = []


class DTypeShell(Shell):
    """A dtype without its byte order."""

    __slots__ = ("code",)

    def __init__(self, code):
        super().__init__()
        self.code = code

    def build(self, state):
        # (version, order, subdtype, names, fields, itemsize, alignment, flags[, metadata])
        order, subdtype, names, fields, itemsize = state[1:6]
        if subdtype is not None or names is not None or fields is not None or len(state) > 8:
            raise Refused("has a structured dtype")
        order = short_text(order)
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"{order!r:.40} is no byte order")
        kind = self.code[0]
        if kind in "SU" and itemsize >= 0:
            return _dtype(f"{order}{kind}{itemsize // (4 if kind == 'U' else 1)}")
        return _dtype(order + self.code)


class ArrayShell(Shell):
    """An array without shape or data."""

    __slots__ = ()

    def build(self, state):
        # (version, shape, dtype, is_fortran, data); very old files leave the version out.
        shape, dtype, is_fortran, data = state[-4:]
        return _array(data, dtype, shape, "F" if is_fortran else "C")


def _dtype(text):
    dtype = np.dtype(text)
    if dtype.kind not in _KINDS + "O":
        raise Refused(f"has dtype {text!r}")
    return dtype


def _as_dtype(value):
    # A one-byte type has no order to wait for: its shell is enough.
    if isinstance(value, DTypeShell):
        return _dtype(value.code)
    if not isinstance(value, np.dtype):
        raise ValueError("a dtype is expected")
    return value


def _call_dtype(code, align=False, copy=False):
    if not isinstance(code, (str, bytes)):
        raise Refused("has a structured dtype")
    code = short_text(code).lstrip("<>=|")
    if not _TYPE.fullmatch(code):
        raise Refused(f"has dtype {code!r:.40}")
    return DTypeShell("O" if code[0] == "O" else code)


def _array(data, dtype, shape, order):
    dtype = _as_dtype(dtype)
    shape = shape if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and 0 <= n < 1 << 63 for n in shape):
        # Not the shape itself, which may be lists in lists of any size.
        raise ValueError(f"a shape is up to {_MAX_DIMENSIONS} whole numbers, and this one isn't")
    shape = tuple(shape)
    _spend(_ARRAY)
    count = math.prod(shape)
    if not count and math.prod(itertools.takewhile(bool, shape)) > _MAX_EMPTY_ROWS:
        raise ValueError(f"an array of shape {shape} has rows and nothing in them")
    if dtype.kind == "O":
        return _object_array(data, shape, count, order)
    data = as_bytes(data)
    if not dtype.itemsize or len(data) != count * dtype.itemsize:
        raise ValueError(
            f"an array of shape {shape} and type {dtype} needs {count * dtype.itemsize} bytes, {len(data)} are there"
        )
    if not len(data):
        return np.empty(shape, dtype)
    return np.frombuffer(data, dtype).reshape(shape, order=short_text(order))


def _object_array(data, shape, count, order):
    if not isinstance(data, list) or len(data) != count:
        raise ValueError(f"an object array of shape {shape} has no list of {count} objects")
    if any(isinstance(item, Shell) for item in data):
        raise ValueError("an array contains itself")
    _spend(_REFERENCE * count)
    return np.fromiter(data, dtype=object, count=count).reshape(shape, order=as_text(order))


def _call_reconstruct(kind, shape=(0,), typecode=b"b"):
    if kind not in TYPES:
        raise Refused("rebuilds something else than an array")
    return ArrayShell()


def _call_scalar(dtype, data):
    dtype = _as_dtype(dtype)
    if dtype.kind == "O":
        raise Refused("has a scalar of type object")
    data = as_bytes(data)
    _spend(len(data))
    return _array(data, dtype, (), "C")[()]


def _call_frombuffer(data, dtype, shape, order="C"):
    if _as_dtype(dtype).kind == "O":
        raise Refused("reads objects from raw bytes")
    return _array(data, dtype, shape, order)


def _call_set(kind):
    def call(items=()):
        items = [hashable(item) for item in _items(items)]
        check_hashes(collections.Counter(), items)
        return kind(items)

    return call


def _call_bytes(kind):
    def call(data=b"", encoding="latin-1"):
        data = as_bytes(data, encoding)
        _spend(len(data))
        return kind(data)

    return call


def _call_ordered_dict(items=()):
    pairs = [(as_key(key), value) for key, value in _items(items)]
    check_hashes(collections.Counter(), [key for key, _ in pairs])
    return collections.OrderedDict(pairs)


def _items(items):
    """The items that a container is made of, paid for."""
    if not isinstance(items, (list, tuple)):
        raise ValueError(f"a list of items is expected, not {type(items).__name__}")
    _spend(_ITEM * (2 + len(items)))
    return items


def hashable(value):
    # Hashing a deeply nested tuple overflows the C stack, so keys stay flat.
    parts = value if type(value) is tuple else (value,)
    if len(parts) > _MAX_KEY_PARTS:
        raise ValueError(f"a key has {len(parts)} parts")
    for part in parts:
        if not isinstance(part, (str, bytes, int, float, complex, type(None), np.generic)):
            raise ValueError(f"a {type(part).__name__} can't be a key or a set's member")
        if isinstance(part, (str, bytes)) and len(part) > _MAX_KEY:
            raise ValueError(f"a key is longer than {_MAX_KEY}")
    return value


def as_key(value):
    # Python 2 wrote its strings as bytes.
    return short_text(value) if isinstance(value, bytes) else hashable(value)


def check_hashes(known, keys):
    """Raises `ValueError` where too many keys of a dict or set have the same hash; adds them to the Counter `known`."""
    for value in map(hash, keys):
        known[value] += 1
        if known[value] > MAX_EQUAL_HASHES:
            raise ValueError("its keys are chosen so that their hashes collide")


TYPES = ("numpy.ndarray",)
CALLS = {
    "numpy.dtype": _call_dtype,
    "collections.OrderedDict": _call_ordered_dict,
    "_codecs.encode": as_bytes,  # How protocols 0 to 2 write bytes.
}
for _core in ("numpy.core", "numpy._core"):
    CALLS |= {
        f"{_core}.multiarray._reconstruct": _call_reconstruct,
        f"{_core}.multiarray.scalar": _call_scalar,
        f"{_core}.numeric._frombuffer": _call_frombuffer,
    }
for _builtins in ("builtins", "__builtin__"):
    CALLS |= {
        f"{_builtins}.set": _call_set(set),
        f"{_builtins}.frozenset": _call_set(frozenset),
        f"{_builtins}.bytes": _call_bytes(bytes),
        f"{_builtins}.bytearray": _call_bytes(bytearray),
        f"{_builtins}.complex": lambda real, imaginary=0.0: complex(float(real), float(imaginary)),
    }
