"""The rules of the architecture, held against every file. Exceptions are named, with a reason."""

import ast
import functools
import re
import tomllib
from configparser import ConfigParser

import pytest

from tests.support.constants import ROOT

PYCODER = sorted((ROOT / "pycoder").rglob("*.py"))
TOP = [ROOT / name for name in ("config.py", "config_cores.py", "config_parsers.py", "wsgi.py")]
TOP += [ROOT / "gunicorn.conf.py"]
SERVERS, MIGRATIONS = sorted(ROOT.glob("deploy/*.py")), sorted(ROOT.glob("migrations/**/*.py"))
SOURCES = [*PYCODER, *TOP, *SERVERS, *MIGRATIONS]
TESTS = sorted(path for path in (ROOT / "tests").rglob("*.py") if "node_modules" not in path.parts)

ENTRY_POINTS = ("admin", "auth", "web", "system", "cli")
USE_CASES = ("accounts", "sessions", "tokens", "mail")
BUILDING_BLOCKS = ("keys", "ratelimit", "audit", "models", "passwords", "http", "db")
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "core", "services", "managers"}

MAY_BE_LONG = {
    "migrations/versions": "a revision lists tables and columns",
}
NEED_NO_DOCSTRING = {
    "auth/schemas": "the fields of a schema are described one by one, for the OpenAPI document",
    "errors.py": "the code and the detail of a problem describe it",
}
MAY_COMMIT = {
    "keys/rotation.py": "two use cases of the command line, beside what they rotate",
}
MAY_TAKE_MORE_PARAMETERS = {
    "_encode_jwt_from_config": "the signature is Flask-JWT-Extended's",
    "_set_cookie": "the attributes of one cookie",
}
LIBRARY_INTERNALS = {
    "_encode_jwt_from_config": "Flask-JWT-Extended has no public way to use several algorithms",
    "_decode_jwt_from_config": "the same",
    "_handle_dbapi_exception": "SQLAlchemy judges and words the faults of a prepared statement",
}
PUBLIC_IN_SPITE_OF_THEIR_NAME = {
    *("_asdict", "_fields", "_make", "_replace"),  # of named tuples
    *("_deserialize", "_serialize"),  # marshmallow, "Custom Fields"
}


def name(path):
    return str(path.relative_to(ROOT)).removeprefix("pycoder/")


each_source = pytest.mark.parametrize("path", SOURCES, ids=name)
each_module = pytest.mark.parametrize("path", PYCODER, ids=name)


def in_packages(*packages):
    return [
        path for path in PYCODER if name(path).partition("/")[0].removesuffix(".py") in packages
    ]


@functools.cache
def tree(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def functions(path):
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


def documented(path):
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    return [node for node in ast.walk(tree(path)) if isinstance(node, kinds)]


# Size


@each_source
def test_files_and_functions_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400
    if name(path.parent) not in MAY_BE_LONG:
        assert [f.name for f in functions(path) if f.end_lineno - f.lineno >= 40] == []


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_files_of_tests_are_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 400


@each_source
def test_functions_take_at_most_five_parameters(path):
    def parameters(function):
        given = function.args
        listed = [*given.posonlyargs, *given.args, *given.kwonlyargs]
        return [argument for argument in listed if argument.arg not in ("self", "cls")]

    long = {function.name for function in functions(path) if len(parameters(function)) > 5}
    assert long - MAY_TAKE_MORE_PARAMETERS.keys() == set()


def test_few_files_are_long():
    long = [path for path in PYCODER if len(path.read_text(encoding="utf-8").splitlines()) > 250]
    assert len(long) <= 4


# Prose


@each_source
def test_every_module_says_what_it_is_for(path):
    assert ast.get_docstring(tree(path))


@each_source
def test_docstrings_are_plain(path):
    for node in documented(path):
        text = ast.get_docstring(node)
        if text:
            first = text.splitlines()[0]
            assert len(first) <= 80, first
            assert not re.match(r"(Tell|Say|Have|Let)\b", text), first
            assert not re.search(r"\b[Ww]ho (has|is|asks|may)\b", text), first


@each_module
def test_every_public_function_and_class_is_described(path):
    if NEED_NO_DOCSTRING.keys() & {name(path), name(path.parent)}:
        return
    undescribed = [
        node.name
        for node in tree(path).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and not ast.get_docstring(node)
        and len(node.body) > 2
    ]
    assert undescribed == []


OLD_WORDS = re.compile(
    r"\b(Standing|Family|Keeper|PatientCursor|ImpatientConnection|AskedCORS|at_password"
    r"|guards\.py|throttle\.py|outbox\.py|wire\.py|people\.py|house\.md|design\.md|glossary\.md)\b"
)


def test_no_word_of_the_old_vocabulary_is_left():
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    places = [ROOT / "Makefile", ROOT / "setup.cfg", *pages, *SOURCES]
    found = {name(path): OLD_WORDS.findall(path.read_text(encoding="utf-8")) for path in places}
    assert {path: words for path, words in found.items() if words} == {}


# Layers


def rows():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    contract = setup["importlinter:contract:rows"]
    assert contract["exhaustive"] == "True"
    return [re.split(r" [|:] ", line) for line in contract["layers"].split("\n") if line]


def test_the_nine_rows_name_every_package_and_module():
    there = {
        path.stem
        for path in (ROOT / "pycoder").iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert len(rows()) == 9
    assert {module for row in rows() for module in row} == there - {"__init__"}


def test_the_diagram_has_the_same_rows():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    diagram = re.search(r"```mermaid\n(?:flowchart|graph|block).*?```", page, re.DOTALL)[0]
    for row in rows():
        assert any(
            all(re.search(rf"\b{module}\b", line) for module in row)
            for line in diagram.splitlines()
        ), row


@pytest.mark.parametrize("path", in_packages(*ENTRY_POINTS), ids=name)
def test_entry_points_neither_query_nor_commit(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"db\.session|db\.engine|\bselect\(|\.commit\(|autocommit\(", text)


@pytest.mark.parametrize("path", in_packages(*USE_CASES, *BUILDING_BLOCKS), ids=name)
def test_only_entry_points_and_http_see_the_request(path):
    if name(path).startswith("http/"):
        return
    imported = {
        alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module == "flask"
        for alias in node.names
    }
    assert not imported & {"request", "session", "after_this_request"}


@pytest.mark.parametrize("path", in_packages(*BUILDING_BLOCKS), ids=name)
def test_building_blocks_never_commit(path):
    commits = ".commit(" in path.read_text(encoding="utf-8")
    assert commits == (name(path) in MAY_COMMIT)


@each_source
def test_one_clock(path):
    if name(path) != "clock.py":
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"datetime\.now\(|time\.time\(|utcnow", text)


# Names and packages


def test_no_module_has_a_name_that_says_nothing():
    assert not NAMES_THAT_SAY_NOTHING & {path.stem for path in SOURCES}
    assert not NAMES_THAT_SAY_NOTHING & {path.parent.name for path in SOURCES}


def test_an_installed_copy_has_every_package_and_the_migrations():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    folders = {path.parent for path in [*PYCODER, *SERVERS, *MIGRATIONS]}
    assert set(setup["options"]["packages"].split()) == {
        ".".join(folder.relative_to(ROOT).parts) for folder in folders
    }


def test_views_are_read_in_one_breath():
    for path in in_packages("admin", "auth"):
        if "views" in path.parts or path.stem == "views":
            for function in functions(path):
                assert len(function.body) <= 6, function.name
                assert ast.get_docstring(function), function.name


@pytest.mark.parametrize("path", TESTS, ids=name)
def test_no_test_imports_a_test(path):
    imported = [
        node.module
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and node.module
    ]
    assert [module for module in imported if re.search(r"\btests\..*\btest_", module)] == []


# Libraries


@functools.cache
def imported_names(path):
    """Return the names that a module binds by importing something that is not PyCoder's."""
    return {
        (alias.asname or alias.name).partition(".")[0]
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.Import, ast.ImportFrom))
        and not (getattr(node, "module", None) or "").startswith(("pycoder", "config"))
        for alias in node.names
    }


@each_source
def test_no_library_is_patched(path):
    patched = [
        ast.unparse(target)
        for node in ast.walk(tree(path))
        if isinstance(node, (ast.Assign, ast.AugAssign))
        for target in getattr(node, "targets", [getattr(node, "target", None)])
        if isinstance(target, ast.Attribute)
        and ast.unparse(target).partition(".")[0]
        in imported_names(path) - {"g"}  # where Flask wants a value
    ]
    assert patched == []


def private_names(path):
    """Return the private names that a module uses of other objects, and overrides of libraries."""
    module = tree(path)
    defined = {
        node.name for node in ast.walk(module) if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    } | {
        node.attr
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
    }
    used = {
        node.attr
        for node in ast.walk(module)
        if isinstance(node, ast.Attribute) and re.match(r"_[a-z]", node.attr)
    }
    return used - defined - PUBLIC_IN_SPITE_OF_THEIR_NAME


def test_three_private_names_of_libraries_are_used():
    used = {private for path in SOURCES for private in private_names(path)}
    overridden = {
        function.name
        for path in SOURCES
        for function in functions(path)
        if function.name in LIBRARY_INTERNALS
    }
    assert used | overridden == set(LIBRARY_INTERNALS)


def test_the_library_with_overridden_internals_is_pinned_to_a_minor_release():
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    wanted = setup["options"]["install_requires"]
    assert re.search(r"flask-jwt-extended >=4\.7\.\d+,<4\.8", wanted)
    assert re.search(r"sqlalchemy >=2\.\d+\.\d+,<3", wanted)


def test_warnings_are_errors_and_types_are_checked_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["mypy"]["strict"]
    files = {"config.py", "config_cores.py", "config_parsers.py", "pycoder"}
    assert set(project["tool"]["mypy"]["files"]) == files
