"""The options of a dataclass, as tyro makes them: what each is called, takes and says."""

import ast
import dataclasses
import inspect
import textwrap
import types
import typing
from pathlib import Path

import tyro

_MISSING = (dataclasses.MISSING, tyro.MISSING)
_METAVARS = {int: "INT", float: "FLOAT", Path: "PATH"}


@dataclasses.dataclass(frozen=True)
class Option:
    """One option of a command.

    Attributes:
        name: as on the command line, without the leading dashes: `network.hidden-dim`.
        owner: the dataclass that defines the field; of a section, that of the whole section.
        section: `""`, or the part of the name before the dot.
        metavar: what stands for the value; `""` for a flag.
        text: the docstring of the field.
        default: its value; `dataclasses.MISSING` where one must be given.
        positional: whether the value is given alone, without the name.
    """

    name: str
    owner: type
    section: str
    metavar: str
    text: str
    default: object
    positional: bool

    @property
    def required(self) -> bool:
        return self.default is dataclasses.MISSING

    @property
    def is_flag(self) -> bool:
        return not self.metavar

    @property
    def spellings(self) -> tuple[str, ...]:
        """The names it may be given by: a flag also by `no-`, which turns it off."""
        if self.positional:
            return ()
        section, dot, last = self.name.rpartition(".")
        return (self.name,) if not self.is_flag else (self.name, f"{section}{dot}no-{last}")


def options_of(line: type, default: object = None, section: str = "") -> list[Option]:
    """All options of a dataclass, in order; a field that is a dataclass is a section of its own.

    Args:
        line: dataclass.
        default: instance with the default values, or `None`: those of the fields.
        section: the field that the dataclass is the value of.
    """
    hints, owners, texts = typing.get_type_hints(line, include_extras=True), _owners(line), _texts(line)
    found = []
    for field in dataclasses.fields(line):
        value = _default(field) if default is None else getattr(default, field.name)
        value = dataclasses.MISSING if value in _MISSING else value
        hint, extras = _unwrapped(hints[field.name])
        if dataclasses.is_dataclass(hint):
            found += options_of(hint, None if value is dataclasses.MISSING else value, field.name)
            continue
        name = field.name.replace("_", "-")
        positional = tyro.conf.Positional in extras
        metavar, told = (_annotated(extras, attribute) for attribute in ("metavar", "help"))
        metavar = metavar or ("" if hint is bool else _metavar(hint, field.name))
        found.append(
            Option(
                name=f"{section}.{name}" if section else name,
                owner=line if section else owners[field.name],
                section=section,
                metavar=metavar,
                text=" ".join(texts.get(field.name, told).split()),
                default=value,
                positional=positional,
            )
        )
    return found


def _default(field):
    return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()


def _unwrapped(hint):
    """The type of a field without `Annotated`, and what annotates it."""
    extras = []
    while typing.get_origin(hint) is typing.Annotated:
        hint, *more = typing.get_args(hint)
        extras += more
    return hint, extras


def _annotated(extras, attribute):
    """What the first of the annotations says, or `""`."""
    return next((value for extra in extras if (value := getattr(extra, attribute, None))), "")


def _metavar(hint, name):
    """`{a,b}` for a choice, `[INT ...]` for several; `None`, which cannot be typed, is left out."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return "|".join(_metavar(part, name) for part in parts if part is not type(None))
    if origin is typing.Literal:
        return "{" + ",".join(map(str, parts)) + "}"
    if origin is tuple:
        if parts[-1] is Ellipsis:
            return f"[{_metavar(parts[0], 'name')} ...]"
        return "LOW HIGH" if name.endswith("range") else " ".join(_metavar(part, name) for part in parts)
    return _METAVARS.get(hint, name.rpartition("_")[2].upper())


def _owners(line):
    return {name: base for base in reversed(line.__mro__) for name in inspect.get_annotations(base)}


def _texts(line):
    """The docstring under each field; Python itself throws them away."""
    found = {}
    for base in reversed(line.__mro__):
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError):
            continue  # without a source, as `object` and what `make_dataclass` makes
        for node, below in zip(tree.body[0].body, tree.body[0].body[1:], strict=False):
            if (
                isinstance(node, ast.AnnAssign)
                and isinstance(below, ast.Expr)
                and isinstance(below.value, ast.Constant)
            ):
                found[node.target.id] = str(below.value.value)
    return found
