"""Stories through the doors."""

from pycoder.audit import Event


def test_a_reused_refresh_token_ends_its_session(ada, trail):
    first = ada.login().refresh
    assert ada.refresh(first).status_code == 200
    assert ada.refresh(first).json["code"] == "token_reused"
    assert ada.user().json["code"] == "token_revoked"
    assert trail()[-1] == Event.SESSION_REUSED
