"""The samples of docs/backend.md, and Node with a clock that is wrong."""

import re

from tests.support import tools
from tests.support.constants import ROOT

SECTIONS = (ROOT / "docs" / "backend.md").read_text().split("\n## ")
SNIPPETS = {
    section.partition("\n")[0]: found[1]
    for section in SECTIONS
    if (found := re.search(r"```(?:python|js)\n(.*?)```", section, re.DOTALL))
}
SKEW_OF_NODE = """
const RealDate = Date;
const skewed = () => RealDate.now() + 1000 * Number(process.env.SKEW ?? 0);
globalThis.Date = class extends RealDate {
  constructor(...when) { super(...(when.length ? when : [skewed()])); }
  static now() { return skewed(); }
};
"""


def node(code, **env):
    """Run a snippet in Node, and return the lines that it prints."""
    done = tools.node("--input-type=module", "-e", SKEW_OF_NODE + code, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
