"""PyCoder installed from its wheel, outside of a checkout, and on servers of all kinds."""

import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser

import pytest

from tests.support.clocks import until
from tests.support.commands import flask_command
from tests.support.connections import ApiConnection
from tests.support.constants import ROOT
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the files of a wheel, as pip installs them."""
    source, folder = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("installed")
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    for package in {name.partition(".")[0] for name in setup["options"]["packages"].split()}:
        shutil.copytree(ROOT / package, source / package)
    modules = (f"{name}.py" for name in setup["options"]["py_modules"].split())
    for name in ("setup.cfg", "pyproject.toml", "README.md", *modules):
        shutil.copy(ROOT / name, source)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "-w", source, source], check=True, capture_output=True)
    [wheel] = source.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


GUNICORN = ["gunicorn", "-c", "python:deploy.gunicorn_conf", "wsgi:app"]
SERVERS = {
    "gunicorn": GUNICORN,
    "granian": ["deploy.granian_server"],
    "gunicorn without its settings": ["gunicorn", "--bind", "127.0.0.1:{port}", "wsgi:app"],
    "flask": ["flask", "--app", "wsgi", "run", "--port", "{port}"],
}


@pytest.fixture
def serve(installed, tmp_path):
    """Return a function that starts a server on the installed package, in an empty folder."""
    mails = {"MAIL_URL": f"file:{tmp_path}/mails", "FLASK_SKIP_DOTENV": "1"}
    server = Server(tmp_path, f"sqlite:///{tmp_path}/pycoder.db", code=installed, **mails)

    def start(command):
        server.command[1:] = ["-m", *(word.format(port=server.port) for word in command)]
        done = flask_command(tmp_path, server.env, "db", "upgrade")
        assert done.returncode == 0, done.stderr
        return server.start()

    yield start
    server.__exit__()


@pytest.mark.parametrize("command", SERVERS.values(), ids=SERVERS)
def test_whatever_serves_requests_sends_mails(command, serve, tmp_path):
    with ApiConnection(serve(command)) as api:
        assert api.register("ada@example.com").status == 201
    until(lambda: list(tmp_path.glob("mails/*")))


def test_the_installed_package_serves_as_a_checkout_does(serve, installed):
    server = serve(GUNICORN)
    until(lambda: len(server.workers()) == 2)
    with ApiConnection(server) as api:
        assert api.call("GET", "/readyz").status == 200
        for path in ("/login", "/static/style.css", "/static/client/auth-client.js"):
            assert api.call("GET", path).status == 200, path
    for _ in range(10):  # requests to both workers, whose counters are added up
        with ApiConnection(server) as api:
            assert api.call("GET", "/nowhere").status == 404
    with ApiConnection(server) as api:
        assert 'pycoder_problems_total{code="not_found"} 10.0' in api.call("GET", "/metrics").text
    assert "Using worker: Worker\n" in server.log.read_text()
    asked = [sys.executable, "-c", "import wsgi, pycoder; print(wsgi.__file__, pycoder.__file__)"]
    done = subprocess.run(asked, cwd=server.folder, env=server.env, capture_output=True, text=True)
    assert all(path.startswith(str(installed)) for path in done.stdout.split())
