"""The pickle machine: its stack and memo, and what the opcodes do with them."""

import codecs
import collections
import struct

import numpy as np

from plumkeras.data_pipelines.containers import budget
from plumkeras.data_pipelines.containers.pickles import values

MARK = object()
# Longer payloads stay views into the file: they are an array's bytes.
_KEEP_AS_VIEW = 1 << 16
# Longer numbers are no data, and Python refuses to write them in full, in an error for one.
_MAX_DIGITS, _MAX_NUMBER_BYTES = 1000, 256
# Numpy frees an array of objects by recursion, which no limit of Python's guards.
_MAX_ARRAY_DEPTH = 8
# The system needs more than 100 bytes for the one byte that makes a set.
_SET_BYTES = 256


class _Global:
    """The name of something in the file's table of constructors. Does nothing by itself."""

    __slots__ = ("name",)

    def __init__(self, name):
        self.name = name


class Machine:
    """A stack, a memo, and a position in the mapped file.

    Args:
        mapped: mmap of the whole file.
    """

    def __init__(self, mapped):
        self.mapped = mapped
        self.data = memoryview(mapped)
        self.at = 0
        self.stack = []
        self.memo = {}
        # By id: of large dicts and sets how often each hash occurs; the arrays of objects, and how deep they are.
        self.hashes = {}
        self.arrays = {}

    # Reading
    def take(self, count):
        stop = self.at + count
        if count < 0 or stop > len(self.data):
            raise EOFError(f"{count} bytes are declared, {len(self.data) - self.at} are left")
        view = self.data[self.at : stop]
        self.at = stop
        return view

    def number(self, width, signed=False):
        return int.from_bytes(self.take(width), "little", signed=signed)

    def line(self):
        stop = self.mapped.find(b"\n", self.at)
        if stop < 0:
            raise EOFError("a line has no end")
        return bytes(self.take(stop + 1 - self.at)[:-1])

    def sized_bytes(self, width):
        view = self.take(self.number(width))
        self.stack.append(view if len(view) > _KEEP_AS_VIEW else bytes(view))

    def sized_text(self, width):
        view = self.take(self.number(width))
        long = len(view) > _KEEP_AS_VIEW
        self.stack.append(values.LongText(view) if long else str(view, "utf-8", "surrogatepass"))

    # The stack
    def pop_mark(self):
        stack = self.stack
        for position in range(len(stack) - 1, -1, -1):
            if stack[position] is MARK:
                items = stack[position + 1 :]
                del stack[position:]
                return items
        raise ValueError("a MARK is missing")

    def pop(self):
        value = self.stack.pop()
        if value is MARK:
            raise ValueError("a MARK is where a value is expected")
        return value

    def top(self, kind):
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {kind.__name__} is expected, not {type(self.stack[-1]).__name__}")
        return self.stack[-1]

    def tuple_of(self, count):
        items = [self.pop() for _ in range(count)]
        self.stack.append(tuple(reversed(items)))

    def put(self, index):
        value = self.stack[-1]
        self.memo[index] = value
        if isinstance(value, values.Shell):
            value.memo_indices.append(index)

    def get(self, index):
        self.stack.append(self.memo[index])

    # Values
    def floats(self):
        # A list of numbers is a run of 9-byte opcodes: read the whole run at once.
        start = self.at - 1
        if self.data[self.at + 8 : self.at + 9] != b"G":
            self.stack.append(struct.unpack(">d", self.take(8))[0])
            return
        run = np.frombuffer(self.data[start : start + 9 * 4096], "u1")
        run = run[: len(run) // 9 * 9].reshape(-1, 9)
        stop = len(run) if (run[:, 0] == 0x47).all() else int((run[:, 0] != 0x47).argmax())
        self.stack.extend(np.ascontiguousarray(run[:stop, 1:]).view(">f8").ravel().tolist())
        self.at = start + 9 * stop

    def long_int(self, width):
        data = self.take(self.number(width))
        if len(data) > _MAX_NUMBER_BYTES:
            raise ValueError("a number is too long")
        self.stack.append(int.from_bytes(data, "little", signed=True))

    def int_line(self):
        text = self.line().rstrip(b"L")
        if len(text) > _MAX_DIGITS:
            raise ValueError("a number is too long")
        self.stack.append({b"00": False, b"01": True}[text] if text in (b"00", b"01") else int(text))

    def string_line(self):
        text = self.line()
        if len(text) < 2 or text[:1] != text[-1:] or text[:1] not in (b"'", b'"'):
            raise ValueError("a string has no quotes")
        self.stack.append(codecs.escape_decode(text[1:-1])[0])

    def extend(self, items):
        self.top(list).extend(items)

    def set_items(self, items):
        if len(items) % 2:
            raise ValueError("a key has no value")
        target = self.top(dict)
        keys = [values.as_key(key) for key in items[::2]]
        self.check_hashes(target, keys)
        target.update(zip(keys, items[1::2], strict=True))

    def empty_set(self):
        budget.spend(_SET_BYTES, "the pickle")
        self.stack.append(set())

    def add_items(self, items):
        target = self.top(set)
        members = [values.hashable(item) for item in items]
        self.check_hashes(target, members)
        target.update(members)

    def check_hashes(self, target, keys):
        """Counts the hashes of a container that grows beyond what is harmless."""
        if len(target) + len(keys) <= values.MAX_EQUAL_HASHES:
            return
        if id(target) not in self.hashes:
            self.hashes[id(target)] = collections.Counter(map(hash, target))
        values.check_hashes(self.hashes[id(target)], keys)

    def pop_two(self):
        second = self.pop()
        return [self.pop(), second]

    # Names and calls
    def name(self, module, attribute):
        if not (isinstance(module, str) and isinstance(attribute, str)):
            raise ValueError("a name isn't a string")
        name = f"{module}.{attribute}"
        if name not in values.CALLS and name not in values.TYPES:
            raise values.Refused(f"refers to `{name[:100]}`")
        self.stack.append(_Global(name))

    def call(self, args):
        target = self.pop()
        if not isinstance(target, _Global) or not isinstance(args, tuple):
            raise values.Refused(f"calls a {type(target).__name__}")
        if target.name not in values.CALLS:
            raise values.Refused(f"calls `{target.name}`")
        args = [arg.name if isinstance(arg, _Global) else arg for arg in args]
        self.push_made(values.CALLS[target.name](*args))

    def push_made(self, value):
        """Puts what was called for or built on the stack, unless it is too deep."""
        if isinstance(value, np.ndarray) and value.dtype.kind == "O":
            inner = [self.arrays.get(id(item), (0,))[0] for item in value.flat if isinstance(item, np.ndarray)]
            depth = 1 + max(inner, default=0)
            if depth > _MAX_ARRAY_DEPTH:
                raise ValueError(f"arrays are nested in arrays, more than {_MAX_ARRAY_DEPTH} deep")
            # With the array, so that its id stays its own.
            self.arrays[id(value)] = depth, value
        self.stack.append(value)

    def call_with_keywords(self):
        if self.pop():
            raise values.Refused("calls with keyword arguments")
        self.call(self.pop())

    def build(self):
        state = self.pop()
        shell = self.pop()
        if not isinstance(shell, values.Shell):
            raise values.Refused(f"sets the state of a {type(shell).__name__}")
        value = shell.build(state)
        for index in shell.memo_indices:
            if self.memo[index] is shell:
                self.memo[index] = value
        # Once: a shell can be built as often as the file likes.
        shell.memo_indices.clear()
        self.push_made(value)
