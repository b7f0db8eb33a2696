"""What the command line says of itself, and what it thinks was meant."""

import subprocess
import sys
import typing

import pytest

from plumkeras.recipes import find_recipe, recipe_names, recipe_summaries
from plumkeras.recipes.cli import COMMANDS, main
from plumkeras.recipes.config import TaskName
from plumkeras.tasks import TASKS

PAGES = [
    *([command] for command in COMMANDS),
    *(["benchmark", part] for part in ("epoch", "data", "serve")),
    *(["train", "synthetic"], ["tune", "mosi_trimodal"]),
]


def _printed(arguments, capsys):
    try:
        status = main(arguments)
    except SystemExit as stop:
        status = stop.code
    assert status == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("page", [[], *PAGES], ids=" ".join)
def test_help_fits_the_terminal_and_has_an_example(page, columns, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    printed = _printed([*page, "--help"], capsys)
    assert printed.startswith(f"usage: plumkeras {' '.join(page)}".strip())
    assert max(map(len, printed.splitlines())) <= columns
    if page != ["benchmark"]:
        assert f"\n  plumkeras {' '.join(page[:1] if page[:1] != ['benchmark'] else page)}".rstrip() in printed
    for told in ("(default: )", "None", "True", "False"):
        assert told not in printed


def test_help_is_a_command_too(capsys):
    assert _printed(["help"], capsys) == _printed([], capsys) == _printed(["--help"], capsys)
    assert _printed(["help", "benchmark", "epoch"], capsys) == _printed(["benchmark", "epoch", "--help"], capsys)


def test_recipes_are_listed_with_a_line_each(capsys):
    assert set(recipe_summaries()) == set(recipe_names())
    printed = _printed([], capsys)
    assert "--config" in printed and all(f"\n  {name} " in printed for name in recipe_names())


def test_a_recipes_own_values_are_the_defaults(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    printed = " ".join(_printed(["train", "synthetic", "--help"], capsys).split())
    recipe = find_recipe("synthetic")
    assert (
        f"Width d of every representation; even, and a multiple of the heads. (default: {recipe.network.hidden_dim})"
        in printed
    )
    assert f"Training samples. (default: {recipe.synthetic.train})" in printed
    assert printed.index("--output") < printed.index("--batch-size") < printed.index("--network.hidden-dim")
    # Without a recipe there are no values to tell of.
    assert "(default" not in _printed(["train", "--help"], capsys)


def test_a_part_of_the_benchmark_shows_its_own_options(capsys):
    serving, data = (_printed(["benchmark", part, "--help"], capsys) for part in ("serve", "data"))
    assert "--calls" in serving and "--samples" not in serving
    assert "--samples" in data and "--calls" not in data


_RATES = "--text.learning-rate or --alignment.learning-rate or --refinement.learning-rate?"


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["trian"], "'train'"),
        (["help", "evalute"], "'evaluate'"),
        (["synthetic"], "'train synthetic'"),
        (["benchmark", "sreve"], "'serve'"),
        (["train", "mosi_frzen"], "'mosi_frozen'"),
        (["evaluate", "run", "--spilt", "test"], "--split?"),
        (["train", "synthetic", "--epochs", "3"], "--alignment.epochs or --refinement.epochs?"),
        (["train", "synthetic", "--lr=1"], _RATES),
        (["train", "synthetic", "--learning_rate", "1"], _RATES),
        (["tune", "synthetic", "--hidden-dim", "8"], "--network.hidden-dim?"),
        (["train", "synthetic", "--bacth_size", "8"], "--batch-size?"),
        (["train", "synthetic", "-o", "run"], "--output?"),
    ],
)
def test_what_was_meant(arguments, meant, capsys):
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert f"did you mean {meant}" in captured.err and len(captured.err.splitlines()) == 1 and not captured.out


def test_a_value_is_no_option(capsys):
    """`-inf` begins with a dash too; an option may be written with underscores."""
    assert main(["convert", "x.npz", "shards", "--label-range", "-inf", "inf"]) == 2
    assert "unknown option" not in capsys.readouterr().err
    assert main(["train", "synthetic", "--batch_size=1"]) == 2
    error = capsys.readouterr().err
    assert "Missing from plumkeras train synthetic" in error and "--output DIR" in error


def test_help_imports_neither_keras_nor_numpy():
    code = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['keras', 'numpy', 'tyro', 'rich']))\n"
        "from plumkeras.recipes.cli import main\n"
        "sys.exit(main(['--help']))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0 and "mosi_frozen" in done.stdout, done.stderr


def test_every_task_can_be_named():
    assert typing.get_args(TaskName) == tuple(TASKS)


def test_an_error_is_wrapped_on_a_terminal_alone(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert main(["train"]) == 2
    whole = capsys.readouterr().err
    assert len(whole.splitlines()) == 1 and len(whole) > 80
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert main(["train"]) == 2
    wrapped = capsys.readouterr().err
    assert max(map(len, wrapped.splitlines())) <= 80 and wrapped.split() == whole.split()
