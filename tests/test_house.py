"""The rules of the house, as code."""

import ast
import re
from configparser import ConfigParser

import pytest

from tests.callers import ROOT

SOURCES = [*sorted((ROOT / "pycoder").rglob("*.py")), ROOT / "config.py", ROOT / "wsgi.py"]
FORBIDDEN_NAMES = {"services", "utils", "helpers", "common", "core", "managers"}
DOORS = [
    path for path in SOURCES if path.parent.name in ("auth", "web") or path.stem in ("ops", "cli")
]
TOOLS = ("passwords", "keys", "audit")

each_source = pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))


def functions(path):
    tree = ast.parse(path.read_text())
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]


@each_source
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= 400
    long = [f.name for f in functions(path) if f.end_lineno - f.lineno >= 40]
    assert long == []


def test_an_installed_copy_has_every_package_and_the_migrations():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    there = {
        path.parent for name in ("pycoder", "migrations") for path in (ROOT / name).rglob("*.py")
    }
    named = {".".join(path.relative_to(ROOT).parts) for path in there}
    assert set(setup["options"]["packages"].split()) == named


@each_source
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


@each_source
def test_every_public_function_of_rooms_and_tools_is_described(path):
    if path in DOORS or path.name in ("errors.py", "openapi.py"):
        return
    tree = ast.parse(path.read_text())
    undescribed = [
        node.name
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith(("_", "answer_", "init_app"))
        and not ast.get_docstring(node)
        and len(node.body) > 2
    ]
    assert undescribed == []


def test_nothing_is_named_after_nothing():
    assert not FORBIDDEN_NAMES & {path.stem for path in SOURCES}


@pytest.mark.parametrize("path", DOORS, ids=lambda p: p.name)
def test_doors_neither_query_nor_commit(path):
    assert not re.search(r"db\.session|select\(|\.commit\(", path.read_text())


@pytest.mark.parametrize("name", TOOLS)
def test_tools_never_commit(name):
    assert ".commit(" not in (ROOT / "pycoder" / f"{name}.py").read_text()


def test_rooms_do_not_see_the_request():
    for name in ("people", "accounts", "sessions"):
        tree = ast.parse((ROOT / "pycoder" / f"{name}.py").read_text())
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "flask"
            for alias in node.names
        }
        assert imported <= {"current_app"}


def test_views_are_read_in_one_breath():
    for function in functions(ROOT / "pycoder" / "auth" / "views.py"):
        assert len(function.body) <= 6, function.name
        assert ast.get_docstring(function), function.name


def test_one_clock():
    for path in SOURCES:
        if path.name != "models.py":
            assert not re.search(r"datetime\.now|time\.time\(|utcnow", path.read_text()), path
