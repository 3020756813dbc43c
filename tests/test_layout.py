"""Each module with logic has a test file in its place: `mnist_sweep/a/b.py` has `tests/a/test_b.py`.

The names of `__init__.py` and `__main__.py` lose their underscores: `tests/a/test_init.py`, `tests/a/test_main.py`.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE, TESTS = ROOT / "mnist_sweep", ROOT / "tests"

UNTESTED = {
    "server/pages/contexts.py": "fields of the templates, which the tests of views and routes render",
}
"""Modules without a test file of their own, and why."""

OTHER_FOLDERS = ("e2e", "scripts")
"""Folders of tests that mirror no module: whole programs, and the scripts beside the package."""

CROSS_CUTTING = {
    "review/figures/test_all.py": "what holds for every figure",
    "review/test_filter.py": "static/filter.js in a browser",
    "review/test_figures_js.py": "the script that draws figures, in a browser",
    "review/test_static.py": "the page's scripts and styles in a browser",
    "review/test_values.py": "values of every kind, through the whole review",
    "server/pages/test_foreign_projects.py": "pages of programs that know nothing of this project",
    "server/pages/test_live_pages.py": "pages in a browser while runs begin, log and end",
    "server/pages/test_project_page.py": "a project's page in a browser",
    "server/pages/test_values.py": "pages of values of every kind, with the real client",
    "server/test_conformance.py": "several versions of the real client",
    "server/test_verify.py": "W&B's own check of servers",
    "test_docs.py": "README.md and docs/",
    "test_layout.py": "this file",
    "test_lint.py": "the static checks",
    "test_processes.py": "tests/processes.py",
}
"""Test files that mirror no module, and what they test instead."""


def has_logic(module: Path) -> bool:
    """Return whether a module defines a function or a class."""
    tree = ast.parse(module.read_text("utf-8"))
    return any(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) for node in ast.walk(tree))


def mirror(module: Path) -> str:
    """Return the path of a module's test file, relative to the tests."""
    return (module.relative_to(PACKAGE).parent / f"test_{module.stem.strip('_')}.py").as_posix()


MODULES = sorted(PACKAGE.rglob("*.py"))
FILES = {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}


def test_every_module_with_logic_has_a_test_file() -> None:
    expected = {
        mirror(module)
        for module in MODULES
        if has_logic(module) and module.relative_to(PACKAGE).as_posix() not in UNTESTED
    }
    assert sorted(expected - FILES) == []


def test_every_test_file_has_a_module() -> None:
    known = {mirror(module) for module in MODULES} | set(CROSS_CUTTING)
    assert sorted(file for file in FILES - known if file.split("/")[0] not in OTHER_FOLDERS) == []


def test_the_exceptions_are_current() -> None:
    mirrors = {mirror(module) for module in MODULES}
    for name in UNTESTED:
        module = PACKAGE / name
        assert has_logic(module), f"{name} needs no exception"
        assert mirror(module) not in FILES, f"{name} has a test file"
    for name in CROSS_CUTTING:
        assert name in FILES, f"{name} does not exist"
        assert name not in mirrors, f"{name} mirrors a module"
    for folder in OTHER_FOLDERS:
        assert any(file.startswith(f"{folder}/") for file in FILES), f"tests/{folder} has no tests"
