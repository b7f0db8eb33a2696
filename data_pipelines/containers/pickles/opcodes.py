"""The opcodes of a pickle: a closed table of what each does to the machine, and the loop that goes through them."""

from plumkeras.data_pipelines.containers.pickles import values
from plumkeras.data_pipelines.containers.pickles.machine import MARK, Machine


def _refuse(what):
    def method(machine):
        raise values.Refused(what)

    return method


def _push(value):
    return lambda m: m.stack.append(value)


_OPCODES = {
    # Constants and numbers
    "N": _push(None),
    "\x88": _push(True),
    "\x89": _push(False),
    "I": Machine.int_line,
    "L": Machine.int_line,
    "J": lambda m: m.stack.append(m.number(4, signed=True)),
    "K": lambda m: m.stack.append(m.number(1)),
    "M": lambda m: m.stack.append(m.number(2)),
    "\x8a": lambda m: m.long_int(1),
    "\x8b": lambda m: m.long_int(4),
    "F": lambda m: m.stack.append(float(m.line())),
    "G": Machine.floats,
    # Text and bytes
    "S": Machine.string_line,
    "T": lambda m: m.sized_bytes(4),
    "U": lambda m: m.sized_bytes(1),
    "B": lambda m: m.sized_bytes(4),
    "C": lambda m: m.sized_bytes(1),
    "\x8e": lambda m: m.sized_bytes(8),
    "\x96": lambda m: m.sized_bytes(8),
    "V": lambda m: m.stack.append(str(m.line(), "raw-unicode-escape")),
    "X": lambda m: m.sized_text(4),
    "\x8c": lambda m: m.sized_text(1),
    "\x8d": lambda m: m.sized_text(8),
    # Containers
    "(": _push(MARK),
    ")": lambda m: m.tuple_of(0),
    "\x85": lambda m: m.tuple_of(1),
    "\x86": lambda m: m.tuple_of(2),
    "\x87": lambda m: m.tuple_of(3),
    "t": lambda m: m.stack.append(tuple(m.pop_mark())),
    "]": lambda m: m.stack.append([]),
    "l": lambda m: m.stack.append(m.pop_mark()),
    "a": lambda m: m.extend([m.pop()]),
    "e": lambda m: m.extend(m.pop_mark()),
    "}": lambda m: m.stack.append({}),
    "d": lambda m: m.set_items((m.pop_mark(), m.stack.append({}))[0]),
    "s": lambda m: m.set_items(m.pop_two()),
    "u": lambda m: m.set_items(m.pop_mark()),
    "\x8f": Machine.empty_set,
    "\x90": lambda m: m.add_items(m.pop_mark()),
    "\x91": lambda m: m.stack.append(values.CALLS["builtins.frozenset"](m.pop_mark())),
    # Stack and memo
    "0": lambda m: m.stack.pop(),
    "1": lambda m: m.pop_mark(),
    "2": lambda m: m.stack.append(m.stack[-1]),
    "p": lambda m: m.put(int(m.line()[:20])),
    "q": lambda m: m.put(m.number(1)),
    "r": lambda m: m.put(m.number(4)),
    "\x94": lambda m: m.put(len(m.memo)),
    "g": lambda m: m.get(int(m.line()[:20])),
    "h": lambda m: m.get(m.number(1)),
    "j": lambda m: m.get(m.number(4)),
    "\x80": lambda m: m.number(1),
    "\x95": lambda m: m.number(8),
    # Names and calls
    "c": lambda m: m.name(str(m.line(), "utf-8"), str(m.line(), "utf-8")),
    "\x93": lambda m: m.name(*m.pop_two()),
    "R": lambda m: m.call(m.pop()),
    "\x81": lambda m: m.call(m.pop()),
    "\x92": Machine.call_with_keywords,
    "b": Machine.build,
    "i": _refuse("makes an instance (opcode INST)"),
    "o": _refuse("makes an instance (opcode OBJ)"),
    "P": _refuse("has a persistent id"),
    "Q": _refuse("has a persistent id"),
    "\x82": _refuse("uses the extension registry"),
    "\x83": _refuse("uses the extension registry"),
    "\x84": _refuse("uses the extension registry"),
    "\x97": _refuse("has its data outside the file"),
    "\x98": _refuse("has its data outside the file"),
}
_TABLE = {ord(code): method for code, method in _OPCODES.items()}


def run(machine):
    """Interprets the file of a `Machine` and returns its object."""
    table, data, end = _TABLE, machine.data, len(machine.data)
    while machine.at < end:
        code = data[machine.at]
        machine.at += 1
        if code == 0x2E:  # STOP
            if len(machine.stack) != 1:
                raise ValueError(f"{len(machine.stack)} values are left on the stack")
            return machine.stack[0]
        method = table.get(code)
        if method is None:
            raise ValueError(f"unknown opcode 0x{code:02x}")
        method(machine)
    raise EOFError("it ends before its STOP opcode")
