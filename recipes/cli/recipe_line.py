"""The line of a command that takes a recipe: the command's options, and every field of the recipe beside them."""

import dataclasses

from plumkeras.recipes import RecipeConfig, read_recipe, recipe_names
from plumkeras.recipes.cli.help import is_asked
from plumkeras.recipes.cli.parsing import UsageError, parse, take
from plumkeras.recipes.config import BaseRecipeConfig, ConfigError
from plumkeras.recipes.models import with_model
from plumkeras.recipes.runs import run_directory


def parse_recipe(options, arguments, command, **required):
    """The options, the recipe (by name, file or `--config`) with its overrides, and the callbacks of its file or None.

    Args:
        options: dataclass of the command's own options.
        arguments: list of str, what follows the command.
        command: its name.
        **required: `tyro.MISSING` for every option that has no default.
    """
    arguments, callbacks = list(arguments), None
    if arguments and not arguments[0].startswith("-"):
        named = arguments.pop(0)
        if take(list(arguments), "--config") is not None:
            raise UsageError(f"--config takes the place of a recipe; leave out {named!r} or --config")
        recipe, callbacks = read_recipe(named)
    elif (replayed := take(arguments, "--config")) is not None:
        named, recipe = f"--config {replayed}", run_directory.read_config(replayed)
    elif is_asked(arguments):
        named, recipe = "RECIPE", RecipeConfig(name="RECIPE")
    else:
        raise UsageError(
            f"{command} needs a recipe, as in `plumkeras {command} synthetic`: {', '.join(recipe_names())}, a recipe "
            "file, or --config FILE"
        )
    # Another model has other fields.
    if (model := take(list(arguments), "--model")) is not None:
        recipe = with_model(recipe, model)
    # One flat line: the options of the command, then the fields of the recipe with the recipe's own values.
    prog = f"plumkeras {command} {named}"
    namespace = {"__doc__": options.__doc__, "__post_init__": _one_line(type(recipe), prog)}
    line = dataclasses.make_dataclass(command, [], bases=(type(recipe), options), frozen=True, namespace=namespace)
    default = line(**required, **{f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipe)})
    parsed = parse(
        line,
        arguments,
        prog,
        default,
        headings={cls: "recipe" for cls in type(recipe).__mro__ if issubclass(cls, BaseRecipeConfig)},
        # What stands for a recipe has none of its values.
        show_defaults=named != "RECIPE",
    )
    given, recipe = (
        kind(**{f.name: getattr(parsed, f.name) for f in dataclasses.fields(kind)}) for kind in (options, type(recipe))
    )
    return given, recipe, callbacks


def _one_line(recipe, prog):
    """The checks of a recipe's values, whose error is a line of the command's and not a box of tyro's."""

    def __post_init__(self):
        try:
            recipe.__post_init__(self)
        except ConfigError as error:
            # tyro puts a `ValueError` into a box.
            raise UsageError(f"{error} (see {prog} --help)") from None

    return __post_init__
