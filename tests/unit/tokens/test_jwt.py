"""Tokens as they are issued, and Flask-JWT-Extended underneath."""

import inspect
from datetime import UTC, datetime, timedelta
from typing import NamedTuple
from uuid import UUID, uuid4

import pytest
from flask_jwt_extended import JWTManager

from pycoder.tokens.claims import new_jti
from pycoder.tokens.jwt import TokenManager, issue_tokens
from tests.support.forgeries import CLAIMS
from tests.support.tokens import read, unb64

pytestmark = pytest.mark.usefixtures("signed_by_hand")


def test_a_thousand_tokens_have_ids_of_their_own_of_128_bits(app_without_tables):
    class Subject(NamedTuple):
        session_id: UUID
        user_id: int
        refresh_jti: str
        created_at: datetime
        rotated_at: datetime | None
        expires_at: datetime
        authenticated_at: datetime
        amr: str
        roles: list[str]
        external_id: str | None

    now = datetime.now(UTC)
    ends = now + timedelta(days=7)
    subject = Subject(uuid4(), 7, new_jti(), now, None, ends, now, "pwd", [], None)
    with app_without_tables.app_context():
        said = [read(issue_tokens(subject).access)[1] for _ in range(1000)]
    assert len({claims["jti"] for claims in said} | {subject.refresh_jti}) == 1001
    assert {len(unb64(claims["jti"])) for claims in said} == {16}
    assert all(claims.keys() == CLAIMS.keys() for claims in said)


# Flask-JWT-Extended, whose two inner methods TokenManager replaces


@pytest.mark.parametrize("name", ["_decode_jwt_from_config", "_encode_jwt_from_config"])
def test_flask_jwt_extended_still_has_the_methods_that_we_replace(name):
    theirs, ours = (
        [(p.name, p.kind, p.default) for p in inspect.signature(method).parameters.values()]
        for method in (vars(JWTManager)[name], vars(TokenManager)[name])
    )
    assert ours == theirs
