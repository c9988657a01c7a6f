"""The words of the pages."""

from pycoder.audit import Event
from tests.support.constants import ROOT


def test_every_event_has_words():
    words = (ROOT / "pycoder" / "web" / "static" / "words.js").read_text()
    assert [event for event in Event if f'"{event}":' not in words] == []
