"""`plumkeras models`."""

import dataclasses
import json

from plumkeras.recipes.cli.parsing import parse, say
from plumkeras.recipes.models import MODELS, find_model
from plumkeras.recipes.models.about import PUBLISHED_WIDTHS


@dataclasses.dataclass(frozen=True)
class Models:
    """Lists the models that a recipe can train: paper, size, data sets, what differs from the original.

    plumkeras models
    """

    json: bool = False
    """Print JSON, one line, in place of a table."""


def run_models(arguments):
    options = parse(Models, arguments, "plumkeras models")
    about = {name: find_model(name).ABOUT for name in MODELS}
    if options.json:
        print(json.dumps({name: {"title": find_model(name).TITLE, **vars(found)} for name, found in about.items()}))
        return
    from rich.console import Console

    from plumkeras.recipes.views.terminal.tables import print_table

    rows = [["--model", "Paper", "Parameters"]]
    rows += [[name, found.paper or "ours", f"{found.parameters:,}"] for name, found in about.items()]
    print_table("Models", rows, Console())
    widths = ", ".join(f"{m} {width}" for m, width in PUBLISHED_WIDTHS.items())
    say(f"Parameters: at the default widths, for features of {widths}.")
    for name, found in about.items():
        published = f" Published for {', '.join(found.data_sets)}." if found.data_sets else ""
        say(f"\n{name}:{published} {found.differs}")
    say(
        "\nTrain one with `plumkeras train RECIPE --model NAME`. Recipes NAME_mosi have the published settings, and "
        "NAME_frozen those for frozen features; `plumkeras --help` lists them."
    )
