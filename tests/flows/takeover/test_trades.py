"""Trades of refresh tokens of the platform for sessions."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select

from pycoder.audit import Event
from pycoder.mail.queue import Template
from pycoder.models.mail import OutgoingMail
from pycoder.models.session import Session
from pycoder.models.takeover import AdoptedToken
from pycoder.models.user import User
from tests.support.application import change
from tests.support.callers import Caller, Tokens
from tests.support.clocks import later
from tests.support.keys import code
from tests.support.parameters import on_sqlite
from tests.support.simplejwt import earlier_token, import_list, listed, start
from tests.support.statements import executed
from tests.support.tokens import claims_of


def traded(caller, token):
    answer = caller.refresh(token)
    assert answer.status_code == 200, answer.json
    return Tokens(**answer.json)


def test_a_token_is_traded_for_a_session(ada, token, trail, sessions):
    pair = traded(ada, token)
    assert code(ada.user(pair.access)) == 200
    assert code(ada.refresh(pair.refresh)) == 200
    assert len(sessions()) == 1
    assert Event.TOKEN_ADOPTED in trail()


def test_a_token_names_an_account_by_the_key_that_it_had_elsewhere(app, ada, flask, sessions):
    key = "c0ffee00-0000-4000-8000-000000000000"
    change(app, User.__table__.update().values(external_id=key))
    token = earlier_token(key)
    assert import_list(flask, listed(token)).exit_code == 0
    assert start(flask).exit_code == 0
    assert claims_of(traded(ada, token).access)["external_id"] == key
    assert len(sessions()) == 1


def test_the_new_session_claims_no_recent_authentication(app, ada, token):
    joined = datetime(2020, 2, 29, 12, tzinfo=UTC)
    change(app, User.__table__.update().values(date_joined=joined))
    claims = claims_of(traded(ada, token).access)
    assert (claims["amr"], claims["acr"]) == (["takeover"], "aal1")
    assert claims["auth_time"] == int(joined.timestamp())


@on_sqlite
def test_an_account_of_before_1970_gets_valid_tokens(app, ada, token):
    change(app, User.__table__.update().values(date_joined=datetime(1960, 1, 1, tzinfo=UTC)))
    assert code(ada.user(traded(ada, token).access)) == 200


def test_a_client_that_keeps_the_old_token_gets_the_same_refresh_token(ada, token, sessions):
    first = traded(ada, token)
    with later(days=6, hours=1):
        assert code(ada.refresh(token)) == "token_expired"
    with later(hours=23):
        again = traded(ada, token)
        assert claims_of(again.refresh)["jti"] == claims_of(first.refresh)["jti"]
        assert claims_of(again.access)["jti"] != claims_of(first.access)["jti"]
        assert code(ada.user(again.access)) == 200
    assert len(sessions()) == 1


@on_sqlite
def test_a_session_goes_on_for_as_long_as_its_old_token(ada, ada_id, flask):
    start(flask, "--key-only", lifetime="30d")
    token = earlier_token(ada_id, exp=claims_of(earlier_token(ada_id))["iat"] + 30 * 86_400)
    traded(ada, token)
    for days in (5, 10, 13):
        with later(days=days):
            pair = traded(ada, token)
            assert code(ada.user(pair.access)) == 200
            assert code(ada.verify(pair.refresh)) == 200


def test_once_the_new_refresh_token_is_used_the_old_one_ends_the_session(
    ada, token, trail, mails, sessions
):
    mails()
    rotated = Tokens(**ada.refresh(traded(ada, token).refresh).json)
    assert code(ada.refresh(token)) == "token_reused"
    assert code(ada.refresh(rotated.refresh)) == "token_revoked"
    assert code(ada.user(rotated.access)) == "token_revoked"
    assert sessions() == []
    assert trail().count(Event.SESSION_REUSED) == 1
    assert len(mails()) == 2  # of the new device, too


@on_sqlite
def test_of_a_lenient_rotation_the_old_token_gets_no_more(ada, token, setting, sessions):
    setting("REFRESH_ROTATION", "until_used")
    ada.refresh(traded(ada, token).refresh)
    assert code(ada.refresh(token)) == "token_reused"
    assert sessions() == []


@on_sqlite
def test_a_lost_answer_signs_nobody_out(ada, token, sessions):
    traded(ada, token)
    pair = traded(ada, token)
    assert code(ada.refresh(pair.refresh, key="0123456789")) == 200
    assert len(sessions()) == 1


def test_a_logout_ends_the_old_token_too(ada, token, rows):
    pair = traded(ada, token)
    assert ada.logout(access=pair.access).status_code == 204
    assert code(ada.refresh(token)) == "token_revoked"
    assert len(rows(select(AdoptedToken.jti))) == 1


@on_sqlite
def test_a_session_whose_row_is_gone_is_not_made_again(app, ada, token, rows):
    traded(ada, token)
    change(app, Session.__table__.delete())
    assert code(ada.refresh(token)) == "token_revoked"
    assert rows(select(func.count(Session.id))) == [0]


@on_sqlite
def test_the_owner_is_mailed_unless_the_token_was_listed(ada, ada_id, flask, rows):
    news = select(OutgoingMail.id).where(OutgoingMail.template == Template.NEW_DEVICE)
    start(flask, "--key-only")
    traded(ada, earlier_token(ada_id))
    assert len(rows(news)) == 1
    flask("takeover", "stop")
    token = earlier_token(ada_id)
    import_list(flask, listed(token))
    start(flask)
    traded(ada, token)
    assert len(rows(news)) == 1


def test_only_listed_tokens_are_traded(ada, ada_id, bob, rows, flask, reasons):
    mine, other = earlier_token(ada_id), earlier_token(ada_id)
    bobs = rows(select(User.id).where(User.email == bob.email))[0]
    assert import_list(flask, listed(mine)).output == "added=1  existing=0  bad=0\n"
    assert start(flask).exit_code == 0
    forged = earlier_token(bobs, jti=claims_of(mine)["jti"])
    assert code(bob.refresh(forged)) == "token_revoked"
    assert code(ada.refresh(other)) == "token_revoked"
    assert reasons() == ["not in the list"] * 2
    traded(ada, mine)


@on_sqlite
def test_the_jti_of_a_traded_token_opens_nothing_for_another_user(ada, token, bob, rows):
    traded(ada, token)
    bobs = rows(select(User.id).where(User.email == bob.email))[0]
    forged = earlier_token(bobs, jti=claims_of(token)["jti"])
    assert code(bob.refresh(forged)) == "token_revoked"
    traded(ada, token)


@on_sqlite
def test_an_account_trades_a_bounded_number_of_tokens(ada, ada_id, takeover, setting, trail):
    answers = {code(ada.refresh(earlier_token(ada_id))) for _ in range(61)}
    assert answers == {200, "too_many_requests"}
    assert Event.LIMIT_REACHED in trail()


@on_sqlite
def test_a_session_repeats_a_bounded_number_of_refreshes(ada, token):
    answers = [code(ada.refresh(token)) for _ in range(62)]
    assert answers == [200] * 61 + ["too_many_requests"]


# What it costs


@pytest.mark.parametrize("running", [True, False], ids=["a takeover", "none"])
def test_ordinary_calls_execute_the_same_statements(app, ada, flask, running):
    if running:
        start(flask, "--key-only")
    with executed(app) as statements:
        assert code(ada.user()) == code(ada.refresh()) == 200
    assert statements == []  # but the prepared ones


def test_a_trade_costs_the_same_whatever_was_traded_before(app, ada, ada_id, takeover):
    def cost():
        token = earlier_token(ada_id)
        with executed(app) as statements:
            traded(ada, token)
        return len(statements)

    traded(ada, earlier_token(ada_id))
    assert len({cost() for _ in range(5)}) == 1


@on_sqlite
def test_a_wrong_signature_costs_one_statement(app, ada, ada_id, takeover):
    forged = earlier_token(ada_id, key="x" * 50)
    assert code(ada.refresh(forged)) == "token_invalid"
    with executed(app) as statements:
        assert code(ada.refresh(forged)) == "token_invalid"
    assert len(statements) == 1


@on_sqlite
def test_the_tokens_of_the_platform_open_nothing_else(app, ada, token):
    traded(ada, token)
    assert code(ada.user(token)) == code(ada.verify(token)) == "token_invalid"
    assert ada.revoke(token).status_code == 200
    assert Caller(app.test_client()).refresh(token).status_code == 200


@on_sqlite
def test_a_logout_by_the_old_token_ends_its_session(app, ada, token, sessions):
    pair = traded(ada, token)
    assert Caller(app.test_client()).logout(access="x", refresh=token).status_code == 204
    assert sessions() == []
    assert code(ada.user(pair.access)) == code(ada.refresh(token)) == "token_revoked"


def test_a_logout_by_a_token_that_was_not_traded_uses_it_up(app, ada, ada_id, token, trail, rows):
    stranger = Caller(app.test_client())
    for _ in range(2):
        assert stranger.logout(refresh=token).status_code == 204
    assert trail().count(Event.SESSION_ENDED) == 1
    assert code(ada.refresh(token)) == "token_revoked"
    assert code(ada.user()) == 200
    assert len(rows(select(AdoptedToken.jti))) == 1


@on_sqlite
def test_a_traded_session_is_logged_out_without_a_limit(ada, ada_id, token, sessions):
    traded(ada, token)
    spent = [code(ada.logout(refresh=earlier_token(ada_id))) for _ in range(60)]
    assert spent == [204] * 59 + ["too_many_requests"]
    assert ada.logout(refresh=token).status_code == 204
    assert sessions() == []


@on_sqlite
def test_a_logout_by_a_forged_or_expired_token_ends_nothing(ada, ada_id, token, flask, sessions):
    traded(ada, token)
    assert code(ada.logout(refresh=earlier_token(ada_id, key="x" * 50))) == "token_invalid"
    with later(days=2):
        assert code(ada.logout(refresh=token)) == "token_expired"
    flask("takeover", "stop")
    assert code(ada.logout(refresh=token)) == "token_invalid"
    assert len(sessions()) == 1
