"""How clients that others have written fare, as docs/frontend.md says."""

import json
import re

import pytest

from tests.support import tools
from tests.support.constants import PASSWORD, ROOT
from tests.support.servers import Server

pytestmark = pytest.mark.untraced  # the server is another process

ROW = re.compile(
    r"^\| (.+?) \| (stays|is signed out) \| (stays|is signed out)\b.* \|$", re.MULTILINE
)
DOCUMENTED = ROW.findall((ROOT / "docs" / "frontend.md").read_text())


@pytest.mark.parametrize(("column", "rotation"), [(1, "strict"), (2, "until_used")])
def test_each_kind_of_client_fares_as_documented(column, rotation, tmp_path):
    settings = {"RATE_LIMITS": "off", "REFRESH_ROTATION": rotation, "BCRYPT_ROUNDS": 4}
    with Server(tmp_path, f"sqlite:///{tmp_path / 'pycoder.db'}", **settings) as server:
        done = tools.node("clients.js", env={"SERVER": server.url, "PASSWORD": PASSWORD})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {row[0]: row[column] == "stays" for row in DOCUMENTED}
