"""The installed packages."""

from importlib.metadata import version

import psycopg

from tests.support.constants import ROOT

FLOORS = {
    "bcrypt": "5",
    "flask-cors": "6.0",
    "gunicorn": "26.1",
    "pyjwt": "2.13",
    "werkzeug": "3.1.6",
}


def test_no_dependency_is_older_than_the_mending_of_its_known_holes():
    for name, floor in FLOORS.items():
        assert f"{name} >={floor}," in (ROOT / "setup.cfg").read_text()
        installed, oldest = ([int(n) for n in text.split(".")] for text in (version(name), floor))
        assert installed >= oldest, name


def test_the_driver_is_psycopg_3():
    assert psycopg.__version__.startswith("3.")
