"""The password policy."""

import socket

import pytest

from pycoder.passwords.policy import policy_violations


def test_no_network_is_needed_to_judge_a_password(context, setting, monkeypatch):
    setting("PASSWORD_BLOCKLIST", True)
    monkeypatch.setattr(socket, "socket", None)
    assert policy_violations("qwertyuiop123")
    assert policy_violations("e\u0301") == ["Use at least 8 characters."]
    assert not policy_violations("correct horse battery staple")


@pytest.mark.parametrize(
    "password", ["Strasse1ß", "ﬁﬁﬁﬁﬁﬁﬁﬁ", "ı" * 9, "\U0001f600" * 9, "ß" * 128]
)
def test_a_password_that_folds_to_another_length_is_judged_as_well(context, setting, password):
    setting("PASSWORD_BLOCKLIST", True)
    assert policy_violations(password) == []
