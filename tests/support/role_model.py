"""The model of ownership, with roles: a change refuses old access tokens, and ends no session."""

from hypothesis import strategies as st
from hypothesis.stateful import rule

from tests.support.factor_model import FactorMachine
from tests.support.session_model import pick
from tests.support.tokens import claims_of

ROLES = ("billing", "editor")


class RoleMachine(FactorMachine):
    """Users to whom an operator grants roles, and from whom they are revoked."""

    def __init__(self, app, mails):
        super().__init__(app, mails)
        self.roles, self.roles_then = {}, {}

    def of_token(self, access):
        return claims_of(access.token)["roles"]

    def roles_of(self, person):
        return sorted(self.roles.get(id(person), ()))

    def access_is(self, device, access):
        expected = super().access_is(device, access)
        is_former = access.token and self.of_token(access) != self.roles_of(device.person)
        return "token_expired" if expected == 200 and is_former else expected

    def receive(self, device, tokens):
        jti = super().receive(device, tokens)
        assert self.of_token(device.access[-1]) == self.roles_of(device.person)
        return jti

    @rule(who=pick, role=st.sampled_from(ROLES))
    def change_a_role(self, who, role):
        person = self.person(who)
        theirs = self.roles.setdefault(id(person), set())
        word = "revoke" if role in theirs else "grant"
        self.flask("users", word, person.caller.email, role)
        theirs ^= {role}

    def back_up(self):
        super().back_up()
        self.roles_then = {key: set(roles) for key, roles in self.roles.items()}

    def empty_sessions(self):
        super().empty_sessions()
        self.roles = self.roles_then
