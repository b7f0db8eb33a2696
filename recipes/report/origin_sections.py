"""Sections on where a result comes from: facts, configuration, versions, and how to have it again."""

import json
import shlex

from plumkeras.features import width_words
from plumkeras.recipes import find_recipe, recipe_names
from plumkeras.recipes.config import from_dict, to_dict
from plumkeras.recipes.models import config_class, is_synthetic
from plumkeras.recipes.report.section import LeftOut, Table
from plumkeras.recipes.runs.resuming import flat


def data_facts(described) -> list:
    """Facts about the data of a `config.json`, a `seeds.json` or an `experiment.json`: list of (title, text)."""
    data = described.get("data") or {}
    facts = []
    name = str(data.get("path") or "").replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]
    form = data.get("format")
    facts.append(("Data", f"{name} (format {form})" if name else f"generated ({form})" if form else "unknown"))
    if isinstance(widths := data.get("feature_dims"), dict):
        facts.append(("Modalities", ", ".join(f"{m} ({width_words(width, 'width ')})" for m, width in widths.items())))
    if isinstance(samples := data.get("samples"), dict):
        facts.append(("Samples", ", ".join(f"{split} {n}" for split, n in samples.items())))
    if task := data.get("task"):
        facts.append(("Task", str(task)))
    return facts


def duration(seconds) -> str:
    """A number of seconds in words."""
    if seconds < 60:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def configuration(described) -> dict:
    """The fields that differ from the recipe's own values, and the whole file.

    Args:
        described: dict, with `recipe`.
    """
    recipe = described.get("recipe")
    if not isinstance(recipe, dict):
        raise LeftOut("no recipe is named")
    config = from_dict(recipe, "the recipe")
    name = config.name
    if name in recipe_names():
        usual, told = find_recipe(name), f"the recipe {name}"
    else:
        usual, told = config, "the fields"
    if usual.model != config.model or usual is config:
        fields = {"name": name, "model": config.model}
        usual, told = config_class(config.model, is_synthetic(config))(**fields), f"a recipe of {config.model}"
    then, now = flat(to_dict(usual)), flat(to_dict(config))
    rows = [[f, plain(then.get(f)), plain(value)] for f, value in now.items() if then.get(f) != value]
    return {
        "usual": told,
        "table": Table(["field", "default", "here"], rows),
        "whole": json.dumps(to_dict(config), indent=2, ensure_ascii=False),
    }


def plain(value) -> str:
    """A value of a configuration as a text."""
    if value is None:
        return "not set"
    if isinstance(value, list):
        return " ".join(map(str, value)) or "none"
    return ("on" if value else "off") if isinstance(value, bool) else str(value)


def versions(described) -> Table:
    """Versions of Python, of the packages, and the backend."""
    found = described.get("versions")
    if not isinstance(found, dict):
        raise LeftOut("no versions are recorded")
    rows = [[str(package), str(version)] for package, version in found.items()]
    return Table(["package", "version"], rows, [f"Backend: {described.get('backend', 'unknown')}."])


def reproduce(described, again=None) -> dict:
    """The command that made the result, one that replays it, and the data's checksum.

    Args:
        described: dict of a `config.json`, a `seeds.json` or an `experiment.json`.
        again: words of a further command, without the data, or None.
    """
    command, data = described.get("command"), described.get("data") or {}
    commands = []
    if isinstance(command, list) and command:
        words = [str(word) for word in command]
        if words[0] == "__main__.py":
            words[:1] = ["python", "-m", "plumkeras"]
        told = "It was made by"
        if "plumkeras" not in words[:3]:
            told = "It was made from Python, by"
        commands.append((told, shlex.join(words)))
    if again:
        if data.get("path"):
            again = [*again, "--data", str(data["path"])]
        elif data.get("format") != "synthetic":
            again = None
    if again:
        commands.append(("In its directory, this makes it again", shlex.join(again)))
    if not commands:
        raise LeftOut("no command is recorded")
    recipe = described.get("recipe") or {}
    return {
        "commands": commands,
        "backend": described.get("backend"),
        "sha256": data.get("sha256"),
        "path": data.get("path"),
        "deterministic": bool(recipe.get("deterministic")),
    }
