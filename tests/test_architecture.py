"""The layers hold, and no module, function or name is what the house forbids."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from importlinter.cli import lint_imports

ROOT = Path(__file__).parent.parent
GENERATED = ROOT / "src" / "phaseline" / "v1"
MODULES = {
    path.relative_to(ROOT): path.read_text()
    for top in ("src", "tests", "scripts")
    for path in sorted((ROOT / top).rglob("*.py"))
    if GENERATED not in path.parents
}

MODULE_LINES = 500
BODY_LINES = 60
BANNED_NAMES = {"utils", "helpers", "common", "manager", "base", "misc", "types"}


def test_the_import_contracts_hold() -> None:
    assert lint_imports(str(ROOT / "pyproject.toml"), no_cache=True, no_logo=True) == 0


def test_the_domain_knows_the_standard_library_and_msgspec_only() -> None:
    known = sys.stdlib_module_names | {"msgspec", "phaseline"}
    assert [f"{path}: {name}" for path, name in _imports("domain") if name not in known] == []


def test_the_domain_reads_no_clock() -> None:
    assert [
        f"{path}:{node.lineno}"
        for path, tree in _trees("domain")
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}
        if isinstance(node.value, ast.Name) and node.value.id in {"datetime", "date"}
    ] == []


def test_every_module_says_what_it_is_for() -> None:
    assert [str(path) for path, tree in _trees() if not ast.get_docstring(tree)] == []


def test_no_module_is_longer_than_anyone_reads() -> None:
    lengths = {str(path): text.count("\n") for path, text in MODULES.items()}
    assert {path: lines for path, lines in lengths.items() if lines > MODULE_LINES} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    # A migration is a list of what it makes, and nobody edits one.
    lengths = {
        f"{path}:{node.name}": _body_lines(node)
        for path, tree in _trees()
        if path.parent.name != "versions"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert {name: lines for name, lines in lengths.items() if lines > BODY_LINES} == {}


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in MODULES if BANNED_NAMES & {*path.parts, path.stem}] == []


def _trees(package: str = "") -> Iterator[tuple[Path, ast.Module]]:
    """Yield the modules, all or those of one package of ours, with what they parse to."""
    for path, text in MODULES.items():
        if not package or path.is_relative_to(Path("src", "phaseline", package)):
            yield path, ast.parse(text)


def _imports(package: str) -> Iterator[tuple[Path, str]]:
    """Yield each top-level name that a module of the package imports."""
    for path, tree in _trees(package):
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from ((path, alias.name.partition(".")[0]) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield path, (node.module or "phaseline").partition(".")[0]


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of the body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
