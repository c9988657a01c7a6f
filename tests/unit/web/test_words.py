"""The words of the pages."""

from pycoder.audit import Event
from tests.support.constants import ROOT


def test_every_event_of_an_account_has_words():
    words = (ROOT / "pycoder" / "web" / "static" / "words.js").read_text()
    of_nobody = {Event.USER_DELETED, Event.USERS_IMPORTED, Event.USERS_EXPORTED}
    of_nobody |= {Event.KEY_CREATED, Event.KEY_ROTATED, Event.KEY_RETIRED}
    of_nobody |= {Event.SERVICE_CREATED, Event.SERVICE_DELETED, Event.SERVICE_REFUSED}
    of_nobody |= {Event.SYSTEM_RESTORED}
    assert [event for event in set(Event) - of_nobody if f'"{event}"' not in words] == []
