"""What a search may change: for fields of a recipe, a range of numbers or a list of values.

    {"network.hidden_dim": {"values": [32, 64]},
     "refinement.learning_rate": {"min": 1e-4, "max": 1e-3, "sampling": "log"}}

Nothing here imports a backend, so that a mistake in a space is told before one starts.
"""

import dataclasses
import json
import math

from plumkeras.recipes.config import ConfigError, field_names, read_json, value_of, with_values
from plumkeras.recipes.models import find_model

# Trials are compared on the same samples and the same seeds, so these are no hyper-parameters.
_NOT_SEARCHED = {
    "name": "is no hyper-parameter",
    "model": "has fields of its own, which a search of one model cannot name",
    "seed": "is the same for all trials, so that they can be compared",
    "protocol": "changes the samples that trials are compared on",
    "sample_norm": "changes the samples that trials are compared on",
    "label_range": "is the data's own",
    "task": "is the data's own",
    "label_column": "is the data's own",
    "context_frames": "changes the samples that trials are compared on",
    "synthetic": "changes the samples that trials are compared on",
    "devices": "does not change the result",
    "deterministic": "does not change the result",
}
_HEADS, _WIDTHS = "network.num_heads", ("network.hidden_dim", "network.width")
# Whether a width fits the heads is known of a whole trial only.
_PARTNERS = {
    **dict.fromkeys(_WIDTHS, lambda value: {_HEADS: 1}),
    _HEADS: lambda value: dict.fromkeys(_WIDTHS, 2 * value),
}


@dataclasses.dataclass(frozen=True)
class Values:
    """A list to choose from. The search holds each as JSON text, so that booleans and lists are choices too."""

    values: tuple

    def declare(self, name, hp):
        """Adds the choice to a `keras_tuner.HyperParameters`; returns its value there."""
        return hp.Choice(name, [json.dumps(value) for value in self.values])

    def encode(self, value):
        return json.dumps(value)

    def decode(self, value):
        return json.loads(value)

    def tidy(self, value):
        return value

    def contains(self, value):
        return json.dumps(value) in map(json.dumps, self.values)

    def to_json(self):
        return {"values": list(self.values)}


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; whole ones where the field wants them."""

    low: float
    high: float
    sampling: str = "linear"
    is_whole: bool = False

    def declare(self, name, hp):
        """Adds the range to a `keras_tuner.HyperParameters`; returns its value there."""
        kind = hp.Int if self.is_whole else hp.Float
        return kind(name, self.low, self.high, sampling=self.sampling)

    def encode(self, value):
        return value

    def decode(self, value):
        return value

    def tidy(self, value):
        """The value with four significant digits: more make a difference to nobody who reads them."""
        return value if self.is_whole else min(max(float(f"{value:.4g}"), self.low), self.high)

    def contains(self, value):
        return self.low <= value <= self.high

    def to_json(self):
        return {"min": self.low, "max": self.high, "sampling": self.sampling}


def default_space(config, modalities):
    """The space around a recipe's values that is searched when none is given: the model's `search_space`.

    Args:
        config: `RecipeConfig`.
        modalities: the modalities that are trained on.

    Returns:
        Dict from field to `Values` or `Range`.
    """
    entries = find_model(config.model).search_space(config, modalities)
    return {field: _dimension(field, entry, config, "the default space") for field, entry in entries.items()}


def read_space(path, config):
    """The space of a JSON file: an object from field to `{"values": [...]}` or `{"min": ..., "max": ...}`.

    `"sampling": "log"` draws from a range evenly in the logarithm; the default is `"linear"`. Fields that the file does
    not name keep the recipe's values.

    Args:
        path: the file.
        config: `RecipeConfig` that the fields are of.

    Returns:
        Dict from field to `Values` or `Range`.

    Raises:
        ConfigError: the file is missing or no JSON, or a field, a value or its type is wrong; names file and field.
    """
    found = read_json(path)
    if not isinstance(found, dict) or not found:
        raise ConfigError(f'{path}: a space is an object of fields, as {{"network.dropout": {{"min": 0, "max": 0.5}}}}')
    space = {field: _dimension(field, entry, config, str(path)) for field, entry in found.items()}
    _check_widths(space, config, path)
    return space


def _check_widths(space, config, path):
    """Raises `ConfigError` for a width, or a number of heads, that can only fail."""
    known, heads = field_names(config), _HEADS
    width = next((field for field in _WIDTHS if field in known), None)
    if heads not in known or width is None:
        return
    choices = {f: space[f].values if f in space else (value_of(config, f),) for f in (width, heads)}
    for field, other, fits in ((width, heads, lambda a, b: a % b == 0), (heads, width, lambda a, b: b % a == 0)):
        for value in choices[field] if field in space else ():
            if not any(fits(value, choice) for choice in choices[other]):
                there = ", ".join(map(str, choices[other]))
                raise ConfigError(f"{path}: {field}: {value} fits no {other} of {there}")


def _dimension(field, entry, config, where):
    for name, why in _NOT_SEARCHED.items():
        if field.split(".")[0] == name:
            raise ConfigError(f"{where}: {field} cannot be searched: it {why}")
    kinds = ({"values"}, {"min", "max"}, {"min", "max", "sampling"})
    if not isinstance(entry, dict) or set(entry) not in kinds:
        raise ConfigError(
            f'{where}: {field} wants {{"values": [...]}} or {{"min": ..., "max": ...}}. Received: {entry}'
        )
    if "values" in entry:
        values = entry["values"]
        if not isinstance(values, list) or not values:
            raise ConfigError(f"{where}: {field}: values must be a list that is not empty. Received: {values!r}")
        return Values(tuple(dict.fromkeys(_hashable(_checked(field, value, config, where)) for value in values)))
    return _range(field, entry, config, where)


def _range(field, entry, config, where):
    low, high = (_checked(field, entry[end], config, where) for end in ("min", "max"))
    sampling = entry.get("sampling", "linear")
    if type(low) not in (int, float) or type(high) is not type(low):
        raise ConfigError(f"{where}: {field} is no number; name its values. Received: {entry}")
    if field == "network.hidden_dim" or (field in _PARTNERS and _HEADS in field_names(config)):
        raise ConfigError(
            f"{where}: {field} wants values in place of a range: a width must be a multiple of the heads, and "
            "hidden_dim even"
        )
    if sampling not in ("linear", "log"):
        raise ConfigError(f'{where}: {field}: sampling must be "linear" or "log". Received: {sampling!r}')
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ConfigError(f"{where}: {field}: min must be below max. Received: min={low}, max={high}")
    if sampling == "log" and low <= 0:
        raise ConfigError(f"{where}: {field}: a range that is drawn from by its logarithm starts above 0, not at {low}")
    return Range(low, high, sampling, is_whole=type(low) is int)


def _checked(field, value, config, where):
    """The value as the field's type; raises `ConfigError` where the recipe cannot have it."""
    partners = _PARTNERS.get(field, lambda value: {})(value) if type(value) is int else {}
    others = {name: other for name, other in partners.items() if name in field_names(config)}
    return value_of(with_values(config, {**others, field: value}, where), field)


def _hashable(value):
    return tuple(value) if isinstance(value, list) else value
