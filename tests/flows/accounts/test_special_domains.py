"""Addresses at domains where no mail arrives (RFC 6761)."""

import pytest

ADDRESSES = ("ada@shop.test", "ada@printer.local", "ada@localhost", "ada@Shop.TEST")
each_address = pytest.mark.parametrize("email", ADDRESSES)


@each_address
def test_a_special_use_domain_is_accepted_where_the_setting_is_on(anyone, setting, email):
    setting("EMAIL_DOMAINS_SPECIAL", True)
    anyone.email = email
    assert anyone.register().json["user"]["email"] == email.lower()
    assert anyone.try_login().status_code == 200


@each_address
def test_a_special_use_domain_is_refused_with_the_reason(anyone, setting, email):
    domain = email.lower().rpartition("@")[2].rpartition(".")[2]
    anyone.email = email
    reason = f"Addresses of the special-use domain .{domain} are refused"
    hint = "; EMAIL_DOMAINS_SPECIAL=on accepts them in development."
    for environment, end in {"development": hint, "production": "."}.items():
        setting("PYCODER_ENV", environment)
        answer = anyone.register()
        assert answer.json["errors"]["email"] == [reason + end]
        error = {"code": "special_use_domain", "domain": domain}
        assert answer.json["error_codes"]["email"] == [error]


@pytest.mark.parametrize(
    "email", ["ada@b c.test", "@x.test", "a@@x.test", "test", "local", "ada@x.onion"]
)
def test_the_setting_makes_no_other_address_valid(anyone, setting, email):
    setting("EMAIL_DOMAINS_SPECIAL", True)
    anyone.email = email
    assert anyone.register().json["error_codes"]["email"] == [{"code": "not_an_email"}]
