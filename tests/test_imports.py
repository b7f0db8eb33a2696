"""Imports run one way: the core, then the data pipelines, then the recipes; and in no circle, late ones included."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
LAYERS = ("plumkeras", "plumkeras.data_pipelines", "plumkeras.recipes")


def module_name(path):
    parts = list(path.relative_to(REPOSITORY).with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return ".".join(parts if parts[0] == "plumkeras" else ["plumkeras", *parts])


FILES = {module_name(path): path for layer in LAYERS for path in (REPOSITORY / layer.split(".")[-1]).rglob("*.py")}


def imports(name):
    """The modules of this package that a module imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(FILES[name].read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} has a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                found.add(full if full in FILES else node.module)
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return {module for module in found if module in FILES}


def layer_of(name):
    return max(i for i, layer in enumerate(LAYERS) if name == layer or name.startswith(f"{layer}."))


GRAPH = {name: imports(name) for name in FILES}


def test_no_module_imports_from_a_layer_above_it():
    upward = [
        f"{name} imports {module}"
        for name in FILES
        if name != "plumkeras.__main__"  # The console script starts the command line.
        for module in GRAPH[name]
        if layer_of(module) > layer_of(name)
    ]
    assert upward == []


def test_imports_in_strings_name_what_is_there():
    """Code that another process runs."""
    for name, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                for module, member in re.findall(r"from (plumkeras[\w.]*) import (\w+)", node.value):
                    assert module in FILES, f"{name} has an import of {module} in a text"
                    assert f"{module}.{member}" in FILES or member in FILES[module].read_text(), (name, module, member)


def test_no_imports_run_in_a_circle():
    done, circles = set(), []

    def visit(name, path):
        if name in path:
            circles.append([*path[path.index(name) :], name])
        elif name not in done:
            for module in sorted(GRAPH[name]):
                visit(module, [*path, name])
            done.add(name)

    for name in sorted(GRAPH):
        visit(name, [])
    assert circles == []
