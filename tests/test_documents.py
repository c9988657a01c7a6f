"""The documents against the code: each lists what the code has, and nothing else."""

import ast
import re

import pytest

from config import DEFAULT_LIMITS, Config
from pycoder.audit import Event
from pycoder.errors import Problem
from tests.support.constants import ROOT

EXAMPLE, FRONTEND, OPERATIONS, CONTRIBUTING = (
    (ROOT / name).read_text()
    for name in (
        ".env.example",
        "docs/frontend.md",
        "docs/operations.md",
        "CONTRIBUTING.md",
    )
)
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "benchmarks" / "README.md"]


def section(page, heading):
    return re.search(rf"^## {heading}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)[1]


def named(text, pattern):
    return re.findall(rf"`({pattern})`", text)


def codes(problem):
    own = [problem.code] if "code" in vars(problem) else []
    return own + [code for kind in problem.__subclasses__() for code in codes(kind)]


def test_every_setting_is_in_the_document_and_in_the_example():
    table = re.findall(r"^\| (`[A-Z].*?) \|", section(OPERATIONS, "Settings"), re.MULTILINE)
    assert named(" ".join(table), "[A-Z_]+") == list(Config.settings())
    assert set(re.findall(r"^# ([A-Z_]+)=", EXAMPLE, re.MULTILINE)) == set(Config.settings())


def test_every_call_is_in_the_document(app):
    document = app.test_client().get("/api/openapi.json").json["paths"]
    calls = {f"{method.upper()} {path}" for path, item in document.items() for method in item}
    calls = {re.sub(r"{\w+}", "{}", call) for call in calls if not call.startswith("PARAMETERS")}
    listed = named(section(FRONTEND, "All calls"), r"[A-Z]+ /[^` ]*")
    plain = [re.sub(r"{\w+}", "{}", call) for call in listed]
    assert sorted(plain) == sorted(calls | {"GET /api/docs/"})


def test_every_command_is_in_the_document(app):
    groups = {
        name: app.cli.commands[name]
        for name in ("users", "takeover", "keys", "services", "tokens", "mail", "audit")
    }
    listed = " ".join(named(section(OPERATIONS, "Commands"), "[^`]+"))
    for name, group in groups.items():
        for command in group.commands:
            assert re.search(rf"{name} {command}\b", listed), f"{name} {command}"


def test_every_problem_event_and_limit_is_explained():
    errors = named(section(FRONTEND, "Errors"), "[a-z_]+_[a-z]+|overloaded|forbidden")
    assert sorted(errors) == sorted(codes(Problem))
    trail = named(section(OPERATIONS, "The trail"), r"[a-z_]+\.[a-z_]+")
    assert sorted(trail) == sorted(Event)
    rows = re.findall(r"^\| `([\w.]+)` \|", section(OPERATIONS, "Limits"), re.MULTILINE)
    assert rows == list(DEFAULT_LIMITS)


def test_every_code_of_a_field_error_is_explained(app):
    made = {
        node.args[0].value
        for path in (ROOT / "pycoder").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "FieldError"
    }
    listed = re.findall(r"^\| `([a-z_]+)`", section(FRONTEND, "Errors of fields"), re.MULTILINE)
    assert sorted(listed) == sorted(made)
    schemas = app.test_client().get("/api/openapi.json").json["components"]["schemas"]
    assert schemas["FieldError"]["properties"]["code"]["examples"] == sorted(made)


def test_every_module_has_its_place():
    code = ROOT / "pycoder"
    there = {path.stem for path in code.glob("*.py")}
    there |= {f"{path.parent.name}/" for path in code.glob("*/__init__.py")}
    table = re.findall(r"^\| (`.*?) \|", section(CONTRIBUTING, "Where things stand"), re.MULTILINE)
    assert sorted(named(" ".join(table), r"\w+/?")) == sorted(there)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    for path, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text()):
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), path
        if anchor:
            headings = re.findall(r"^#+ (.*)", target.read_text(), re.MULTILINE)
            ids = {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}
            assert anchor in ids, anchor
