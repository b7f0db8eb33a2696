"""Configurations as plain containers, and their fields by name."""

import dataclasses
import json
import types
import typing
from pathlib import Path
from typing import Literal

from plumkeras import json_text
from plumkeras.nearest import nearest
from plumkeras.recipes.config.errors import ConfigError
from plumkeras.recipes.models import MODELS, config_class, with_model
from plumkeras.recipes.models.plum_net import RecipeConfig


def to_dict(config):
    """The configuration as plain containers, for JSON."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values, where):
    """The `RecipeConfig` of plain containers.

    Args:
        values: dict, as `to_dict` makes it.
        where: what to name in an error, e.g. the file.

    Raises:
        ConfigError: for a field that does not exist or a value of another type, naming both.
    """
    if not isinstance(values, dict):
        return _build(RecipeConfig, values, where, "")
    if type(values.get("label_column")) is int:
        values = {**values, "label_column": str(values["label_column"])}
    if isinstance(values.get("class_weight"), dict):
        values = {**values, "class_weight": _by_class(values["class_weight"], where)}
    if isinstance(values.get("network"), dict):
        values = {**values, "network": _of_any_version(values["network"])}
    model = values.get("model", "plum_net")
    if not isinstance(model, str) or model not in MODELS:
        raise ConfigError(f"{where}: unknown model {model!r:.80}; there are {', '.join(MODELS)}")
    return _build(config_class(model, "synthetic" in values), values, where, "")


def _by_class(weights, where):
    """The list of weights of a dict by class."""
    try:
        found = {int(number): weight for number, weight in weights.items()}
        return [found[number] for number in range(len(weights))]
    except (ValueError, KeyError):
        raise ConfigError(
            f"{where}: class_weight must give each class from 0 a weight. Received: {weights!r:.80}"
        ) from None


def _of_any_version(network):
    """The fields of a network, with `common_branch` in place of version 0.1.0's `share_common_encoder`."""
    network = dict(network)
    shares = network.pop("share_common_encoder", None)
    if shares is not None:
        network["common_branch"] = "shared_encoder" if shares else "per_modality"
    return network


def value_of(config, field):
    """The value of a field named with dots; a tuple where JSON has a list."""
    for name in field.split("."):
        config = getattr(config, name)
    return config


def with_values(config, values, where="the search"):
    """The recipe with other values in some fields.

    Args:
        config: `RecipeConfig`.
        values: dict from field, named with dots, to value.
        where: what to name in an error, e.g. the file.

    Raises:
        ConfigError: a field does not exist, or its value does not fit; names the nearest field.
    """
    if "model" in values:
        config = with_model(config, values["model"])
    fields = to_dict(config)
    for field, value in values.items():
        *sections, name = field.split(".")
        place = fields
        for section in sections:
            place = place.get(section) if isinstance(place, dict) else None
        if not isinstance(place, dict) or name not in place or isinstance(place[name], dict):
            hint = nearest(field, field_names(config)) or "; name it as in config.json, e.g. network.hidden_dim"
            raise ConfigError(f"{where}: unknown field {field}{hint}")
        place[name] = value
    return from_dict(fields, where)


def field_names(config):
    """The names of all fields of a recipe, those of its sections with dots."""
    names = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        inner = dataclasses.fields(value) if dataclasses.is_dataclass(value) else ()
        names += [f"{field.name}.{part.name}" for part in inner] or [field.name]
    return names


def _build(cls, values, where, prefix):
    if not isinstance(values, dict):
        raise ConfigError(f"{where}: {prefix.rstrip('.') or 'the configuration'} must be an object, not {values!r:.80}")
    hints = typing.get_type_hints(cls)
    if unknown := sorted(set(values) - set(hints)):
        hint = nearest(unknown[0], hints) or f"; there are {', '.join(sorted(hints))}"
        raise ConfigError(f"{where}: unknown field {prefix}{unknown[0]}{hint}")
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.name not in values and f.default is f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise ConfigError(f"{where}: field {prefix}{missing[0]} is missing")
    built = {name: _convert(hints[name], value, where, f"{prefix}{name}") for name, value in values.items()}
    try:
        return cls(**built)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None


def _convert(hint, value, where, field):
    """`value`, from JSON, as the annotated type `hint`."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        # Not None when it isn't: the error is to name the types that a value has.
        kinds = [part for part in parts if value is None or part is not type(None)]
        for part in kinds:
            try:
                return _convert(part, value, where, field)
            except ConfigError:
                if len(kinds) == 1:
                    raise
        raise _wrong(where, field, kinds, value)
    if origin is Literal and value in parts:
        return value
    if origin is tuple and isinstance(value, (list, tuple)):
        return tuple(_convert(parts[0], item, where, field) for item in value)
    if dataclasses.is_dataclass(hint):
        return _build(hint, value, where, f"{field}.")
    if hint is float and type(value) in (int, float):
        return float(value)
    if hint is type(None) and value is None:
        return None
    if isinstance(hint, type) and type(value) is hint:
        return value
    raise _wrong(where, field, [hint], value)


def _wrong(where, field, hints, value):
    expected = " or ".join(map(_named, hints))
    return ConfigError(f"{where}: field {field} must be {expected}. Received: {value!r:.80}")


def _named(hint):
    """A type as an error message calls it."""
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return " or ".join(map(repr, parts))
    return f"a list of {_named(parts[0])}s" if origin is tuple else getattr(hint, "__name__", str(hint))


def read_json(path):
    """The parsed JSON of a file; `ConfigError` naming the file otherwise."""
    try:
        return json_text.parse(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from None
    except ValueError as error:
        raise ConfigError(f"{path}: not valid JSON: {error}") from None
