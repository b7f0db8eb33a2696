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

_KINDS = "biufcSU"
_TYPE = re.compile(r"([biufcSUO])(\d{0,9})|\?")
_MAX_DIMENSIONS = 32
# Without a byte behind them, rows could be any number.
_MAX_EMPTY_ROWS = 1 << 16
_PIECE = 4 << 20


class Refused(Exception):
    """The pickle wants something that isn't admitted."""


class LongText:
    """A long text, still undecoded: as a rule an array's bytes, written as text (protocol 2)."""

    __slots__ = ("view",)

    def __init__(self, view):
        self.view = view

    def __str__(self):
        return str(self.view, "utf-8", "surrogatepass")

    def latin1(self):
        """The bytes that the text stands for, piece by piece: they are large."""
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
    raise ValueError(f"a text is wanted, not {type(value).__name__}")


def as_bytes(value, encoding="latin-1"):
    """Bytes (or a view of them) from any of the forms that an array's data take in a pickle."""
    if isinstance(value, (bytes, bytearray, memoryview)):
        return value
    if isinstance(value, (str, LongText)):
        if as_text(encoding).lower().replace("_", "-") not in ("latin1", "latin-1", "iso-8859-1"):
            raise ValueError(f"encoding {encoding!r} isn't known here")
        return value.latin1() if isinstance(value, LongText) else value.encode("latin-1")
    raise ValueError(f"bytes are wanted, not {type(value).__name__}")


def encode(text, encoding="latin-1"):
    """Stands for `_codecs.encode`: how protocols 0 to 2 write bytes."""
    return as_bytes(text, encoding)


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
        order = as_text(order)
        if order not in ("<", ">", "|", "="):
            raise ValueError(f"{order!r} is no byte order")
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
        raise ValueError("a dtype is wanted")
    return value


def _call_dtype(code, align=False, copy=False):
    if not isinstance(code, (str, bytes)):
        raise Refused("has a structured dtype")
    code = as_text(code).lstrip("<>=|")
    if not _TYPE.fullmatch(code):
        raise Refused(f"has dtype {code!r}")
    return DTypeShell("O" if code[0] == "O" else code)


def _array(data, dtype, shape, order):
    dtype = _as_dtype(dtype)
    shape = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    if len(shape) > _MAX_DIMENSIONS or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"{str(shape)[:80]} is no shape")
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
    return np.frombuffer(data, dtype).reshape(shape, order=as_text(order))


def _object_array(data, shape, count, order):
    if not isinstance(data, list) or len(data) != count:
        raise ValueError(f"an object array of shape {shape} has no list of {count} objects")
    if any(isinstance(item, Shell) for item in data):
        raise ValueError("an array stands in itself")
    array = np.empty(count, dtype=object)
    for position, item in enumerate(data):
        array[position] = item
    return array.reshape(shape, order=as_text(order))


def _call_reconstruct(kind, shape=(0,), typecode=b"b"):
    if kind not in TYPES:
        raise Refused("rebuilds something else than an array")
    return ArrayShell()


def _call_scalar(dtype, data):
    dtype = _as_dtype(dtype)
    if dtype.kind == "O":
        raise Refused("has a scalar of type object")
    return _array(data, dtype, (), "C")[()]


def _call_frombuffer(data, dtype, shape, order="C"):
    if _as_dtype(dtype).kind == "O":
        raise Refused("reads objects from raw bytes")
    return _array(data, dtype, shape, order)


def _call_set(kind):
    def call(items=()):
        return kind(hashable(item) for item in items)

    return call


def _call_bytes(kind):
    def call(data=b"", encoding="latin-1"):
        return kind(as_bytes(data, encoding))

    return call


def _call_complex(real, imaginary=0.0):
    return complex(float(real), float(imaginary))


def _call_ordered_dict(items=()):
    return collections.OrderedDict((as_key(key), value) for key, value in items)


def hashable(value):
    # Hashing a deeply nested tuple overflows the C stack, so keys stay flat.
    parts = value if type(value) is tuple else (value,)
    for part in parts:
        if not isinstance(part, (str, bytes, int, float, complex, type(None), np.generic)):
            raise ValueError(f"a {type(part).__name__} can't be a key or a set's member")
    return value


def as_key(value):
    # Python 2 wrote its strings as bytes.
    return as_text(value) if isinstance(value, bytes) else hashable(value)


TYPES = ("numpy.ndarray",)
CALLS = {
    "numpy.dtype": _call_dtype,
    "collections.OrderedDict": _call_ordered_dict,
    "_codecs.encode": encode,
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
        f"{_builtins}.complex": _call_complex,
    }
