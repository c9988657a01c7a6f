"""The model of ownership, with second factors: the owner gets in, and no thief does."""

from dataclasses import dataclass, field, replace

from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from tests.support.callers import Caller, outcome
from tests.support.ownership_model import Link, OwnershipMachine
from tests.support.second_factors import STEP, Authenticator, confirm_address
from tests.support.session_model import DAY, pick


@dataclass
class Factors:
    """The second factors of a user. ``last_step`` is that of the last code that was used."""

    app: Authenticator | None = None
    codes: list[str] = field(default_factory=list)
    last_step: int = 0
    burned: range = range(0)  # the steps that a recovery code used up
    remembered: int = 0  # until when logins of the user's browser need none
    spent: list[dict[str, str]] = field(default_factory=list)
    undo: Link | None = None  # that removes them, of the first one

    def first_unused(self, present):
        """Return the first step whose code is valid, or ``None``."""
        valid = range(max(self.last_step + 1, present - 1), present + 2)
        return next((step for step in valid if step not in self.burned), None)


class FactorMachine(OwnershipMachine):
    """Users who also add, use, lose and remove second factors, and a thief of all else."""

    def __init__(self, app, mails):
        super().__init__(app, mails)
        self.factors, self.factors_then = {}, {}

    def of(self, person):
        return self.factors.setdefault(id(person), Factors())

    # --- what the other models ask

    def password_is_enough(self, person):
        return self.of(person).app is None

    def second_factor(self, person):
        """Return a code that was not used, or a recovery code every third time."""
        theirs = self.of(person)
        if theirs.app is None:
            return {}
        if theirs.codes and self.turn % 3 == 0:
            return {"recovery_code": theirs.codes[-1]}
        while theirs.first_unused(self.at // STEP) is None:
            self.tick(STEP)
        return {"code": theirs.app.code(theirs.first_unused(self.at // STEP) - self.at // STEP)}

    def factor_was_used(self, person, factor):
        theirs, present = self.of(person), self.at // STEP
        if "recovery_code" in factor:
            theirs.codes.remove(factor["recovery_code"])
            theirs.burned = range(present - 1, present + 2)
        elif factor:
            theirs.last_step = theirs.first_unused(present)
        theirs.spent += [factor] if factor else []

    def sign_in(self, person):
        """Sign in as the owner: by the password, and a second factor where one is needed."""
        theirs, answer = self.of(person), super().sign_in(person)
        if not person.active or theirs.app is None or self.at < theirs.remembered:
            return answer
        assert outcome(answer) == "second_factor_required"
        remember, factor = self.turn % 4 == 0, self.second_factor(person)
        body = {"ticket": answer.json["ticket"], "remember_device": remember, **factor}
        answer = self.post(person, "login/second-step", **body)
        if answer.status_code == 200:
            self.factor_was_used(person, factor)
            theirs.remembered = self.at + 30 * DAY if remember else theirs.remembered
        return answer

    def change_succeeded(self, person, new, tokens):
        self.of(person).remembered = 0
        super().change_succeeded(person, new, tokens)

    def has_lasting_factor(self, person):
        """No factor lasts while the address of the first one can undo it."""
        return self.of(person).app is not None and not self.can_be_undone(person)

    def without_factors(self, person):
        """Return no factors. What is added from now on needs no proof by former ones."""
        for undo in self.undos:
            undo.keeps_factors &= undo.person is not person
        return Factors()

    def can_be_undone(self, person):
        undo = self.of(person).undo
        return bool(undo) and self.at < undo.expires and undo.email == person.caller.email

    def change_was_undone(self, person, undo):
        if not undo.keeps_factors:
            self.factors[id(person)] = self.without_factors(person)

    @rule(who=pick)
    def undo_the_factors(self, who):
        """All factors are gone, and nothing else of the account is good."""
        person = self.person(who)
        undo = self.of(person).undo
        if undo is None:
            return
        good = person.active and self.can_be_undone(person)
        for expected in (204 if good else "link_invalid", "link_invalid"):
            assert outcome(self.post(person, "factors/undo", token=undo.token)) == expected
        if good:
            self.factors[id(person)] = self.without_factors(person)
            self.forget_secrets(person)
            for device in person.devices:
                device.revoked = True
                self.check_all_tokens_of(device, newest=1)
            assert outcome(person.caller.try_login(password=person.password)) != 200
            self.reset_the_password(person)

    def reset_the_password(self, person):
        self.of(person).remembered = 0
        super().reset_the_password(person)

    @rule(who=pick)
    def set_password(self, who):
        self.of(self.person(who)).remembered = 0
        super().set_password(who)

    # --- what users do with factors

    @initialize(enrolled=st.sampled_from([(), (0,), (0, 1)]))
    def begin(self, enrolled):
        super().begin()
        for device in [self.person(who).devices[-1] for who in enrolled]:
            self.add(device)

    def live(self, which):
        """Pick a device with a valid access token, or sign in."""
        device = self.device(which)
        if self.access_is(device, device.access[-1]) != 200:
            self.sign_somebody_in()
            used = ((one, one.access[-1]) for one in self.devices)
            device = next(one for one, access in used if self.access_is(one, access) == 200)
        return device

    def change(self, device, theirs):
        """The factors have changed: all else that was authenticated ends."""
        self.factors[id(device.person)] = theirs
        for other in device.person.devices:
            other.revoked |= other is not device
        for proof in self.proofs_of(device.person):
            proof.dead = True

    def prove_now(self, device):
        """Return what a change of the factors needs."""
        if self.password_is_enough(device.person):
            return {"password": device.person.password}
        self.try_to_prove(device)
        return {"proof": self.proofs[-1].value}

    @rule(which=pick)
    def add_an_app(self, which):
        self.add(self.live(which))

    def add(self, device):
        confirm_address(self.app, device.person.caller.email)
        setup = self.send(device, "factors/totp", **self.prove_now(device))
        assert setup.status_code == 200, setup.json
        app = Authenticator(setup.json["secret"])
        wrong = self.send(device, "factors/totp/confirm", code=app.wrong_code())
        assert outcome(wrong) == "invalid_code"
        step, code = self.at // STEP, app.code()
        answer = self.send(device, "factors/totp/confirm", code=code)
        assert answer.status_code == 200, answer.json
        codes, spent = answer.json["recovery_codes"], [{"code": code}]
        undo = self.of(device.person).undo or self.mailed_undo(device.person)
        self.change(device, Factors(app, codes, step, spent=spent, undo=undo))
        assert outcome(self.send(device, "factors/totp/confirm", code=code)) == "invalid_code"

    def mailed_undo(self, person):
        email = person.caller.email
        [token] = [mail.token for mail in self.mails() if "/undo-factors" in mail.text]
        return Link(person, token, self.at + 7 * DAY, email)

    @rule(which=pick)
    def remove_the_app(self, which):
        device = self.live(which)
        if not self.password_is_enough(device.person):
            answer = self.call(device, "DELETE", "factors/totp", **self.prove_now(device))
            assert answer.status_code == 204
            self.change(device, self.without_factors(device.person))

    def call(self, device, method, path, **fields):
        token = device.access[-1].token
        return device.person.caller.call(method, f"/api/{path}/", token, json=fields)

    # --- what thieves try

    @rule(who=pick, which=pick)
    def steal_the_password(self, who, which):
        """The password gets a ticket, which nothing but an unused factor turns into a session."""
        person = self.person(who)
        theirs = self.of(person)
        if theirs.app is None or not person.active:
            return
        thief = Caller(self.app.test_client(), person.caller.email, person.password)
        answer = thief.try_login()
        assert (outcome(answer), "tokens" in answer.json) == ("second_factor_required", False)
        ticket, other = answer.json["ticket"], self.of(self.person(who + 1))
        tries = [theirs.spent[which % len(theirs.spent)], {"code": theirs.app.wrong_code()}]
        tries += [{"recovery_code": other.codes[0]}] if other is not theirs and other.codes else []
        for factor in tries:
            answer = self.post(person, "login/second-step", ticket=ticket, **factor)
            assert outcome(answer) == "invalid_code"
        assert outcome(thief.user(ticket)) == "token_invalid"
        assert outcome(thief.refresh(ticket)) == "token_invalid"

    @rule(which=pick, known=st.booleans())
    def steal_a_token(self, which, known):
        """A token changes nothing of an account with a factor, even with the password."""
        device = self.live(which)
        person = device.person
        if self.password_is_enough(person):
            return
        fields = {"password": person.password} if known else {}
        calls = [("POST", "factors/totp"), ("DELETE", "user"), ("POST", "email/change")]
        for method, path in calls:
            body = fields | ({"email": "eve@example.com"} if path == "email/change" else {})
            answer = self.call(device, method, path, **body)
            assert outcome(answer) == "insufficient_user_authentication"
        for method, path in (("DELETE", "factors/totp"), ("POST", "factors/recovery-codes")):
            answer = self.call(device, method, path)
            assert outcome(answer) == "insufficient_user_authentication"
        answer = self.send(device, "reauthenticate", password=person.password)
        assert outcome(answer) == "second_factor_required"

    # --- backups

    @rule()
    def back_up(self):
        super().back_up()
        self.factors_then = {
            key: replace(one, codes=list(one.codes), spent=list(one.spent), remembered=0)
            for key, one in self.factors.items()
        }

    def empty_sessions(self):
        """Take the factors of the backup, without remembered devices and present codes."""
        super().empty_sessions()
        self.factors = self.factors_then
        for theirs in self.factors.values():
            theirs.last_step = max(theirs.last_step, self.at // STEP + 1)
